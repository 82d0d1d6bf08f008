"""A wake from its event to the end of the turn that read it (P119, P125, P178, P180 to P190, P198, P199, P204,
P205)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from wakeline.body.turn import Inbox
from wakeline.causality import SessionScope
from wakeline.errors import HeadConflict, LeaseLost, StaleBranch
from wakeline.store import ends, feed, processes, sessions, starts
from wakeline.store.claims import Claim
from wakeline.store.ends import TurnCommit

if TYPE_CHECKING:
    from tests.contract.conftest import World

CHAT, OTHER = "chat/1", "chat/2"
NOTHING = '{"type":"success","value":null}'
FAILED = '{"type":"failure","class":"execution","code":"broken","message":"it raised"}'
TOLD = "told"


def source(world: World, pid: str = "x", wake: str = CHAT) -> None:
    """Work elsewhere whose wakes go to the session."""
    world.start(pid, kind="external", wake=wake, wake_target={"session_id": wake})


def turn(world: World, owner: str = "o_1", *, most: int = 256, session_id: str = CHAT) -> tuple[Claim, list[str]]:
    """A worker takes the session's turn: its claim, and the texts of its batch."""
    world.worker(owner)
    (claim,) = world.take(owner)
    batch = world.do(sessions.admit(claim.fence, session_id, most))
    return claim, [json.loads(entry.body)["input"] for entry in batch.entries]


def settle(world: World, claim: Claim, revision: str = "0", session_id: str = CHAT) -> None:
    """The turn ends and commits."""
    commit = TurnCommit(session_id, revision)
    world.do(ends.finish(claim.process_id, "completed", NOTHING, fence=claim.fence, turn=commit))


def states(world: World, session_id: str = CHAT) -> list[tuple[str, str]]:
    return [(entry["input"], entry["state"]) for entry in world.inbox(session_id)]


# -- whom an event wakes


def test_a_wake_target_holds_no_handle_and_a_holder_is_not_woken(world: World) -> None:
    source(world)
    assert world.do(sessions.grants_of("x")) == []
    world.do(sessions.create(world.session(OTHER)))
    world.do(sessions.grant(f"session:{OTHER}", "x", "{}"))
    world.emit("x", "wake", TOLD)
    assert (states(world, CHAT), states(world, OTHER)) == ([(TOLD, "delivered")], [])
    assert world.do(sessions.list_grants(f"session:{CHAT}")) == []


def test_a_new_target_is_logged_and_gets_the_later_wakes_only(world: World) -> None:
    source(world)
    world.emit("x", "wake", "before")
    world.do(sessions.create(world.session(OTHER)))
    world.do(processes.retarget("x", OTHER))
    world.emit("x", "wake", "after")
    assert (states(world, CHAT), states(world, OTHER)) == ([("before", "delivered")], [("after", "delivered")])
    (event,) = (event for event in world.log("x") if event.type == "process.retargeted")
    assert json.loads(event.payload) == {"wake_target": {"session_id": OTHER}}
    assert world.do(processes.retarget("x", OTHER)) is None
    assert world.types("x") == ["wake", "process.retargeted", "wake"]


def test_a_wake_that_a_turn_took_is_settled_there_although_its_process_has_a_new_target(world: World) -> None:
    source(world)
    world.emit("x", "wake", TOLD)
    claim, texts = turn(world)
    world.do(sessions.create(world.session(OTHER)))
    world.do(processes.retarget("x", OTHER))
    settle(world, claim)
    assert texts == [TOLD]
    assert (states(world, CHAT), states(world, OTHER)) == ([(TOLD, "settled")], [])
    assert world.take() == ()


def test_a_wake_to_a_session_that_does_not_exist_waits_for_it_in_sight(world: World) -> None:
    world.do(starts.register(world.registration("x", kind="external", wake_target={"session_id": CHAT})))
    world.emit("x", "wake", TOLD)
    world.worker()
    assert world.take() == ()
    assert states(world) == [(TOLD, "delivered")]
    assert [(one.session_id, one.pending) for one in world.do(sessions.list_sessions())] == [(CHAT, 1)]
    world.clock.advance("1d")
    world.do(sessions.create(world.session(CHAT)))
    claim, texts = turn(world)
    settle(world, claim)
    assert (texts, states(world)) == ([TOLD], [(TOLD, "settled")])


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        ("bare", "bare"),
        ({"text": "said", "noise": 1}, "said"),
        ({"text": {"a": 1}}, '{"a":1}'),
        ({"value": 1}, '{"value":1}'),
        (7, "7"),
        (None, "null"),
    ],
)
def test_the_text_of_an_undeclared_wake_is_its_text_or_all_of_it(world: World, payload: Any, text: str) -> None:
    source(world)
    world.emit("x", "wake", payload)
    assert [entry["input"] for entry in world.inbox(CHAT)] == [text]


