"""What is kept, what is pruned, and what is left of it (P115, P151 to P154, P165 to P172, P180, P200, P201, P233)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from wakeline.errors import ProcessNoLongerRetained, ProcessNotFound
from wakeline.store import claims, events, fleet, journal, owners, processes, sessions, signals, starts, waits
from wakeline.store import ends as stored_ends
from wakeline.store.calls import Call
from wakeline.store.journal import Effect, Row
from wakeline.verbs import looks

if TYPE_CHECKING:
    from tests.contract.conftest import World

WEEK_MS = 7 * 86_400_000
FAILURE = '{"type":"failure","class":"external","code":"c","message":"m"}'


def ended(world: World, *pids: str) -> None:
    for pid in pids:
        world.start(pid, kind="external")
        world.finish(pid)


def pruned(world: World, *pids: str) -> None:
    """Processes that ended eight days ago and are gone."""
    ended(world, *pids)
    world.clock.advance("8d")
    assert world.tick().pruned == len(pids)


def own_keys(world: World) -> set[str]:
    """What its namespace has on the server, which clients of earlier tests may still be leaving."""
    return set(world.store.client.keys(f"*{world.namespace}*"))


def tombstone(world: World, pid: str) -> dict[str, Any] | None:
    text = world.store.client.get(f"{world.store.address.prefix}tomb:{pid}")
    return None if text is None else json.loads(str(text))


def forget_tombstone(world: World, pid: str) -> None:
    """What Redis does by itself when the tombstone's time is over: it runs on the server's clock, which a test cannot
    move."""
    world.store.client.delete(f"{world.store.address.prefix}tomb:{pid}")


def test_a_pruned_process_is_named_as_such_with_its_end_and_when_it_went(world: World) -> None:
    pruned(world, "x")
    with pytest.raises(ProcessNoLongerRetained) as gone:
        world.view("x")
    assert (gone.value.status, gone.value.pruned_at_ms) == ("completed", 1_700_000_000_000 + 8 * 86_400_000)


def test_awaiting_a_pruned_process_says_that_it_is_no_longer_retained(world: World) -> None:
    pruned(world, "x")
    with pytest.raises(ProcessNoLongerRetained):
        world.go(looks.await_output(world.caller, "x", 0))


def test_a_body_that_awaits_a_pruned_process_learns_that_at_once(world: World) -> None:
    pruned(world, "x")
    fence = world.running("p")
    (opened,) = world.open(fence, waits.Wait("slot", "wait", "g", "c:x"))
    assert (opened.state, json.loads(opened.text)["payload"]["code"]) == ("done", "process_not_found")


def verbs(world: World) -> dict[str, Call[Any]]:
    return {
        "read": processes.read("x"),
        "cancel": stored_ends.cancel("x", "late", grace_ms=1),
        "append": events.append("x", "log", "1"),
        "signal": signals.signal("x", "go", "1", "1", canonical="1", replay_key="k"),
        "finish": stored_ends.finish("x", "completed", '{"type":"success","value":2}'),
        "external_ref": processes.set_external_ref("x", '{"id":"1"}'),
        "retarget": processes.retarget("x", "chat/1"),
        "grant": sessions.grant("session:chat/1", "x", "{}"),
        "register": starts.register(world.registration("x", kind="external")),
    }


def test_every_verb_on_a_pruned_process_says_so_and_writes_nothing(world: World) -> None:
    pruned(world, "x")
    keys = own_keys(world)
    for call in verbs(world).values():
        with pytest.raises(ProcessNoLongerRetained):
            world.do(call)
    assert own_keys(world) == keys
    world.worker()
    assert world.do(claims.claim("x", 0, "o_1", "c1", lease_ms=5_000)) is None
    assert world.do(sessions.grants_of("x")) == []


def test_a_tombstone_outlives_its_process_by_a_week_and_then_the_id_is_unknown(world: World) -> None:
    pruned(world, "x")
    left = int(world.store.client.pttl(f"{world.store.address.prefix}tomb:x"))
    assert WEEK_MS - 60_000 < left <= WEEK_MS
    forget_tombstone(world, "x")
    with pytest.raises(ProcessNotFound):
        world.view("x")


def test_a_process_is_kept_for_a_week_after_its_end(world: World) -> None:
    ended(world, "x")
    world.clock.advance("6d")
    assert world.tick().pruned == 0
    assert world.status("x") == "completed"
    world.clock.advance("23h")
    world.clock.advance("59m")
    world.clock.advance("59s")
    world.clock.advance("999ms")
    assert world.tick().pruned == 0
    world.clock.advance("1ms")
    assert world.tick().pruned == 1


def test_only_what_ended_long_ago_is_pruned_however_it_ended(world: World) -> None:
    ended(world, "old")
    world.start("failed", kind="external")
    world.do(stored_ends.finish("failed", "failed", FAILURE))
    world.start("live", kind="external")
    world.clock.advance("8d")
    ended(world, "young")
    assert world.tick().pruned == 2
    assert [tombstone(world, pid) is not None for pid in ("old", "failed", "live", "young")] == [
        True,
        True,
        False,
        False,
    ]
    assert (world.status("live"), world.status("young")) == ("running", "completed")


def test_nothing_that_lives_is_ever_pruned(world: World) -> None:
    fence = world.running("parked")
    world.wait_for(fence, "go")
    world.do(waits.park(fence, ["go.1"], "{}"))
    world.start("queued")
    world.start("running", kind="external")
    for _ in range(3):
        world.clock.advance("400d")
        assert world.tick().pruned == 0
    assert [world.status(pid) for pid in ("parked", "queued", "running")] == ["waiting", "queued", "running"]


def test_external_work_is_pruned_once_it_was_reported_and_never_before(world: World) -> None:
    world.start("x", kind="external")
    world.clock.advance("8d")
    assert world.tick().pruned == 0
    world.finish("x")
    assert world.tick().pruned == 0
    world.clock.advance("7d")
    assert world.tick().pruned == 1


def test_a_tombstone_says_how_and_when_and_nothing_else(world: World) -> None:
    ends = {"a": "completed", "b": "failed", "c": "cancelled"}
    for pid, status in ends.items():
        world.start(pid, kind="external", metadata={"secret": "payload"})
        world.do(stored_ends.finish(pid, status, FAILURE))
    world.clock.advance("8d")
    at = 1_700_000_000_000 + 8 * 86_400_000
    assert world.tick().pruned == 3
    assert [tombstone(world, pid) for pid in ends] == [
        {"status": "completed", "pruned_at_ms": at},
        {"status": "failed", "pruned_at_ms": at},
        {"status": "cancelled", "pruned_at_ms": at},
    ]
    assert world.tick().pruned == 0


def test_a_pruned_process_leaves_its_tombstone_and_nothing_else(world: World) -> None:
    world.do(owners.register_owner("o_1", [world.namespace], lease_ms=5_000))
    before = own_keys(world)
    fence = world.running("pid-of-test")
    world.do(sessions.grant("session:chat/1", "pid-of-test", "{}"))
    world.append("pid-of-test", "log", 1, key="k")
    world.signal("pid-of-test", "kept", 1)
    world.do(journal.record(fence, [Row("step:1", "{}")]))
    world.wait_for(fence, "go")
    world.open(fence, waits.Wait("slot-x", "wait-x", "x", "x:approval", for_ms=1000))
    world.do(stored_ends.continue_as_new(fence, "2"))
    (claim,) = world.take()
    world.do(journal.record(claim.fence, [Row("step:2", "{}")]))
    world.finish("pid-of-test", 1, claim.fence)
    world.clock.advance("8d")
    assert world.tick().pruned == 1
    prefix = world.store.address.prefix
    left = own_keys(world) - before
    assert f"{prefix}tomb:pid-of-test" in left
    assert {key for key in left if "pid-of-test" in key or "slot" in key} == {f"{prefix}tomb:pid-of-test"}
    assert world.do(sessions.list_grants("session:chat/1")) == []


def test_what_was_started_is_live_ended_or_pruned(world: World) -> None:
    def retained() -> tuple[int, int]:
        counts = world.do(fleet.read_fleet([])).counts
        return sum(counts[s] for s in ("queued", "running", "waiting")), sum(
            counts[s] for s in ("completed", "failed", "cancelled", "abandoned")
        )

    for n in range(5):
        world.start(f"p{n}", kind="external")
        assert retained() == (n + 1, 0)
    world.finish("p0")
    world.finish("p1")
    assert retained() == (3, 2)
    world.clock.advance("8d")
    world.finish("p2")
    assert world.tick().pruned == 2
    assert retained() == (2, 1)
    world = world.reopened()
    assert retained() == (2, 1)
    assert [pid for pid in ("p0", "p1", "p2", "p3", "p4") if tombstone(world, pid)] == ["p0", "p1"]


def test_a_late_resend_of_a_start_does_not_run_it_a_second_time(world: World) -> None:
    fence = world.running("p")
    world.finish("p", 1, fence)
    world.clock.advance("8d")
    world.tick()
    with pytest.raises(ProcessNoLongerRetained):
        world.start("p")
    world.worker("o_2")
    assert world.take("o_2") == ()


def test_an_id_used_again_after_its_tombstone_is_another_process(world: World) -> None:
    world.start("p", wake="chat/1", kind="external")
    world.emit("p", "wake", "first life", key="k")
    world.finish("p")
    world.clock.advance("8d")
    world.tick()
    forget_tombstone(world, "p")
    world.start("p", wake="chat/1", kind="external", incarnation="inc00002")
    assert world.log("p") == ()
    world.emit("p", "wake", "second life", key="k")
    assert [(wake["incarnation"], wake["sequence"], wake["input"]) for wake in world.inbox("chat/1")] == [
        ("inc00001", 1, "first life"),
        ("inc00002", 1, "second life"),
    ]
    world.finish("p", "other")
    world.clock.advance("8d")
    assert world.tick().pruned == 1
    assert tombstone(world, "p") is not None


def with_child(world: World, **over: Any) -> processes.Fence:
    """A parent that runs and has started the child."""
    parent = world.running("parent")
    child = world.registration("child", kind="external", parent="parent", **over)
    world.do(starts.register(child, effect=Effect(parent, Row("start:child", "{}"))))
    return parent


def test_a_child_is_kept_until_its_live_parent_has_its_result(world: World) -> None:
    parent = with_child(world)
    world.finish("child", 1)
    world.clock.advance("8d")
    assert world.tick().pruned == 0
    assert world.status("child") == "completed"
    world.do(owners.register_owner("o_1", [world.namespace], lease_ms=5_000))
    world.do(journal.record(parent, [Row("result:child", "{}")]))
    world.clock.advance("2h")
    assert world.tick().pruned == 1


def test_a_child_does_not_wait_for_a_parent_that_has_ended(world: World) -> None:
    parent = with_child(world)
    world.finish("child", 1)
    world.finish("parent", 1, parent)
    world.clock.advance("8d")
    assert world.tick().pruned == 2


def test_what_happens_to_children_is_written_with_the_end_of_the_parent(world: World) -> None:
    parent = with_child(world, on_parent_end="request_cancel")
    world.do(starts.register(world.registration("free", kind="external", parent="parent"), effect=Effect(parent)))
    assert world.types("child") == []
    world.finish("parent", 1, parent)
    assert [(e.type, e.payload) for e in world.log("child")] == [
        ("process.cancel_requested", '{"reason":"parent ended"}')
    ]
    assert world.types("free") == []
    world.clock.advance("10s")
    world.tick()
    assert (world.status("child"), world.status("free")) == ("cancelled", "running")


def busy(world: World, pid: str) -> None:
    """A cancelled process with more open waits than one script may touch: the rest of its cancel is left to a tick."""
    fence = world.running(pid)
    for part in (range(200), range(200, 257)):
        world.open(fence, *(waits.Wait(f"{pid}-{n}", f"w{n}", "g", f"x:{n}") for n in part))
    world.do(stored_ends.cancel(pid, "enough", grace_ms=WEEK_MS * 9))


def test_a_parent_is_kept_until_the_last_of_its_children_was_told(world: World) -> None:
    for n in range(4):  # all that one tick has time for
        busy(world, f"busy{n}")
    parent = with_child(world, on_parent_end="request_cancel")
    for n in range(256):  # with the one there is: one more than a script may touch
        bound = world.registration(f"c{n}", kind="external", parent="parent", on_parent_end="request_cancel")
        world.do(starts.register(bound, effect=Effect(parent)))
    world.finish("parent", 1, parent)
    world.clock.advance("8d")
    assert world.tick().pruned == 0
    assert world.status("parent") == "completed"
    world.clock.advance("1d")
    assert world.tick().pruned == 1
    with pytest.raises(ProcessNoLongerRetained):
        world.view("parent")
    assert [
        pid for pid in ["child", *(f"c{n}" for n in range(256))] if "cr" not in world.view(pid, count=0).fields
    ] == []


def test_a_journal_ends_with_its_generation_and_sending_that_again_makes_no_third(world: World) -> None:
    fence = world.running("p")
    world.do(journal.record(fence, [Row("step:1", "{}")]))
    assert [world.do(stored_ends.continue_as_new(fence, '{"page":2}')) for _ in range(2)] == [2, 2]
    (claim,) = world.take()
    assert (claim.generation, claim.input, dict(claim.journal)) == (2, '{"page":2}', {})
    assert world.types() == ["process.started", "process.continued"]
