"""Tools that are over their time: a try ends at it even if its code goes on, its late outcome does not count, and one
try runs at a time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable
from secrets import token_hex
from typing import Any

import pytest
from wakeline import App, AsyncCtx, ProcessCancelled, ProcessFailed, current
from wakeline.body import calls as calling
from wakeline.errors import ToolFailed, WrongVerb
from wakeline.settings import Settings
from wakeline.store.connection import Backend

from tests.scenario.conftest import served, until

LATE = "it took longer than its timeout of 100 ms"


def failure(handle: Any, seconds: float = 10) -> tuple[object, object, object]:
    """Class, code and message of the failure that a process ends with."""
    with pytest.raises(ProcessFailed) as failed:
        handle.result(timeout=seconds)
    fields = failed.value.fields
    return fields["failure_class"], fields["failure_code"], fields["failure_message"]


async def deaf(seconds: float) -> None:
    """Sleeps on through cancels."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(max(0.0, end - time.monotonic()))


def tools(app: App, marks: list[str], seconds: float, **options: Any) -> dict[str, Any]:
    """One tool that swallows its cancellation, and one that blocks its thread."""

    @app.tool(name="swallows", timeout="100ms", backoff="1ms", **options)
    async def swallows() -> str:
        marks.append(f"in {current().attempt}")
        await deaf(seconds)
        marks.append(f"out {current().attempt}")
        return "late"

    @app.tool(name="blocks", timeout="100ms", backoff="1ms", **options)
    def blocks() -> str:
        marks.append(f"in {current().attempt}")
        time.sleep(seconds)
        marks.append(f"out {current().attempt}")
        return "late"

    @app.engine(name="calls")
    async def calls(ctx: AsyncCtx, tool: str) -> str:
        try:
            return str(await ctx.call({"swallows": swallows, "blocks": blocks}[tool]))
        except ToolFailed as late:
            return f"{late.failure_class}/{late.failure_code}: {late.failure_message}"

    return {"swallows": swallows, "blocks": blocks, "calls": calls}


@pytest.mark.parametrize("tool", ["swallows", "blocks"])
def test_a_try_ends_at_its_time_and_its_late_result_is_logged_and_not_counted(
    app: App, tool: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "wakeline.runner")
    marks: list[str] = []
    handle = app.start(tools(app, marks, 1.0)[tool])
    assert failure(handle) == ("timeout", "tool_timeout", LATE)
    assert marks == ["in 1"], "the process ended before its code did"
    until(lambda: marks == ["in 1", "out 1"])
    who = f"{handle.id}: try 1 of tool {tool}"
    until(lambda: any(f"{who} ended" in line for line in caplog.messages))
    assert f"{who} is abandoned: {LATE}. Its code goes on; nothing it does counts." in caplog.messages
    assert [line.rpartition("with ")[2] for line in caplog.messages if f"{who} ended" in line] == [
        "a result: that is not counted."
    ]
    assert handle.status().status == "failed"


@pytest.mark.parametrize("tool", ["swallows", "blocks"])
def test_a_body_goes_on_when_the_time_of_its_call_is_over(app: App, tool: str) -> None:
    marks: list[str] = []
    assert app.start(tools(app, marks, 1.0)["calls"], tool).result(timeout=10) == f"timeout/tool_timeout: {LATE}"
    assert marks == ["in 1"]
    until(lambda: len(marks) == 2)


@pytest.mark.parametrize("tool", ["swallows", "blocks"])
@pytest.mark.parametrize("is_called", [False, True])
def test_tries_follow_each_other_and_never_overlap(app: App, tool: str, is_called: bool) -> None:
    marks: list[str] = []
    made = tools(app, marks, 0.4, retries=2)
    handle = app.start(made["calls"], tool) if is_called else app.start(made[tool])
    if is_called:
        assert handle.result(timeout=10) == f"timeout/tool_timeout: {LATE}"
    else:
        assert failure(handle) == ("timeout", "tool_timeout", LATE)
    until(lambda: len(marks) == 6)
    assert marks == ["in 1", "out 1", "in 2", "out 2", "in 3", "out 3"]


def test_a_body_that_waits_elsewhere_is_not_parked_while_the_code_of_a_try_goes_on(app: App) -> None:
    """Parked, it would be resumed for the next try, perhaps by another worker, which knows nothing of the code that
    still runs."""
    marks: list[str] = []
    blocks = tools(app, marks, 0.6, retries=1)["blocks"]

    @app.engine(signals={"go": int})
    async def both(ctx: AsyncCtx) -> list[Any]:
        async def calls() -> str:
            try:
                return await ctx.call(blocks)  # type: ignore[no-any-return]
            except ToolFailed as late:
                return late.failure_code

        return list(await asyncio.gather(ctx.wait("go", int), calls()))

    handle = app.start(both)
    until(lambda: "out 2" in marks)
    handle.signal("go", 1)
    assert handle.result(timeout=10) == [1, "tool_timeout"]
    assert marks == ["in 1", "out 1", "in 2", "out 2"]