def test_a_turn_reads_a_wake_as_text_and_knows_where_it_comes_from(world: World) -> None:
    source(world)
    world.append("x", "log", "no wake")
    world.emit("x", "wake", "ready")
    world.worker()
    (claim,) = world.take()
    (item,) = Inbox(world.do(sessions.admit(claim.fence, CHAT, 256)))
    assert (item.kind, item.text) == ("wake", "ready")
    assert (item.process_id, item.event_type, item.sequence, item.at_ms) == ("x", "wake", 2, 1_700_000_000_000)
    assert item.originator == "host"


def test_a_wake_says_with_whose_authority_it_comes(world: World) -> None:
    scope = {"session_id": "chat/2", "agent_frame_id": "triage"}
    provenance = {"originator": {"type": "session", "scope": scope}}
    world.start("x", kind="external", wake=CHAT, wake_target={"session_id": CHAT}, provenance=provenance)
    world.emit("x", "wake", "ready")
    world.worker()
    (claim,) = world.take()
    (item,) = Inbox(world.do(sessions.admit(claim.fence, CHAT, 256)))
    assert item.originator == "session:chat/2/frame:triage"


# -- told once


def test_two_wakes_of_one_millisecond_keep_their_order_and_a_replay_is_the_same_event(world: World) -> None:
    source(world)
    assert [world.emit("x", "wake", text, key=text) for text in ("one", "two")] == [1, 2]
    log, inbox = world.log("x"), world.inbox(CHAT)
    assert [(entry["n"], entry["sequence"], entry["at_ms"]) for entry in inbox] == [
        (1, 1, 1_700_000_000_000),
        (2, 2, 1_700_000_000_000),
    ]
    world.clock.advance("1h")
    assert [world.emit("x", "wake", text, key=text) for text in ("two", "one")] == [2, 1]
    assert (world.log("x"), world.inbox(CHAT)) == (log, inbox)


def test_a_wake_that_was_settled_is_not_told_again_when_its_event_is_sent_again(world: World) -> None:
    source(world)
    world.emit("x", "wake", TOLD, key="k")
    claim, _ = turn(world)
    settle(world, claim)
    assert world.emit("x", "wake", TOLD, key="k") == 1
    assert states(world) == [(TOLD, "settled")]
    assert world.take() == ()
    assert world.emit("x", "wake", "new", key="l") == 2
    claim, texts = turn(world)
    assert texts == ["new"]


def test_telling_and_settling_change_nothing_of_the_process_that_woke(world: World) -> None:
    source(world)
    world.emit("x", "wake", TOLD)
    before = world.view("x")
    claim, _ = turn(world)
    settle(world, claim)
    after = world.view("x")
    assert (after.fields, after.events, after.registration) == (before.fields, before.events, before.registration)


def test_two_wakes_of_one_process_are_one_batch_and_each_is_settled(world: World) -> None:
    source(world)
    for text in ("one", "two"):
        world.emit("x", "wake", text)
    claim, texts = turn(world)
    assert texts == ["one", "two"]
    assert states(world) == [("one", "admitted"), ("two", "admitted")]
    settle(world, claim)
    assert states(world) == [("one", "settled"), ("two", "settled")]


# -- one turn at a time


def test_a_session_has_one_turn_at_a_time_and_what_arrives_meanwhile_waits(world: World) -> None:
    source(world)
    world.emit("x", "wake", "first")
    claim, _ = turn(world, "o_1")
    world.emit("x", "wake", "second")
    world.worker("o_2")
    assert world.take("o_2") == ()
    stranger = claim.fence.__class__(
        process_id=claim.process_id, incarnation=claim.fence.incarnation, epoch=1, claim_id="stolen", owner="o_2"
    )
    with pytest.raises(LeaseLost):
        world.do(ends.finish(claim.process_id, "completed", NOTHING, fence=stranger, turn=TurnCommit(CHAT, "0")))
    assert states(world) == [("first", "admitted"), ("second", "delivered")]
    settle(world, claim)
    _, texts = turn(world, "o_2")
    assert texts == ["second"]
    assert states(world) == [("first", "settled"), ("second", "admitted")]


