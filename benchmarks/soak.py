"""Whether a store stays level: ``python -m benchmarks.soak [--processes N]``. A million processes, kept for five
seconds after their end each, one in a hundred with a journal and a signal; memory and keys of the server from tenth to
tenth.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from dataclasses import dataclass
from typing import Any, cast

from wakeline import App

from benchmarks.harness import count, many, measured_server, until, workers

LATE_MS = 5_000
ENDED = ("completed", "failed", "cancelled", "abandoned")


@dataclass(frozen=True, slots=True)
class Level:
    """The store after so many processes: bytes in use, keys, ended processes that it still has, and those of them that
    should have gone `LATE_MS` ago."""

    processes: int
    used: int
    keys: int
    ended: int
    late: int


def main() -> int:
    """Prints a row for each tenth, and what is left once all is over; 1 when anything was kept longer than it
    should."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--processes", type=int, default=1_000_000)
    n = asked.parse_args().processes
    with (
        measured_server() as server,
        workers(server, "benchmarks.soaked:app", int(os.environ.get("SOAK_WORKERS", "2"))),
    ):
        from benchmarks.soaked import app

        print(
            "\n| processes so far | memory, MB | keys | ended and kept | of them late | 1/s"
            " |\n|---|---|---|---|---|---|"
        )
        levels = soak(app, n, parts=10)
        print(f"\nonce all is over: {left(app)} keys of processes")
    grown = any(level.late for level in levels)
    print("the store GREW" if grown else "the store is level")
    return int(grown)


def soak(app: App, n: int, *, parts: int) -> list[Level]:
    """Starts and ends so many processes; the store after each part."""
    levels: list[Level] = []
    for part in range(1, parts + 1):
        at = time.monotonic()
        asyncio.run(_some(app, n // parts))
        levels.append(level := _level(app, n // parts * part))
        rate = n / parts / (time.monotonic() - at)
        print(
            f"| {level.processes:,} | {level.used / 1e6:.1f} | {level.keys:,} | {level.ended:,} | {level.late} |"
            f" {rate:,.0f} |",
            flush=True,
        )
    return levels


async def _some(app: App, n: int) -> None:
    from benchmarks.soaked import nothing, steps

    async def one(i: int) -> None:
        if i % 100:
            await app.aio.start(nothing)
        else:
            await (await app.aio.start(steps)).signal("go", i)

    await many(n, one)
    while _count_of(app, "queued", "running", "waiting"):
        await asyncio.sleep(0.01)


def left(app: App) -> int:
    """Keys of processes and tombstones once the time of all of them is over."""
    client, prefix = cast("Any", app.store.client), app.store.address.prefix
    patterns = [
        f"{prefix}{kind}:*" for kind in ("proc", "spec", "events", "replay", "journal", "slot", "waits", "tomb")
    ]

    def found() -> int:
        return sum(1 for pattern in patterns for _ in client.scan_iter(match=pattern, count=10_000))

    until(lambda: found() == 0, 120)
    return found()


def _level(app: App, processes: int) -> Level:
    from benchmarks.soaked import KEPT_MS

    client, prefix = cast("Any", app.store.client), app.store.address.prefix
    seconds, micros = client.time()
    over = seconds * 1000 + micros // 1000 - KEPT_MS - LATE_MS
    late = sum(int(client.zcount(f"{prefix}idx:{status}", "-inf", over)) for status in ENDED)
    return Level(
        processes, int(client.info("memory")["used_memory"]), int(client.dbsize()), _count_of(app, *ENDED), late
    )


def _count_of(app: App, *statuses: str) -> int:
    return sum(count(app, status) for status in statuses)


if __name__ == "__main__":
    raise SystemExit(main())
