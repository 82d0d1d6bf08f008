"""Cancellation tokens of a run, and its named phases."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
from wakeline import App, AsyncCtx, Ctx, ProcessCancelled, current
from wakeline.errors import SignalWaitCancelled, SleepCancelled
from wakeline.processes.inputs import EngineInput
from wakeline.telemetry.instrument import Instrument
from wakeline.telemetry.seen import StretchSeen
from wakeline.testing.instruments import Breaking

from tests.scenario.conftest import until


def test_a_cancel_reaches_the_token_of_the_run_and_of_a_call_that_blocks(app: App) -> None:
    seen: list[Any] = []

    @app.tool
    def blocks() -> None:
        seen.append("began")
        seen.append(current().cancellation.wait_blocking(10))

    @app.engine
    async def calls(ctx: AsyncCtx) -> None:
        assert not ctx.execution.cancelled
        await ctx.call(blocks)
        seen.append([ctx.execution.cancellation_token.cancelled, ctx.execution.cancelled])
        await ctx.wait("never")

    handle = app.start(calls)
    until(lambda: seen == ["began"])
    handle.cancel("enough")
    with pytest.raises(ProcessCancelled):
        handle.result(timeout=10)
    assert seen[1:] in ([True, [True, True]], [True])


def test_a_token_of_its_own_ends_the_waits_of_a_context_and_no_others(app: App) -> None:
    @app.engine
    async def waits(ctx: AsyncCtx) -> list[Any]:
        token = ctx.execution.cancellation_token.child()
        mine = ctx.execution.with_cancellation_token(token)
        sleeping = ctx.run.life.spawn(mine.sleep_process("mine", 1, 3_600_000))
        await ctx.step("something else", lambda: None)
        token.cancel("not needed")
        found: list[Any] = []
        try:
            await sleeping
        except SleepCancelled as error:
            found.append(error.code)
        try:
            await mine.await_process_signal_event(ctx.id, "go", 1)
        except SignalWaitCancelled as error:
            found.append(error.code)
        return [*found, ctx.execution.cancelled, await ctx.wait("go", int)]

    handle = app.start(waits)
    handle.signal("go", 7)
    assert handle.result(timeout=10) == ["runtime_effect_sleep_cancelled", "process_signal_wait_cancelled", False, 7]


def test_a_shutdown_is_no_cancel(app: App) -> None:
    seen: list[bool] = []

    @app.engine
    async def patient(ctx: AsyncCtx) -> None:
        token = ctx.execution.cancellation_token
        ctx.run.life.stop()  # what a worker does with its runs at SIGTERM
        seen.append(token.cancelled)

    app.start(patient)
    until(lambda: bool(seen))
    assert set(seen) == {False}


def test_phases_are_told_with_their_duration_also_when_they_end_in_an_error(app: App) -> None:
    seen = app.observe(Timing())

    @app.engine
    async def child(ctx: AsyncCtx) -> int:
        return 1

    @app.engine
    def parent(ctx: Ctx) -> int:
        assert ctx.execution.turn_phase_probe is not None
        with ctx.execution.named_phase("plan"):
            pass
        try:
            with ctx.execution.named_phase("plan"):
                raise ValueError("no plan")
        except ValueError:
            pass
        silent = ctx.execution.with_turn_phase_probe(None)
        assert silent.turn_phase_probe is None
        with silent.named_phase("plan"):
            pass
        with silent.with_turn_phase_probe(ctx.execution.turn_phase_probe).named_phase("again"):
            pass
        return int(
            ctx.execution.await_process(
                ctx.execution.start_child_process(EngineInput(kind="child", payload={}), "child").value
            )
        )

    handle = app.start(parent)
    assert handle.result(timeout=10) == 1
    plans = [(one.process_id, one.outcome, one.code) for one, _ in seen.ended if one.name == "plan"]
    runs = len(plans) // 2
    assert plans == [(handle.id, "completed", None), (handle.id, "failed", "ValueError")] * runs and runs >= 1
    assert [one.name for one, _ in seen.ended].count("again") == runs
    assert all(seconds >= 0 for _, seconds in seen.ended)
    assert {"process.start_child", "process.await_handle"} <= {one.name for one, _ in seen.ended}


class Timing(Instrument):
    """Keeps how long each stretch took."""

    def __init__(self) -> None:
        self.ended: list[tuple[StretchSeen, float]] = []

    @contextmanager
    def stretch(self, stretch: StretchSeen) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.ended.append((stretch, time.monotonic() - began))


def test_an_instrument_that_breaks_work_where_a_phase_begins_is_a_crash_there(app: App) -> None:
    began: list[str] = []

    class Crash(Breaking):
        def stretch(self, stretch: StretchSeen) -> Any:
            began.append(stretch.name)
            if began.count(stretch.name) == 1:
                raise RuntimeError(f"crashed at {stretch.name}")
            return nullcontext()

    app.observe(Crash())

    @app.engine
    async def child(ctx: AsyncCtx) -> int:
        return 1

    @app.engine
    async def parent(ctx: AsyncCtx) -> list[Any]:
        found: list[Any] = []
        try:
            await ctx.execution.start_child_process(EngineInput(kind="child", payload={}), "child")
        except RuntimeError as error:
            found.append(str(error))
        reply = await ctx.execution.start_child_process(EngineInput(kind="child", payload={}), "child")
        try:
            await ctx.execution.await_process(reply.value)
        except RuntimeError as error:
            found.append(str(error))
        return [*found, await ctx.execution.await_process(reply.value)]

    assert app.start(parent).result(timeout=10)[-1] == 1
    assert set(began) == {"process.start_child", "process.await_handle"}
