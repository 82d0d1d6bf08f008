"""Headers of OpenTelemetry: what a sending takes along of the current context, and what a run finds of it.

Invariant: the propagators of this OS process decide (``OTEL_PROPAGATORS``). If they are the standard ones, and there is
no more to carry than a `traceparent`, it is written and read here, which takes a fifth of their time.
"""

from __future__ import annotations

import re
from typing import Any

try:
    from opentelemetry import baggage, context, propagate, trace
    from opentelemetry.baggage.propagation import W3CBaggagePropagator
    from opentelemetry.context import Context
    from opentelemetry.propagators.composite import CompositePropagator
    from opentelemetry.trace import INVALID_SPAN_CONTEXT, NonRecordingSpan, SpanContext, TraceFlags
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ModuleNotFoundError as missing:
    raise ImportError('traces need an extra: pip install "wakeline[otel]"') from missing

from wakeline.telemetry.headers import Headers

PARENT = "traceparent"
_PARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})", re.ASCII)
_STANDARD = [TraceContextTextMapPropagator, W3CBaggagePropagator]


def injected() -> Headers | None:
    """What the propagators take along of the current context; None for nothing."""
    now = context.get_current()
    at = trace.get_current_span(now).get_span_context()
    if not at.is_valid or at.trace_state or baggage.get_all(now) or not _are_standard():
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        return carrier or None
    return {PARENT: f"00-{at.trace_id:032x}-{at.span_id:016x}-{at.trace_flags:02x}"}


def ids_of_span() -> dict[str, str]:
    """The ids of the current span, as they stand in the log entries of its process; nothing without one."""
    at = trace.get_current_span().get_span_context()
    return {"trace_id": f"{at.trace_id:032x}", "span_id": f"{at.span_id:016x}"} if at.is_valid else {}


def extracted(headers: Headers) -> tuple[Context, SpanContext]:
    """What the propagators make of headers, and the span that it names; an invalid one if it names none."""
    found = _PARENT.fullmatch(headers[PARENT]) if len(headers) == 1 and PARENT in headers else None
    if found is None or not _are_standard():
        given = propagate.extract(headers, Context())
        return given, trace.get_current_span(given).get_span_context()
    at = SpanContext(int(found[1], 16), int(found[2], 16), True, TraceFlags(int(found[3], 16)))
    if not at.is_valid:
        return Context(), INVALID_SPAN_CONTEXT
    return trace.set_span_in_context(NonRecordingSpan(at), Context()), at


def _are_standard() -> bool:
    found: Any = propagate.get_global_textmap()
    if found is not _looked_at[0][0]:
        own: Any = getattr(found, "_propagators", ())
        _looked_at[0] = found, type(found) is CompositePropagator and [type(one) for one in own] == _STANDARD
    return _looked_at[0][1]


_looked_at: list[tuple[Any, bool]] = [(None, False)]
"""The propagator that was looked at last, and whether it is the standard one."""