def test_a_turn_takes_the_oldest_and_leaves_the_rest_to_the_next(world: World) -> None:
    source(world)
    for text in ("one", "two", "three"):
        world.emit("x", "wake", text)
    first, texts = turn(world, most=1)
    assert texts == ["one"]
    settle(world, first)
    second, texts = turn(world, most=1)
    assert texts == ["two"]
    settle(world, second, "1")
    assert states(world) == [("one", "settled"), ("two", "settled"), ("three", "delivered")]


def test_a_turn_that_is_taken_over_has_the_same_batch_and_its_first_worker_settles_nothing(world: World) -> None:
    source(world)
    world.emit("x", "wake", "first")
    old, _ = turn(world, "o_1")
    world.emit("x", "wake", "second")
    world.lose("o_1")
    new, texts = turn(world, "o_2")
    assert (new.process_id, texts) == (old.process_id, ["first"])
    with pytest.raises(LeaseLost):
        settle(world, old)
    assert states(world) == [("first", "admitted"), ("second", "delivered")]
    settle(world, new)
    assert states(world) == [("first", "settled"), ("second", "delivered")]
    assert world.do(sessions.read(CHAT)).head.fields["rev"] == "1"


def test_a_turn_that_read_an_earlier_head_commits_nothing(world: World) -> None:
    source(world)
    world.emit("x", "wake", "first")
    claim, _ = turn(world)
    with pytest.raises(HeadConflict):
        settle(world, claim, "7")
    assert states(world) == [("first", "admitted")]
    settle(world, claim, "0")
    assert world.do(sessions.read(CHAT)).head.fields["rev"] == "1"


def test_a_turn_commits_over_what_was_appended_since_it_read(world: World) -> None:
    source(world)
    world.emit("x", "wake", "first")
    claim, _ = turn(world)
    for n in range(3):
        world.do(feed.append(CHAT, [('{"role":"note"}', f"n{n}")]))
    settle(world, claim, "0")
    view = world.do(sessions.read(CHAT))
    assert (view.head.fields["rev"], states(world)) == ("4", [("first", "settled")])
    assert "af" not in view.head.fields
    assert [n for n, _, _ in view.history] == [1, 2, 3]


def test_a_turn_that_read_before_another_turn_committed_commits_nothing_whatever_was_appended(world: World) -> None:
    source(world)
    world.emit("x", "wake", "first")
    claim, _ = turn(world)
    settle(world, claim, "0")
    world.emit("x", "wake", "second")
    claim, _ = turn(world)
    world.do(feed.append(CHAT, [('{"role":"note"}', "n")]))
    with pytest.raises(HeadConflict):
        settle(world, claim, "0")
    settle(world, claim, "1")


def test_an_append_that_names_the_revision_it_follows_follows_no_other(world: World) -> None:
    world.do(sessions.create(world.session(CHAT)))
    assert world.do(feed.append(CHAT, [('{"role":"note"}', "a")], ancestor=0)) == 1
    with pytest.raises(StaleBranch):
        world.do(feed.append(CHAT, [('{"role":"note"}', "b")], ancestor=0))


def test_a_turn_that_is_put_off_comes_at_its_time_with_the_same_batch(world: World) -> None:
    source(world)
    world.emit("x", "wake", "first")
    claim, _ = turn(world)
    assert world.do(ends.release(claim.fence, attempt=True, delay_ms=2_000)) == "released"
    world.emit("x", "wake", "second")
    world.clock.advance("1999ms")
    world.tick()
    assert world.take() == ()
    world.clock.advance("1ms")
    world.tick()
    again, texts = turn(world)
    assert (again.process_id, again.attempt, texts) == (claim.process_id, 2, ["first"])


def test_wakes_of_a_turn_that_failed_are_marked_and_block_nobody(world: World) -> None:
    source(world)
    world.emit("x", "wake", "poison")
    claim, _ = turn(world)
    world.emit("x", "wake", "next")
    world.do(ends.finish(claim.process_id, "failed", FAILED, fence=claim.fence))
    assert states(world) == [("poison", "failed"), ("next", "delivered")]
    _, texts = turn(world)
    assert texts == ["next"]


def test_an_agent_frame_is_no_other_inbox(world: World) -> None:
    world.do(sessions.create(world.session(CHAT)))
    for pid, frame in (("x", None), ("y", "f2")):
        target = {"session_id": CHAT} | ({"agent_frame_id": frame} if frame else {})
        world.start(pid, kind="external", wake_target=target)
        world.emit(pid, "wake", pid)
    _, texts = turn(world)
    assert texts == ["x", "y"]
    assert world.view("y").registration.wake_target == SessionScope(session_id=CHAT, agent_frame_id="f2")
