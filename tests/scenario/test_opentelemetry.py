"""OpenTelemetry: the spans of a story, with their parents and links, and none where nothing runs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from secrets import token_hex
from typing import Any

import pytest
from opentelemetry import baggage, context
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from wakeline import App, AsyncCtx, AsyncTurn, Ctx
from wakeline.errors import NonRetryable
from wakeline.settings import Settings
from wakeline.store import starts
from wakeline.store.connection import Backend
from wakeline.telemetry import conventions
from wakeline.telemetry.instrument import Instrument
from wakeline.telemetry.otel import MOST_HELD, OpenTelemetry, _Held
from wakeline.telemetry.seen import ScriptSeen
from wakeline.telemetry.sentry import Sentry
from wakeline.testing.instruments import RecordingInstrument
from wakeline.verbs.options import NOTHING
from wakeline.verbs.registrations import registration_of
from wakeline_workers.loading import _instrument
from wakeline_workers.loop import WorkerLoop

Row = tuple[str, str | None, list[tuple[str, str]]]


class Traces:
    """A tracer provider of a test, and what it exported."""

    def __init__(self) -> None:
        self.provider = TracerProvider()
        self._exporter = InMemorySpanExporter()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = self.provider.get_tracer("host")

    @property
    def spans(self) -> list[ReadableSpan]:
        """In the order in which they began."""
        return sorted(self._exporter.get_finished_spans(), key=lambda span: span.start_time or 0)

    def one(self, name: str, nth: int = 0) -> ReadableSpan:
        return [span for span in self.spans if span.name == name][nth]

    @property
    def tree(self) -> list[Row]:
        """Each span with its parent, and its links with where they lead."""
        names = {span.context.span_id: span.name for span in self.spans if span.context}
        return [
            (
                span.name,
                None if span.parent is None else names.get(span.parent.span_id, "lost"),
                [
                    (str((link.attributes or {})[conventions.LINK]), names.get(link.context.span_id, "lost"))
                    for link in span.links
                ],
            )
            for span in self.spans
        ]


@pytest.fixture
def traces() -> Traces:
    return Traces()


@pytest.fixture
def alone(backend: Backend, traces: Traces) -> Iterator[App]:
    made = App("t" + token_hex(4), backend=backend, settings=Settings(hold_ms=50))
    made.observe(OpenTelemetry(traces.provider))
    yield made
    assert made.instruments.failures == {}
    made.close()


def burst(app: App) -> None:
    asyncio.run(WorkerLoop(app, burst=True).serve())


def test_the_spans_of_a_story_from_its_start_to_the_turn_that_it_wakes(alone: App, traces: Traces) -> None:
    @alone.tool
    def charge(cents: int) -> int:
        return cents

    @alone.engine
    def notify(ctx: Ctx) -> str:
        return ctx.step("write", lambda: "written")

    @alone.engine(signals={"decision": bool})
    async def refund(ctx: AsyncCtx, cents: int) -> int:
        await ctx.wait("decision", bool)
        paid = await ctx.call(charge, cents=cents)
        await ctx.start(notify)
        return paid

    @alone.agent("desk")
    async def desk(turn: AsyncTurn) -> None: ...

    with traces.tracer.start_as_current_span("POST /refunds"):
        handle = alone.using(wake=alone.session("desk", "1")).start(refund, 5)
    burst(alone)
    with traces.tracer.start_as_current_span("POST /decisions"):
        handle.signal("decision", True)
    burst(alone)
    assert handle.result(timeout=1) == 5
    rows: list[Row] = [
        ("POST /refunds", None, []),
        ("send refund", "POST /refunds", []),
        ("process refund", "send refund", []),
        ("POST /decisions", None, []),
        ("send decision", "POST /decisions", []),
        (
            "process refund",
            None,
            [("start", "send refund"), ("run", "process refund"), ("resumed", "send decision")],
        ),
        ("execute_tool charge", "process refund", []),
        ("send notify", "process refund", []),
        ("process notify", "send notify", []),
        ("step write", "process notify", []),
        ("invoke_agent desk", None, [("entry", "process refund")]),
    ]
    assert sorted(traces.tree, key=str) == sorted(rows, key=str)
    first, second = traces.one("process refund"), traces.one("process refund", 1)
    assert first.context and second.context
    assert second.links[1].context.span_id == first.context.span_id, "the run before"
    woke = traces.one("invoke_agent desk").links[0].context
    assert woke.span_id == second.context.span_id, "the run whose end woke it"
    assert {span.status.status_code for span in traces.spans} == {StatusCode.UNSET}, "a park is no error"
    [parked] = first.events
    assert (parked.name, dict(parked.attributes or {})) == ("parked", {"wakeline.waits": ("signal:decision",)})
    kinds = {span.name: span.kind for span in traces.spans}
    assert (kinds["send refund"], kinds["process refund"], kinds["step write"]) == (
        SpanKind.PRODUCER,
        SpanKind.CONSUMER,
        SpanKind.INTERNAL,
    )
    said = dict(second.attributes or {})
    assert said.pop("wakeline.queue_ms") >= 0 and said.pop("wakeline.parked_ms") >= 0  # type: ignore[operator]
    assert said == {
        "messaging.system": "wakeline",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": alone.namespace,
        "messaging.message.id": handle.id,
        "wakeline.process.kind": "engine",
        "wakeline.process.name": "refund",
        "wakeline.attempt": 1,
        "wakeline.epoch": 2,
        "wakeline.generation": 1,
        "wakeline.resumed_by": "signal:decision",
        "wakeline.outcome": "completed",
    }
    turn = dict(traces.one("invoke_agent desk").attributes or {})
    assert (turn["gen_ai.operation.name"], turn["gen_ai.agent.name"], turn["gen_ai.conversation.id"]) == (
        "invoke_agent",
        "desk",
        "desk/1",
    )


def test_every_attribute_of_a_span_is_in_the_table(alone: App, traces: Traces) -> None:
    @alone.tool
    def charge() -> None:
        raise NonRetryable("no")

    @alone.engine
    async def order(ctx: AsyncCtx) -> None:
        await ctx.call(charge)

    alone.start(order)
    burst(alone)
    used = {name for span in traces.spans for name in span.attributes or {}}
    assert used - {one.name for one in conventions.ATTRIBUTES} == set()


def test_a_failure_is_an_error_with_its_code_and_the_exception_of_the_body(alone: App, traces: Traces) -> None:
    @alone.engine
    async def fails(ctx: AsyncCtx) -> None:
        await ctx.step("look", _raise)

    def _raise() -> None:
        raise LookupError("no such order")

    alone.start(fails)
    burst(alone)
    run, step = traces.one("process fails"), traces.one("step look")
    assert (run.status.status_code, step.status.status_code) == (StatusCode.ERROR, StatusCode.ERROR)
    assert (run.attributes or {})["error.type"] == "LookupError"
    assert [event.name for event in run.events] == ["exception"]


def test_a_cancel_and_a_new_generation_are_no_errors(alone: App, traces: Traces) -> None:
    @alone.engine
    async def waits(ctx: AsyncCtx) -> None:
        await ctx.wait("never")

    @alone.engine
    async def again(ctx: AsyncCtx, n: int = 1) -> None:
        if n == 1:
            await ctx.continue_as_new(2)

    handle, _ = alone.start(waits), alone.start(again)
    burst(alone)
    handle.cancel("enough")
    burst(alone)
    runs = [span for span in traces.spans if span.name.startswith("process ")]
    outcomes = sorted(str((span.attributes or {})["wakeline.outcome"]) for span in runs)
    assert outcomes == ["cancelled", "completed", "continued", "parked"]
    assert {span.status.status_code for span in runs} == {StatusCode.UNSET}
    assert [event.name for span in runs for event in span.events] == ["parked"]


def test_a_replay_of_a_hundred_effects_makes_no_span(alone: App, traces: Traces) -> None:
    @alone.tool
    def charge(n: int) -> int:
        return n

    @alone.engine(signals={"go": int})
    async def order(ctx: AsyncCtx) -> int:
        total = 0
        for n in range(50):
            total += await ctx.step(f"s{n}", lambda n=n: n) + await ctx.call(charge, n=n)
        return total + await ctx.wait("go", int)

    handle = alone.start(order)
    burst(alone)
    before = len(traces.spans)
    assert before == 2 + 100
    handle.signal("go", 0)
    burst(alone)
    assert handle.result(timeout=1) == 2 * sum(range(50))
    assert [span.name for span in traces.spans[before:]] == ["send go", "process order"]


def test_a_start_of_long_ago_is_a_link_and_no_parent(backend: Backend, traces: Traces) -> None:
    app = App("t" + token_hex(4), backend=backend, settings=Settings(hold_ms=50))
    app.observe(OpenTelemetry(traces.provider, parent_for_s=0))

    @app.engine
    async def nothing(ctx: AsyncCtx) -> None: ...

    app.start(nothing)
    burst(app)
    assert traces.tree[-1] == ("process nothing", None, [("start", "send nothing")])
    app.close()


@pytest.mark.parametrize(
    "broken", ["", "00-zz-b7ad6b7169203331-01", "x" * 300, "00-" + "0" * 32 + "-" + "0" * 16 + "-01"]
)
def test_a_trace_that_cannot_be_read_is_none(alone: App, traces: Traces, broken: str) -> None:
    @alone.engine
    async def nothing(ctx: AsyncCtx) -> None: ...

    made = registration_of(nothing, {}, NOTHING, namespace=alone.namespace)
    alone.store.execute(starts.register(made.with_headers({"traceparent": broken})))
    burst(alone)
    assert traces.tree == [("process nothing", None, [])]


def test_of_very_many_spans_of_a_run_the_first_are_ended_at_once(alone: App, traces: Traces) -> None:
    seen: list[int] = []

    @alone.engine
    async def order(ctx: AsyncCtx) -> None:
        for n in range(MOST_HELD + 1):
            await ctx.step(f"s{n}", lambda: None)
        seen.append(len(traces.spans))

    alone.start(order)
    burst(alone)
    assert (seen, len(traces.spans)) == ([1 + MOST_HELD], 1 + MOST_HELD + 2)


@pytest.mark.parametrize("kind", ["async", "thread"])
def test_spans_of_user_code_are_within_the_span_of_their_step_or_tool(alone: App, traces: Traces, kind: str) -> None:
    def inner() -> None:
        with traces.tracer.start_as_current_span("chat model"):
            pass

    @alone.tool
    def in_thread() -> None:
        inner()

    @alone.tool
    async def on_loop() -> None:
        inner()

    @alone.engine
    async def on(ctx: AsyncCtx) -> None:
        await ctx.step("ask", inner)
        await ctx.call(in_thread)
        await ctx.call(on_loop)

    @alone.engine
    def off(ctx: Ctx) -> None:
        ctx.step("ask", inner)
        ctx.call(in_thread)
        ctx.call(on_loop)

    alone.start(on if kind == "async" else off)
    burst(alone)
    parents: list[Any] = [parent for name, parent, _ in traces.tree if name == "chat model"]
    assert sorted(parents) == ["execute_tool in_thread", "execute_tool on_loop", "step ask"]


def test_the_names_of_a_client_s_sendings_are_the_current_span_s_children(alone: App, traces: Traces) -> None:
    alone.trigger("shop.sold")
    with traces.tracer.start_as_current_span("host"):
        alone.session("desk", "1").send("hello")
        alone.trigger("shop.sold").emit({"n": 1})
    assert traces.tree == [("host", None, []), ("send desk", "host", []), ("send shop.sold", "host", [])]


def test_traces_cost_no_script_more_and_one_span_for_each_run(backend: Backend, traces: Traces) -> None:
    asked: list[dict[str, int]] = []
    for traced in (False, True):
        app = App("t" + token_hex(4), backend=backend, settings=Settings(hold_ms=50))
        recording = RecordingInstrument()
        app.observe(Scripts(recording))
        if traced:
            app.observe(OpenTelemetry(traces.provider))

        @app.engine
        async def nothing(ctx: AsyncCtx) -> None: ...

        app.start_many(nothing, [{}] * 20)
        burst(app)
        asked.append({name: recording.told.count(("script", name)) for name in ("process_register", "process_finish")})
        app.close()
    assert asked == [{"process_register": 20, "process_finish": 20}] * 2
    assert sorted(span.name for span in traces.spans) == ["process nothing"] * 20 + ["send nothing"]


class Scripts(Instrument):
    """Passes the names of scripts on, and sees nothing else."""

    def __init__(self, recording: RecordingInstrument) -> None:
        self._recording = recording

    def script(self, script: ScriptSeen) -> None:
        self._recording.told.append(("script", script.name))


def test_baggage_comes_to_every_run_of_a_process_and_to_its_children(alone: App) -> None:
    seen: list[object] = []

    @alone.engine
    async def helper(ctx: AsyncCtx) -> None:
        seen.append(baggage.get_baggage("tenant"))

    @alone.engine(signals={"go": int})
    async def order(ctx: AsyncCtx) -> None:
        await ctx.wait("go", int)
        await ctx.step("look", lambda: seen.append(baggage.get_baggage("tenant")))
        await ctx.start(helper)

    mark = context.attach(baggage.set_baggage("tenant", "acme"))
    handle = alone.start(order)
    context.detach(mark)
    burst(alone)
    handle.signal("go", 1)
    burst(alone)
    assert seen == ["acme", "acme"]


def test_a_span_of_a_run_that_is_over_is_ended_at_once(traces: Traces) -> None:
    held = _Held()
    held.add(traces.tracer.start_span("within"))
    assert traces.spans == []
    held.end()
    held.add(traces.tracer.start_span("late"))
    assert [span.name for span in traces.spans] == ["within", "late"]


def test_workers_find_it_by_its_name() -> None:
    assert isinstance(_instrument("wakeline.telemetry.otel:OpenTelemetry"), OpenTelemetry)
    assert isinstance(_instrument("wakeline.telemetry.sentry:Sentry"), Sentry)
