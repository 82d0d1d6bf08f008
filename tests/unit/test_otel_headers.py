"""What a sending takes along of OpenTelemetry is what the propagators of the process would take, and so is what a run
finds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest
from opentelemetry import baggage, context, propagate, trace
from opentelemetry.context import Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from wakeline.telemetry.headers import LONGEST, fits
from wakeline.telemetry.otel_headers import extracted, injected

AT = SpanContext(0x0AF7651916CD43DD8448EB211C80319C, 0x00F067AA0BA902B7, False, TraceFlags(1))
PARENT = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"


@pytest.fixture
def alone() -> Iterator[None]:
    """No context of another test."""
    mark = context.attach(Context())
    yield
    context.detach(mark)


def at(span: SpanContext, within: Context | None = None) -> Context:
    return trace.set_span_in_context(NonRecordingSpan(span), within or Context())


def by_the_propagators(within: Context) -> dict[str, str]:
    carrier: dict[str, str] = {}
    propagate.inject(carrier, within)
    return carrier


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(
    "within",
    [
        Context(),
        at(AT),
        at(SpanContext(1, 1, True, TraceFlags(0))),
        at(SpanContext(AT.trace_id, AT.span_id, False, AT.trace_flags, TraceState([("vendor", "x")]))),
        at(AT, baggage.set_baggage("tenant", "acme", Context())),
        at(trace.INVALID_SPAN_CONTEXT),
    ],
    ids=["nothing", "a span", "one that is not sampled", "a state", "baggage", "no span"],
)
def test_a_sending_takes_along_what_the_propagators_would(within: Context) -> None:
    mark = context.attach(within)
    try:
        assert (injected() or {}) == by_the_propagators(within)
    finally:
        context.detach(mark)


@pytest.mark.parametrize(
    "headers",
    [
        {"traceparent": PARENT},
        {"traceparent": PARENT.replace("00-", "01-", 1)},
        {"traceparent": PARENT.upper()},
        {"traceparent": "00-" + "0" * 32 + "-00f067aa0ba902b7-01"},
        {"traceparent": PARENT + "-more"},
        {"traceparent": "nonsense"},
        {"traceparent": PARENT, "tracestate": "vendor=x"},
        {"traceparent": PARENT, "baggage": "tenant=acme"},
        {"Traceparent": PARENT},
        {"other": "x"},
    ],
)
def test_a_run_finds_what_the_propagators_would(headers: Mapping[str, str]) -> None:
    theirs = propagate.extract(headers, Context())
    given, found = extracted(headers)
    named = trace.get_current_span(theirs).get_span_context()
    assert (found, found.trace_state, found.is_remote) == (named, named.trace_state, named.is_remote)
    assert trace.get_current_span(given).get_span_context() == named
    assert baggage.get_all(given) == baggage.get_all(theirs)


@pytest.mark.usefixtures("alone")
def test_other_propagators_of_the_process_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    class Shouts(TraceContextTextMapPropagator):
        def inject(self, carrier: dict[str, str], context: Context | None = None, setter: object = None) -> None:
            carrier["shouted"] = "yes"

    before = propagate.get_global_textmap()
    propagate.set_global_textmap(CompositePropagator([Shouts()]))
    mark = context.attach(at(AT))
    try:
        assert injected() == {"shouted": "yes"}
    finally:
        context.detach(mark)
        propagate.set_global_textmap(before)
    assert extracted({"traceparent": PARENT})[1].is_valid


@pytest.mark.parametrize("letter", ["a", '"', "\x00", "é", "\U0001f600", "\ud800"])
def test_headers_of_any_letters_fit_by_the_bytes_of_their_json(letter: str) -> None:
    import json

    for number in range(1, LONGEST + 20):
        headers = {"k": letter * number}
        assert fits(headers) is (len(json.dumps(headers, separators=(",", ":"))) <= LONGEST)
