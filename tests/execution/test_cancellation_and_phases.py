"""Cancellation tokens of a run, and its named phases."""

from __future__ import annotations

from typing import Any

import pytest
from wakeline import App, AsyncCtx, Ctx, ProcessCancelled, current
from wakeline.errors import SignalWaitCancelled, SleepCancelled
from wakeline.phases import DurationProbe
from wakeline.processes.inputs import EngineInput

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
    probe = DurationProbe()
    app.probe_phases(probe)

    @app.engine
    async def child(ctx: AsyncCtx) -> int:
        return 1

    @app.engine
    def parent(ctx: Ctx) -> int:
        assert ctx.execution.turn_phase_probe is probe
        with ctx.execution.named_phase("plan"):
            pass
        try:
            with ctx.execution.named_phase("plan"):
                raise ValueError("no plan")
        except ValueError:
            pass
        with ctx.execution.with_turn_phase_probe(None).named_phase("plan"):
            pass
        return int(
            ctx.execution.await_process(
                ctx.execution.start_child_process(EngineInput(kind="child", payload={}), "child").value
            )
        )

    assert app.start(parent).result(timeout=10) == 1
    plan = probe.durations["plan"]
    assert plan.count % 2 == 0 and plan.count >= 2, "two a run, and a park makes another run"
    assert 0 <= plan.longest <= plan.total
    assert {"process.start_child", "process.await_handle"} <= probe.durations.keys()


def test_a_probe_that_fails_where_a_phase_begins_is_a_crash_there(app: App) -> None:
    began: list[str] = []

    class Crash:
        def begin(self, name: str, process_id: str) -> None:
            began.append(name)
            if began.count(name) == 1:
                raise RuntimeError(f"crashed at {name}")

        def end(self, name: str, process_id: str, seconds: float) -> None:
            """Nothing."""

    app.probe_phases(Crash())

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
