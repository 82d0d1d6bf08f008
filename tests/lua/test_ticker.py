"""One ticks, and the others look whether it does: what a look leaves to it, and who takes over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from wakeline.store import owners, ticks

from tests.lua.conftest import emptied
from tests.lua.world import LEASE_MS, STALE_MS, World
from tests.races.rules import fails_without
from tests.servers import BACKENDS

EVERY_MS = 1_000


def ticking(world: World, who: str, **over: Any) -> ticks.TickReport:
    return world.tick(by=f"worker {who}", every_ms=EVERY_MS, **over)


def lose_bell(world: World, pid: str) -> None:
    """A queued process has no doorbell, and is old enough to be rung again."""
    world.start(pid)
    world.redis.delete(world.rq(f"queue:{world.ns}"))
    world.pass_ms(STALE_MS + 1)


def test_the_first_one_ticks_and_the_others_look_when_it_may_be_late(world: World) -> None:
    assert not ticking(world, "o1").spared
    began = world.now()
    world.pass_ms(400)
    assert ticking(world, "o2").spared_until_ms == began + 1_000
    world.pass_ms(500)
    assert not ticking(world, "o1").spared
    world.pass_ms(100)
    assert ticking(world, "o2").spared_until_ms == began + 1_900


def test_what_is_not_urgent_is_done_by_the_one_that_ticks_alone(world: World) -> None:
    lose_bell(world, "p")
    assert ticking(world, "o1").rung == 1
    world.redis.delete(world.rq(f"queue:{world.ns}"))
    world.pass_ms(STALE_MS + 1)
    ticking(world, "o1")
    assert (ticking(world, "o2").rung, world.doorbells()) == (0, [f"wl-{world.ns}-p-1"])


@fails_without(
    "one that did not tick for a second ticks no more",
    "lib/ticked.lua",
    "ends > now and ",
)
def test_one_that_died_stalls_or_was_stopped_is_replaced_a_second_after_its_last_tick(world: World) -> None:
    ticking(world, "o1")
    world.start("late", delay_ms=10)
    world.pass_ms(999)
    assert (ticking(world, "o2").spared, world.doorbells()) == (True, [])
    world.pass_ms(1)
    taken_over = ticking(world, "o2")
    assert (taken_over.spared, taken_over.fired, world.doorbells()) == (False, 1, [f"wl-{world.ns}-late-1"])
    world.pass_ms(1)
    assert ticking(world, "o1").spared  # the stopped one goes on, and finds another one in its place


@fails_without(
    "one that retains what has ended for longer ticks no more",
    "lib/ticked.lua",
    "if num(retains, 0) > a.retention_ms then return nil end",
)
def test_the_shortest_retention_counts_whichever_worker_ticked_first(world: World) -> None:
    ticking(world, "week")
    assert not ticking(world, "day", retention_ms=86_400_000).spared
    assert ticking(world, "week").spared
    world.pass_ms(900)
    assert not ticking(world, "day", retention_ms=86_400_000).spared
    assert ticking(world, "other day", retention_ms=86_400_000).spared


def test_one_that_was_told_of_a_timer_fires_it_although_another_one_ticks(world: World) -> None:
    ticking(world, "o1")
    began = world.now()
    world.start("soon", delay_ms=10)
    world.start("later", delay_ms=300)
    world.start("much later", delay_ms=3_000)
    world.pass_ms(10)
    assert (ticking(world, "o2").fired, world.doorbells()) == (0, [])
    told = ticking(world, "o2", told=True)
    assert (told.fired, told.spared_until_ms, told.next_due_ms) == (1, began + 1_000, began + 300)
    assert world.doorbells() == [f"wl-{world.ns}-soon-1"]


def test_a_look_tells_of_what_needs_code_which_the_one_that_ticks_may_not_have(world: World) -> None:
    world.script("queue_declare", app="a", queues=[])
    world.redis.zadd(world.key("cron"), {"nightly": world.now()})
    world.redis.zadd(world.key("deliveries"), {"d": world.now() - 10_000})
    world.redis.hset(world.key("inforce"), mapping={"shop": "v2", "shop:p": "1"})
    ticking(world, "o1")
    look = world.raw(
        ticks.tick(
            beat_ms=2_000, lease_ms=1, stale_ms=1, retention_ms=1, tombstone_ms=1, by="worker o2", every_ms=EVERY_MS
        )
    )
    assert ([row[0] for row in look[7]], look[8], look[11]) == (["nightly"], 1, [["shop", "v2"]])


def test_a_tick_of_the_release_before_keeps_none_from_ticking(world: World) -> None:
    world.tick(by="worker old")
    assert not ticking(world, "o1").spared
    assert not world.tick(by="worker old").spared
    assert ticking(world, "o2").spared


def test_a_tick_from_a_time_that_the_clock_has_not_reached_keeps_none_from_ticking(world: World) -> None:
    ticking(world, "o1")
    world.clock._now_ms -= 3_600_000
    assert not ticking(world, "o2").spared


def test_stock_jobs_leave_it_to_the_one_that_ticks_as_before(world: World) -> None:
    ticking(world, "o1")
    assert world.tick(by="stock o2", spare_ms=10_000).spared_until_ms == world.now() + 10_000


@pytest.fixture(params=BACKENDS[1:])
def served(request: pytest.FixtureRequest, lua_server: Callable[[str], str]) -> Iterator[World]:
    """A namespace on a real server, which counts its commands."""
    made = World.on(emptied(request.param, lua_server))
    yield made
    made.store.close()


def test_a_look_runs_six_commands_beside_any_backlog(served: World) -> None:
    for n in range(200):
        served.start(f"p{n}")
    served.pass_ms(STALE_MS + 1)
    for owner in ("o1", "o2"):
        served.do(owners.register_owner(owner, [served.ns], lease_ms=LEASE_MS))
    ticking(served, "o1")
    ticking(served, "o2")
    before = sum(row["calls"] for row in served.redis.info("commandstats").values())
    assert ticking(served, "o2").spared
    assert sum(row["calls"] for row in served.redis.info("commandstats").values()) - before - 2 == 4
