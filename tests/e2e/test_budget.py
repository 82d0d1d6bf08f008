"""What a unit of work costs the server: commands of scripts and bytes of the append-only file, which are the same on
any day. A change that lowers one lowers the number here, and one that raises one says why:
`python -m tests.e2e.test_budget` prints the numbers as they are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from secrets import token_hex
from typing import cast

import pytest
from wakeline import App, AsyncCtx, AsyncTurn
from wakeline.embedded import PrivateServer, ServerBinary, find_server
from wakeline.settings import Settings
from wakeline.store.connection import UrlBackend
from wakeline_workers import clock
from wakeline_workers.loop import WorkerLoop

from benchmarks.budget import Meter

pytestmark = pytest.mark.real
HOUSEKEEPING_MS = 60_000
FEW, MORE, TRIES = 4, 12, 2
"""A unit is what MORE of them cost above FEW, a unit each."""


@pytest.fixture(scope="module")
def alone() -> Iterator[PrivateServer]:
    """A server whose counts nothing else moves."""
    binary = find_server()
    assert binary is not None
    with PrivateServer(binary) as private:
        yield private


@pytest.fixture(autouse=True)
def one_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker run has one tick, at its beginning, also where it takes more than a second."""
    monkeypatch.setattr(clock, "TICK_MS", HOUSEKEEPING_MS)


class World:
    """An app whose bodies park at once, and worker runs that end when nothing is left to take."""

    def __init__(self, server: PrivateServer) -> None:
        settings = replace(Settings(), beat_ms=HOUSEKEEPING_MS, lease_ms=3 * HOUSEKEEPING_MS, hold_ms=0)
        self.app = app = App("t" + token_hex(4), backend=UrlBackend(server.url), settings=settings)
        self.meter = Meter(app.store.client)

        @app.engine
        async def nothing(ctx: AsyncCtx) -> None:
            """Ends at once."""

        async def one(n: int) -> int:
            return n

        @app.engine
        async def steps(ctx: AsyncCtx) -> None:
            for n in range(10):
                await ctx.step("one", one, n)

        @app.engine(signals={"go": bool})
        async def waits(ctx: AsyncCtx) -> None:
            await ctx.wait("go", bool)

        @app.agent("clerk")
        async def clerk(turn: AsyncTurn) -> None:
            """Says nothing."""

        self.nothing, self.steps, self.waits = nothing, steps, waits

    def work(self) -> None:
        """All that can be done is done, one unit after the other."""
        asyncio.run(WorkerLoop(self.app, concurrency=1, burst=True).serve())

    def parked(self, n: int) -> list[str]:
        ids = [self.app.start(self.waits).id for _ in range(n)]
        self.work()
        return ids


Prepared = Callable[[], object]


def starts(world: World, n: int) -> Prepared:
    world.work()  # those of the round before, which were only started
    return lambda: [world.app.start(world.nothing) for _ in range(n)]


def bulk_starts(world: World, n: int) -> Prepared:
    return lambda: world.app.start_many(world.nothing, [{}] * n)


def no_ops(world: World, n: int) -> Prepared:
    return lambda: ([world.app.start(world.nothing) for _ in range(n)], world.work())


def ten_steps(world: World, n: int) -> Prepared:
    return lambda: ([world.app.start(world.steps) for _ in range(n)], world.work())


def parks(world: World, n: int) -> Prepared:
    return lambda: world.parked(n)


def signals(world: World, n: int) -> Prepared:
    """Of processes that are parked; each ends with its signal."""
    ids = world.parked(n)
    return lambda: ([world.app.handle(one).signal("go", True) for one in ids], world.work())


def turns(world: World, n: int) -> Prepared:
    sessions = [world.app.session("clerk", token_hex(4)) for _ in range(n)]
    return lambda: ([session.send("hello") for session in sessions], world.work())


def cost(world: World, prepare: Callable[[World, int], Prepared]) -> tuple[int, int]:
    """Commands and bytes of one unit."""

    def least(n: int) -> tuple[float, float]:
        spent: list[tuple[float, float]] = []
        for _ in range(TRIES):
            measured = prepare(world, n)
            before = world.meter.look()
            measured()
            after = world.meter.look()
            spent.append((after.commands - before.commands, after.aof_bytes - before.aof_bytes))
        return min(one[0] for one in spent), min(one[1] for one in spent)

    prepare(world, FEW)()  # scripts, types and the worker's place are known from here on
    few, more = least(FEW), least(MORE)
    return round((more[0] - few[0]) / (MORE - FEW)), round((more[1] - few[1]) / (MORE - FEW))


COSTS: dict[Callable[[World, int], Prepared], tuple[int, int]] = {
    starts: (10, 1294),
    bulk_starts: (4, 1110),
    no_ops: (46, 3780),
    ten_steps: (98, 8151),
    parks: (52, 4640),
    signals: (59, 4566),
    turns: (82, 5953),
}
"""Commands, and bytes of the append-only file: of a unit alone, which shares no command with another one."""
ABOUT = 0.015
"""Times that end in a zero are shorter in the file, so its bytes differ by so much."""


@pytest.mark.parametrize("unit", COSTS, ids=lambda unit: unit.__name__)
def test_a_unit_costs_exactly_so_many_commands_and_so_many_bytes(
    alone: PrivateServer, unit: Callable[[World, int], Prepared]
) -> None:
    world = World(alone)
    commands, aof_bytes = cost(world, unit)
    world.app.close()
    expected = COSTS[unit]
    assert commands == expected[0], f"{commands} commands: lower the number here, or say what the others are for"
    assert aof_bytes == pytest.approx(expected[1], rel=ABOUT), "the same for the bytes"


if __name__ == "__main__":
    with PrivateServer(cast("ServerBinary", find_server())) as measured:
        for each in COSTS:
            print(f"    {each.__name__}: {cost(World(measured), each)},")
