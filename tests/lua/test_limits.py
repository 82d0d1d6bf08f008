"""Limits and pauses in the scripts: places that are taken with the claim and left with the run, rates, and who waits in which order."""

from __future__ import annotations

from typing import Any

import pytest
from wakeline.processes.limits import Limit
from wakeline.store import fleet, processes
from wakeline.store.processes import Parked

from tests.lua.world import LEASE_MS, World, wait


def limited(world: World, **limits: Limit) -> None:
    """A worker start says what the limits are: of bodies by name, of the queue as ``queue``."""
    names = {(f"q:{world.ns}" if name == "queue" else f"b:{name}"): limit.wire() for name, limit in limits.items()}
    world.do(fleet.register_owner("o1", [world.ns], lease_ms=LEASE_MS, limits=names))


def start(world: World, *pids: str, limit: str | None = "b:job") -> None:
    for pid in pids:
        world.start(pid, limit=limit)


def taken(world: World, owner: str = "o1", n: int = 100) -> list[str]:
    world.do(fleet.register_owner(owner, [world.ns], lease_ms=LEASE_MS))
    return [claim.process_id for claim in world.take(owner, n)]


def finish(world: World, pid: str) -> None:
    fields = world.redis.hgetall(world.key(f"proc:{pid}"))
    args = {"pid": pid, "status": "completed", "output": '{"type":"success","value":1}', "hash": "h"}
    fence = {"pid": pid, "inc": fields["inc"], "ep": fields["ep"], "cl": fields["cl"]}
    assert world.script("process_finish", **args, fence=fence)[0] == "finished"


def left(world: World) -> set[str]:
    """What of limits is in the namespace besides their numbers."""
    families = ("holds", "held", "holding", "rate")
    everything = world.keys()
    return {key.removeprefix(world.key("")) for key in everything if key.removeprefix(world.key("")).split(":")[0] in families}


def test_so_many_run_at_once_and_the_others_follow_in_their_order(world: World) -> None:
    limited(world, job=Limit(concurrency=2))
    start(world, "a", "b", "c", "d")
    start(world, "free", limit=None)
    assert taken(world) == ["a", "b", "free"]
    assert (taken(world), world.doorbells()) == ([], [])
    finish(world, "b")
    assert taken(world) == ["c"]
    for pid in ("a", "c"):
        finish(world, pid)
    assert taken(world) == ["d"]
    finish(world, "d")
    assert left(world) == set()


def test_a_place_that_is_left_is_the_next_ones_also_if_somebody_new_comes_first(world: World) -> None:
    limited(world, job=Limit(concurrency=1))
    start(world, "a", "b")
    assert taken(world) == ["a"]
    start(world, "new")
    finish(world, "a")
    world.redis.lpush(world.rq(f"queue:{world.ns}"), *reversed(world.redis.lrange(world.rq(f"queue:{world.ns}"), 0, -1)))  # "new" is looked at first
    assert taken(world) == ["b"]
    finish(world, "b")
    assert taken(world) == ["new"]


def test_each_key_has_places_of_its_own(world: World) -> None:
    limited(world, job=Limit(concurrency=1))
    start(world, "a1", "a2", "a3", limit="b:job:ann")
    start(world, "b1", limit="b:job:bob")
    assert taken(world) == ["a1", "b1"]
    finish(world, "a1")
    assert taken(world) == ["a2"]


@pytest.mark.parametrize("how", ["finish", "park", "lose", "hand back", "cancel"])
def test_however_a_run_ends_its_place_is_free(world: World, how: str) -> None:
    limited(world, job=Limit(concurrency=1))
    start(world, "a", "b")
    (claim,) = world.take("o1")
    match how:
        case "finish":
            finish(world, "a")
        case "park":
            world.open(claim.fence, wait("w1"))
            assert isinstance(world.do(processes.park(claim.fence, ["w1"], "{}")), Parked)
        case "lose":
            world.do(fleet.reap("o1"))
        case "hand back":
            world.do(processes.release(claim.fence, delay_ms=60_000))
        case "cancel":
            world.do(processes.cancel("a", "asked", grace_ms=1))
            world.pass_ms(10)
            world.do(fleet.beat("o1", [world.redis.hget(world.key("proc:a"), "cl")], lease_ms=LEASE_MS))
            world.tick()
    assert "b" in taken(world, "o2")


def test_who_waits_for_a_place_and_is_cancelled_is_passed_over(world: World) -> None:
    limited(world, job=Limit(concurrency=1))
    start(world, "a", "b", "c")
    assert taken(world) == ["a"]
    world.do(processes.cancel("b", "asked", grace_ms=1))
    world.pass_ms(10)
    world.tick()
    assert world.status("b") == "cancelled"
    finish(world, "a")
    assert taken(world) == ["c"]
    finish(world, "c")
    assert left(world) == set()


def test_a_queue_and_a_body_limit_hold_together(world: World) -> None:
    limited(world, job=Limit(concurrency=2), queue=Limit(concurrency=3))
    start(world, "a", "b", "c")
    start(world, "x", "y", limit=None)
    assert taken(world) == ["a", "b", "x"]
    finish(world, "a")
    assert taken(world) == ["y"]  # who waited at the queue; what waited at the body now waits at the queue too
    finish(world, "b")
    assert taken(world) == ["c"]
    for pid in ("x", "c", "y"):
        finish(world, pid)
    assert left(world) == set()


