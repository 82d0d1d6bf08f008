"""Prints the table of figures: ``python3 dev.py bench [--quick] [--no-peers]``. Asserts that the work really ran; a
time is never a verdict.

A second table has other systems of this field, measured in the same run: see `benchmarks.peers`. Their packages are
downloaded once.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, cast

from benchmarks.harness import Figure, measured_server, rate_of, signalled, until, workers

ROUNDS = 3


def main() -> int:
    """Runs every figure; 1 when no server is found."""
    scale = 0.2 if "--quick" in sys.argv else 1.0
    with measured_server() as server:
        figures: list[Figure] = []
        for figure in starting(int(6000 * scale)):
            print(figure.row(), flush=True)
        with workers(server, "benchmarks.app:app", 2):
            for measured, number in ((throughput, 6000), (latency, 200), (timers, 200)):
                for figure in measured(int(number * scale)):
                    print(figure.row(), flush=True)
                    figures.append(figure)
        if "--no-peers" not in sys.argv:
            peers(server.url, figures, scale)
    return 0


def peers(url: str, figures: list[Figure], scale: float) -> None:
    """Other systems on the same server, below what was measured of this one."""
    from benchmarks.peers.measure import PEERS, Measured, each

    no_op, steps, _, start, *_ = figures
    print(f"\n{Measured.HEAD}")
    print(
        Measured(f"Wakeline {version('wakeline')}", "durable", "resumed from its last step", no_op, start, steps).row(),
        flush=True,
    )
    for one in each(url, PEERS, scale):
        print(one.row(), flush=True)


def throughput(n: int) -> list[Figure]:
    """Rates with everything busy."""
    from benchmarks.app import app, nothing, ten_steps, waits

    app.start(nothing).result(timeout=30)
    return [
        Figure("no-op processes, started and ended", "1/s", [rate_of(app, nothing, n) for _ in range(ROUNDS)]),
        Figure("ten-step engines, started and ended", "1/s", [rate_of(app, ten_steps, n // 6) for _ in range(ROUNDS)]),
        Figure(
            "signals to parked processes, all of them ended",
            "1/s",
            [signalled(app, waits, n // 3) for _ in range(ROUNDS)],
        ),
    ]


def starting(n: int) -> list[Figure]:
    """Rates of one client that starts while nobody takes: workers would share the cores with it."""
    from benchmarks.app import app, nothing

    def one_by_one() -> None:
        for _ in range(n // 3):
            app.start(nothing)

    def rate(number: int, start: Callable[[], object]) -> float:
        at = time.monotonic()
        start()
        return number / (time.monotonic() - at)

    single = [rate(n // 3, one_by_one) for _ in range(ROUNDS)]
    many = [rate(n, lambda: app.start_many(nothing, [{}] * n)) for _ in range(ROUNDS)]
    cast("Any", app.store.client).flushdb()
    app.close()  # what it knew of the namespace is gone with it
    return [Figure("starts, one by one", "1/s", single), Figure("starts, in bulk", "1/s", many)]


def latency(n: int) -> list[Figure]:
    """Delays with nothing else to do."""
    from benchmarks.app import app, began, waits

    starts: list[float] = []
    for _ in range(n):
        at = time.time()
        starts.append((app.start(began).result(timeout=10) - at) * 1000)
        time.sleep(0.002)
    warm: list[float] = []
    for _ in range(n):
        handle = app.start(waits)
        time.sleep(0.02)  # it waits, and is held: well below the hold's two seconds
        handle.signal("go", time.time())
        warm.append(handle.result(timeout=10) * 1000)
    parked = app.start_many(waits, [{}] * n)
    until(lambda: all(handle.status().status == "waiting" for handle in parked))
    cold: list[float] = []
    for handle in parked:
        handle.signal("go", time.time())
        cold.append(handle.result(timeout=10) * 1000)
    return [
        Figure("start to the body's first line, idle", "ms", starts),
        Figure("signal to the next line of a held body, idle", "ms", warm),
        Figure("signal to the next line of a parked body, idle", "ms", cold),
    ]


def timers(n: int) -> list[Figure]:
    """How late timers are with nothing else to do. One that were early would be an error."""
    from benchmarks.app import app, began, sleeps

    spread_s, hold_s = 0.02, app.settings.hold_ms / 1000
    first = time.time() + 2 * hold_s + n * spread_s  # by then all are parked
    moments = [first + i * spread_s for i in range(n)]
    parked = app.start_many(sleeps, [{"until": moment} for moment in moments])
    slept = [handle.result(timeout=60) for handle in parked]
    delayed: list[float] = []
    for _ in range(n):
        at = time.time()
        delayed.append(app.using(delay=0.1).start(began).result(timeout=10) - at - 0.1)
    assert min(slept + delayed) >= 0, "a timer was early"
    return [
        Figure("timer of a parked body, late, idle", "ms", [late * 1000 for late in slept]),
        Figure("start that a client delays, late, idle", "ms", [late * 1000 for late in delayed]),
    ]


if __name__ == "__main__":
    sys.exit(main())
