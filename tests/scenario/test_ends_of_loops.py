"""What is left of a run, or of a client, when its event loop ends: nothing that speaks to Redis once more."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import time
from collections.abc import Iterator
from secrets import token_hex
from typing import Any

import pytest
import redis
from wakeline import App, AsyncCtx
from wakeline.embedded import PrivateServer
from wakeline.errors import RedisUnavailable
from wakeline.run import waits
from wakeline.settings import Settings
from wakeline.store import processes
from wakeline.store.connection import Backend, UrlBackend
from wakeline_workers.loop import WorkerLoop

from tests.scenario.conftest import served, until


def burst(app: App) -> None:
    asyncio.run(WorkerLoop(app, burst=True).serve())


class Left:
    """What Python says of tasks and coroutines that were not awaited."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
        self._unraisable: list[str] = []
        self._caplog = caplog
        monkeypatch.setattr(sys, "unraisablehook", lambda told: self._unraisable.append(str(told.exc_value)))
        caplog.set_level(logging.WARNING, "asyncio")

    @property
    def told(self) -> list[str]:
        gc.collect()
        return [*self._unraisable, *(r.getMessage() for r in self._caplog.records if r.name == "asyncio")]


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Left:
    gc.collect()  # what tests before this one left
    return Left(monkeypatch, caplog)


# -- a run


@pytest.fixture
def alone(backend: Backend) -> Iterator[App]:
    """An app that nothing serves, until the test does."""
    made = App("t" + token_hex(4), backend=backend)
    yield made
    made.close()


def test_waits_of_tasks_that_a_body_leaves_behind_are_not_closed_by_the_end_of_the_loop(
    alone: App, left: Left, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[Any] = []
    original = waits.close_waits
    monkeypatch.setattr(waits, "close_waits", lambda *of: closed.append(of) or original(*of))

    @alone.engine
    async def leaves_one(ctx: AsyncCtx) -> str:
        task = asyncio.create_task(ctx.wait("never"))
        await ctx.step("looks", lambda: None)
        return "done" if not task.done() else "the wait was over"

    handle = alone.start(leaves_one)
    burst(alone)
    assert handle.result(timeout=1) == "done"
    assert (closed, left.told) == ([], [])


def test_a_task_that_a_body_leaves_behind_begins_no_effect_after_the_end_of_its_process(app: App) -> None:
    ran: list[str] = []
    raised: list[BaseException] = []

    @app.engine
    async def leaves_one(ctx: AsyncCtx) -> None:
        async def late() -> None:
            await asyncio.sleep(0.2)
            try:
                await ctx.step("late", ran.append, "late")
            except BaseException as error:
                raised.append(error)
                raise

        task = asyncio.create_task(late())
        await ctx.step("first", ran.append, "first")
        assert not task.done()

    with served(app):
        assert app.start(leaves_one).result(timeout=5) is None
        until(lambda: bool(raised))
    assert (ran, [type(error).__name__ for error in raised]) == (["first"], ["ProcessExecutionUnavailable"])


# -- a client


@pytest.fixture
def restless(server: PrivateServer) -> Iterator[App]:
    """An app whose clients look all the time whether the store went back."""
    made = App("t" + token_hex(4), backend=UrlBackend(server.url), settings=Settings(beat_ms=5, lease_ms=5_000))
    yield made
    made.close()


def kept(app: App) -> Any:
    """The awaited client of the last loop."""
    return next(reversed(app.aio._client._stores.values()))  # pyright: ignore[reportPrivateUsage]


@pytest.mark.real
def test_a_client_that_is_not_closed_is_closed_with_its_loop(restless: App, left: Left) -> None:
    async def main() -> None:
        await restless.aio.processes()

    asyncio.run(main())
    store = kept(restless)
    assert (store._client, store._next_look, store._looking) == (None, None, None)
    assert left.told == []


@pytest.mark.real
@pytest.mark.parametrize("when", ["tasks are cancelled", "threads are waited for"])
def test_a_look_that_begins_while_the_loop_ends_is_ended_with_it(
    restless: App, server: PrivateServer, left: Left, when: str
) -> None:
    """The server keeps still from before the end until after it, so a look that begins then is under way when the loop
    is closed."""
    tasks: list[asyncio.Task[None]] = []

    async def slow() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.1)

    async def main() -> None:
        await restless.aio.processes()
        if when == "tasks are cancelled":
            tasks.append(asyncio.create_task(slow()))
        else:
            asyncio.get_running_loop().run_in_executor(None, time.sleep, 0.1)
        await asyncio.sleep(0)
        with redis.Redis.from_url(server.url) as client:
            client.execute_command("CLIENT", "PAUSE", "300", "ALL")

    asyncio.run(main())
    store = kept(restless)
    tasks.clear()
    assert left.told == []
    assert (store._client, store._next_look, store._looking) == (None, None, None)


@pytest.mark.real
def test_a_call_that_is_on_its_way_when_its_client_is_closed_says_so(restless: App, server: PrivateServer) -> None:
    async def main() -> None:
        await restless.aio.processes()
        with redis.Redis.from_url(server.url) as client:
            client.execute_command("CLIENT", "PAUSE", "300", "ALL")
        calling = asyncio.create_task(kept(restless).execute(processes.read("p")))
        await asyncio.sleep(0.05)
        await restless.aio.close()
        with pytest.raises(RedisUnavailable, match="closed while it waited"):
            await calling

    asyncio.run(main())
