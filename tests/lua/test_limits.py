"""Limits and pauses in the scripts: places that are taken with the claim and left with the run, rates, and who waits in
which order."""

from __future__ import annotations

from typing import Any

import pytest
from wakeline.processes.limits import Limit
from wakeline.store import claims, ends, owners, waits
from wakeline.store import queues as stored_queues
from wakeline.store.waits import LetGo

from tests.lua.world import LEASE_MS, World, wait


def limited(world: World, **limits: Limit) -> None:
    """A worker start says what the limits are: of bodies by name, of the queue as ``queue``."""
    names = {(f"q:{world.ns}" if name == "queue" else f"b:{name}"): limit.wire() for name, limit in limits.items()}
    world.do(owners.register_owner("o1", [world.ns], lease_ms=LEASE_MS, limits=names))


def start(world: World, *pids: str, limit: str | None = "b:job") -> None:
    for pid in pids:
        world.start(pid, limit=limit)


def taken(world: World, owner: str = "o1", n: int = 100) -> list[str]:
    world.do(owners.register_owner(owner, [world.ns], lease_ms=LEASE_MS))
    return [claim.process_id for claim in world.take(owner, n)]


def finish(world: World, pid: str) -> None:
    fields = world.redis.hgetall(world.key(f"proc:{pid}"))
    args = {"pid": pid, "status": "completed", "output": '{"type":"success","value":1}', "hash": "h"}
    fence = {"pid": pid, "inc": fields["inc"], "ep": fields["ep"], "cl": fields["cl"]}
    assert world.script("process_finish", **args, fence=fence)[0] == "finished"


def left(world: World) -> set[str]:
    """What of limits is in the namespace besides their numbers."""
    families = ("holds", "held", "holding", "rate", "begun", "cells", "rated", "rating")
    everything = world.keys()
    return {
        key.removeprefix(world.key(""))
        for key in everything
        if key.removeprefix(world.key("")).split(":")[0] in families
    }


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
    world.redis.lpush(
        world.rq(f"queue:{world.ns}"), *reversed(world.redis.lrange(world.rq(f"queue:{world.ns}"), 0, -1))
    )  # "new" is looked at first
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
            assert isinstance(world.do(waits.park(claim.fence, ["w1"], "{}")), LetGo)
        case "lose":
            world.do(owners.reap("o1"))
        case "hand back":
            world.do(ends.release(claim.fence, delay_ms=60_000))
        case "cancel":
            world.do(ends.cancel("a", "asked", grace_ms=1))
            world.pass_ms(10)
            world.do(owners.beat("o1", [world.redis.hget(world.key("proc:a"), "cl")], lease_ms=LEASE_MS))
            world.tick()
    assert "b" in taken(world, "o2")


def test_who_waits_for_a_place_and_is_cancelled_is_passed_over(world: World) -> None:
    limited(world, job=Limit(concurrency=1))
    start(world, "a", "b", "c")
    assert taken(world) == ["a"]
    world.do(ends.cancel("b", "asked", grace_ms=1))
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


def test_a_rate_with_a_burst_lets_that_many_begin_and_then_one_at_a_time(world: World) -> None:
    limited(world, job=Limit(rate="2/10s", burst=2))
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


def begun(world: World, ms: int, step: int) -> list[tuple[int, str]]:
    """What begins in so many ms, looked at every ``step``: when, and which."""
    found: list[tuple[int, str]] = []
    for at in range(0, ms, step):
        world.tick()
        found += [(at, pid) for pid in taken(world)]
        world.pass_ms(step)
    return found


def most_in_a_window(moments: list[int], window: int) -> int:
    return max(sum(1 for other in moments if at <= other < at + window) for at in moments)


def test_no_window_of_a_rate_has_more_beginnings_than_it_says_and_none_is_left_unused(world: World) -> None:
    """Also where a quiet time went before, and where some begin in the middle of a window."""
    limited(world, job=Limit(rate="4/1s"))
    start(world, "a", "b")
    early = begun(world, 700, 100)
    start(world, *(f"p{n}" for n in range(20)))
    moments = [at for at, _ in early] + [700 + at for at, _ in begun(world, 6_000, 100)]
    assert len(moments) == 22
    assert most_in_a_window(moments, 1_000) == 4
    assert moments[:8] == [0, 0, 700, 700, 1_000, 1_000, 1_700, 1_700]


