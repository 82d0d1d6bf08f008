"""OpenTelemetry: spans of sendings, runs, steps and calls of tools (extra ``otel``).

Invariant: a span is about code that runs. A replay makes none, a wait has none, and a run that another run goes on with
is no error.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode, TracerProvider

from wakeline.clock import machine_ns
from wakeline.telemetry import conventions as names
from wakeline.telemetry.instrument import Instrument
from wakeline.telemetry.seen import AroundSeen, EffectSeen, Headers, IsolatedSeen, RunSeen, SendingSeen

MOST_HELD = 1_000
"""How many spans of a run are ended when it is over; before that the first ones are ended at once."""
_held: ContextVar[_Held | None] = ContextVar("wakeline_otel_held", default=None)


class OpenTelemetry(Instrument):
    """Makes spans with the tracer of a provider, by default that of this OS process.

    ``parent_for_s``: the first run of a process is in the trace of its start if that was less than so many seconds ago;
    otherwise it has a link to it.
    """

    def __init__(self, tracer_provider: TracerProvider | None = None, *, parent_for_s: float = 3_600.0) -> None:
        self._provider = tracer_provider
        self._parent_for_ms = parent_for_s * 1_000
        self._tracer = trace.get_tracer("wakeline", tracer_provider=tracer_provider)

    def sending(self, sending: SendingSeen, /) -> AbstractContextManager[Headers | None]:
        return self._sent(sending) if sending.verb in names.SPANNED else nullcontext(_injected())

    @contextmanager
    def _sent(self, sending: SendingSeen) -> Generator[Headers | None]:
        attributes: dict[str, Any] = {
            names.SYSTEM: "wakeline",
            names.OPERATION_NAME: "send",
            names.OPERATION_TYPE: "send",
            names.VERB: sending.verb,
        }
        if sending.queue is not None:
            attributes[names.DESTINATION] = sending.queue
        if sending.target:
            attributes[names.TARGET] = sending.target
        with self._span(f"send {sending.name}", SpanKind.PRODUCER, attributes, sending):
            yield _injected()

    @contextmanager
    def run(self, run: RunSeen, /) -> Generator[None]:
        started = _context_of(run.headers)
        age_ms = run.claimed_ms - run.created_ms
        within = started is not None and run.resumed_by == "start" and age_ms < self._parent_for_ms
        links = list(_links(run, None if within else started))
        parent = (
            trace.set_span_in_context(trace.NonRecordingSpan(started), Context()) if within and started else Context()
        )
        is_turn = run.kind == "turn"
        name = f"{'invoke_agent' if is_turn else 'process'} {run.name}"
        held = _Held()
        mark = _held.set(held)
        span = self._tracer.start_span(name, parent, SpanKind.CONSUMER, _attributes_of(run), links)
        try:
            with trace.use_span(span, end_on_exit=False, record_exception=False, set_status_on_exception=False):
                yield
        finally:
            _held.reset(mark)
            held.end()
            _close_run(span, run)

    def effect(self, effect: EffectSeen, /) -> AbstractContextManager[object]:
        if effect.kind == "step":
            return self._span(f"step {effect.name}", SpanKind.INTERNAL, {}, effect)
        if effect.tool is None:
            return nullcontext()
        return self._span(f"execute_tool {effect.tool}", SpanKind.INTERNAL, _attributes_of_call(effect), effect)

    def leaving(self) -> None:
        provider: Any = self._provider or trace.get_tracer_provider()
        flush = getattr(provider, "force_flush", None)
        if flush is not None:
            flush()

    @contextmanager
    def _span(self, name: str, kind: SpanKind, attributes: dict[str, Any], seen: AroundSeen) -> Generator[None]:
        """A span that is ended with its run, if it is within one."""
        span = self._tracer.start_span(name, kind=kind, attributes=attributes)
        try:
            with trace.use_span(span, end_on_exit=False, record_exception=False, set_status_on_exception=False):
                yield
        finally:
            if seen.outcome == "failed":
                span.set_attribute(names.ERROR, seen.code or "unknown")
                span.set_status(Status(StatusCode.ERROR))
            held = _held.get()
            if held is None:
                span.end()
            else:
                held.add(span)


class _Held:
    """Spans of one run that are over, and are ended after it: then a run that is lost has none without a parent."""

    def __init__(self) -> None:
        self._spans: list[tuple[Span, int]] = []

    def add(self, span: Span) -> None:
        if len(self._spans) >= MOST_HELD:
            self.end()
        self._spans.append((span, machine_ns()))

    def end(self) -> None:
        spans, self._spans = self._spans, []
        for span, at_ns in spans:
            span.end(at_ns)


def _injected() -> Headers | None:
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier or None


def _context_of(headers: Headers | None) -> SpanContext | None:
    """The span that headers name; None for headers that name none."""
    if not headers:
        return None
    found = trace.get_current_span(propagate.extract(headers, Context())).get_span_context()
    return found if found.is_valid else None


def _links(run: RunSeen, started: SpanContext | None) -> Iterator[Link]:
    if started is not None:
        yield Link(started, {names.LINK: "start"})
    for one in run.links:
        found = _context_of(one.headers)
        if found is not None:
            yield Link(found, {names.LINK: one.kind})


def _attributes_of(run: RunSeen) -> dict[str, Any]:
    given = {
        names.SYSTEM: "wakeline",
        names.OPERATION_NAME: "process",
        names.OPERATION_TYPE: "process",
        names.DESTINATION: run.queue,
        names.TARGET: run.process_id,
        names.SESSION: run.session_id,
        names.KIND: run.kind,
        names.NAME: run.name,
        names.ATTEMPT: run.attempt,
        names.LOSSES: run.losses or None,
        names.EPOCH: run.epoch,
        names.GENERATION: run.generation,
        names.RELEASE: run.release,
        names.PARENT: run.parent,
        names.RESUMED_BY: run.resumed_by,
        names.QUEUE_MS: None if run.became_runnable_ms is None else max(0, run.claimed_ms - run.became_runnable_ms),
        names.PARKED_MS: run.parked_ms or None,
    }
    if run.kind == "turn":
        given |= {names.AI_OPERATION: "invoke_agent", names.AI_AGENT: run.name, names.AI_SESSION: run.session_id}
    return {name: value for name, value in given.items() if value is not None}


def _attributes_of_call(effect: EffectSeen | IsolatedSeen) -> dict[str, Any]:
    tool = effect.tool if isinstance(effect, EffectSeen) else effect.name
    return {
        names.AI_OPERATION: "execute_tool",
        names.AI_TOOL: tool or "",
        names.AI_CALL: effect.idempotency_key or "",
        names.ATTEMPT: effect.attempt,
    }


def _close_run(span: Span, run: RunSeen) -> None:
    span.set_attribute(names.OUTCOME, run.outcome or "lost")
    if run.waits:
        span.add_event("parked", {names.WAITS: list(run.waits)})
    if run.outcome in ("failed", "lost", None):
        span.set_attribute(names.ERROR, run.code or run.outcome or "lost")
        span.set_status(Status(StatusCode.ERROR, run.message))
        if run.error is not None:
            span.record_exception(run.error)
    span.end()
