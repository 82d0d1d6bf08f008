"""Figures of sessions: ``python -m benchmarks.wakes [--quick]``. Asserts that every wake was settled; a time is never a
verdict."""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from typing import Any, cast

from benchmarks.harness import Figure, many, measured_server, until, workers

ROUNDS = 3
SESSIONS = 100


def main() -> int:
    """Runs every figure on a private server with two worker processes; 1 when no server is found."""
    scale = 0.2 if "--quick" in sys.argv else 1.0
    with measured_server() as server:
        from benchmarks.app import app

        for figure in memory(int(2000 * scale)):
            print(figure.row(), flush=True)
        with workers(server, "benchmarks.app:app", 2):
            app.session("sink", "first").ask("are you there?", timeout=30)
            for figure in (*latency(int(200 * scale)), *throughput(int(6000 * scale)), *bursts()):
                print(figure.row(), flush=True)
    return 0


def memory(n: int) -> list[Figure]:
    """What an idle session keeps, before any worker is there."""
    from wakeline.store import sessions
    from wakeline.store.starts import SessionAddress

    from benchmarks.app import app

    client = cast("Any", app.store.client)

    def used() -> int:
        return int(client.info("memory")["used_memory"])

    before = used()
    for i in range(n):
        app.store.execute(sessions.create(SessionAddress(f"sink/idle-{i}", "sink", app.namespace, f"{i:016x}")))
    return [Figure("memory of an idle session", "bytes", [(used() - before) / n])]


def latency(n: int) -> list[Figure]:
    """Delays with nothing else to do."""
    from benchmarks.app import app

    session = app.session("ear", "1")
    source = app.external("source", wake=session)
    middle: list[float] = []
    worst: list[float] = []
    for turn in range(ROUNDS):
        for i in range(n):
            source.emit("wake", {"text": repr(time.time())})
            until(lambda wanted=turn * n + i + 1: session.inspect().revision >= wanted)
        heard = [m.content * 1000 for m in session.history(after=turn * 2 * n, count=2 * n) if m.role == "agent"]
        assert len(heard) == n
        middle.append(statistics.median(heard))
        worst.append(statistics.quantiles(heard, n=100)[-1])
    return [
        Figure("wake to the turn's first line, idle, p50", "ms", middle),
        Figure("wake to the turn's first line, idle, p99", "ms", worst),
    ]


def throughput(n: int) -> list[Figure]:
    """Rates with everything busy."""
    return [
        Figure("wakes settled over 100 sessions, in batches", "1/s", [rate("sink", f"s{i}", n) for i in range(ROUNDS)]),
        Figure(
            "turns over 100 sessions, one wake each", "1/s", [rate("single", f"t{i}", n // 3) for i in range(ROUNDS)]
        ),
    ]


def rate(agent: str, name: str, n: int) -> float:
    """Wakes of 100 sources to 100 sessions: how many are settled a second, from the first one's sending."""
    from wakeline.verbs import events

    from benchmarks.app import app

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


def bursts() -> list[Figure]:
    """A thousand wakes to one idle session: how many turns they cost."""
    from wakeline.verbs import events

    from benchmarks.app import app

    turns: list[float] = []
    for i in range(ROUNDS):
        session = app.session("sink", f"burst-{i}")
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


if __name__ == "__main__":
    sys.exit(main())
