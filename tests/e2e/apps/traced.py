"""Instruments of a traced worker: the one of told_app that writes, and OpenTelemetry, which exports late."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from told_app import FOLDER, Writes
from wakeline.telemetry.instruments import Instruments
from wakeline.telemetry.otel import OpenTelemetry


class Lines(SpanExporter):
    """Appends the names of spans to a file."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        with (FOLDER / "spans").open("a", encoding="utf-8") as file:
            file.write("".join(f"{span.name}\n" for span in spans))
        return SpanExportResult.SUCCESS


provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(Lines(), schedule_delay_millis=600_000))
both = Instruments([Writes(), OpenTelemetry(provider)])
