"""Bodies that give waits up by a timeout of asyncio's, and tasks that go on in the very moment of a park: no wait is
left behind, no process stands still."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING
from unittest import mock

from wakeline.body.context import AsyncCtx
from wakeline.errors import LeaseLost
from wakeline.run.host import RunState

from tests.contract.working import Host, app_of, work

if TYPE_CHECKING:
    from tests.contract.conftest import World


def test_a_wait_that_was_given_up_before_its_worker_died_is_given_up_again_and_not_parked_on(world: World) -> None:
    release, lives = app_of(world), list[str]()

    async def dies_once() -> None:
        lives.append("life")
        if len(lives) == 1:
            await asyncio.sleep(0.4)
            raise LeaseLost(process_id="p")

    @release.engine
    async def job(ctx: AsyncCtx) -> str:
        async def impatient() -> str:
            try:
                return str(await asyncio.wait_for(ctx.wait("never"), 0.1))
            except TimeoutError:
                return "in time"

        return (await asyncio.gather(impatient(), ctx.step("dies once", dies_once)))[0]

    handle = release.using(id="p").start(job)
    assert work(world, release, "w_1") == ["released", "finished"]  # a run that is refused gives its claim back
    assert handle.result() == "in time"


def test_a_wait_that_is_given_up_during_a_replay_takes_no_signal(world: World) -> None:
    release, lives = app_of(world), list[str]()

    @release.engine
    async def job(ctx: AsyncCtx) -> str:
        lives.append("life")

        async def impatient() -> str:
            try:
                return "the first: " + await asyncio.wait_for(ctx.wait("go", str), 0.02)
            except TimeoutError:
                return "the second: " + await ctx.wait("go", str)

        async def slow() -> None:
            await asyncio.sleep(0.05 * (len(lives) > 1))  # a page that takes its time
            await ctx.step("slow", str, "slow")
            await ctx.sleep("10s")

        return (await asyncio.gather(impatient(), slow()))[0]

    handle = release.using(id="p").start(job)
    assert work(world, release) == ["parked"]  # which cuts the timeout off
    world.clock.advance("10s")
    world.tick()
    assert work(world, release) == ["parked"]
    assert [slot["n"] for slot in world.view().slots.values() if slot["k"] == "s:go"] == ["2"]
    world.signal("p", "go", "now")
    assert work(world, release) == ["finished"]
    assert handle.result() == "the second: now"


def parks(world: World, then: Callable[[AsyncCtx], object]) -> list[str]:
    """What becomes of a run one of whose tasks goes on when another one's wait has just been opened."""
    release, opened = app_of(world), list[asyncio.Event]()

    @release.engine
    async def job(ctx: AsyncCtx) -> None:
        opened.append(asyncio.Event())
        # A run that is neither parked nor over by then never will be.
        asyncio.get_running_loop().call_later(3, ctx.run.life.end, RunState.LOST)

        async def late() -> None:
            await opened[-1].wait()
            await then(ctx)  # type: ignore[misc]

        await asyncio.gather(ctx.sleep("1h"), ctx.wait("again", default=None, timeout="10s"), late())

    release.using(id="p").start(job)
    with mock.patch.object(Host, "timer", lambda self, due_ms: opened[-1].set()):
        ended = work(world, release)
        world.signal("p", "again")
        return ended + work(world, release)


def test_a_run_is_parked_although_its_last_task_ends_when_its_hold_does(world: World) -> None:
    async def recorded(ctx: AsyncCtx) -> None:
        await ctx.step("late", str, "late")

    assert parks(world, recorded) == ["parked", "parked"]


def test_a_run_is_not_parked_while_a_task_of_its_body_is_about_to_ask_for_more(world: World) -> None:
    async def asks(ctx: AsyncCtx) -> None:
        for _ in range(5):
            await asyncio.sleep(0)
        await ctx.wait("go")

    parks(world, asks)
    assert sorted(slot["k"] for slot in world.view().slots.values()) == ["s:go", "t:"]
