"""Retention in the scripts: in slices, at a pace that follows what is left, and with all that belongs to a process."""

from __future__ import annotations

from typing import Any

from wakeline.store import ends, ticks
from wakeline.store.calls import Call

from tests.lua.world import WEEK_MS, World

MANY = 1_500
"""More than the quickest server prunes in one slice."""


def ended(world: World, n: int, name: str = "p") -> None:
    """So many external processes that ended a week ago."""
    for i in range(n):
        world.start(f"{name}{i}", kind="external")
        world.finish(f"{name}{i}")
    world.pass_ms(WEEK_MS)


def slice_of() -> Call[ticks.PruneReport]:
    return ticks.prune(retention_ms=WEEK_MS, tombstone_ms=WEEK_MS)


def kept(world: World) -> int:
    return int(world.redis.zcard(world.key("idx:completed")))


def pruned_to_the_end(world: World) -> int:
    """Prunes until nothing is over; how many processes went."""
    report = world.tick()
    pruned, next_in_ms = report.pruned, report.prune_in_ms
    for _ in range(MANY):
        if next_in_ms is None:
            return pruned
        some: ticks.PruneReport = world.do(slice_of())
        pruned, next_in_ms = pruned + some.pruned, some.next_in_ms
    raise AssertionError(f"no end of it after {pruned}")


def test_a_tick_prunes_for_some_milliseconds_and_says_when_to_go_on(world: World) -> None:
    ended(world, MANY)
    report = world.tick()
    assert 0 < report.pruned < MANY
    assert report.prune_in_ms is not None
    assert kept(world) == MANY - report.pruned
    pruned, slices, next_in_ms = report.pruned, 1, report.prune_in_ms
    while next_in_ms is not None:
        assert next_in_ms >= 1
        some = world.do(slice_of())
        assert some.pruned >= 1
        pruned, slices, next_in_ms = pruned + some.pruned, slices + 1, some.next_in_ms
    assert (pruned, kept(world)) == (MANY, 0)
    assert slices > 2
    assert world.tick().prune_in_ms is None


def test_while_one_prunes_the_ticks_of_others_do_not_and_take_over_when_it_is_gone(world: World) -> None:
    ended(world, MANY)
    assert world.tick().prune_in_ms is not None
    left = kept(world)
    assert [(t.pruned, t.prune_in_ms) for t in (world.tick(), world.tick())] == [(0, None), (0, None)]
    assert kept(world) == left
    world.pass_ms(1_000)
    assert world.tick().pruned > 0


def test_what_has_to_stay_keeps_nothing_behind_it(world: World) -> None:
    """A page of processes whose waiters were not told yet stands before all others."""
    for i in range(40):
        world.start(f"a{i}", kind="external")
        world.finish(f"a{i}")
        world.redis.sadd(world.key(f"waiters:a{i}"), "slot")
    world.pass_ms(1)
    ended(world, 3, "b")
    assert pruned_to_the_end(world) == 3
    assert kept(world) == 40
    for i in range(40):
        world.redis.delete(world.key(f"waiters:a{i}"))
    world.pass_ms(60_000)
    assert pruned_to_the_end(world) == 40


def test_a_process_that_many_hold_goes_in_parts(world: World) -> None:
    world.start("p", kind="external")
    for i in range(700):
        world.redis.hset(world.key(f"grants:s{i}"), "p", "{}")
        world.redis.sadd(world.key("granted:p"), f"s{i}")
    world.finish("p")
    world.pass_ms(WEEK_MS)
    assert pruned_to_the_end(world) == 1
    assert [key for key in world.snapshot() if ":grant" in key] == []


def test_attachments_of_what_is_pruned_are_looked_at_by_the_next_sweep(world: World) -> None:
    world.start("p", kind="external")
    late = world.now() + WEEK_MS + 3_600_000
    for kind in ("process", "payload", "journal"):
        world.redis.zadd(world.key(f"atts:{kind}:p"), {f"id-{kind}": 0})
        world.redis.hset(world.key(f"att:id-{kind}"), mapping={"l": "redis x", f"o:{kind}:p": "1", "o:host": "1"})
        world.redis.zadd(world.key("attachments"), {f"id-{kind}": late})
    world.finish("p")
    world.pass_ms(WEEK_MS)
    assert world.tick().pruned == 1
    assert world.redis.zrange(world.key("attachments"), 0, -1, withscores=True) == [
        (f"id-{kind}", world.now()) for kind in ("journal", "payload", "process")
    ]
    assert [world.redis.hkeys(world.key(f"att:id-{kind}")) for kind in ("process", "payload", "journal")] == [
        ["l", "o:host"]
    ] * 3
    assert [key for key in world.snapshot() if ":atts:" in key] == []


def test_the_doorbell_of_what_was_cancelled_before_anybody_took_it_goes_with_it(world: World) -> None:
    """In both forms: a worker of the release before may have rung it."""
    world.start("p")
    [rung] = world.doorbells()
    assert rung == f"wl-{world.ns}-p-1"
    world.redis.hset(world.rq("job:wl-p-1"), "status", "queued")
    world.do(ends.cancel("p", "asked", grace_ms=1))
    world.pass_ms(10)
    world.tick()
    assert world.status("p") == "cancelled"
    jobs = [world.rq(f"job:{rung}"), world.rq("job:wl-p-1")]
    assert world.redis.exists(*jobs) == 2
    world.pass_ms(WEEK_MS)
    assert pruned_to_the_end(world) == 1
    assert world.redis.exists(*jobs) == 0


def test_entries_of_rqs_registries_that_are_over_are_removed_where_no_stock_worker_does_it(world: World) -> None:
    world.worker()
    seconds = world.now() // 1000
    failed: dict[str, Any] = {f"wl-p-{n}": seconds + 3_600 for n in range(3)}
    world.redis.zadd(world.rq(f"failed:{world.ns}"), failed)
    world.redis.zadd(
        world.rq(f"wip:{world.ns}"),
        {"wl-q-1:c1": seconds + 60, "theirs:c1": seconds + 60, "wl-r-1:c1": seconds + 10**6},
    )
    for key in ("job:wl-q-1", "execution:wl-q-1:c1", "job:wl-r-1"):
        world.redis.hset(world.rq(key), "status", "started")
    world.tick()
    assert world.redis.zcard(world.rq(f"failed:{world.ns}")) == 3
    world.pass_ms(3_700_000)
    world.worker()
    world.tick()
    assert world.redis.zcard(world.rq(f"failed:{world.ns}")) == 0
    assert sorted(world.redis.zrange(world.rq(f"wip:{world.ns}"), 0, -1)) == ["theirs:c1", "wl-r-1:c1"]
    assert [world.redis.exists(world.rq(key)) for key in ("job:wl-q-1", "execution:wl-q-1:c1", "job:wl-r-1")] == [
        0,
        0,
        1,
    ]
