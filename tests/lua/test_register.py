"""process_register: a start is one step, idempotent by id and content."""

from __future__ import annotations

import pytest
from wakeline.errors import LeaseLost, ProcessConflict, ProcessNoLongerRetained
from wakeline.store import starts
from wakeline.store.journal import Effect, Row
from wakeline.store.starts import Unique, UniqueTaken

from tests.lua.world import START_MS, World


def test_a_start_writes_record_index_and_doorbell(world: World) -> None:
    receipt = world.start("p")
    assert (receipt.created, receipt.incarnation, receipt.status) == (True, "inc00001", "queued")
    assert (world.field("st"), world.field("ep"), world.field("seq"), world.field("k")) == ("queued", "1", "0", "e")
    assert world.redis.zrange(world.key("idx:queued"), 0, -1, withscores=True) == [("p", float(START_MS))]
    assert world.doorbells() == [f"wl-{world.ns}-p-1"]
    job = world.redis.hgetall(world.rq(f"job:wl-{world.ns}-p-1"))
    assert job["data"] == '["wakeline_workers.jobs.run", null, ["p", 1], {}]'
    assert (job["data"], job["created_at"]) == (
        '["wakeline_workers.jobs.run", null, ["p", 1], {}]',
        "2023-11-14T22:13:20.000000Z",
    )
    assert world.redis.smembers(world.rq("queues")) == {world.rq(f"queue:{world.ns}")}


def test_a_start_sent_twice_is_one_process_with_one_doorbell(world: World) -> None:
    receipt = world.twice(world.registering("p"), also=["existing"])
    assert receipt.created is True
    assert world.doorbells() == [f"wl-{world.ns}-p-1"]
    again = world.start("p", incarnation="inc00002")
    assert (again.created, again.incarnation, again.status) == (False, "inc00001", "queued")


def test_other_content_under_the_same_id_is_a_conflict(world: World) -> None:
    world.start("p")
    before = world.snapshot()
    with pytest.raises(ProcessConflict):
        world.start("p", payload=2)
    assert world.snapshot() == before


def test_a_pruned_id_is_refused_while_its_tombstone_stands(world: World) -> None:
    world.start("p", kind="external")
    world.finish("p")
    world.pass_ms(604_800_000)
    assert world.tick().pruned == 1
    with pytest.raises(ProcessNoLongerRetained):
        world.start("p", kind="external")
    assert world.redis.exists(world.key("proc:p")) == 0


def test_a_child_start_writes_its_row_and_the_family(world: World) -> None:
    fence = world.running("parent")
    row = Row("start:c", '{"inc":"', after='"}')
    call = world.registering("c", parent="parent", on_parent_end="request_cancel", effect=Effect(fence, row))
    world.twice(call, also=["existing"])
    assert world.journal("parent") == {"start:c": '{"inc":"inc00001"}'}
    assert world.redis.smembers(world.key("children:parent")) == {"c"}
    assert world.redis.smembers(world.key("bound:parent")) == {"c"}
    assert world.events("parent") == ["process.started"]


def test_a_child_start_under_a_lost_fence_writes_nothing(world: World) -> None:
    fence = world.running("parent")
    world.lose()
    before = world.snapshot()
    with pytest.raises(LeaseLost):
        world.start("c", effect=Effect(fence, Row("start:c", "1")))
    assert world.snapshot() == before


def test_an_external_process_runs_at_once_and_rings_nobody(world: World) -> None:
    assert world.start("x", kind="external").status == "running"
    assert world.doorbells() == []
    assert world.redis.zrange(world.key("idx:running"), 0, -1) == ["x"]


def test_a_delayed_start_rings_when_it_is_due(world: World) -> None:
    world.twice(world.registering("p", delay_ms=60_000), also=["existing"])
    assert (world.doorbells(), world.timers()) == ([], ["d:p"])
    world.pass_ms(59_999)
    assert world.tick().fired == 0
    world.pass_ms(1)
    assert world.tick().fired == 1
    assert world.doorbells() == [f"wl-{world.ns}-p-1"]


def test_a_start_at_a_moment_rings_then_and_one_at_a_past_moment_at_once(world: World) -> None:
    world.twice(world.registering("p", at_ms=START_MS + 60_000), also=["existing"])
    assert (world.doorbells(), world.timers()) == ([], ["d:p"])
    world.pass_ms(60_000)
    assert world.tick().fired == 1
    assert world.doorbells() == [f"wl-{world.ns}-p-1"]
    world.start("late", at_ms=START_MS + 60_000, queue_timeout_ms=1_000)
    world.start("soon", at_ms=START_MS + 60_001, queue_timeout_ms=1_000)
    assert f"wl-{world.ns}-late-1" in world.doorbells()
    timers = dict(world.redis.zrange(world.key("timers"), 0, -1, withscores=True))
    assert timers == {"q:late": START_MS + 61_000.0, "d:soon": START_MS + 60_001.0, "q:soon": START_MS + 61_001.0}


def test_limits_become_timers(world: World) -> None:
    world.start("p", deadline_ms=9_000, queue_timeout_ms=5_000, attempt_timeout_ms=7_000, max_attempts=2)
    timers = world.redis.zrange(world.key("timers"), 0, -1, withscores=True)
    assert timers == [("q:p", START_MS + 5_000.0), ("e:p", START_MS + 9_000.0)]
    assert (world.field("to"), world.field("ma")) == ("7000", "2")


def test_a_child_takes_no_longer_than_what_started_it(world: World) -> None:
    world.start("p", deadline_ms=9_000)
    world.pass_ms(1_000)
    for child, own in (("c1", None), ("c2", 5_000), ("c3", 60_000)):
        world.start(child, parent="p", deadline_ms=own)
    world.start("grandchild", parent="c2")
    ends = {pid: int(world.field("dl", pid)) - START_MS for pid in ("p", "c1", "c2", "c3", "grandchild")}
    assert ends == {"p": 9_000, "c1": 9_000, "c2": 6_000, "c3": 9_000, "grandchild": 6_000}
    assert dict(world.redis.zrange(world.key("timers"), 0, -1, withscores=True))["e:grandchild"] == START_MS + 6_000


def test_a_start_with_a_wake_target_creates_its_session(world: World) -> None:
    world.twice(world.registering("p", wake="bot/1", wake_end=True), also=["existing"])
    assert world.redis.hget(world.key("sess:bot/1"), "ag") == "bot"
    assert (world.field("ws"), world.field("we")) == ("bot/1", "1")


def test_the_holder_of_a_unique_key_is_not_replaced_before_a_cancel_was_requested(world: World) -> None:
    first, second = world.registering("first"), world.registering("second")
    world.do(starts.with_unique(first, Unique("import")))
    before = world.snapshot()
    with pytest.raises(UniqueTaken):
        world.do(starts.with_unique(second, Unique("import", instead="first")))
    assert world.snapshot() == before
    world.cancel("first")
    assert world.do(starts.with_unique(second, Unique("import", instead="first"))).created is True
