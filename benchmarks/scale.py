"""What a full store costs: ``python -m benchmarks.scale [--terminal N] [--parked N]``. Rates and pages on an empty
store, then beside a million ended processes, then beside a hundred thousand parked ones too; memory of a parked
process; a log of ten thousand events beside a new one.

Ended processes are copies of a real one, key by key (a million real ones take most of an hour); parked ones are real.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any, cast

from wakeline import App

from benchmarks.harness import Figure, count, measured_server, parked, rate_of, signalled, until, workers

COPY = """
local from, ns, score, n, step = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local kept = {}
for i, kind in ipairs({ 'proc', 'spec', 'events' }) do
  kept[i] = { kind, redis.call('DUMP', ns .. kind .. ':' .. from) }
end
for i = n, n + step - 1 do
  local pid = 'copy-' .. i
  for _, one in ipairs(kept) do redis.call('RESTORE', ns .. one[1] .. ':' .. pid, 0, one[2]) end
  redis.call('ZADD', ns .. 'idx:completed', score, pid)
end
return step
"""
"""Copies of one ended process: its keys, and its place in the index."""
STEP = 500


def main() -> int:
    """Prints the table; 1 when no server is found."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--terminal", type=int, default=1_000_000)
    asked.add_argument("--parked", type=int, default=100_000)
    sizes = asked.parse_args()
    with measured_server() as server, workers(server, "benchmarks.app:app", 2):
        from benchmarks.app import app

        rates(app, "an empty store")
        ended(app, sizes.terminal)
        rates(app, f"{sizes.terminal:,} ended")
        waiting(app, sizes.parked)
        rates(app, f"{sizes.terminal:,} ended and {sizes.parked:,} parked")
        long_log(app)
    return 0


def show(name: str, unit: str, values: list[float]) -> None:
    print(Figure(name, unit, values).row(), flush=True)


def rates(app: App, beside: str) -> None:
    """Work and pages, beside what is there; once the server has rewritten its log, which a million copies set off and
    no work of that size would."""
    from benchmarks.app import nothing, waits

    app.start(nothing).result(timeout=30)
    until(lambda: not rewrites(app), 600)
    show(f"no-op processes, {beside}", "1/s", [rate_of(app, nothing, 4000) for _ in range(3)])
    show(f"signals to parked processes, {beside}", "1/s", [signalled(app, parked(app, waits, 600)) for _ in range(3)])
    pages = [timed(lambda: app.processes("completed", limit=50)) for _ in range(30)]
    show(f"a page of 50 ended processes, {beside}", "ms", pages)


def rewrites(app: App) -> bool:
    """Whether the server rewrites its append-only file, or is about to."""
    persistence = cast("Any", app.store.client).info("persistence")
    return bool(persistence["aof_rewrite_in_progress"] or persistence["aof_rewrite_scheduled"])


def timed(verb: Callable[[], object]) -> float:
    at = time.monotonic()
    verb()
    return (time.monotonic() - at) * 1000


def ended(app: App, n: int) -> None:
    """So many ended processes more."""
    from benchmarks.app import nothing

    client, prefix = cast("Any", app.store.client), app.store.address.prefix
    handle = app.start(nothing)
    handle.result(timeout=30)
    before, memory = count(app, "completed"), used(app)
    score = int(client.zscore(f"{prefix}idx:completed", handle.id))
    for first in range(0, n, STEP):
        client.eval(COPY, 1, f"{prefix}meta", handle.id, prefix, score, first, min(STEP, n - first))
    assert count(app, "completed") == before + n
    show("memory of an ended process", "bytes", [(used(app) - memory) / n])


def waiting(app: App, n: int) -> None:
    """So many parked processes more, each of which a worker ran until its wait."""
    from benchmarks.app import waits

    memory = used(app)
    parked(app, waits, n, seconds=3600)
    show("memory of a parked process, one signal awaited", "bytes", [(used(app) - memory) / n])


def used(app: App) -> int:
    """Bytes the server has in use, once what ended work left behind is gone."""
    time.sleep(1)
    return int(cast("Any", app.store.client).info("memory")["used_memory"])


def long_log(app: App) -> None:
    """Appends to a log of ten thousand events, beside a new one."""
    new, old = app.external("new"), app.external("old")
    for n in range(10_000):
        old.emit("log", {"n": n})
    show("an event of a new process", "ms", [statistics.median(timed(lambda: new.emit("log", {})) for _ in range(200))])
    show(
        "an event of one with 10,000 events",
        "ms",
        [statistics.median(timed(lambda: old.emit("log", {})) for _ in range(200))],
    )


if __name__ == "__main__":
    raise SystemExit(main())
