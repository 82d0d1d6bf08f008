"""Delays with nothing else to do, in ms."""

from __future__ import annotations

import asyncio
import time

from benchmarks.harness import Figure, count, parked, until
from benchmarks.rows import Bench


def delays(bench: Bench) -> list[Figure]:
    """From a start or a signal to the next line of the body."""
    from benchmarks.app import began, waits

    app, n = bench.app, bench.number(200)
    starts: list[float] = []
    for _ in range(n):
        at = time.time()
        starts.append((app.start(began).result(timeout=10) - at) * 1000)
        time.sleep(0.002)
    held: list[float] = []
    for _ in range(n):
        handle = app.start(waits)
        time.sleep(0.02)  # it waits, and is held: well below the hold's two seconds
        handle.signal("go", time.time())
        held.append(handle.result(timeout=10) * 1000)
    cold: list[float] = []
    for handle in map(app.handle, parked(app, waits, n)):
        handle.signal("go", time.time())
        cold.append(float(handle.result(timeout=10)) * 1000)
    return [
        Figure("start to the body's first line, idle", "ms", starts),
        Figure("signal to the next line of a held body, idle", "ms", held),
        Figure("signal to the next line of a parked body, idle", "ms", cold),
    ]


def awaited(bench: Bench) -> list[Figure]:
    """From the last line of a body to the `await` of its result, with that waiter alone and beside others."""
    few, crowd = bench.number(20), bench.number(1000)
    return [
        Figure("end to its awaited result, 1 waiter", "ms", _told(bench, few, few, together=False)),
        Figure(f"end to its awaited result, {crowd:,} waiters", "ms", _told(bench, crowd, few, together=True)),
        Figure(f"end to its awaited result, {crowd:,} ends at once", "ms", _told_at_once(bench, crowd)),
    ]


def _told_at_once(bench: Bench, n: int) -> list[float]:
    """As fast as workers end n processes that were held back until all of their results were awaited."""
    from benchmarks.app import app, began

    told: list[float] = []

    async def one(process_id: str) -> None:
        at = await app.aio.handle(process_id).result()
        told.append((time.time() - float(at)) * 1000)

    async def ended() -> None:
        await app.aio.pause()
        waiting = [asyncio.create_task(one(handle.id)) for handle in await app.aio.start_many(began, [{}] * n)]
        await asyncio.sleep(1)
        await app.aio.resume()
        await asyncio.gather(*waiting)
        await app.aio.close()

    asyncio.run(ended())
    return told


def _told(bench: Bench, n: int, ends: int, *, together: bool) -> list[float]:
    """Of n parked processes so many end, one after the other; their results are awaited one at a time, or all of the n
    at once from before the first end."""
    from benchmarks.app import tells

    before = count(bench.app, "waiting")
    ids = parked(bench.app, tells, n)
    told: list[float] = []

    async def one(process_id: str) -> None:
        at = await bench.app.aio.handle(process_id).result()
        told.append((time.time() - float(at)) * 1000)

    async def ended() -> None:
        waiting = {process_id: asyncio.create_task(one(process_id)) for process_id in ids} if together else {}
        await asyncio.sleep(1 if together else 0)
        for process_id in ids[:ends]:
            mine = waiting.pop(process_id, None) or asyncio.create_task(one(process_id))
            await asyncio.sleep(0.053 if together else 0.453)  # awaited for a while; no multiple of a usual interval
            await bench.app.aio.handle(process_id).signal("go", True)
            await mine
        for task in waiting.values():
            task.cancel()
        await asyncio.gather(*waiting.values(), return_exceptions=True)
        for process_id in ids[ends:]:
            await bench.app.aio.handle(process_id).signal("go", True)
        await bench.app.aio.close()

    asyncio.run(ended())
    until(lambda: count(bench.app, "waiting") <= before)
    return told


def timers(bench: Bench) -> list[Figure]:
    """How late timers are. One that were early would be an error."""
    from benchmarks.app import began, sleeps

    app, n = bench.app, bench.number(200)
    spread_s, hold_s = 0.02, app.settings.hold_ms / 1000
    first = time.time() + 2 * hold_s + n * spread_s  # by then all are parked
    moments = [first + i * spread_s for i in range(n)]
    sleeping = app.start_many(sleeps, [{"until": moment} for moment in moments])
    slept = [handle.result(timeout=60) for handle in sleeping]
    delayed: list[float] = []
    for _ in range(n):
        at = time.time()
        delayed.append(app.using(delay=0.1).start(began).result(timeout=10) - at - 0.1)
    assert min(slept + delayed) >= 0, "a timer was early"
    return [
        Figure("timer of a parked body, late, idle", "ms", [late * 1000 for late in slept]),
        Figure("start that a client delays, late, idle", "ms", [late * 1000 for late in delayed]),
    ]