def test_cells_that_were_given_while_no_worker_took_them_make_no_window_fuller(world: World) -> None:
    limited(world, job=Limit(rate="3/1s"))
    start(world, *(f"p{n}" for n in range(12)))
    assert taken(world) == ["p0", "p1", "p2"]
    for _ in range(5):
        world.pass_ms(1_000)
        world.tick()
    assert taken(world) == ["p3", "p4", "p5"]
    world.tick()
    assert taken(world) == []
    world.pass_ms(1_000)
    world.tick()
    assert taken(world) == ["p6", "p7", "p8"]


def test_who_waits_for_a_rate_begins_in_order_and_is_rung_only_at_its_own_cell(world: World) -> None:
    limited(world, job=Limit(rate="2/1s"))
    start(world, *(f"p{n:02}" for n in range(20)))
    assert taken(world) == ["p00", "p01"]
    assert (world.doorbells(), world.timers()) == ([], ["r:b:job"])
    order: list[str] = []
    for _ in range(9):
        world.pass_ms(1_000)
        world.tick()
        assert len(world.doorbells()) == 2
        order += taken(world)
    assert order == [f"p{n:02}" for n in range(2, 20)]
    for n in range(20):
        finish(world, f"p{n:02}")
    world.pass_ms(1_000)
    world.tick()
    assert left(world) <= {"begun:b:job"}


def test_cells_that_a_tick_gives_after_a_long_wait_are_taken_in_order(world: World) -> None:
    """The sweep of the same tick sees processes that were queued long ago, and does not take their new bells for lost
    ones."""
    limited(world, job=Limit(rate="3/1m"))
    start(world, "a", "b", "c", "d", "e", "f")
    assert taken(world) == ["a", "b", "c"]
    world.pass_ms(60_000)
    assert world.tick().rung == 0
    assert taken(world) == ["d", "e", "f"]


def test_somebody_new_does_not_come_before_those_who_wait_for_a_rate(world: World) -> None:
    limited(world, job=Limit(rate="1/1s"))
    start(world, "a", "b")
    assert taken(world) == ["a"]
    world.pass_ms(1_000)
    start(world, "new")
    assert taken(world) == []
    world.tick()
    assert taken(world) == ["b"]


@pytest.mark.parametrize("n", [1_001, 5_000])
def test_a_rate_of_thousands_is_counted_in_steps_and_never_exceeded(world: World, n: int) -> None:
    limited(world, job=Limit(rate=f"{n}/10s"))
    key, step = world.key("begun:b:job"), 10
    world.redis.rpush(key, f"{world.now() + step - 1}:0:{n - 1}")
    start(world, "a", "b")
    assert taken(world) == ["a"]
    assert world.redis.lrange(key, 0, -1) == [f"{world.now() + step - 1}:0:{n}"]
    world.pass_ms(10_000)
    world.tick()
    assert taken(world) == []
    world.pass_ms(step)
    world.tick()
    assert taken(world) == ["b"]


def test_what_the_release_before_counted_counts(world: World) -> None:
    limited(world, job=Limit(rate="2/10s"))
    world.redis.set(world.key("rate:b:job"), world.now() + 9_000)
    start(world, "a")
    assert taken(world) == []
    world.pass_ms(10_000)
    world.tick()
    assert taken(world) == ["a"]


def test_a_clock_that_jumped_back_keeps_a_rate_closed_for_one_of_its_times_only(world: World) -> None:
    limited(world, job=Limit(rate="1/1s"))
    start(world, "a", "b")
    assert taken(world) == ["a"]
    world.clock._now_ms -= 3_600_000  # pyright: ignore[reportPrivateUsage]
    world.tick()
    assert taken(world) == []
    world.pass_ms(1_000)
    world.tick()
    assert taken(world) == ["b"]


