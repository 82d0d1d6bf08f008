"""The tick's slow sweep: what stands still because a release of before, or a store that lost its tail, left it so goes
on; what only waits is left alone."""

from __future__ import annotations

import pytest
from wakeline.processes.limits import Limit
from wakeline.store import ends, fleet, owners, waits

from tests.lua.world import BEAT_MS, LEASE_MS, World, wait

ROUND = 5
"""Ticks that look at all there is, where little is."""


def ticks(world: World, times: int = ROUND) -> None:
    for _ in range(times):
        world.tick()


def stood(world: World) -> dict[str, str]:
    """How many were put right, by what was wrong."""
    found: dict[str, str] = world.redis.hgetall(world.key("stood"))
    return {what: n for what, n in found.items() if not what.endswith(" at")}


def limited(world: World, limit: Limit) -> None:
    world.do(owners.register_owner("o1", [world.ns], lease_ms=LEASE_MS, limits={"b:job": limit.wire()}))


# -- parked on nothing


def parked_on_nothing(world: World, pid: str = "p") -> None:
    """As a release before left it: a hint came when the hold had just run out, and the park named no group."""
    fence = world.running(pid, "o1")
    world.open(fence, wait(f"{pid}-w"))
    world.signal(pid)
    world.redis.hset(world.key(f"proc:{pid}"), "o:forged", "1")
    assert isinstance(world.park(fence, "forged"), waits.LetGo)
    world.redis.hdel(world.key(f"proc:{pid}"), "o:forged")


def test_a_process_that_was_parked_on_nothing_is_resumed_and_finds_its_answer(world: World) -> None:
    parked_on_nothing(world)
    assert world.status() == "waiting"
    ticks(world)
    assert (world.status(), world.events()[-1], stood(world)) == ("queued", "process.resumed", {"waits": "1"})
    fence = world.claim()
    assert world.open(fence, wait("p-w"))[0].text == '{"status":"ok","value":1}'


def test_so_is_one_whose_waits_are_all_gone(world: World) -> None:
    world.parked("p")
    world.redis.delete(world.key("waits:p"), world.key("slot:w1"))
    ticks(world)
    assert (world.status(), stood(world)) == ("queued", {"waits": "1"})


@pytest.mark.parametrize("kind", ["s:go", "t:", "x:ask", "c:child"])
def test_a_process_that_waits_for_anything_stays_parked(world: World, kind: str) -> None:
    world.start("child")
    world.parked("p", "o1", wait("w1", kind, for_ms=3_600_000) if kind == "t:" else wait("w1", kind))
    ticks(world, 2 * ROUND)
    assert (world.status(), stood(world)) == ("waiting", {})


def test_one_that_waits_for_a_part_of_what_it_opened_stays_parked(world: World) -> None:
    fence = world.running("p")
    world.open(fence, wait("w1", group="g"), wait("w2", "s:stop", group="g"))
    world.park(fence, "g")
    world.signal("p")
    ticks(world, 2 * ROUND)
    assert (world.status(), stood(world)) == ("waiting", {})


@pytest.mark.parametrize(("opened", "status"), [(False, "queued"), (True, "waiting")])
def test_of_more_waits_than_a_script_looks_at_their_groups_say_whether_one_is_open(
    world: World, opened: bool, status: str
) -> None:
    fence = world.running("p")
    ids = [f"w{n}" for n in range(600)]
    for first in range(0, 600, 200):
        world.open(fence, *(wait(slot, f"x:{slot}", group="g") for slot in ids[first : first + 200]))
    world.park(fence, "g")
    pipeline = world.redis.pipeline()
    for slot in ids:
        pipeline.hset(world.key(f"slot:{slot}"), "r", '{"status":"ok","value":1}')
    pipeline.hset(world.key("proc:p"), "o:g", "1" if opened else "0")
    pipeline.execute()
    ticks(world)
    assert world.status() == status


