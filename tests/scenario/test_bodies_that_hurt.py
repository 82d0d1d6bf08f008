"""Bodies that block the loop, end the interpreter or overstay: their worker lives, and says what and where."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
from secrets import token_hex
from typing import Any

import pytest
from wakeline import App, AsyncCtx, Ctx, Handle
from wakeline.errors import ProcessFailed
from wakeline.run.boundary import CAME_BACK
from wakeline.settings import Settings
from wakeline.store.connection import Backend
from wakeline_workers import jobs

from tests.scenario.conftest import served, until


def test_a_body_that_blocks_the_loop_is_named_with_its_line(app: App, caplog: pytest.LogCaptureFixture) -> None:
    @app.engine
    async def stares(ctx: AsyncCtx) -> str:
        time.sleep(1.6)  # noqa: ASYNC251 - this is what it must not do
        return "done"

    with caplog.at_level(logging.WARNING, "wakeline.worker"):
        handle = app.start(stares)
        assert handle.result(timeout=20) == "done"
        until(lambda: "has kept the event loop" in caplog.text)
    told = [record.getMessage() for record in caplog.records if "has kept the event loop" in record.getMessage()]
    assert len(told) == 1
    assert told[0].startswith(f"stares ({handle.id}) has kept the event loop for 1.")
    assert f"{os.path.basename(__file__)}:" in told[0] and "in stares" in told[0]


def test_a_body_that_waits_as_it_should_is_not_named(app: App, caplog: pytest.LogCaptureFixture) -> None:
    @app.engine
    async def waits(ctx: AsyncCtx) -> None:
        await asyncio.sleep(1.4)

    app.start(waits).result(timeout=20)
    assert "event loop" not in caplog.text


@pytest.mark.parametrize("awaited", [True, False])
def test_a_task_of_a_body_that_exits_the_interpreter_ends_its_process_at_most(app: App, *, awaited: bool) -> None:
    begun = threading.Event()

    async def leave() -> None:
        await asyncio.sleep(0)
        begun.set()
        sys.exit(3)

    @app.engine
    async def makes(ctx: AsyncCtx) -> str:
        task = asyncio.create_task(leave())
        if awaited:
            await task
        while not begun.is_set() or not task.done():
            await asyncio.sleep(0.01)
        return "went on"

    @app.engine
    async def beside(ctx: AsyncCtx) -> int:
        while not begun.is_set():
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        return os.getpid()

    other, handle = app.start(beside), app.start(makes)
    if awaited:
        with pytest.raises(ProcessFailed) as failed:
            handle.result(timeout=10)
        assert failed.value.failure_code == "SystemExit"
    else:
        assert handle.result(timeout=10) == "went on"
    assert other.result(timeout=10) == os.getpid()
    assert app.start(beside).result(timeout=10) == os.getpid()


def forked_and_came_back() -> int | None:
    """The exit status of a child that goes on like its parent; None in the child."""
    child = os.fork()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) if child else None


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_body_that_forks_leaves_no_second_worker(app: App) -> None:
    @app.engine
    async def on_the_loop(ctx: AsyncCtx) -> int | None:
        return forked_and_came_back()

    @app.engine
    async def awaits_in_the_child(ctx: AsyncCtx) -> int:
        child = os.fork()
        await ctx.step("in both", lambda: None)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    @app.engine
    def in_a_thread(ctx: Ctx) -> int | None:
        return forked_and_came_back()

    @app.engine
    async def in_a_step(ctx: AsyncCtx) -> int | None:
        return await ctx.step("forks", forked_and_came_back)

    bodies = (on_the_loop, awaits_in_the_child, in_a_thread, in_a_step)
    assert [app.start(body).result(timeout=10) for body in bodies] == [CAME_BACK] * 4


def test_a_task_of_a_body_is_cancelled_and_awaited_like_any_other(app: App) -> None:
    @app.engine
    async def cancels(ctx: AsyncCtx) -> list[str]:
        async def sleeps() -> Any:
            await asyncio.sleep(60)

        begun, fresh = asyncio.create_task(sleeps()), asyncio.create_task(sleeps())
        await asyncio.sleep(0)
        begun.cancel()
        fresh.cancel()
        found = await asyncio.gather(begun, fresh, return_exceptions=True)
        return [type(one).__name__ for one in found]

    assert app.start(cancels).result(timeout=10) == ["CancelledError", "CancelledError"]


def test_a_body_that_overstays_in_its_thread_keeps_no_slot(backend: Backend) -> None:
    app, leave = (
        App("t" + token_hex(4), backend=backend, settings=Settings(concurrency=1, grace_ms=100)),
        threading.Event(),
    )

    @app.engine
    def overstays(ctx: Ctx) -> None:
        leave.wait(20)

    @app.engine
    def quick(ctx: Ctx) -> str:
        return "here"

    with served(app):
        late = app.using(deadline="200ms").start(overstays)
        with pytest.raises(ProcessFailed, match="deadline"):
            late.result(timeout=10)
        assert app.start(quick).result(timeout=5) == "here"
        assert not leave.is_set()
        leave.set()
    app.close()


# -- under a stock `rq worker`, which runs one process as one job


def as_a_job(app: App, handle: Handle[Any]) -> str:
    """What became of a process whose doorbell a stock worker found."""
    return asyncio.run(jobs._run(app, handle.id, 1))


def test_a_job_ends_though_its_body_keeps_its_thread(backend: Backend) -> None:
    app, leave, became = App("t" + token_hex(4), backend=backend), threading.Event(), list[str]()

    @app.engine
    def stubborn(ctx: Ctx) -> None:
        try:
            ctx.wait("go")
        except BaseException:
            leave.wait(20)

    handle = app.start(stubborn)
    job = threading.Thread(target=lambda: became.append(as_a_job(app, handle)), daemon=True)
    job.start()
    job.join(10)
    try:
        assert (became, handle.status().status) == (["parked"], "waiting")
    finally:
        leave.set()
        job.join(10)
        app.close()


def test_a_task_of_a_job_that_exits_the_interpreter_fails_its_process_once(backend: Backend) -> None:
    app = App("t" + token_hex(4), backend=backend)

    async def leaves() -> None:
        sys.exit(3)

    @app.engine
    async def makes(ctx: AsyncCtx) -> None:
        await asyncio.create_task(leaves())

    handle = app.start(makes)
    assert as_a_job(app, handle) == "finished"
    with pytest.raises(ProcessFailed) as failed:
        handle.result(timeout=10)
    assert failed.value.failure_code == "SystemExit"
    app.close()