@pytest.mark.parametrize("tool", ["swallows", "blocks"])
def test_a_try_whose_code_does_not_end_is_the_last_one(app: App, tool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calling, "PATIENCE_MS", 200)  # the grace of this app, 500 ms, is the longer one
    marks: list[str] = []
    handle = app.start(tools(app, marks, 3.0, retries=5)[tool])
    words = "it took longer than its timeout of 100 ms, and its code does not end, so it is not tried again"
    assert failure(handle, 2.5) == ("timeout", "tool_timeout", words)
    assert marks == ["in 1"]
    until(lambda: marks == ["in 1", "out 1"])


def test_a_cancel_does_not_wait_for_the_code_of_a_try_that_was_abandoned(backend: Backend) -> None:
    marks: list[str] = []
    # A grace that is longer than the code takes: what ends the process is its run.
    with served(App("t" + token_hex(4), backend=backend, settings=Settings(hold_ms=50, grace_ms=20_000))) as app:
        handle = app.start(tools(app, marks, 3.0, retries=5)["blocks"])
        until(lambda: marks == ["in 1"])
        time.sleep(0.4)
        handle.cancel("enough")
        with pytest.raises(ProcessCancelled, match="enough"):
            handle.result(timeout=2)
        assert marks == ["in 1"]
        until(lambda: marks == ["in 1", "out 1"])
    app.close()


def test_a_later_try_that_is_in_time_counts(app: App) -> None:
    @app.tool(timeout="200ms", retries=3, backoff="1ms")
    async def recovers() -> int:
        if current().attempt < 3:
            await deaf(0.4)
        return current().attempt

    assert app.start(recovers).result(timeout=10) == 3


def test_code_that_cleans_up_at_once_is_not_called_abandoned(app: App, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "wakeline.runner")
    marks: list[str] = []

    @app.tool(timeout="100ms")
    async def tidy() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            current().log("tidied up")
            marks.append("tidied up")

    handle = app.start(tidy)
    assert failure(handle) == ("timeout", "tool_timeout", LATE)
    assert marks == ["tidied up"]
    assert [event.type for event in handle.events()] == ["process.started", "log", "process.failed"]
    assert not [line for line in caplog.messages if "abandoned" in line]


def test_code_that_blocks_hears_at_its_token_that_its_time_is_over(app: App) -> None:
    heard: list[Any] = []

    @app.tool(timeout="100ms")
    def listens() -> None:
        token = current().cancellation
        heard.append(token.wait_blocking(10))
        heard.append(token.reason)

    assert failure(app.start(listens)) == ("timeout", "tool_timeout", LATE)
    until(lambda: heard == [True, LATE])


def test_what_the_code_of_an_abandoned_try_says_reaches_nobody(app: App) -> None:
    said: list[str] = []
    over = threading.Event()

    def tells(how: Callable[[], Any]) -> None:
        try:
            how()
        except WrongVerb as error:
            said.append(str(error.fields["verb"]))

    @app.tool(timeout="100ms")
    def late() -> None:
        call = current()
        assert over.wait(10)
        tells(lambda: call.log("late"))
        tells(lambda: call.note("late"))
        tells(lambda: call.trigger("source", {}))

    @app.engine
    async def calls(ctx: AsyncCtx) -> list[Any]:
        try:
            await ctx.call(late)
        except ToolFailed:
            over.set()
        while len(said) < 3:
            await asyncio.sleep(0.01)
        return list(ctx.execution.notes.drain())

    handle = app.start(calls)
    handle.result(timeout=10)
    assert said == [f"current().{verb} after the end of its try" for verb in ("emit", "note", "trigger")]
    told = [event.type for event in handle.events()]
    assert told == ["process.started", "process.attempt_failed", "process.completed"]


def test_a_call_that_is_given_up_holds_who_gave_it_up_no_longer_than_its_own_time(app: App) -> None:
    @app.tool(timeout="300ms")
    async def swallows() -> None:
        await deaf(5)

    @app.engine
    async def races(ctx: AsyncCtx) -> int:
        winner, _ = await ctx.race(ctx.call(swallows), ctx.sleep("50ms"))
        return winner

    began = time.monotonic()
    assert app.start(races).result(timeout=4) == 1
    assert time.monotonic() - began < 4
