"""What observing costs: no-ops, ten steps and signals with OpenTelemetry (an exporter in memory) and without, in turn.

``python -m benchmarks.observed`` prints the rates and their ratio. Client and worker share one OS process, so nothing
else competes with what an instrument adds.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Callable
from secrets import token_hex

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from wakeline import App, AsyncCtx
from wakeline.embedded import PrivateServer, find_server
from wakeline.settings import Settings
from wakeline.store.connection import UrlBackend
from wakeline.telemetry.otel import OpenTelemetry
from wakeline_workers.loop import WorkerLoop

ROUNDS, UNITS = 7, 1_000


class Observed:
    """An app with or without an instrument."""

    def __init__(self, url: str, *, observed: bool) -> None:
        self.spans = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(BatchSpanProcessor(self.spans))
        instrument = OpenTelemetry(tracer_provider=provider) if observed else None
        self.app = App("o" + token_hex(4), backend=UrlBackend(url), settings=Settings(hold_ms=0), instrument=instrument)

        @self.app.engine
        async def nothing(ctx: AsyncCtx) -> None:
            """Ends at once."""

        async def one(n: int) -> int:
            return n

        @self.app.engine
        async def steps(ctx: AsyncCtx) -> None:
            for n in range(10):
                await ctx.step("one", one, n)

        @self.app.engine(signals={"go": bool})
        async def waits(ctx: AsyncCtx) -> None:
            await ctx.wait("go", bool)

        self.nothing, self.steps, self.waits = nothing, steps, waits

    def work(self) -> None:
        asyncio.run(WorkerLoop(self.app, burst=True).serve())

    def no_ops(self) -> None:
        self.app.start_many(self.nothing, [{}] * UNITS)
        self.work()

    def ten_steps(self) -> None:
        self.app.start_many(self.steps, [{}] * (UNITS // 5))
        self.work()

    def signals(self) -> None:
        for handle in self.parked:
            handle.signal("go", True)
        self.work()

    def park(self) -> None:
        self.parked = self.app.start_many(self.waits, [{}] * (UNITS // 2))
        self.work()


def took_s(work: Callable[[], None]) -> float:
    """Processor time of this OS process."""
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> None:
    """Prints the ratios."""
    binary = find_server()
    if binary is None:
        sys.exit("no server found")
    with PrivateServer(binary) as server:
        plain, observed = (Observed(server.url, observed=one) for one in (False, True))
        for name in ("no_ops", "ten_steps", "signals"):
            ratios: list[float] = []
            for _ in range(ROUNDS):
                for one in (plain, observed):
                    one.park()
                ratios.append(took_s(getattr(observed, name)) / took_s(getattr(plain, name)))
                observed.spans.clear()
            spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
            print(f"{name}: with OpenTelemetry ÷ without, processor time: {statistics.median(ratios):.2f} ({spread})")


if __name__ == "__main__":
    main()
