"""Rates with everything busy, and what each unit of it costs."""

from __future__ import annotations

import time
from collections.abc import Callable

from benchmarks.harness import Figure, parked, rate_of, signalled
from benchmarks.rows import Bench


def starts(bench: Bench) -> list[Figure]:
    """One client that starts while nobody takes: workers would share the cores with it."""
    from benchmarks.app import nothing

    app, n = bench.app, bench.number(6000)
    app.start(nothing)

    def one_by_one() -> None:
        for _ in range(n // 3):
            app.start(nothing)

    return [
        *_measured(bench, "starts, one by one", "start", n // 3, lambda: _rate(n // 3, one_by_one)),
        *_measured(
            bench, "starts, in bulk", "bulk start", n, lambda: _rate(n, lambda: app.start_many(nothing, [{}] * n))
        ),
    ]


def no_ops(bench: Bench) -> list[Figure]:
    """Processes that start and end."""
    from benchmarks.app import nothing

    n = bench.number(6000)
    name = "no-op processes, started and ended"
    return _measured(bench, name, "no-op", n, lambda: rate_of(bench.app, nothing, n))


def ten_steps(bench: Bench) -> list[Figure]:
    """Engines of ten recorded steps."""
    from benchmarks.app import ten_steps

    n = bench.number(1000)
    name = "ten-step engines, started and ended"
    return _measured(bench, name, "ten steps", n, lambda: rate_of(bench.app, ten_steps, n))


def signals(bench: Bench) -> list[Figure]:
    """Processes that start and park, and signals that end them. Of the parking only the costs are told: the last ones
    are held for a while, which is no measure of speed."""
    from benchmarks.app import waits

    n, meter = bench.number(2000), bench.meter
    memory, before = _used(bench), meter.look()
    ids = parked(bench.app, waits, n)
    parks = meter.since(before, "start and park", n)
    held = Figure("memory of a parked process", "B", [(_used(bench) - memory) / n])
    name = "signals to parked processes, all of them ended"
    return [*_measured(bench, name, "signal to parked and end", n, lambda: signalled(bench.app, ids)), *parks, held]


def turns(bench: Bench) -> list[Figure]:
    """Turns of a hundred sessions, one wake each."""
    from benchmarks.wakes import rate

    n = bench.number(2000)
    return _measured(bench, "turns over 100 sessions, one wake each", "wake and turn", n, lambda: rate("single", n))


def _measured(bench: Bench, name: str, unit: str, n: int, run: Callable[[], float]) -> list[Figure]:
    """The rate of a run of n units, and what each of them cost."""
    before = bench.meter.look()
    rate = run()
    return [Figure(name, "1/s", [rate]), *bench.meter.since(before, unit, n)]


def _rate(n: int, run: Callable[[], object]) -> float:
    at = time.monotonic()
    run()
    return n / (time.monotonic() - at)


def _used(bench: Bench) -> int:
    return int(bench.client.info("memory")["used_memory"])
