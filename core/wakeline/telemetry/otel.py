"""OpenTelemetry: spans of sendings, runs, steps and calls of tools (extra ``otel``).

Invariant: a span is about code that runs. A replay makes none, a wait has none, and a run that another run goes on with
is no error.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from typing import Any

try:
    from opentelemetry import context, trace
    from opentelemetry.context import Context
    from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode, TracerProvider
except ModuleNotFoundError as missing:
    raise ImportError('traces need an extra: pip install "wakeline[otel]"') from missing

from wakeline.clock import machine_ns
from wakeline.telemetry import conventions as names
from wakeline.telemetry.headers import Headers
from wakeline.telemetry.instrument import Instrument
from wakeline.telemetry.logged import tell_entries
from wakeline.telemetry.otel_headers import extracted, ids_of_span, injected
from wakeline.telemetry.seen import AroundSeen, EffectSeen, IsolatedSeen, RunSeen, SendingSeen

MOST_HELD = 1_000
"""How many spans of a run are ended when it is over; before that the first ones are ended at once."""
_held: ContextVar[_Held | None] = ContextVar("wakeline_otel_held", default=None)


_OF_ANY_RUN = {names.SYSTEM: "wakeline", names.OPERATION_NAME: "process", names.OPERATION_TYPE: "process"}


class OpenTelemetry(Instrument):
    """Makes spans with the tracer of a provider, by default that of this OS process.

    ``parent_for_s``: the first run of a process is in the trace of its start if that was less than so many seconds ago;
    otherwise it has a link to it.
    """

    def __init__(self, tracer_provider: TracerProvider | None = None, *, parent_for_s: float = 3_600.0) -> None:
        self._provider = tracer_provider
        self._parent_for_ms = parent_for_s * 1_000
        self._tracer = trace.get_tracer("wakeline", tracer_provider=tracer_provider)
        tell_entries(ids_of_span)

    def sending(self, sending: SendingSeen, /) -> AbstractContextManager[Headers | None]:
        return self._sent(sending) if sending.verb in names.SPANNED else nullcontext(injected())

    def _sent(self, sending: SendingSeen) -> AbstractContextManager[Headers | None]:
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
        return self._span(f"send {sending.name}", SpanKind.PRODUCER, attributes, sending)

    def run(self, run: RunSeen, /) -> AbstractContextManager[object]:
        given, started = extracted(run.headers) if run.headers else (Context(), trace.INVALID_SPAN_CONTEXT)
        age_ms = run.claimed_ms - run.created_ms
        if started.is_valid and run.resumed_by == "start" and age_ms < self._parent_for_ms:
            parent, links = given, ()
        else:
            # What else the headers brought, such as baggage, is for every run.
            parent, links = trace.set_span_in_context(trace.INVALID_SPAN, given), tuple(_links(run, started))
        name = f"{'invoke_agent' if run.kind == 'turn' else 'process'} {run.name}"
        span = self._tracer.start_span(name, parent, SpanKind.CONSUMER, _attributes_of(run), links)
        return _Run(span, parent, run)

    def effect(self, effect: EffectSeen, /) -> AbstractContextManager[object]:
        if effect.kind == "step":
            return self._span(f"step {effect.name}", SpanKind.INTERNAL, {}, effect)
        if effect.tool is None:
            return nullcontext()
        return self._span(f"execute_tool {effect.tool}", SpanKind.INTERNAL, _attributes_of_call(effect), effect)

    def isolated(self, call: IsolatedSeen, /) -> AbstractContextManager[object]:
        # The try has its span in the worker. Spans of its code here are within that one.
        return _Given(extracted(call.headers)[0]) if call.headers else nullcontext()

    def leaving(self) -> None:
        provider: Any = self._provider or trace.get_tracer_provider()
        flush = getattr(provider, "force_flush", None)
        if flush is not None:
            flush()

    def _span(self, name: str, kind: SpanKind, attributes: dict[str, Any], seen: AroundSeen) -> _Part:
        now = context.get_current()
        return _Part(self._tracer.start_span(name, now, kind, attributes), now, seen)


class _Given(AbstractContextManager[None]):
    """Within what headers brought."""

    __slots__ = ("_given", "_mark")

    def __init__(self, given: Context) -> None:
        self._given = given

    def __enter__(self) -> None:
        self._mark = context.attach(self._given)

    def __exit__(self, *error: object) -> None:
        context.detach(self._mark)


class _Current(AbstractContextManager[Any]):
    """Makes a span the current one. OpenTelemetry's own way to do that costs twice as much."""

    __slots__ = ("_mark", "_span", "_within")

    def __init__(self, span: Span, within: Context) -> None:
        self._span, self._within = span, within

    def _begin(self) -> None:
        self._mark = context.attach(trace.set_span_in_context(self._span, self._within))

    def _end(self) -> None:
        context.detach(self._mark)