def test_thousands_are_looked_at_page_by_page(world: World) -> None:
    for n in range(70):
        world.start(f"p{n}")
    world.worker()
    for claim in world.take():
        world.open(claim.fence, wait(f"{claim.process_id}-w"))
        world.park(claim.fence, f"{claim.process_id}-w")
    for pid in ("p3", "p40", "p69"):
        world.redis.delete(world.key(f"waits:{pid}"))
    world.tick()
    assert int(world.redis.hget(world.key("stood"), "waits") or 0) == 1  # one page
    ticks(world, 2 * ROUND)
    assert [world.status(f"p{n}") for n in (2, 3, 40, 68, 69)] == ["waiting", "queued", "queued", "waiting", "queued"]


def test_a_wait_whose_timer_was_lost_ends_in_time_all_the_same(world: World) -> None:
    world.parked("p", "o1", wait("w1", "t:", for_ms=60_000))
    world.redis.zrem(world.key("timers"), "s:w1")
    ticks(world)
    assert (stood(world), world.status()) == ({"deadlines": "1"}, "waiting")
    world.pass_ms(60_000)
    world.tick()
    assert (world.status(), world.resolution("w1")) == ("queued", '{"status":"ok","value":null}')


def test_a_wait_that_no_sender_would_find_takes_the_next_signal(world: World) -> None:
    world.parked("p", "o1", wait("w1"), wait("w2"))
    world.redis.hset(world.key("proc:p"), "n:go", "w2")
    ticks(world)
    assert (stood(world), world.field("n:go")) == ({"signals": "1"}, "w2,w1")


def test_it_takes_the_one_that_came_meanwhile(world: World) -> None:
    world.parked("p")
    world.redis.hdel(world.key("proc:p"), "n:go")
    assert world.signal("p", payload="7").taken_by == "mail"
    ticks(world)
    assert (stood(world), world.status(), world.mail()) == ({"signals": "1"}, "queued", [])
    assert world.resolution("w1") == '{"status":"ok","value":7}'


def test_a_page_of_which_all_went_on_is_followed_by_the_very_next(world: World) -> None:
    for n in range(40):
        world.start(f"p{n}")
    world.worker()
    for claim in world.take():
        world.open(claim.fence, wait(f"{claim.process_id}-w"))
        world.park(claim.fence, f"{claim.process_id}-w")
        world.redis.delete(world.key(f"waits:{claim.process_id}"))
    ticks(world, 2)
    assert stood(world) == {"waits": "40"}


def test_a_tick_looks_at_a_bounded_number_of_waits_and_the_next_one_goes_on(world: World) -> None:
    for n in range(9):
        world.start(f"p{n}")
    world.worker()
    for claim in world.take():
        ids = [f"{claim.process_id}-{n}" for n in range(200)]
        world.open(claim.fence, *(wait(slot, f"x:{slot}", group=claim.process_id) for slot in ids))
        world.park(claim.fence, claim.process_id)
        for slot in ids:
            world.redis.hset(world.key(f"slot:{slot}"), "r", "{}")
    seen: list[int] = []
    for _ in range(3):
        world.tick()
        seen.append(int(stood(world)["waits"]))
    assert seen == [3, 6, 9]


# -- a run that no worker has


def test_a_run_whose_owner_is_in_no_owners_set_is_handed_on(world: World) -> None:
    world.running("p")
    for key in ("owners", "owned:o1"):
        world.redis.delete(world.key(key))
    ticks(world)
    assert world.status() == "running"  # it may have begun just now
    world.pass_ms(10_001)
    ticks(world)
    assert (world.status(), world.field("ls"), stood(world)) == ("queued", "1", {"runs": "1"})


def test_a_run_whose_owner_lives_stays_with_it(world: World) -> None:
    fence = world.running("p")
    for _ in range(2 * ROUND):
        world.pass_ms(2_000)
        world.beat("o1", [fence.claim_id])
        world.tick()
    assert (world.status(), stood(world)) == ("running", {})


