"""What OpenTelemetry costs: the same work with it and without it, in turn, each time with workers of its own.

Workers and client export to memory. As a program (``python -m benchmarks.traced SCALE [traced]``) it measures one side
on the server of ``WAKELINE_REDIS_URL``, and prints the rates by name, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from wakeline.telemetry.otel import OpenTelemetry

from benchmarks.checkouts import ROOT
from benchmarks.harness import Figure, many, parked, rate_of, serving, signalled
from benchmarks.rows import Bench

PAIRS = 3
"""How often both sides are measured in one round."""
TARGET = "benchmarks.app:app"
INSTRUMENT = "benchmarks.traced:InMemory"


class InMemory(OpenTelemetry):
    """OpenTelemetry that exports batches to memory, where the latest spans are kept."""

    def __init__(self) -> None:
        provider = TracerProvider()
        provider.add_span_processor(BatchSpanProcessor(InMemorySpanExporter(max_spans=1_000)))
        super().__init__(provider)


def costs(bench: Bench) -> Iterator[Figure]:
    """The rates with traces, divided by those without them. A pair stands in turn, and the side that begins changes."""
    ratios: dict[str, list[float]] = {}
    for pair in range(PAIRS):
        found: dict[bool, dict[str, float]] = {}
        for traced in (False, True) if pair % 2 == 0 else (True, False):
            found[traced] = side(bench.scale, traced=traced)
        for name, rate in found[True].items():
            ratios.setdefault(name, []).append(rate / found[False][name])
    for name, values in ratios.items():
        yield Figure(f"{name}, traced ÷ not", "ratio", values)


def side(scale: float, *, traced: bool) -> dict[str, float]:
    """The rates of one side, of processes that end with it."""
    command = [sys.executable, "-m", "benchmarks.traced", str(scale), *(["traced"] if traced else [])]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def main() -> int:
    """One side."""
    scale, traced = float(sys.argv[1]), "traced" in sys.argv[2:]
    if traced:
        os.environ["WAKELINE_INSTRUMENT"] = INSTRUMENT
    from benchmarks.app import app, nothing, ten_steps, waits

    if traced:
        app.observe(InMemory())

    def number(n: int) -> int:
        return max(10, int(n * scale))

    with serving(TARGET, 2):
        asyncio.run(many(number(500), lambda _: app.aio.start(nothing)))
        rates = {
            "no-ops": rate_of(app, nothing, number(6000)),
            "ten steps": rate_of(app, ten_steps, number(1000)),
            "signals": signalled(app, parked(app, waits, number(2000))),
        }
    print(json.dumps(rates))
    app.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
