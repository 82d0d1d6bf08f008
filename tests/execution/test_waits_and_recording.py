"""Sleeps, signals and events under keys of the caller's own."""

from __future__ import annotations

from typing import Any

from wakeline import App, AsyncCtx, AsyncTurn, Ctx, Event
from wakeline.body.execution.recording import AppendRequest
from wakeline.causality import SessionScope
from wakeline.errors import (
    ProcessEventContextMismatch,
    ReplayConflict,
    SignalWaitCancelled,
    SignalWaitTimeout,
    SleepCancelled,
    UndeclaredEvent,
)

from tests.scenario.conftest import until


def test_a_sleep_is_over_once_for_one_scope_and_sequence(app: App) -> None:
    @app.engine
    async def sleeper(ctx: AsyncCtx) -> int:
        await ctx.execution.sleep_process("mine", 1, 30)
        await ctx.execution.sleep_process("mine", 1, 30)
        return len([row for row in ctx.run.journal.rows if row == "process:mine:sleep:1"])

    assert app.start(sleeper).result(timeout=10) == 1


def test_a_cancelled_sleep_has_its_own_code(app: App) -> None:
    codes: list[str] = []

    @app.engine
    async def sleeper(ctx: AsyncCtx) -> None:
        try:
            await ctx.execution.sleep_process("mine", 1, 3_600_000)
        except SleepCancelled as error:
            codes.append(error.code)
            raise

    handle = app.start(sleeper)
    until(lambda: handle.status().status == "waiting")
    handle.cancel("enough")
    until(lambda: handle.status().status == "cancelled")
    assert codes == ["runtime_effect_sleep_cancelled"]


def test_a_numbered_wait_gives_the_same_payload_again(app: App) -> None:
    @app.engine
    def waits(ctx: Ctx) -> list[Any]:
        first = ctx.execution.await_process_signal_event(ctx.id, "go", 1, kind=int)
        again = ctx.execution.await_process_signal_event(ctx.id, "go", 1, kind=int)
        return [first, again, ctx.wait("go", int)]

    handle = app.start(waits)
    handle.signal("go", 1)
    handle.signal("go", 2)
    assert handle.result(timeout=10) == [1, 1, 2]


def test_timeout_and_cancel_of_a_numbered_wait_are_told_apart(app: App) -> None:
    codes: list[str] = []

    @app.engine
    async def waits(ctx: AsyncCtx) -> None:
        try:
            await ctx.execution.await_process_signal_event(ctx.id, "go", 1, timeout="20ms")
        except SignalWaitTimeout as error:
            codes.append(error.code)
        try:
            await ctx.execution.await_process_signal_event(ctx.id, "go", 2)
        except SignalWaitCancelled as error:
            codes.append(error.code)
            raise

    handle = app.start(waits)
    until(lambda: bool(codes) and handle.status().status == "waiting")
    handle.cancel()
    until(lambda: handle.status().status == "cancelled")
    assert list(dict.fromkeys(codes)) == ["process_signal_wait_timeout", "process_signal_wait_cancelled"]


def test_a_process_waits_for_its_own_signals_only(app: App) -> None:
    @app.engine
    async def waits(ctx: AsyncCtx) -> str:
        try:
            await ctx.execution.await_process_signal_event("another", "go", 1)
        except ProcessEventContextMismatch as error:
            return error.code
        return ""

    assert app.start(waits).result(timeout=10) == "process_event_context_mismatch"


def test_a_signal_by_id_is_one_event_however_often_it_is_sent(app: App) -> None:
    @app.engine(signals={"go": int})
    async def receiver(ctx: AsyncCtx) -> list[int]:
        return [await ctx.wait("go", int), await ctx.wait("go", int, timeout="100ms", default=-1)]

    @app.engine
    async def sender(ctx: AsyncCtx) -> list[Any]:
        first = await ctx.execution.signal_process_by_id("r1", "go", "s1", 7)
        again = await ctx.execution.signal_process_by_id("r1", "go", "s1", 7)
        return [first.type, first.payload, first.replay_key, first.sequence == again.sequence]

    receives = app.using(id="r1").start(receiver)
    assert app.start(sender).result(timeout=10) == ["signal.go", 7, "process:r1:signal.go:s1", True]
    assert receives.result(timeout=10) == [7, -1]


def test_an_event_with_a_replay_key_is_appended_once_and_wakes_whom_it_names(app: App) -> None:
    woken: list[str] = []

    @app.agent("helper")
    async def helper(turn: AsyncTurn) -> None:
        woken.extend(item.text for item in turn.inbox)

    app.session("helper", "u1").send("hello")

    @app.engine(events={"page": Event(dict[str, int], wake="page {n}")})
    async def emitter(ctx: AsyncCtx) -> list[Any]:
        request = AppendRequest("page", {"n": 3}, "page-3", SessionScope(session_id="helper/u1"))
        first = await ctx.execution.append_process_event(request)
        again = await ctx.execution.append_process_event(request, process_id=ctx.id)
        found = [first.sequence == again.sequence, first.type, first.payload, first.invocation.scope]
        for wrong, error in (
            (AppendRequest("page", {"n": 4}, "page-3"), ReplayConflict),
            (AppendRequest("unknown", {}), UndeclaredEvent),
        ):
            try:
                await ctx.execution.append_process_event(wrong)
            except error as refused:
                found.append(refused.code)
        try:
            await ctx.execution.append_process_event(request, process_id="another")
        except ProcessEventContextMismatch as refused:
            found.append(refused.code)
        return found

    assert app.start(emitter).result(timeout=10) == [
        True, "page", {"n": 3}, "runtime", "replay_conflict", "undeclared_event", "process_event_context_mismatch"
    ]  # fmt: skip
    until(lambda: woken == ["hello", "page 3"])