class _Part(_Current):
    """Around a part of a run, or code outside one. The span is ended with its run, if it has one."""

    __slots__ = ("_seen",)

    def __init__(self, span: Span, within: Context, seen: AroundSeen) -> None:
        self._span, self._within, self._seen = span, within, seen

    def __enter__(self) -> Headers | None:
        self._begin()
        return injected() if isinstance(self._seen, SendingSeen) else None

    def __exit__(self, *error: object) -> None:
        self._end()
        span, seen, held = self._span, self._seen, _held.get()
        if not span.is_recording():  # a sampler left it out
            return
        if seen.outcome == "failed":
            span.set_attribute(names.ERROR, seen.code or "unknown")
            span.set_status(Status(StatusCode.ERROR))
        if held is None:
            span.end()
        else:
            held.add(span)


class _Run(_Current):
    """Around a run."""

    __slots__ = ("_held", "_holds", "_seen")

    def __init__(self, span: Span, within: Context, seen: RunSeen) -> None:
        self._span, self._within, self._seen, self._held = span, within, seen, _Held()

    def __enter__(self) -> None:
        self._begin()
        self._holds = _held.set(self._held)

    def __exit__(self, *error: object) -> None:
        self._end()
        _held.reset(self._holds)
        self._held.end()
        if self._span.is_recording():
            _close_run(self._span, self._seen)


class _Held:
    """Spans of one run that are over, and are ended after it: then a run that is lost has none without a parent."""

    def __init__(self) -> None:
        self._spans: list[tuple[Span, int]] = []
        self._is_over = False

    def add(self, span: Span) -> None:
        """Of code that goes on after its run, such as a try that was given up, each span is ended at once."""
        if self._is_over:
            span.end()
            return
        if len(self._spans) >= MOST_HELD:
            self._end_all()
        self._spans.append((span, machine_ns()))

    def end(self) -> None:
        """The run is over."""
        self._is_over = True
        self._end_all()

    def _end_all(self) -> None:
        spans, self._spans = self._spans, []
        for span, at_ns in spans:
            span.end(at_ns)


def _links(run: RunSeen, started: SpanContext) -> Iterator[Link]:
    if started.is_valid:
        yield Link(started, {names.LINK: "start"})
    for one in run.links:
        _, found = extracted(one.headers)
        if found.is_valid:
            yield Link(found, {names.LINK: one.kind})


def _attributes_of(run: RunSeen) -> dict[str, Any]:
    given: dict[str, Any] = {
        **_OF_ANY_RUN,
        names.DESTINATION: run.queue,
        names.TARGET: run.process_id,
        names.KIND: run.kind,
        names.NAME: run.name,
        names.ATTEMPT: run.attempt,
        names.EPOCH: run.epoch,
        names.GENERATION: run.generation,
        names.RESUMED_BY: run.resumed_by,
    }
    if run.losses:
        given[names.LOSSES] = run.losses
    if run.release is not None:
        given[names.RELEASE] = run.release
    if run.parent is not None:
        given[names.PARENT] = run.parent
    if run.became_runnable_ms is not None:
        given[names.QUEUE_MS] = max(0, run.claimed_ms - run.became_runnable_ms)
    if run.parked_ms:
        given[names.PARKED_MS] = run.parked_ms
    if run.session_id is not None:
        given[names.SESSION] = run.session_id
    if run.kind == "turn":
        given |= {names.AI_OPERATION: "invoke_agent", names.AI_AGENT: run.name}
        if run.session_id is not None:
            given[names.AI_SESSION] = run.session_id
    return given


def _attributes_of_call(effect: EffectSeen) -> dict[str, Any]:
    return {
        names.AI_OPERATION: "execute_tool",
        names.AI_TOOL: effect.tool or "",
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
