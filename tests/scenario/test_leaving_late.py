"""A worker that was told to leave lets bodies go on to their next effect or their end."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from secrets import token_hex
from typing import Any

import pytest
from wakeline import App, AsyncCtx, AsyncTurn, Ctx
from wakeline.settings import Settings
from wakeline.store.connection import Backend
from wakeline_workers.loop import WorkerLoop

from tests.scenario.conftest import until


class Leaving:
    """An app and a worker of it, which is told to leave while a body is in the middle of its own code."""

    def __init__(self, backend: Backend) -> None:
        self.app = App("t" + token_hex(4), backend=backend, settings=Settings(hold_ms=50, shutdown_ms=10_000))
        self.begun, self.told = threading.Event(), threading.Event()
        self.runs: list[str] = []

    def serve(self, start: Callable[[], Any]) -> Any:
        """Starts, tells the worker to leave once the body has begun, and gives what was started when the worker is gone."""
        loops: list[tuple[WorkerLoop, asyncio.AbstractEventLoop]] = []

        async def serve() -> None:
            loops.append((WorkerLoop(self.app), asyncio.get_running_loop()))
            await loops[0][0].serve()

        thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
        thread.start()
        until(lambda: bool(loops))
        handle = start()
        assert self.begun.wait(10)
        loops[0][1].call_soon_threadsafe(loops[0][0].stop)
        until(lambda: loops[0][0]._runner._stopping)
        time.sleep(0.05)
        self.told.set()
        thread.join(15)
        assert not thread.is_alive()
        return handle


@pytest.fixture
def leaving(backend: Backend) -> Any:
    return Leaving(backend)


def test_an_engine_that_is_about_to_return_ends_where_it_runs(leaving: Leaving) -> None:
    @leaving.app.engine
    async def returns(ctx: AsyncCtx) -> str:
        leaving.runs.append("begun")
        leaving.begun.set()
        await asyncio.to_thread(leaving.told.wait, 10)
        return "ended by itself"

    handle = leaving.serve(lambda: leaving.app.start(returns))
    assert (handle.status().status, handle.result(timeout=1), leaving.runs) == ("completed", "ended by itself", ["begun"])
    leaving.app.close()


def test_so_does_one_in_a_thread(leaving: Leaving) -> None:
    @leaving.app.engine
    def returns(ctx: Ctx) -> str:
        leaving.runs.append("begun")
        leaving.begun.set()
        leaving.told.wait(10)
        return "ended by itself"

    handle = leaving.serve(lambda: leaving.app.start(returns))
    assert (handle.status().status, handle.result(timeout=1), leaving.runs) == ("completed", "ended by itself", ["begun"])
    leaving.app.close()


def test_a_turn_that_is_about_to_return_commits_where_it_runs(leaving: Leaving) -> None:
    @leaving.app.agent("clerk")
    async def clerk(turn: AsyncTurn) -> str:
        leaving.runs += [item.text for item in turn.inbox]
        leaving.begun.set()
        await asyncio.to_thread(leaving.told.wait, 10)
        return "said"

    leaving.serve(lambda: leaving.app.session("clerk", "1").send("hello"))
    assert [entry.state for entry in leaving.app.session("clerk", "1").wakes()] == ["settled"]
    assert leaving.runs == ["hello"]
    leaving.app.close()


@pytest.mark.parametrize("kind", ["async", "thread"])
def test_one_that_has_more_to_do_is_handed_back_at_its_next_effect(leaving: Leaving, kind: str) -> None:
    @leaving.app.engine
    async def goes_on(ctx: AsyncCtx) -> str:
        leaving.begun.set()
        await asyncio.to_thread(leaving.told.wait, 10)
        await ctx.step("more", leaving.runs.append, "more")
        return "ended"

    @leaving.app.engine
    def goes_on_in_a_thread(ctx: Ctx) -> str:
        leaving.begun.set()
        leaving.told.wait(10)
        ctx.step("more", leaving.runs.append, "more")
        return "ended"

    handle = leaving.serve(lambda: leaving.app.start(goes_on if kind == "async" else goes_on_in_a_thread))
    assert (handle.status().status, leaving.runs) == ("queued", [])
    leaving.app.close()