@pytest.mark.parametrize("limit", [Limit(concurrency=1), Limit(rate="1/1s")])
@pytest.mark.parametrize("how", ["paused", "unserved"])
def test_a_place_or_cell_is_not_given_to_who_would_not_be_taken(world: World, limit: Limit, how: str) -> None:
    other = f"{world.ns}.other"
    limited(world, job=limit)
    world.do(owners.register_owner("o9", [other], lease_ms=10**9))
    start(world, "a")
    assert taken(world) == ["a"]
    world.start("b", limit="b:job", queue=other)
    assert world.do(claims.take("o9", "r9", [other], 1, lease_ms=10**9, idle=False)).claims == ()
    start(world, "c", "d")
    assert taken(world) == []
    if how == "paused":
        world.do(stored_queues.pause(other))
    else:
        world.do(owners.reap("o9"))
    finish(world, "a")
    world.pass_ms(1_000)
    world.tick()
    assert taken(world) == ["c"]
    assert world.redis.lrange(world.rq(f"queue:{other}"), 0, -1) == [f"wl-{world.ns}-b-1".replace(".", "_2e")]
    finish(world, "c")
    world.pass_ms(1_000)
    world.tick()
    assert taken(world) == ["d"]
    finish(world, "d")
    world.pass_ms(1_000)
    world.do(stored_queues.pause(other, paused=False))
    world.do(owners.register_owner("o8", [other], lease_ms=10**9))
    assert [c.process_id for c in world.do(claims.take("o8", "r8", [other], 1, lease_ms=10**9, idle=False)).claims] == [
        "b"
    ]


@pytest.mark.parametrize("limit", [Limit(concurrency=1), Limit(rate="1/1s")])
def test_what_was_given_before_its_queue_was_paused_goes_to_the_next_within_a_second(
    world: World, limit: Limit
) -> None:
    other = f"{world.ns}.other"
    limited(world, job=limit)
    world.do(owners.register_owner("o9", [other], lease_ms=10**9))
    start(world, "a")
    assert taken(world) == ["a"]
    world.start("b", limit="b:job", queue=other)
    assert world.do(claims.take("o9", "r9", [other], 1, lease_ms=10**9, idle=False)).claims == ()
    start(world, "c")
    assert taken(world) == []
    finish(world, "a")
    world.pass_ms(1_000)
    world.tick()
    assert taken(world) == []  # it is b's now
    world.do(stored_queues.pause(other))
    world.pass_ms(1_000)
    world.tick()
    assert taken(world) == ["c"]


def test_who_waits_at_the_limit_of_a_queue_that_is_paused_stays_in_line(world: World) -> None:
    limited(world, queue=Limit(concurrency=1))
    start(world, "a", "b", "c", limit=None)
    assert taken(world) == ["a"]
    world.do(stored_queues.pause(world.ns))
    finish(world, "a")
    world.tick()
    assert world.doorbells() == []
    world.do(stored_queues.pause(world.ns, paused=False))
    world.tick()
    assert taken(world) == ["b"]


@pytest.mark.parametrize("limit", [Limit(concurrency=1), Limit(rate="1/1h")])
def test_who_is_cancelled_while_it_waits_is_not_counted_any_more(world: World, limit: Limit) -> None:
    limited(world, job=limit)
    start(world, "a", "b", "c", "d")
    assert taken(world) == ["a"]
    waiting = lambda: world.do(stored_queues.list_queues([world.ns]))[1][0].waiting  # noqa: E731
    assert waiting() == 3
    for pid in ("b", "d"):
        world.do(ends.cancel(pid, "asked", grace_ms=1))
    world.pass_ms(10)
    world.tick()
    assert (world.status("b"), waiting()) == ("cancelled", 1)


def test_a_cell_of_one_that_is_cancelled_before_it_begins_is_the_next_ones(world: World) -> None:
    limited(world, job=Limit(rate="1/1s"))
    start(world, "a", "b", "c")
    assert taken(world) == ["a"]
    world.pass_ms(1_000)
    world.tick()
    world.do(ends.cancel("b", "asked", grace_ms=1))
    world.pass_ms(10)
    world.tick()
    assert taken(world) == ["c"]


