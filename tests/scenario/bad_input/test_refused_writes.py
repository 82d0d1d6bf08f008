"""A store that does not take what a run writes: the run is given up and tried again, the process never ends for it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from wakeline import App, AsyncCtx, Ctx
from wakeline.errors import RedisUnavailable, StoreOutOfMemory
from wakeline.store.awaited import AsyncStore
from wakeline.store.calls import Call

from tests.lua.world import World
from tests.races.workers import work
from tests.scenario.bad_input.ends import end_of


def failing_once(monkeypatch: pytest.MonkeyPatch, script: str, times: int = 1) -> list[str]:
    """The first call of this script (or so many) finds the server out of memory; what was called meanwhile is
    returned."""
    execute, failed = AsyncStore.execute, list[str]()

    async def once(self: AsyncStore, call: Call[Any]) -> Any:
        if call.script == script and len(failed) < times:
            failed.append(script)
            raise StoreOutOfMemory()
        return await execute(self, call)

    monkeypatch.setattr(AsyncStore, "execute", once)
    return failed


def test_a_park_that_redis_refuses_is_tried_again_and_loses_nothing(
    world: World, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wakeline.run.run.PARK_AGAIN_S", 0.01)

    @app.engine
    async def waits(ctx: AsyncCtx) -> list[int]:
        return list(await asyncio.gather(ctx.wait("later"), ctx.wait("go")))

    handle = app.using(id="p").start(waits)
    handle.signal("go", 1)
    failed = failing_once(monkeypatch, "process_park")
    assert work(world, app) == ["parked"]
    assert failed == ["process_park"]
    assert len(world.journal("p")) == 1  # what one wait consumed was written with the second try
    handle.signal("later", 2)
    assert end_of(world, app, handle).value == [2, 1]


def test_a_park_that_goes_on_failing_is_tried_less_and_less_often_and_says_when(
    world: World, app: App, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("wakeline.run.run.PARK_AGAIN_S", 0.01)
    monkeypatch.setattr("wakeline.run.run.PARK_AGAIN_MOST_S", 0.05)

    @app.engine
    async def waits(ctx: AsyncCtx) -> Any:
        return await ctx.wait("later")

    app.using(id="p").start(waits)
    failing_once(monkeypatch, "process_park", times=5)
    assert work(world, app) == ["parked"]
    told = [message.partition(":")[0] for message in caplog.messages if "parked" in message]
    assert told == [
        f"p could not be parked, which is tried again in {pause} s" for pause in (0.01, 0.02, 0.04, 0.05, 0.05)
    ]


@pytest.mark.parametrize("script", ["journal_record", "wait_open", "process_finish"])
def test_a_write_that_redis_refuses_never_ends_a_process(
    world: World, app: App, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    @app.engine
    def works(ctx: Ctx) -> int:
        return ctx.step("one", lambda: 1) + (ctx.wait("go", default=1, timeout=0) if script == "wait_open" else 1)

    handle = app.using(id="p").start(works)
    failed = failing_once(monkeypatch, script)
    assert work(world, app, "w1") == ["lost"]
    assert failed == [script]
    assert handle.status().status == "queued"  # handed back by the worker that left
    work(world, app, "w2")
    world.tick()
    assert end_of(world, app, handle).value == 2


def test_a_step_that_finds_a_redis_away_has_no_outcome_yet(world: World, app: App) -> None:
    tried: list[int] = []

    def asks_elsewhere() -> int:
        tried.append(1)
        if len(tried) == 1:
            raise RedisUnavailable(reason="Error 111 connecting to elsewhere:6379")
        return len(tried)

    @app.engine
    def works(ctx: Ctx) -> int:
        return ctx.step("ask", asks_elsewhere)

    handle = app.using(id="p").start(works)
    assert work(world, app, "w1") == ["lost"]
    assert end_of(world, app, handle).value == 2