def test_a_rate_lets_a_burst_begin_and_then_one_at_a_time(world: World) -> None:
    limited(world, job=Limit(rate="2/10s"))
    start(world, "a", "b", "c", "d")
    assert taken(world) == ["a", "b"]
    world.pass_ms(4_999)
    world.tick()
    assert taken(world) == []
    world.pass_ms(1)
    world.tick()
    assert taken(world) == ["c"]
    world.pass_ms(5_000)
    world.tick()
    assert taken(world) == ["d"]
    world.pass_ms(20_000)
    world.tick()
    start(world, "e", "f", "g")
    assert taken(world) == ["e", "f"]


def test_a_resumed_process_is_not_counted_by_the_rate_again(world: World) -> None:
    limited(world, job=Limit(rate="1/1h"))
    start(world, "a")
    (claim,) = world.take("o1")
    world.open(claim.fence, wait("w1"))
    world.do(processes.park(claim.fence, ["w1"], "{}"))
    world.script("slot_resolve", pid="a", inc="inc00001", id="w1", resolution='{"status":"ok","value":1}')
    assert taken(world) == ["a"]


def test_a_limit_that_is_raised_or_gone_lets_those_who_wait_in(world: World) -> None:
    limited(world, job=Limit(concurrency=1))
    start(world, "a", "b", "c", "d")
    assert taken(world) == ["a"]
    limited(world, job=Limit(concurrency=2))
    world.tick()
    assert taken(world) == ["b"]
    world.do(fleet.register_owner("o1", [world.ns], lease_ms=LEASE_MS, limits={"b:job": ""}))
    world.tick()
    assert taken(world) == ["c", "d"]
    for pid in ("a", "b", "c", "d"):
        finish(world, pid)
    assert left(world) == set()


def test_who_waits_for_a_place_is_no_lost_doorbell(world: World) -> None:
    limited(world, job=Limit(concurrency=1))
    start(world, "a", "b")
    assert taken(world) == ["a"]
    for _ in range(5):
        world.pass_ms(40_000)
        world.do(fleet.beat("o1", [world.redis.hget(world.key("proc:a"), "cl")], lease_ms=LEASE_MS))
        assert world.tick().rung == 0
    assert world.doorbells() == []


def test_a_thousand_that_wait_at_one_limit_are_put_aside_in_bounded_steps(world: World) -> None:
    limited(world, job=Limit(concurrency=1))
    for n in range(300):
        start(world, f"p{n}")
    start(world, "free", limit=None)
    world.worker()
    first = world.do(world.taking(n=100))
    assert ([c.process_id for c in first.claims], first.more) == (["p0"], True)
    assert [c.process_id for c in world.do(world.taking(n=100)).claims] == ["free"]
    assert world.redis.llen(world.key("held:b:job")) == 299


def test_a_take_sent_again_holds_no_second_place(world: World) -> None:
    limited(world, job=Limit(concurrency=1))
    start(world, "a", "b")
    world.worker()
    call = world.taking(request="r1")
    first, before = world.do(call), world.snapshot()
    assert [c.fence for c in world.do(call).claims] == [c.fence for c in first.claims]
    assert world.snapshot() == before


def test_a_stock_worker_keeps_to_the_limits_too(world: World) -> None:
    limited(world, job=Limit(concurrency=1))
    start(world, "a", "b")
    world.worker()
    assert world.do(fleet.claim("a", 1, "o1", "c1", lease_ms=LEASE_MS)) is not None
    assert world.do(fleet.claim("b", 1, "o1", "c2", lease_ms=LEASE_MS)) is None
    fields = world.redis.hgetall(world.key("proc:a"))
    world.script("process_finish", pid="a", status="completed", output="{}", hash="h", fence={"pid": "a", "inc": fields["inc"], "ep": "1", "cl": "c1"})
    assert world.do(fleet.claim("b", 1, "o1", "c2", lease_ms=LEASE_MS)) is not None


def test_nothing_is_taken_from_a_paused_queue_and_whoever_waits_is_told_when_it_goes_on(world: World) -> None:
    start(world, "a", limit=None)
    assert [world.do(fleet.pause(world.ns)) for _ in range(2)] == [True, False]
    world.worker()
    assert world.do(world.taking(idle=True)).claims == ()
    start(world, "b", limit=None)
    assert world.do(fleet.pause(world.ns, paused=False)) is True
    assert world.do(fleet.pause(world.ns, paused=False)) is False
    assert "bell" in world.redis.lrange(world.key("notify:o1"), 0, -1)
    assert taken(world) == ["a", "b"]


def test_a_list_shows_who_runs_and_who_waits(world: World) -> None:
    limited(world, job=Limit(concurrency=1, rate="5/1m"), queue=Limit(concurrency=9))
    start(world, "a", "b", limit="b:job:ann")
    start(world, "c", limit=None)
    taken(world, n=2)
    world.do(fleet.pause(world.ns))
    start(world, "d", limit=None)
    queues, limits = world.do(fleet.list_queues([world.ns]))
    [queue] = queues
    assert (queue.name, queue.waiting, queue.running, queue.paused, queue.limit) == (world.ns, 1, 2, True, {"c": 9})
    found: dict[str, Any] = {one.name: (one.limit, one.running, one.waiting) for one in limits}
    rule = {"c": 1, "n": 5, "w": 60_000}
    assert found == {"job": (rule, 0, 0), "job:ann": (rule, 1, 1)}