def test_a_tick_that_cannot_fire_all_shares_what_it_does_among_the_kinds(world: World) -> None:
    """Four hundred delayed starts are due, and behind them one sleep and one deadline."""
    for n in range(400):
        world.start(f"p{n}", delay_ms=1_000, limit=None)
    fence = world.running("sleeps", limit=None)
    world.open(fence, wait("w1", "t:", for_ms=1_001))
    world.start("late", deadline_ms=1_001, limit=None)
    world.pass_ms(1_001)
    report = world.tick()
    assert (report.fired, report.more) == (100, True)
    assert world.resolution("w1") == '{"status":"ok","value":null}'
    assert world.status("late") == "failed"


def test_a_resumed_process_is_not_counted_by_the_rate_again(world: World) -> None:
    limited(world, job=Limit(rate="1/1h"))
    start(world, "a")
    (claim,) = world.take("o1")
    world.open(claim.fence, wait("w1"))
    world.do(waits.park(claim.fence, ["w1"], "{}"))
    world.script("slot_resolve", pid="a", inc="inc00001", id="w1", resolution='{"status":"ok","value":1}')
    assert taken(world) == ["a"]


def test_a_limit_that_is_raised_or_gone_lets_those_who_wait_in(world: World) -> None:
    limited(world, job=Limit(concurrency=1))
    start(world, "a", "b", "c", "d")
    assert taken(world) == ["a"]
    limited(world, job=Limit(concurrency=2))
    world.tick()
    assert taken(world) == ["b"]
    world.do(owners.register_owner("o1", [world.ns], lease_ms=LEASE_MS, limits={"b:job": ""}))
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
        world.do(owners.beat("o1", [world.redis.hget(world.key("proc:a"), "cl")], lease_ms=LEASE_MS))
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
    assert world.do(claims.claim("a", 1, "o1", "c1", lease_ms=LEASE_MS)) is not None
    assert world.do(claims.claim("b", 1, "o1", "c2", lease_ms=LEASE_MS)) is None
    fields = world.redis.hgetall(world.key("proc:a"))
    world.script(
        "process_finish",
        pid="a",
        status="completed",
        output="{}",
        hash="h",
        fence={"pid": "a", "inc": fields["inc"], "ep": "1", "cl": "c1"},
    )
    assert world.do(claims.claim("b", 1, "o1", "c2", lease_ms=LEASE_MS)) is not None


def test_nothing_is_taken_from_a_paused_queue_and_whoever_waits_is_told_when_it_goes_on(world: World) -> None:
    start(world, "a", limit=None)
    assert [world.do(stored_queues.pause(world.ns)) for _ in range(2)] == [True, False]
    world.worker()
    assert world.do(world.taking(idle=True)).claims == ()
    start(world, "b", limit=None)
    assert world.do(stored_queues.pause(world.ns, paused=False)) is True
    assert world.do(stored_queues.pause(world.ns, paused=False)) is False
    assert "bell" in world.redis.lrange(world.key("notify:o1"), 0, -1)
    assert taken(world) == ["a", "b"]


def test_a_list_shows_who_runs_and_who_waits(world: World) -> None:
    limited(world, job=Limit(concurrency=1, rate="5/1m"), queue=Limit(concurrency=9))
    start(world, "a", "b", limit="b:job:ann")
    start(world, "c", limit=None)
    taken(world, n=2)
    world.do(stored_queues.pause(world.ns))
    start(world, "d", limit=None)
    queues, limits = world.do(stored_queues.list_queues([world.ns]))
    [queue] = queues
    assert (queue.name, queue.waiting, queue.running, queue.paused, queue.limit) == (world.ns, 1, 2, True, {"c": 9})
    found: dict[str, Any] = {one.name: (one.limit, one.running, one.waiting) for one in limits}
    rule = {"c": 1, "n": 5, "w": 60_000}
    assert found == {"job": (rule, 0, 0), "job:ann": (rule, 1, 1)}
