"""Figures of sessions: memory, delays, rates and bursts. Asserts that every wake was settled; a time is never a
verdict."""

from __future__ import annotations

import asyncio
import time
from secrets import token_hex

from benchmarks.harness import Figure, many, until
from benchmarks.rows import Bench

SESSIONS = 100


def memory(bench: Bench) -> list[Figure]:
    """What an idle session keeps, before any worker is there."""
    from wakeline.store import sessions
    from wakeline.store.starts import SessionAddress

    app, n = bench.app, max(1000, bench.number(2000))  # fewer are lost in what buffers take

    def used() -> int:
        return int(bench.client.info("memory")["used_memory"])

    before = used()
    for i in range(n):
        app.store.execute(sessions.create(SessionAddress(f"sink/idle-{i}", "sink", app.namespace, f"{i:016x}")))
    return [Figure("memory of an idle session", "B", [(used() - before) / n])]


def wakes(bench: Bench) -> list[Figure]:
    """From a wake to the first line of its turn with nothing else to do, and how many are settled a second."""
    app, n = bench.app, bench.number(200)
    session = app.session("ear", token_hex(4))
    source = app.external("source", wake=session)
    for i in range(n):
        source.emit("wake", {"text": repr(time.time())})
        until(lambda wanted=i + 1: session.inspect().revision >= wanted)
    heard = [m.content * 1000 for m in session.history(count=2 * n) if m.role == "agent"]
    assert len(heard) == n
    settled = rate("sink", bench.number(6000))
    return [
        Figure("wake to the turn's first line, idle", "ms", heard),
        Figure("wakes settled over 100 sessions, in batches", "1/s", [settled]),
    ]


def rate(agent: str, n: int) -> float:
    """Wakes of 100 sources to 100 new sessions: how many are settled a second, from the first one's sending."""
    from wakeline.verbs import events

    from benchmarks.app import app

    name = token_hex(4)
    keys = [f"{name}-{i}" for i in range(SESSIONS)]
    sources = [app.external("source", wake=app.session(agent, key)).id for key in keys]
    aio = app.aio

    async def tell() -> None:
        async def one(i: int) -> None:
            await aio._client.run(
                "emit", events.emit(app.caller, sources[i % SESSIONS], "wake", {"text": "told"}, None, external=True)
            )

        await many(n, one)
        await aio.close()

    at = time.monotonic()
    asyncio.run(tell())
    until(lambda: all(app.session(agent, key).inspect().status == "idle" for key in keys))
    took = time.monotonic() - at
    assert sum(app.session(agent, key).inspect().entries for key in keys) == n
    return n / took


def bursts(bench: Bench) -> list[Figure]:
    """A thousand wakes to one idle session: how many turns they cost."""
    from wakeline.verbs import events

    app = bench.app
    turns: list[float] = []
    for _ in range(3):
        session = app.session("sink", f"burst-{token_hex(4)}")
        source = app.external("source", wake=session)

        async def tell(process_id: str = source.id) -> None:
            async def one(_: int) -> None:
                await app.aio._client.run(
                    "emit", events.emit(app.caller, process_id, "wake", {"text": "told"}, None, external=True)
                )

            await many(1000, one, at_once=1000)
            await app.aio.close()

        asyncio.run(tell())
        until(lambda session=session: session.inspect().status == "idle")
        report = session.inspect()
        assert report.entries == 1000
        turns.append(report.revision)
    return [Figure("turns that a burst of 1,000 wakes to an idle session costs", "", turns)]
