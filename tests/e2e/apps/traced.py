"""Instruments of a traced worker: the one of told_app that writes, and OpenTelemetry, which exports late."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from told_app import FOLDER, Writes
from wakeline.telemetry.instrument import Instrument
from wakeline.telemetry.instruments import Instruments
from wakeline.telemetry.otel import OpenTelemetry
from wakeline.telemetry.seen import IsolatedSeen


class Lines(SpanExporter):
    """Appends the names of spans to a file, with their ids and those of their parents."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        with (FOLDER / "spans").open("a", encoding="utf-8") as file:
            for span in spans:
                ids = (span.context.span_id if span.context else 0, span.parent.span_id if span.parent else 0)
                file.write(json.dumps([span.name, *ids]) + "\n")
        return SpanExportResult.SUCCESS


provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(Lines(), schedule_delay_millis=600_000))


class Inside(Instrument):
    """A span in the child of an isolated tool, as its code may make one."""

    @contextmanager
    def isolated(self, call: IsolatedSeen) -> Generator[None]:
        with provider.get_tracer("user").start_as_current_span(f"inside {call.name}"):
            yield


both = Instruments([Writes(), OpenTelemetry(provider), Inside()])
