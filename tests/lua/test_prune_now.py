"""An operator's prune: the same removal as retention's, of ended processes that are named, now."""

from __future__ import annotations

import pytest
from wakeline.errors import ProcessNoLongerRetained
from wakeline.store import journal, processes, ticks
from wakeline.store.calls import Call
from wakeline.store.journal import Row
from wakeline.store.ticks import PrunedNow

from tests.lua.world import WEEK_MS, World

MANY = 1_500
"""More than the quickest server prunes in one slice."""


def now(*these: tuple[str, str, str]) -> Call[PrunedNow]:
    return ticks.prune_these(these, tombstone_ms=WEEK_MS)


def ended(world: World, n: int) -> list[tuple[str, str, str]]:
    """So many processes that have just ended, as a list shows them."""
    for i in range(n):
        world.start(f"p{i}", kind="external")
        world.finish(f"p{i}")
    return [(f"p{i}", "completed", str(world.now())) for i in range(n)]


def test_what_is_named_goes_at_once_with_all_that_belongs_to_it_and_leaves_its_tombstone(world: World) -> None:
    before = world.keys()
    [one] = ended(world, 1)
    done = world.do(now(one))
    assert (done.done, done.stayed) == (1, ())
    assert set(world.keys()) - set(before) == {world.key("tomb:p0"), world.key("metrics")}
    assert world.redis.pttl(world.key("tomb:p0")) == pytest.approx(WEEK_MS, abs=5_000)
    assert world.redis.hgetall(world.key("metrics")) == {'wakeline_ended_total{status="completed"}': "1"}
    with pytest.raises(ProcessNoLongerRetained) as gone:
        world.do(processes.read("p0"))
    assert gone.value.pruned_at_ms == world.now()


def test_a_prune_that_is_sent_again_has_the_same_answer_and_counts_once(world: World) -> None:
    [one] = ended(world, 1)
    first, again = world.do(now(one)), world.do(now(one))
    assert [(first.done, first.stayed), (again.done, again.stayed)] == [(1, ()), (1, ())]
    assert world.redis.hgetall(world.key("metrics")) == {'wakeline_ended_total{status="completed"}': "1"}


@pytest.mark.parametrize("status", ["running", "waiting", "queued", "completed"])
def test_a_living_process_never_goes_under_any_status_that_it_is_said_to_have(world: World, status: str) -> None:
    world.running("p")
    at = str(int(world.redis.zscore(world.key("idx:running"), "p")))
    before = world.snapshot()
    assert world.do(now(("p", status, at))).stayed == (("p", "changed"),)
    assert world.snapshot() == before


def test_an_id_that_another_process_has_by_now_stays(world: World) -> None:
    [(pid, status, at)] = ended(world, 1)
    world.do(now((pid, status, at)))
    world.redis.delete(world.key("tomb:p0"))
    world.pass_ms(1)
    ended(world, 1)
    assert world.do(now((pid, status, at))).stayed == (("p0", "changed"),)
    assert world.status("p0") == "completed"


def test_a_child_whose_living_parent_has_not_read_its_result_stays_and_keeps_its_place(world: World) -> None:
    parent = world.running("parent")
    world.do(journal.record(parent, [Row("x", "1")]))
    world.start("child", kind="external")
    world.redis.sadd(world.key("children:parent"), "child")
    world.redis.hset(world.key("proc:child"), "pa", "parent")
    world.finish("child")
    at = world.redis.zscore(world.key("idx:completed"), "child")
    assert world.do(now(("child", "completed", str(int(at))))).stayed == (("child", "unread"),)
    assert world.redis.zscore(world.key("idx:completed"), "child") == at


def test_a_process_whose_waiters_are_not_told_yet_stays(world: World) -> None:
    [one] = ended(world, 1)
    world.redis.sadd(world.key("waiters:p0"), "slot")
    assert world.do(now(one)).stayed == (("p0", "untold"),)
    world.redis.delete(world.key("waiters:p0"))
    assert world.do(now(one)).stayed == ()


def test_many_go_in_slices_of_bounded_time_and_the_answer_says_how_far_it_came(world: World) -> None:
    left, slices = ended(world, MANY), 0
    while left:
        some = world.do(now(*left))
        assert some.done >= min(8, len(left))
        left, slices = left[some.done :], slices + 1
    assert slices > 2
    assert world.redis.zcard(world.key("idx:completed")) == 0


def test_a_process_that_many_hold_goes_in_parts(world: World) -> None:
    for i in range(700):
        world.redis.hset(world.key(f"grants:s{i}"), "p0", "{}")
        world.redis.sadd(world.key("granted:p0"), f"s{i}")
    [one] = ended(world, 1)
    assert [world.do(now(one)).done for _ in range(3)] == [0, 0, 1]
    assert [key for key in world.snapshot() if ":grant" in key] == []
