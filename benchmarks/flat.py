"""What should not grow with what is there: a take with the number of queues, a filtered page with what lives, a resume
with what was recorded, a fan-out with its children."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

from wakeline_workers.loop import WorkerLoop

from benchmarks.harness import Figure, count, until
from benchmarks.machine import descendants, memory_mb, used_s
from benchmarks.rows import Bench

QUEUES = (1, 100, 1000)
LIVE = (1_000, 100_000)
LONG_LIVE = 1_000_000
BATCH = 5_000
FILTERS: Mapping[str, dict[str, Any]] = {
    "kind": {"kind": "tool"},
    "session": {"session": "single/s"},
    "waiting": {"waiting": "never"},
}
"""Each finds nothing here, so a scan for it looks at all that lives."""


def takes(bench: Bench) -> list[Figure]:
    """A take in vain of a worker that listens to so many queues."""
    server = int(bench.client.info("server")["process_id"])
    figures, cpu = [], list[float]()
    for number in QUEUES:
        before, n = bench.meter.look(), bench.number(200)
        at, took = used_s(server), asyncio.run(_takes(bench, number, n))
        cpu.append((used_s(server) - at) / n * 1e6)
        commands = bench.meter.since(before, f"take at {number:,} queue{'s' * (number > 1)}", n)[0]
        figures += [commands, Figure(f"take at {number:,} queue{'s' * (number > 1)}", "ms", took)]
    return [
        *figures,
        Figure(f"take at {QUEUES[-1]:,} queues ÷ at one, server CPU", "", [cpu[-1] / cpu[0]]),
    ]


async def _takes(bench: Bench, queues: int, n: int) -> list[float]:
    worker = WorkerLoop(bench.app, queues=[f"bench.q{i}" for i in range(queues)])
    took: list[float] = []
    try:
        await worker._introduce(bench.app.declared)
        for _ in range(n):
            at = time.monotonic()
            await worker._take()
            took.append((time.monotonic() - at) * 1000)
    finally:
        await worker.store.close()
    return took


PAGES = 100
SETTLED_S = 0.6
"""What is younger is in no index yet (ADR 17)."""


def filtered(bench: Bench) -> list[Figure]:
    """A page that a filter leaves empty, beside so many live processes. The first one writes the index that it missed,
    and is a row of its own."""
    from benchmarks.app import nothing

    agent, _, key = FILTERS["session"]["session"].partition("/")
    bench.app.session(agent, key).create()
    sizes = [bench.number(size) for size in (*LIVE, *([LONG_LIVE] if bench.long else []))]
    found: dict[str, list[float]] = {name: [] for name in FILTERS}
    figures: list[Figure] = []
    made = 0
    for size in sizes:
        while made < size:
            n = min(BATCH, size - made)
            bench.app.start_many(nothing, [{}] * n)
            made += n
        time.sleep(SETTLED_S)
        for name, one in FILTERS.items():
            row = f"page filtered by {name}, {size:,} live"
            first = _timed(lambda one=one: bench.app.processes("live", limit=50, **one), 1)
            before = bench.meter.look()
            took = _timed(lambda one=one: bench.app.processes("live", limit=50, **one), PAGES)
            found[name].append(statistics.median(took))
            figures += [Figure(f"{row}, the first", "ms", first), Figure(row, "ms", took)]
            figures.append(bench.meter.since(before, row, PAGES)[0])
    most, least = sizes[-1], sizes[0]
    return figures + [
        Figure(f"page filtered by {name}, {most:,} live ÷ {least:,}", "", [took[-1] / took[0]])
        for name, took in found.items()
    ]


def resumed(bench: Bench) -> list[Figure]:
    """From a signal to the next line of a parked body that replays what it recorded."""
    return [
        Figure("resume of 200 outcomes of 50 KB", "ms", _resumes(bench, 200, 50_000)),
        Figure("resume of 5,000 small outcomes", "ms", _resumes(bench, bench.number(5_000), 1)),
    ]


def _resumes(bench: Bench, steps: int, size: int) -> list[float]:
    from benchmarks.app import remembers

    took: list[float] = []
    for _ in range(3):
        before = count(bench.app, "waiting")
        handle = bench.app.start(remembers, steps, size)
        until(lambda before=before: count(bench.app, "waiting") > before, 120)
        handle.signal("go", time.time())
        took.append(handle.result(timeout=120) * 1000)
    return took


def fanned_out(bench: Bench) -> list[Figure]:
    """A body that starts 10,000 children and gathers them, in a single worker process."""
    from benchmarks.app import fans_out

    assert bench.supervisor is not None
    n = bench.number(10_000)
    worker = descendants(bench.supervisor)[-1]
    before, spent, at = memory_mb(worker), bench.meter.look(), time.monotonic()
    handle = bench.app.start(fans_out, n)
    most = before
    while not handle.status().status.startswith("completed"):
        most = max(most, memory_mb(worker))
        time.sleep(0.05)
        if time.monotonic() - at > 300:
            raise TimeoutError(f"{n} children were not gathered in time")
    took = time.monotonic() - at
    name = f"fan-out to {n:,} children and back"
    return [
        Figure(name, "s", [took]),
        Figure(f"{name}: longest hold of the worker's loop", "ms", [float(handle.result(timeout=10)) * 1000]),
        Figure(f"{name}: memory of the worker, more than before", "MB", [most - before]),
        *bench.meter.since(spent, "child of a fan-out", n),
    ]


def _timed(verb: Callable[[], object], n: int) -> list[float]:
    took: list[float] = []
    for _ in range(n):
        at = time.monotonic()
        verb()
        took.append((time.monotonic() - at) * 1000)
    return took
