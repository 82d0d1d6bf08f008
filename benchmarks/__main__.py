"""Prints the table of figures: ``python3 dev.py bench [--quick] [--no-peers]``. Asserts that the work really ran; a time is never a verdict.

A second table has other systems of this field, measured in the same run: see `benchmarks.peers`. Their packages are downloaded once.
"""

from __future__ import annotations

import asyncio
import sys
import time
from importlib.metadata import version
from typing import Any

from benchmarks.harness import Figure, count, many, measured_server, until, workers

ROUNDS = 3


def main() -> int:
    """Runs every figure; 1 when no server is found."""
    scale = 0.2 if "--quick" in sys.argv else 1.0
    with measured_server() as server:
        figures: list[Figure] = []
        with workers(server, "benchmarks.app:app", 2):
            for measured, number in ((throughput, 6000), (latency, 200)):
                for figure in measured(int(number * scale)):
                    print(figure.row(), flush=True)
                    figures.append(figure)
        if "--no-peers" not in sys.argv:
            peers(server.url, figures, scale)
    return 0


def peers(url: str, figures: list[Figure], scale: float) -> None:
    """Other systems on the same server, below what was measured of this one."""
    from benchmarks.peers.measure import PEERS, Measured, each

    no_op, steps, _, start, _ = figures
    print(f"\n{Measured.HEAD}")
    print(Measured(f"Wakeline {version('wakeline')}", "durable", "resumed from its last step", no_op, start, steps).row(), flush=True)
    for one in each(url, PEERS, scale):
        print(one.row(), flush=True)


def throughput(n: int) -> list[Figure]:
    """Rates with everything busy."""
    from benchmarks.app import app, nothing, ten_steps, waits

    async def start(body: Any, number: int) -> None:
        await many(number, lambda _: app.aio.start(body))

    async def signal(ids: list[str]) -> None:
        await many(len(ids), lambda i: app.aio.handle(ids[i]).signal("go", time.time()))

    def ended(body: Any, number: int) -> float:
        before, at = count(app, "completed"), time.monotonic()
        asyncio.run(start(body, number))
        until(lambda: count(app, "completed") >= before + number)
        return number / (time.monotonic() - at)

    app.start(nothing).result(timeout=30)
    ends = [ended(nothing, n) for _ in range(ROUNDS)]
    steps = [ended(ten_steps, n // 6) for _ in range(ROUNDS)]
    signals: list[float] = []
    for _ in range(ROUNDS):
        handles = [app.start(waits).id for _ in range(n // 3)]
        until(lambda: count(app, "waiting") >= n // 3)
        before, at = count(app, "completed"), time.monotonic()
        asyncio.run(signal(handles))
        until(lambda before=before: count(app, "completed") >= before + n // 3)
        signals.append(n / 3 / (time.monotonic() - at))
    return [
        Figure("no-op processes, started and ended", "1/s", ends),
        Figure("ten-step engines, started and ended", "1/s", steps),
        Figure("signals to parked processes, all of them ended", "1/s", signals),
    ]


def latency(n: int) -> list[Figure]:
    """Delays with nothing else to do."""
    from benchmarks.app import app, began, waits

    starts: list[float] = []
    for _ in range(n):
        at = time.time()
        starts.append((app.start(began).result(timeout=10) - at) * 1000)
        time.sleep(0.002)
    resumes: list[float] = []
    for _ in range(n):
        handle = app.start(waits)
        until(lambda handle=handle: handle.status().status == "waiting")
        handle.signal("go", time.time())
        resumes.append(handle.result(timeout=10) * 1000)
    return [Figure("start to the body's first line, idle", "ms", starts), Figure("signal to the parked body's next line, idle", "ms", resumes)]


if __name__ == "__main__":
    sys.exit(main())