@pytest.mark.parametrize("at", ["1 0", "2 0"])
def test_what_the_same_tick_hands_on_is_not_taken_for_one_in_a_wrong_index(world: World, at: str) -> None:
    world.parked("sleeps", "o1", wait("w1", "t:", for_ms=LEASE_MS + BEAT_MS))
    world.running("runs")
    world.pass_ms(LEASE_MS + 1)
    world.tick()
    world.pass_ms(BEAT_MS)
    world.redis.hset(world.key("meta"), "still", at)
    report = world.tick()
    assert (report.reaped, report.fired, stood(world)) == (1, 1, {})
    assert [world.status(pid) for pid in ("sleeps", "runs")] == ["queued", "queued"]


def test_outside_work_is_nobodys_run(world: World) -> None:
    world.start("x", kind="external")
    world.pass_ms(60_000)
    ticks(world)
    assert (world.status("x"), stood(world)) == ("running", {})


# -- queued, and no worker will look


def test_a_process_that_waits_at_a_limit_in_no_line_is_offered_again(world: World) -> None:
    limited(world, Limit(concurrency=1))
    for pid in ("a", "b"):
        world.start(pid, limit="b:job")
    assert [claim.process_id for claim in world.take()] == ["a"]
    world.redis.delete(world.key("held:b:job"))
    ticks(world)
    assert (stood(world), world.field("hd", "b")) == ({"lines": "1"}, None)
    assert world.take() == ()
    assert world.redis.lrange(world.key("held:b:job"), 0, -1) == ["b"]


def test_one_that_stands_in_its_line_keeps_its_place_in_it(world: World) -> None:
    limited(world, Limit(concurrency=1))
    for pid in ("a", "b", "c"):
        world.start(pid, limit="b:job")
    world.take()
    ticks(world, 2 * ROUND)
    assert (stood(world), world.redis.lrange(world.key("held:b:job"), 0, -1)) == ({}, ["b", "c"])


def test_a_line_that_no_tick_knew_of_is_looked_after_again(world: World) -> None:
    limited(world, Limit(concurrency=1))
    for pid in ("a", "b"):
        world.start(pid, limit="b:job")
    world.take()
    world.redis.delete(world.key("holding"))
    ticks(world)
    assert world.redis.smembers(world.key("holding")) == {"b:job"}


def test_one_that_is_queued_for_a_time_ahead_without_a_timer_loses_nothing_but_that(world: World) -> None:
    world.start("p", delay_ms=86_400_000)
    ticks(world)
    assert stood(world) == {}  # its timer is there
    world.redis.zrem(world.key("timers"), "d:p")
    ticks(world)
    assert stood(world) == {"timers": "1"}
    world.pass_ms(30_001)
    world.tick()
    assert world.doorbells() == [f"wl-{world.ns}-p-1"]


def test_one_that_is_in_the_index_of_another_status_gets_into_its_own(world: World) -> None:
    world.start("p")
    for pid, status in (("p", "waiting"), ("gone", "running")):
        world.redis.zadd(world.key(f"idx:{status}"), {pid: 1})
    world.redis.zrem(world.key("idx:queued"), "p")
    ticks(world)
    assert [world.redis.zrange(world.key(f"idx:{status}"), 0, -1) for status in ("waiting", "running", "queued")] == [
        [],
        [],
        ["p"],
    ]
    assert stood(world) == {"indexes": "2"}


def test_one_without_a_bell_is_counted_once_however_often_it_is_rung(world: World) -> None:
    world.start("p")
    for _ in range(4):
        world.redis.delete(world.rq(f"queue:{world.ns}"))
        world.pass_ms(600_000)
        ticks(world)
    assert (stood(world), world.field("rg")) == ({"bells": "1"}, "4")


# -- places and cells


@pytest.mark.parametrize("whose", ["nobody", "ended", "parked"])
def test_a_place_that_no_run_has_goes_to_the_next(world: World, whose: str) -> None:
    limited(world, Limit(concurrency=1))
    for pid in ("parked", "ended"):
        world.start(pid)
    for claim in world.take():
        if claim.process_id == "parked":
            world.open(claim.fence, wait("w1"))
            world.park(claim.fence, "w1")
        else:
            world.finish("ended", claim.fence)
    world.redis.sadd(world.key("holds:b:job"), whose)
    world.start("b", limit="b:job")
    assert world.take() == ()
    ticks(world)
    assert stood(world) == {"places": "1"}
    assert [claim.process_id for claim in world.take()] == ["b"]


