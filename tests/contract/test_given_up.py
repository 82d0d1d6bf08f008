"""What a body gives up: it stays given up in each later run, and what follows from it acts on nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from wakeline.body.context import AsyncCtx
from wakeline.run.asides import GONE
from wakeline.store.calls import Call

from tests.contract.test_replays_of_any_body import Mortal, Player, work_until_dead
from tests.contract.working import app_of

if TYPE_CHECKING:
    from tests.contract.conftest import World

T = TypeVar("T")
LONG_S = 60


def lived(
    world: World, player: Player, deaths: list[tuple[int, bool]] | None = None, *, hold_ms: int = 0, ends: bool = True
) -> None:
    """The process of the engine `job` from start to end, through workers that die at these writes."""
    player.release.using(id="p").start(player.release.registry.engine("job"))
    left = list(deaths or [])
    for n in range(30):
        if world.status() == "waiting":
            world.clock.advance("11s")
            world.tick()
        elif world.status() == "queued":
            dies_at, after = left.pop(0) if left else (0, False)
            if work_until_dead(world, player.release, f"w_{n}", dies_at, after, hold_ms):
                world.lose(f"w_{n}")
        else:
            break
        if not ends and player.release.handle("p").status().misfit:
            break
    assert world.status() == ("completed" if ends else "queued"), player.release.handle("p").status()


async def gives_up(what: Awaitable[Any], after_s: float) -> bool:
    try:
        await asyncio.wait_for(what, after_s)
    except TimeoutError:
        return True
    return False


async def gives_up_in_a_block(what: Awaitable[Any], after_s: float) -> bool:
    try:
        async with asyncio.timeout(after_s):
            await what
    except TimeoutError:
        return True
    return False


async def cancels(what: Awaitable[Any], after_s: float) -> bool:
    task = asyncio.ensure_future(what)
    done, _ = await asyncio.wait([task], timeout=after_s)
    task.cancel()
    await asyncio.wait([task])
    return not done


@pytest.mark.parametrize(
    ("kind", "way"),
    [
        *((kind, way) for kind in ("step", "call") for way in (gives_up, gives_up_in_a_block, cancels)),
        *((kind, gives_up) for kind in ("wait", "sleep")),
    ],
)
def test_effects_that_are_given_up_side_by_side_stay_so_in_each_later_run(
    world: World, kind: str, way: Callable[[Awaitable[Any], float], Awaitable[bool]]
) -> None:
    """The first to go says nothing of the others: they were new effects then, and acted once more."""
    player = Player(app_of(world))

    async def long(at: str) -> None:
        player.did[at] += 1
        await asyncio.sleep(LONG_S)

    slow = player.release.tool(name="slow")(long)
    found: list[list[bool]] = []

    @player.release.engine
    async def job(ctx: AsyncCtx) -> None:
        def what(i: int) -> Awaitable[Any]:
            match kind:
                case "step":
                    return ctx.step(f"long {i}", long, f"long {i}")
                case "call":
                    return ctx.call(slow, f"long {i}")
                case "wait":
                    return ctx.wait(f"go{i}")
                case _:
                    return ctx.sleep(f"{i + 1}h")

        async def one(i: int, after_s: float) -> bool:
            late = await way(what(i), after_s)
            await ctx.step(f"after {i}", player.act, f"after {i}")
            return late

        found.append(await asyncio.gather(one(0, 0.02), one(1, 0.06), one(2, 0.1)))
        for _ in range(3):
            await ctx.sleep("10s")

    # A wait keeps its body in memory until it is given up.
    lived(world, player, hold_ms=600 if kind in ("wait", "sleep") else 0)
    assert all(player.did[f"long {i}"] <= 1 for i in range(3)), player.did  # on a slow machine it may not have begun
    assert [player.did[f"after {i}"] for i in range(3)] == [1, 1, 1]
    assert found == [[True, True, True]] * 4  # the first run, and one after each sleep


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("dies_at", range(1, 8))
@pytest.mark.parametrize("follows", ["step", "call", "start"])
def test_what_follows_a_give_up_acts_on_nothing_else_after_the_death_of_its_worker(
    world: World, follows: str, dies_at: int, after: bool
) -> None:
    """The step takes long in its first run alone. So a body that knew nothing of the give-up would have its outcome."""
    player = Player(app_of(world))

    @player.release.engine
    async def child(ctx: AsyncCtx, at: str) -> None:
        player.did[at] += 1

    async def long() -> str:
        player.did["long"] += 1
        await asyncio.sleep(LONG_S if player.did["long"] == 1 else 0)
        return "outcome"

    @player.release.engine
    async def job(ctx: AsyncCtx) -> None:
        late = await gives_up(ctx.step("long", long), 0.02)
        at = "late" if late else "in time"
        match follows:
            case "step":
                await ctx.step(at, player.act, at)
            case "call":
                await ctx.call(player.steady, at)
            case _:
                await ctx.start(child, at)
                player.did[at] += 1
        await ctx.sleep("10s")

    lived(world, player, [(dies_at, after)])
    assert len({"late", "in time"} & player.did.keys()) == 1, player.did


class Counts(Mortal):
    """The client of a worker, which counts the rows of give-ups that it writes."""

    written = 0

    async def execute(self, call: Call[T]) -> T:
        Counts.written += str(call.args).count(GONE)
        return await super().execute(call)


def test_many_that_are_given_up_side_by_side_are_written_once_before_what_follows_each(world: World) -> None:
    """Each of the steps that follow waits for one write of them all, and does not write all of them again."""
    player, many = Player(app_of(world)), 300

    async def long() -> None:
        await asyncio.sleep(LONG_S)

    @player.release.engine
    async def job(ctx: AsyncCtx) -> None:
        async def one(i: int) -> None:
            await gives_up(ctx.step(f"long {i}", long), 0.2)
            await ctx.step(f"after {i}", player.act, f"after {i}")

        await asyncio.gather(*(one(i) for i in range(many)))

    player.release.using(id="p").start(job)
    Counts.written = 0
    work_until_dead(world, player.release, "w_0", 0, after=False, store=Counts)
    assert (world.status(), sum(player.did.values())) == ("completed", many)
    assert many <= Counts.written <= 3 * many


def test_two_that_are_given_up_at_once_cost_one_write_before_what_follows(world: World) -> None:
    player = Player(app_of(world))

    async def long() -> None:
        await asyncio.sleep(LONG_S)

    @player.release.engine
    async def job(ctx: AsyncCtx) -> None:
        await asyncio.gather(*(gives_up(ctx.step(f"long {i}", long), 0.02) for i in range(2)))
        await ctx.step("after", player.act, "after")
        await ctx.step("last", player.act, "last")

    lived(world, player)
    rows = player.release.handle("p").effects()
    assert [row.name for row in rows] == ["after", "last"]


def test_a_body_that_does_not_give_up_again_is_another_one_and_does_not_act(world: World) -> None:
    player = Player(app_of(world))
    runs: list[int] = []

    async def long() -> None:
        player.did["long"] += 1
        await asyncio.sleep(LONG_S)

    @player.release.engine
    async def job(ctx: AsyncCtx) -> None:
        runs.append(1)
        await gives_up(ctx.step("long", long), 0.02 if len(runs) == 1 else LONG_S)
        await ctx.sleep("10s")

    lived(world, player, ends=False)
    misfit = player.release.handle("p").status().misfit
    assert misfit is not None
    assert (player.did["long"] <= 1, misfit.kind) == (True, "mismatch")
