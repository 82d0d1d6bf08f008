"""A worker that was told to leave lets bodies go on to their next effect or their end, within its share of the shutdown
time."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable, Iterator
from secrets import token_hex
from typing import Any

import pytest
from wakeline import App, AsyncCtx, AsyncTurn, Ctx, current
from wakeline.settings import Settings
from wakeline.store import processes
from wakeline.store.connection import Backend
from wakeline.telemetry.instrument import Instrument
from wakeline.telemetry.phases import Phase
from wakeline_workers.loop import WorkerLoop
from wakeline_workers.threads import WorkerThread

from tests.scenario.conftest import until


class Leaving(Instrument):
    """An app and a worker of it, which is told to leave while a body is in the middle of its own code."""

    def __init__(self, backend: Backend, shutdown_ms: int = 10_000) -> None:
        self.app = App("t" + token_hex(4), backend=backend, settings=Settings(hold_ms=50, shutdown_ms=shutdown_ms))
        self.app.observe(self)
        self.begun, self.told = threading.Event(), threading.Event()
        self.runs: list[str] = []
        self.handed_back: list[list[str]] = []
        """What had run, each time that a run was about to be handed back."""

    def point(self, phase: Phase, process_id: str) -> None:
        if phase is Phase.handing_back:
            self.handed_back.append(list(self.runs))

    def serve(self, start: Callable[[], Any]) -> Any:
        """Starts, tells the worker to leave once the body has begun, and gives what was started when the worker is
        gone."""
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
def leaving(backend: Backend) -> Iterator[Leaving]:
    made = Leaving(backend)
    yield made
    made.app.close()


@pytest.fixture
def hurried(backend: Backend) -> Iterator[Leaving]:
    """Its share is over before anything is told."""
    made = Leaving(backend, shutdown_ms=20)
    yield made
    made.app.close()


def test_an_engine_that_is_about_to_return_ends_where_it_runs(leaving: Leaving) -> None:
    @leaving.app.engine
    async def returns(ctx: AsyncCtx) -> str:
        leaving.runs.append("begun")
        leaving.begun.set()
        await asyncio.to_thread(leaving.told.wait, 10)
        return "ended by itself"

    handle = leaving.serve(lambda: leaving.app.start(returns))
    assert (handle.status().status, handle.result(timeout=1), leaving.runs) == (
        "completed",
        "ended by itself",
        ["begun"],
    )


def test_so_does_one_in_a_thread(leaving: Leaving) -> None:
    @leaving.app.engine
    def returns(ctx: Ctx) -> str:
        leaving.runs.append("begun")
        leaving.begun.set()
        leaving.told.wait(10)
        return "ended by itself"

    handle = leaving.serve(lambda: leaving.app.start(returns))
    assert (handle.status().status, handle.result(timeout=1), leaving.runs) == (
        "completed",
        "ended by itself",
        ["begun"],
    )


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


def test_a_body_that_comes_to_no_effect_is_handed_back_at_the_end_of_the_share_without_an_attempt(
    hurried: Leaving,
) -> None:
    @hurried.app.engine
    async def computes(ctx: AsyncCtx) -> None:
        hurried.begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            hurried.runs.append("stopped")

    handle = hurried.serve(lambda: hurried.app.using(max_attempts=1).start(computes))
    fields = hurried.app.store.execute(processes.read(handle.id)).fields
    assert (fields["st"], fields.get("at"), fields.get("ls")) == ("queued", None, None)
    assert hurried.handed_back == [["stopped"]]  # nothing of it runs beside its successor


def test_so_is_a_tool_of_its_own(hurried: Leaving) -> None:
    @hurried.app.tool
    async def uploads() -> None:
        hurried.begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            hurried.runs.append("stopped")

    handle = hurried.serve(lambda: hurried.app.start(uploads))
    fields = hurried.app.store.execute(processes.read(handle.id)).fields
    assert (fields["st"], fields.get("at"), fields.get("ls")) == ("queued", None, None)
    assert hurried.handed_back == [["stopped"]]


def test_what_may_not_move_is_abandoned_only_by_the_worker_that_is_gone(hurried: Leaving) -> None:
    @hurried.app.tool(policy="never")
    async def charges() -> None:
        hurried.begun.set()
        await asyncio.sleep(60)

    handle = hurried.serve(lambda: hurried.app.start(charges))
    assert (handle.status().status, hurried.handed_back) == ("abandoned", [])


@pytest.mark.parametrize("how", ["gather", "task group"])
def test_a_step_beside_an_effect_that_is_refused_ends_and_is_recorded(leaving: Leaving, how: str) -> None:
    async def slow() -> str:
        leaving.runs.append("slow")
        await asyncio.to_thread(leaving.told.wait, 10)
        await asyncio.sleep(0.2)  # the other one has asked for its next step by now
        return "slow"

    async def quick(ctx: AsyncCtx) -> None:
        await ctx.step("quick", leaving.begun.set)
        await asyncio.to_thread(leaving.told.wait, 10)
        await ctx.step("more", leaving.runs.append, "more")

    @leaving.app.engine
    async def both(ctx: AsyncCtx) -> None:
        if how == "gather":
            await asyncio.gather(quick(ctx), ctx.step("slow", slow))
            return
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(quick(ctx))
            tasks.create_task(ctx.step("slow", slow))

    handle = leaving.serve(lambda: leaving.app.start(both))
    assert handle.status().status == "queued"
    with WorkerThread(leaving.app):
        handle.result(timeout=10)
    assert leaving.runs == ["slow", "more"]


def test_a_call_of_a_batch_beside_one_that_has_to_be_tried_again_ends_and_is_recorded(leaving: Leaving) -> None:
    @leaving.app.tool
    def slow() -> None:
        leaving.runs.append("slow")
        leaving.told.wait(10)
        time.sleep(0.2)

    @leaving.app.tool(retries=1, backoff="10ms")
    def fails_once() -> None:
        leaving.begun.set()
        leaving.told.wait(10)
        if current().attempt == 1:
            raise OSError("not yet")

    @leaving.app.engine
    async def both(ctx: AsyncCtx) -> None:
        await ctx.call_batch([(slow, {}), (fails_once, {})])

    handle = leaving.serve(lambda: leaving.app.start(both))
    assert handle.status().status == "queued"
    with WorkerThread(leaving.app):
        handle.result(timeout=10)
    assert leaving.runs == ["slow"]


def test_a_tool_in_flight_still_keeps_its_attachments(leaving: Leaving) -> None:
    @leaving.app.tool
    def prints() -> int:
        leaving.runs.append("prints")
        leaving.begun.set()
        leaving.told.wait(10)
        return current().attachments.put(b"a report").size

    handle = leaving.serve(lambda: leaving.app.start(prints))
    assert (handle.result(timeout=1), leaving.runs) == (8, ["prints"])


def test_a_body_that_continues_as_new_ends_its_generation_where_it_runs(leaving: Leaving) -> None:
    @leaving.app.engine
    async def goes_round(ctx: AsyncCtx, n: int = 1) -> int:
        leaving.runs.append(f"round {n}")
        if n == 1:
            leaving.begun.set()
            await asyncio.to_thread(leaving.told.wait, 10)
            await ctx.continue_as_new(2)
        return n

    handle = leaving.serve(lambda: leaving.app.start(goes_round))
    assert handle.status().status == "queued"
    with WorkerThread(leaving.app):
        assert handle.result(timeout=10) == 2
    assert leaving.runs == ["round 1", "round 2"]


def test_an_effect_within_a_step_is_refused_at_once_as_the_step_waits_for_it(leaving: Leaving) -> None:
    @leaving.app.engine
    async def nests(ctx: AsyncCtx) -> None:
        async def outer() -> None:
            leaving.begun.set()
            await asyncio.to_thread(leaving.told.wait, 10)
            await ctx.step("inner", leaving.runs.append, "inner")

        await ctx.step("outer", outer)

    began = time.monotonic()
    handle = leaving.serve(lambda: leaving.app.start(nests))
    assert (handle.status().status, leaving.runs) == ("queued", [])
    assert time.monotonic() - began < 5  # not its share of 8 s


def test_a_run_that_ends_as_its_worker_begins_to_leave_leaves_no_error_behind(leaving: Leaving) -> None:
    problems: list[str] = []

    async def leave() -> None:
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: problems.append(str(context.get("exception")))
        )
        loop = WorkerLoop(leaving.app)
        last = asyncio.ensure_future(asyncio.Event().wait())
        loop._tasks[last] = "claim"
        last.add_done_callback(loop._tasks.pop)
        await asyncio.sleep(0)
        last.cancel()
        await asyncio.sleep(0)  # it is over now, and the worker hears of it after it began to leave
        assert last.done()
        await loop._drain()
        gc.collect()  # an error that was not asked for is told when its task goes
        await loop.store.close()

    asyncio.run(leave())
    assert problems == []