def test_a_place_that_a_release_before_left_with_a_parked_process_is_taken_from_it_once(world: World) -> None:
    limited(world, Limit(concurrency=1))
    world.parked("p")
    world.redis.hset(world.key("proc:p"), "lm", "q:other b:job")
    world.redis.sadd(world.key("holds:b:job"), "p")
    for pid in ("a", "b"):
        world.start(pid, limit="b:job")
    assert world.take() == ()
    ticks(world)
    assert (stood(world), world.field("lm")) == ({"places": "1"}, "q:other")
    world.signal("p")
    assert [claim.process_id for claim in world.take()] == ["a", "p"]
    assert world.redis.smembers(world.key("holds:b:job")) == {"a"}


def test_a_place_that_was_given_and_forgotten_is_taken_back_where_its_queue_stands_still(world: World) -> None:
    limited(world, Limit(concurrency=1))
    for pid in ("a", "b"):
        world.start(pid, limit="b:job")
    [claim] = world.take()
    world.finish("a", claim.fence)
    assert world.redis.smembers(world.key("holds:b:job")) == {"b"}
    world.redis.delete(world.key("given"))
    world.start("c", limit="b:job")
    world.redis.sadd(world.key("holding"), "b:job")
    ticks(world)
    assert world.redis.zrange(world.key("given"), 0, -1) == ["b"]


def test_the_place_of_a_run_stays_its_own(world: World) -> None:
    limited(world, Limit(concurrency=1))
    for pid in ("a", "b"):
        world.start(pid, limit="b:job")
    world.take()
    ticks(world, 2 * ROUND)
    assert (stood(world), world.redis.smembers(world.key("holds:b:job"))) == ({}, {"a"})


def test_a_cell_that_nobody_will_use_goes_to_the_next(world: World) -> None:
    limited(world, Limit(rate="1/1h"))
    world.redis.sadd(world.key("cells:b:job"), "nobody")
    world.start("b", limit="b:job")
    assert world.take() == ()
    ticks(world)
    assert stood(world) == {"cells": "1"}
    assert [claim.process_id for claim in world.take()] == ["b"]


# -- live load


def test_of_all_that_a_busy_namespace_does_nothing_is_found(world: World) -> None:
    limited(world, Limit(concurrency=2, rate="1000/1s"))
    for n in range(30):
        world.start(f"p{n}", limit="b:job" if n % 2 else None, delay_ms=500 if n % 5 == 0 else None)
    for turn in range(60):
        for claim in world.take(n=3):
            if turn % 3 == 0:
                world.open(claim.fence, wait(f"{claim.process_id}-{turn}", group=f"g{turn}"))
                world.park(claim.fence, f"g{turn}")
                world.tick()
                world.signal(claim.process_id, signal_id=str(turn))
            elif turn % 3 == 1:
                world.do(ends.release(claim.fence, delay_ms=0))
            else:
                world.finish(claim.process_id, claim.fence)
        world.pass_ms(400)
        world.do(owners.beat("o1", None, lease_ms=LEASE_MS))
        world.tick()
    assert stood(world) == {}


def test_what_was_put_right_is_counted_with_when_it_was(world: World) -> None:
    parked_on_nothing(world)
    ticks(world)
    view = world.do(fleet.read_fleet([world.ns]))
    assert view.stood == {"waits": fleet.Stood(1, world.now())}


def test_what_stands_still_now_is_counted_too(world: World) -> None:
    parked_on_nothing(world)
    limited(world, Limit(concurrency=1))
    world.redis.sadd(world.key("holds:b:job"), "nobody")
    world.start("b", limit="b:job")
    world.take()
    before = world.snapshot()
    assert world.do(fleet.read_fleet([world.ns])).standing == {"waits": 1, "places": 1}
    assert world.snapshot() == before
    ticks(world)
    assert world.do(fleet.read_fleet([world.ns])).standing == {}
