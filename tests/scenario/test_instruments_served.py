"""Instruments of an app that is served: what they see of a run and its effects; work with them is as without."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
import wakeline.telemetry
from wakeline import App, AsyncCtx, AsyncTurn, Ctx, Event, ProcessFailed, ProcessNotFound, current
from wakeline.settings import Settings
from wakeline.store.connection import Backend
from wakeline.telemetry.instrument import Instrument
from wakeline.telemetry.phases import Phase
from wakeline.telemetry.seen import (
    BlockedSeen,
    EffectSeen,
    EndedSeen,
    RunSeen,
    ScriptSeen,
    StretchSeen,
    TakenSeen,
    TickedSeen,
)
from wakeline.testing.instruments import KillPoint, RecordingInstrument
from wakeline_workers.clock import Ticker
from wakeline_workers.loop import WorkerLoop
from wakeline_workers.watchdog import Watchdog

from tests.scenario.conftest import served, until


@pytest.fixture
def alone(backend: Backend) -> Iterator[App]:
    made = App("t" + token_hex(4), backend=backend, settings=Settings(hold_ms=50))
    yield made
    made.close()


def burst(app: App) -> None:
    asyncio.run(WorkerLoop(app, burst=True).serve())


class Everywhere(Instrument):
    """Raises in every method, at the beginning or at the end of a stretch."""

    def __init__(self, at_end: bool) -> None:
        self.at_end = at_end

    def point(self, phase: Phase, process_id: str) -> None:
        raise RuntimeError("point")

    def script(self, script: ScriptSeen) -> None:
        raise RuntimeError("script")

    def ended(self, ended: EndedSeen) -> None:
        raise RuntimeError("ended")

    def taken(self, taken: TakenSeen) -> None:
        raise RuntimeError("taken")

    def ticked(self, ticked: TickedSeen) -> None:
        raise RuntimeError("ticked")

    @contextmanager
    def _around(self, seen: Any) -> Generator[None]:
        if self.at_end:
            yield
        raise SystemExit(7)

    sending = run = effect = stretch = isolated = _around


def story(app: App) -> tuple[Any, ...]:
    """A bit of everything: what the bodies gave, what was recorded, and what was called how often."""
    calls: Counter[str] = Counter()

    @app.tool(retries=2, backoff="1ms")
    def charge(cents: int) -> int:
        calls["charge"] += 1
        if current().attempt == 1:
            raise OSError("not yet")
        return cents

    @app.engine(signals={"go": int})
    async def order(ctx: AsyncCtx, n: int) -> list[Any]:
        with ctx.execution.named_phase("plan"):
            stepped = await ctx.step("count", lambda: calls.update(["step"]) or n)
        paid = await ctx.call(charge, cents=n)
        child = await ctx.start(helper, n)
        return [stepped, paid, await child, await ctx.wait("go", int)]

    @app.engine
    def helper(ctx: Ctx, n: int) -> int:
        return ctx.step("double", lambda: 2 * n)

    @app.engine
    async def fails(ctx: AsyncCtx) -> None:
        raise ValueError("its own")

    @app.agent("clerk")
    async def clerk(turn: AsyncTurn) -> list[str]:
        return [item.text for item in turn.inbox]

    with served(app):
        handle, failed = app.start(order, 5), app.start(fails)
        app.session("clerk", "1").send("hello")
        handle.signal("go", 9)
        result = handle.result(timeout=20)
        with pytest.raises(ProcessFailed, match="its own"):
            failed.result(timeout=20)
        until(lambda: [entry.state for entry in app.session("clerk", "1").wakes()] == ["settled"])
        events = {event.type for event in handle.events()}
    return result, dict(calls), events - {"process.waiting"}


@pytest.mark.parametrize("at_end", [False, True])
def test_with_an_instrument_that_raises_everywhere_work_goes_on_with_the_same_results(
    alone: App, backend: Backend, at_end: bool
) -> None:
    other = App("t" + token_hex(4), backend=backend, settings=Settings(hold_ms=50))
    without = story(other)
    other.close()
    alone.observe(Everywhere(at_end))
    assert story(alone) == without
    told = {"point", "script", "sending", "run", "effect", "stretch", "ended", "taken", "ticked"}
    assert told <= {method for _, method in alone.instruments.failures}


def test_an_instrument_sees_a_run_from_its_claim_to_its_outcome(alone: App) -> None:
    seen = alone.observe(RecordingInstrument())

    @alone.tool(retries=1, backoff="1ms")
    def charge() -> str:
        if current().attempt == 1:
            raise OSError("not yet")
        return "paid"

    @alone.engine(version="2")
    async def order(ctx: AsyncCtx) -> str:
        await ctx.step("count", lambda: 1)
        return await ctx.call(charge)

    handle = alone.start(order)
    burst(alone)
    assert handle.result(timeout=1) == "paid"
    runs: list[RunSeen] = [run for run in seen.ends("run") if run.process_id == handle.id]
    last = runs[-1]
    assert (last.name, last.kind, last.engine_version, last.outcome, last.code) == (
        "order",
        "engine",
        "2",
        "completed",
        None,
    )
    assert [run.outcome for run in runs[:-1]] == ["parked"] * (len(runs) - 1)
    assert (last.attempt, last.generation, last.epoch, last.session_id) == (1, 1, len(runs), None)
    assert last.owner.startswith("o_") and last.claimed_ms > 1_600_000_000_000
    effects = [(one.kind, one.name, one.tool, one.attempt, one.outcome, one.code) for one in seen.ends("effect")]
    assert effects == [
        ("step", "count", None, 1, "completed", None),
        ("tool_call", "call:charge", "charge", 1, "failed", "OSError"),
        ("tool_call", "call:charge", "charge", 2, "completed", None),
    ], "a replay tells none of them again"
    keys = {one.idempotency_key for one in seen.ends("effect") if one.tool}
    assert len(keys) == 1 and None not in keys
    assert seen.phases(handle.id)[:2] == [Phase.claimed, Phase.body_started]
    assert seen.phases(handle.id)[-2:] == [Phase.finishing, Phase.finished]


def test_what_becomes_of_runs_is_told_by_its_name(alone: App) -> None:
    seen = alone.observe(RecordingInstrument())

    @alone.engine
    async def fails(ctx: AsyncCtx) -> None:
        raise ValueError("its own")

    @alone.engine
    async def again(ctx: AsyncCtx, n: int = 1) -> int:
        if n == 1:
            await ctx.continue_as_new(2)
        return n

    @alone.agent("clerk", max_attempts=2)
    async def clerk(turn: AsyncTurn) -> None:
        raise ValueError("no")

    @alone.engine
    async def waits(ctx: AsyncCtx) -> None:
        await ctx.wait("never")

    bodies: dict[str, Any] = {"fails": fails, "again": again, "waits": waits}
    handles = {name: alone.start(body) for name, body in bodies.items()}
    alone.session("clerk", "1").send("hello")
    burst(alone)
    told = {
        name: [(run.outcome, run.code, run.generation) for run in seen.ends("run") if run.process_id == handle.id]
        for name, handle in handles.items()
    }
    assert told["fails"] == [("failed", "ValueError", 1)]
    assert told["again"] == [("continued", None, 1), ("completed", None, 2)]
    assert told["waits"][0] == ("parked", None, 1)
    handles["waits"].cancel("enough")
    burst(alone)
    ends = [run.outcome for run in seen.ends("run") if run.process_id == handles["waits"].id]
    assert (ends[0], ends[-1]) == ("parked", "cancelled")
    turns = [run for run in seen.ends("run") if run.kind == "turn"]
    assert [(run.outcome, run.code, run.session_id) for run in turns[:1]] == [("retried", "ValueError", "clerk/1")]


@pytest.mark.parametrize("kind", ["async", "thread"])
def test_context_variables_of_an_instrument_reach_bodies_steps_and_tools(alone: App, kind: str) -> None:
    span: ContextVar[str] = ContextVar("span", default="none")

    class Traces(Instrument):
        @contextmanager
        def run(self, run: RunSeen) -> Generator[None]:
            mark = span.set("run")
            yield
            span.reset(mark)

        @contextmanager
        def effect(self, effect: EffectSeen) -> Generator[None]:
            mark = span.set(f"{span.get()} > {effect.kind}")
            yield
            span.reset(mark)

    alone.observe(Traces())

    @alone.tool
    def in_thread() -> str:
        return span.get()

    @alone.tool
    async def on_loop() -> str:
        return span.get()

    @alone.engine
    async def on(ctx: AsyncCtx) -> list[str]:
        return [span.get(), await ctx.step("s", span.get), await ctx.call(in_thread), await ctx.call(on_loop)]

    @alone.engine
    def off(ctx: Ctx) -> list[str]:
        return [span.get(), ctx.step("s", span.get), ctx.call(in_thread), ctx.call(on_loop)]

    handle = alone.start(on if kind == "async" else off)
    burst(alone)
    assert handle.result(timeout=1) == ["run", "run > step", "run > tool_call", "run > tool_call"]
    assert alone.instruments.failures == {}


def test_scripts_are_told_by_name_with_how_long_they_took_of_clients_and_of_workers(alone: App) -> None:
    seen = alone.observe(RecordingInstrument())

    @alone.engine
    async def nothing(ctx: AsyncCtx) -> None: ...

    alone.start_many(nothing, [{}] * 3)
    burst(alone)
    scripts: list[ScriptSeen] = [script for told, script in seen.told if told == "script"]
    count = Counter(script.name for script in scripts)
    assert (count["process_register"], count["process_finish"]) == (3, 3)
    assert all(script.code is None and 0 < script.seconds < 10 for script in scripts)


def test_a_script_that_is_refused_is_told_with_the_code_of_its_error(alone: App) -> None:
    seen = alone.observe(RecordingInstrument())
    with pytest.raises(ProcessNotFound):
        alone.handle("nobody").signal("go")
    with pytest.raises(ProcessNotFound):
        asyncio.run(alone.aio.handle("nobody").signal("go"))
    told = [(script.name, script.code) for kind, script in seen.told if kind == "script"]
    assert told[0] == told[-1] == ("process_read", "process_not_found")


def test_an_instrument_that_uses_its_app_is_not_told_of_that(alone: App) -> None:
    class Asks(Instrument):
        found: list[int] = []

        def script(self, script: ScriptSeen) -> None:
            if script.name == "process_register":
                self.found.append(len(alone.processes("any")))

    @alone.engine
    async def nothing(ctx: AsyncCtx) -> None: ...

    asks = alone.observe(Asks())
    alone.start(nothing)
    assert (asks.found, alone.instruments.failures) == ([1], {})


def test_a_body_that_keeps_the_event_loop_is_told_with_its_line(alone: App) -> None:
    import time

    seen = alone.observe(RecordingInstrument())

    async def main() -> None:
        with Watchdog({}, alone.instruments, warn=lambda text: None):
            await asyncio.sleep(0.1)
            time.sleep(1.5)

    asyncio.run(main())
    [blocked] = [what for told, what in seen.told if told == "blocked"]
    assert isinstance(blocked, BlockedSeen)
    assert (blocked.process_id, blocked.seconds >= 1.0) == ("", True) and Path(__file__).name in blocked.where


def test_a_kill_point_that_raises_loses_the_run_and_the_next_worker_goes_on(alone: App) -> None:
    ran: list[str] = []

    class Crash(Exception):
        """A worker that dies."""

    def crash() -> None:
        raise Crash

    @alone.engine
    async def order(ctx: AsyncCtx) -> str:
        await ctx.step("first", ran.append, "first")
        return "done"

    alone.observe(KillPoint(Phase.effect_recorded, crash))
    handle = alone.start(order)
    burst(alone)
    assert (handle.status().status, ran) == ("failed", ["first"]), "the body saw it, as it would see a crash of its own"


# -- without one


def test_without_an_instrument_nothing_of_telemetry_is_called_or_made(alone: App) -> None:
    @alone.tool
    def charge(cents: int) -> int:
        return cents

    @alone.engine
    async def helper(ctx: AsyncCtx) -> None: ...

    @alone.agent("clerk")
    async def clerk(turn: AsyncTurn) -> None: ...

    @alone.engine
    async def order(ctx: AsyncCtx) -> int:
        with ctx.execution.named_phase("plan"):
            await ctx.step("count", lambda: 1)
        await ctx.signal(ctx.id, "go")
        await ctx.emit("log", "said")
        await ctx.trigger("shop.sold").emit(1)
        await (await ctx.start(helper))
        return await ctx.call(charge, cents=5)

    async def main() -> None:
        worker = WorkerLoop(alone, burst=True)
        sys.setprofile(count)
        try:
            await worker.serve()
        finally:
            sys.setprofile(None)

    folder = str(Path(wakeline.telemetry.__file__ or "").parent)
    called: Counter[str] = Counter()

    def count(frame: Any, what: str, _: Any) -> None:
        if what == "call" and frame.f_code.co_filename.startswith(folder):
            called[frame.f_code.co_qualname] += 1

    alone.start(helper)  # a client is made with the list of its instruments
    sys.setprofile(count)
    try:
        handle = alone.using(wake=alone.session("clerk", "1")).start(order)
        alone.session("clerk", "1").send("hello")
        handle.signal("go")
        alone.trigger("shop.sold").emit(2)
        alone.start_many(helper, [{}, {}])
    finally:
        sys.setprofile(None)
    asyncio.run(main())
    assert handle.result(timeout=1) == 5
    assert {name: times for name, times in called.items() if name != "Instruments._with"} == {}
    alone.observe(RecordingInstrument())
    handle = alone.start(order)
    called.clear()
    asyncio.run(main())
    assert called["Instruments.point"] > 5 and called["Instruments.sending"] > 5, "the count counts"


def test_a_named_stretch_is_told_by_name(alone: App) -> None:
    seen = alone.observe(RecordingInstrument())

    @alone.engine
    async def order(ctx: AsyncCtx) -> None:
        with ctx.execution.named_phase("plan"):
            pass

    handle = alone.start(order)
    burst(alone)
    stretches: list[StretchSeen] = seen.ends("stretch")
    assert [(one.process_id, one.name, one.outcome) for one in stretches] == [(handle.id, "plan", "completed")]


# -- ends, takes, ticks


def test_the_end_of_a_process_is_told_once_with_how_long_it_took_and_waited(alone: App) -> None:
    seen = alone.observe(RecordingInstrument())

    @alone.engine(signals={"go": int})
    async def order(ctx: AsyncCtx) -> int:
        return await ctx.wait("go", int)

    @alone.engine
    async def fails(ctx: AsyncCtx) -> None:
        raise ValueError("its own")

    @alone.engine(events={"sold": Event(ends="completed")})
    async def sells(ctx: AsyncCtx) -> None:
        await ctx.emit("sold", 1)

    handle, failed, sold = alone.start(order), alone.start(fails), alone.start(sells)
    burst(alone)
    handle.signal("go", 3)
    burst(alone)
    ends: dict[str, EndedSeen] = {one.run.process_id: one for one in seen.all("ended")}
    assert len(seen.all("ended")) == 3, "a park is no end"
    assert [(ends[one.id].status, ends[one.id].code) for one in (handle, failed, sold)] == [
        ("completed", None),
        ("failed", "ValueError"),
        ("completed", None),
    ]
    end = ends[failed.id]
    assert (end.failure_class, end.run.message, type(end.run.error)) == ("execution", "its own", ValueError)
    end = ends[handle.id]
    assert 0 <= end.queue_ms <= end.duration_ms and 0 < end.parked_ms <= end.duration_ms
    assert end.run.became_runnable_ms and end.run.became_runnable_ms <= end.run.claimed_ms


def test_takes_and_ticks_are_told(alone: App) -> None:
    seen = alone.observe(RecordingInstrument())

    @alone.engine
    async def nothing(ctx: AsyncCtx) -> None: ...

    alone.start_many(nothing, [{}] * 3)
    burst(alone)
    takes: list[TakenSeen] = seen.all("taken")
    assert (sum(take.taken for take in takes), takes[0].asked >= 3, takes[0].owner[:2]) == (3, True, "o_")
    asyncio.run(Ticker(alone, alone.new_async_store(), by="clock test").tick())
    assert seen.all("ticked")[-1].seconds > 0


def test_an_instrument_that_is_added_while_a_worker_runs_is_told_of_the_next_run(alone: App) -> None:
    @alone.engine
    async def nothing(ctx: AsyncCtx) -> None: ...

    with served(alone):
        alone.start(nothing).result(timeout=20)
        seen = alone.observe(RecordingInstrument())
        later = alone.start(nothing)
        later.result(timeout=20)
        until(lambda: later.id in [run.process_id for run in seen.ends("run")])


def test_a_wait_is_told_when_a_body_gets_its_outcome_for_the_first_time_and_by_no_replay(alone: App) -> None:
    recording = RecordingInstrument()
    alone.observe(recording)

    @alone.engine(signals={"go": int, "late": int})
    async def waits(ctx: AsyncCtx) -> list[int]:
        child = await ctx.start(ends)
        got = [await ctx.wait("go", int), await ctx.wait("late", int, timeout="1ms", default=0)]
        await ctx.sleep("1ms")
        await child
        return [*got, await ctx.wait("go", int)]

    @alone.engine
    async def ends(ctx: AsyncCtx) -> None: ...

    handle = alone.start(waits)
    burst(alone)  # parks
    handle.signal("go", 1)
    with served(alone):
        until(lambda: handle.status().status == "waiting" and len(recording.all("waited")) == 4)
    handle.signal("go", 2)
    burst(alone)
    assert handle.result(timeout=5) == [1, 0, 2]
    assert [(one.kind, one.outcome) for one in recording.all("waited")] == [
        ("signal", "resolved"),
        ("signal", "timed_out"),
        ("timer", "resolved"),
        ("child", "resolved"),
        ("signal", "resolved"),
    ]
    assert [one.name for one in recording.all("waited") if one.kind == "signal"] == ["go", "late", "go"]
    assert all(0 <= one.seconds < 30 for one in recording.all("waited"))
