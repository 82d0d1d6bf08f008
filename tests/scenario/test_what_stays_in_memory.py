"""What a run had in hand goes with the run, however it ends: without the collector of cycles, which looks at what is
old rarely."""

from __future__ import annotations

import gc
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from secrets import token_hex
from typing import Any

import pytest
from wakeline import App, AsyncCtx, AsyncTurn, Ctx
from wakeline.embedded import PrivateServer
from wakeline.errors import WakelineError
from wakeline.settings import Settings
from wakeline.store.connection import UrlBackend

from tests.scenario.conftest import served, until

RUNS = 20


class Data:
    """What a body has in hand."""


class World:
    def __init__(self, app: App) -> None:
        self.app = app
        self.live: weakref.WeakSet[Data] = weakref.WeakSet()
        self.made = 0

    def data(self) -> Data:
        one = Data()
        self.live.add(one)
        self.made += 1
        return one


@pytest.fixture
def world(server: PrivateServer) -> Iterator[World]:
    with served(
        App(
            "t" + token_hex(4),
            backend=UrlBackend(server.url, connections=8),
            settings=Settings(hold_ms=20, grace_ms=200),
        )
    ) as app:
        yield World(app)
        app.close()


@contextmanager
def without_a_collector() -> Iterator[None]:
    """Only what is referred to stays."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def returns(world: World) -> Any:
    @world.app.engine
    async def body(ctx: AsyncCtx, n: int) -> int:
        data = world.data()
        return await ctx.step("look", lambda: id(data) % 7)

    return body


def blocks(world: World) -> Any:
    @world.app.engine
    def body(ctx: Ctx, n: int) -> int:
        data = world.data()
        return ctx.step("look", lambda: id(data) % 7)

    return body


def fails(world: World) -> Any:
    @world.app.tool
    async def body(n: int) -> int:
        data = world.data()
        raise ValueError(id(data))

    return body


def fails_in_a_thread(world: World) -> Any:
    @world.app.engine
    def body(ctx: Ctx, n: int) -> int:
        data = world.data()
        raise ValueError(id(data))

    return body


def fails_in_a_group(world: World) -> Any:
    @world.app.engine
    async def body(ctx: AsyncCtx, n: int) -> int:
        data = world.data()
        try:
            raise ValueError(id(data))
        except ValueError as error:
            raise ExceptionGroup("both", [error, KeyError(id(data))]) from error

    return body


def parks(world: World) -> Any:
    @world.app.engine
    async def body(ctx: AsyncCtx, n: int) -> int:
        data = world.data()
        await ctx.sleep("60ms")
        return id(data) % 7

    return body


def parks_in_a_thread(world: World) -> Any:
    @world.app.engine
    def body(ctx: Ctx, n: int) -> int:
        data = world.data()
        ctx.sleep("60ms")
        return id(data) % 7

    return body


def survives_a_step(world: World) -> Any:
    @world.app.engine
    async def body(ctx: AsyncCtx, n: int) -> int:
        data = world.data()

        def bad() -> int:
            raise ValueError(id(data))

        try:
            return await ctx.step("bad", bad)
        except WakelineError:
            return 1

    return body


def defers(world: World) -> Any:
    @world.app.engine
    async def body(ctx: AsyncCtx, n: int) -> int:
        data = world.data()
        ctx.defer(lambda: id(data))
        return 1

    return body


@pytest.mark.parametrize(
    "kind",
    [returns, blocks, fails, fails_in_a_thread, fails_in_a_group, parks, parks_in_a_thread, survives_a_step, defers],
    ids=lambda kind: kind.__name__,
)
def test_nothing_that_a_run_had_in_hand_outlives_it(world: World, kind: Callable[[World], Any]) -> None:
    body = kind(world)
    with without_a_collector():
        for handle in world.app.start_many(body, [{"n": n} for n in range(RUNS)]):
            with suppress(WakelineError):
                handle.result(timeout=20)
        assert world.made >= RUNS
        until(lambda: len(world.live) <= 2)  # a thread may have its last work in hand


def test_nothing_that_a_turn_had_in_hand_outlives_it(world: World) -> None:
    @world.app.agent("clerk")
    async def clerk(turn: AsyncTurn) -> int:
        data = world.data()
        return await turn.step("look", lambda: id(data) % 7)

    with without_a_collector():
        for n in range(RUNS):
            world.app.session("clerk", f"k{n}").ask("x", timeout=20)
        assert world.made >= RUNS
        time.sleep(0.1)
        until(lambda: len(world.live) <= 2)
