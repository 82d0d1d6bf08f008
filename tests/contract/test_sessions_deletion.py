"""A deleted session: its id is used up, its turn and entries end, other processes go on (P86 to P92, P147, P172, P192,
P207).

And sessions that were not opened yet.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from wakeline.errors import LeaseLost, SessionDeleted, SessionNotFound
from wakeline.store import ends, entries, processes, sessions, starts, waits
from wakeline.store.sessions import Deleted
from wakeline.verbs import inbox as inbox_verbs

from tests.contract.session_world import CHAT, commit, inbox, send, source, states, turn

if TYPE_CHECKING:
    from tests.contract.conftest import World


def test_a_deletion_makes_pending_and_admitted_entries_undeliverable(world: World) -> None:
    send(world, "admitted")
    claim, _ = turn(world)
    send(world, "pending")
    assert world.do(sessions.delete(CHAT)) == Deleted(True)
    assert [(e.input, e.state, e.reason) for e in inbox(world)] == [
        ("admitted", "undeliverable", "target_gone"),
        ("pending", "undeliverable", "target_gone"),
    ]
    assert world.status(claim.process_id) == "cancelled"
    assert world.take() == ()
    with pytest.raises(LeaseLost):
        world.do(
            ends.finish(
                claim.process_id,
                "completed",
                '{"type":"success","value":1}',
                fence=claim.fence,
                turn=ends.TurnCommit(CHAT, "0"),
            )
        )


def test_a_turn_that_is_parked_ends_with_its_session_and_its_waits_with_it(world: World) -> None:
    send(world, "a")
    claim, _ = turn(world)
    world.open(claim.fence, waits.Wait(slot="ask", replay_key="ask", group="ask", kind="x:ship"))
    world.do(waits.park(claim.fence, ["ask"], "{}"))
    world.do(sessions.delete(CHAT))
    assert world.status(claim.process_id) == "cancelled"
    assert world.do(
        waits.resolve(claim.process_id, claim.fence.incarnation, "ask", '{"status":"ok","value":1}')
    ).unknown


def test_the_handles_of_a_frame_that_was_never_opened_go_too(world: World) -> None:
    world.start("p")
    send(world, "a")
    world.do(sessions.grant(f"session:{CHAT}/frame:later", "p", "{}"))
    assert world.do(sessions.delete(CHAT)) == Deleted(True, orphaned=("p",))
    assert world.do(sessions.grants_of("p")) == []
    assert world.store.client.exists(world.store.address.prefix + f"scopes:{CHAT}") == 0


def test_its_id_is_used_up_for_ever(world: World) -> None:
    send(world, "a")
    world.do(sessions.delete(CHAT))
    world.clock.advance("700d")
    world.tick()
    for refused in (
        sessions.send(world.session(CHAT), "{}"),
        sessions.create(world.session(CHAT)),
        sessions.read(CHAT),
        starts.register(world.registration("y"), wake=world.session(CHAT)),
        entries.redrive(CHAT, 1),
    ):
        with pytest.raises(SessionDeleted) as deleted:
            world.do(refused)
        assert deleted.value.fields == {"session_id": CHAT, "deleted_at_ms": 1_700_000_000_000}
    assert world.go(inbox_verbs.inspect(CHAT)).status == "deleted"
    assert world.do(sessions.delete(CHAT)) == Deleted(False)


def test_a_start_that_was_refused_wrote_nothing(world: World) -> None:
    send(world, "a")
    world.do(sessions.delete(CHAT))
    with pytest.raises(SessionDeleted):
        world.do(starts.register(world.registration("y"), wake=world.session(CHAT)))
    assert world.start("y").created


def test_deleting_an_id_that_was_never_used_does_nothing(world: World) -> None:
    assert world.do(sessions.delete("chat/never")) == Deleted(False)
    world.do(sessions.create(world.session("chat/never")))
    with pytest.raises(SessionNotFound):
        world.do(sessions.read("chat/other"))


def test_every_process_survives_and_its_wakes_are_refused_in_sight(world: World) -> None:
    source(world)
    before = world.view("x")
    world.do(sessions.delete(CHAT))
    after = world.view("x")
    assert (after.fields, after.events, after.registration) == (before.fields, before.events, before.registration)
    assert world.emit("x", "wake", "late") == 1
    assert [(e.input, e.state, e.reason, e.process_id) for e in inbox(world)] == [
        ("late", "undeliverable", "target_gone", "x")
    ]
    assert [e.input for e in world.go(inbox_verbs.undeliverable(10))] == ["late"]
    assert world.finish("x") == 2


def test_a_deletion_revokes_the_handles_it_held_and_reports_who_is_left_without_a_holder(world: World) -> None:
    world.do(sessions.create(world.session(CHAT)))
    for pid in ("orphan", "shared", "ended"):
        world.start(pid, kind="external")
        world.do(sessions.grant(f"session:{CHAT}", pid, "{}"))
    world.do(sessions.grant("session:chat/2", "shared", "{}"))
    world.finish("ended")
    assert world.do(sessions.delete(CHAT)) == Deleted(True, ("orphan",), ("shared",))
    assert world.do(sessions.list_grants(f"session:{CHAT}")) == []
    assert world.do(sessions.grants_of("shared")) == ["session:chat/2"]
    assert [world.status(pid) for pid in ("orphan", "shared", "ended")] == ["running", "running", "completed"]
    assert world.types("orphan") == []


def test_a_large_session_is_deleted_in_bounded_steps(world: World) -> None:
    send(world, *(str(i) for i in range(600)))
    world.do(sessions.delete(CHAT))
    assert len([e for e in inbox(world) if e.state == "undeliverable"]) == 256
    for _ in range(3):
        world.tick()
    assert {e.state for e in inbox(world)} == {"undeliverable"}
    assert world.store.client.exists(world.store.address.prefix + f"inbox:{CHAT}") == 0


def test_nothing_but_the_tombstone_is_left_of_a_deleted_session(world: World) -> None:
    send(world, "a")
    claim, _ = turn(world)
    commit(world, claim, state='{"a":1}', history=['{"role":"input"}'], frame="f1", follow='"go on"')
    source(world)
    world.do(sessions.delete(CHAT))
    world.emit("x", "wake", "late")
    world.finish("x")
    for _ in range(3):
        world.clock.advance("8d")
        world.tick()
    prefix = world.store.address.prefix
    left = {
        key.removeprefix(prefix)
        for key in world.store.client.scan_iter(match=f"{prefix.replace('{', '[{]')}*")
        if CHAT in key
    }
    assert left == {f"sess:{CHAT}"}
    assert set(world.store.client.hgetall(f"{prefix}sess:{CHAT}")) == {"ag", "gone", "n"}


def test_a_deletion_that_is_sent_twice_does_nothing_more(world: World) -> None:
    send(world, "a")
    world.do(sessions.delete(CHAT))
    assert world.do(sessions.delete(CHAT)) == Deleted(False)
    assert [e.state for e in inbox(world)] == ["undeliverable"]


# -- sessions that were not opened


def unopened(world: World) -> None:
    world.do(starts.register(world.registration("x", kind="external", wake_target={"session_id": CHAT})))


def test_a_wake_to_a_session_that_nobody_opens_expires_in_sight(world: World) -> None:
    unopened(world)
    world.emit("x", "wake", "first")
    world.clock.advance("1d")
    world.emit("x", "wake", "second")
    world.clock.advance("6d")
    world.tick()
    assert [(e.input, e.state, e.reason) for e in inbox(world)] == [
        ("first", "undeliverable", "expired"),
        ("second", "delivered", None),
    ]
    world.clock.advance("1d")
    world.tick()
    assert states(world) == [("first", "undeliverable"), ("second", "undeliverable")]
    assert world.go(inbox_verbs.inspect(CHAT)).status == "unopened"


def test_a_session_that_opens_in_time_gets_its_wakes_and_nothing_expires(world: World) -> None:
    unopened(world)
    world.emit("x", "wake", "told")
    world.clock.advance("6d")
    world.do(sessions.create(world.session(CHAT)))
    world.clock.advance("2d")
    world.tick()
    claim, texts = turn(world)
    assert texts == ["told"]
    commit(world, claim)


def test_an_expired_wake_is_redriven_into_the_session_that_opened_since(world: World) -> None:
    unopened(world)
    world.emit("x", "wake", "told")
    world.clock.advance("7d")
    world.tick()
    world.do(sessions.create(world.session(CHAT)))
    assert world.do(entries.redrive(CHAT, 1)) == 2
    _, texts = turn(world)
    assert texts == ["told"]


def test_a_session_that_was_never_opened_is_forgotten_with_its_last_entry(world: World) -> None:
    unopened(world)
    world.emit("x", "wake", "told")
    for _ in range(2):
        world.clock.advance("7d")
        world.tick()
    with pytest.raises(SessionNotFound):
        inbox(world)
    assert world.do(sessions.list_sessions()) == []


def test_a_new_target_takes_back_what_no_session_had_received(world: World) -> None:
    unopened(world)
    world.emit("x", "wake", "early")
    world.start("y", kind="external", wake_target={"session_id": CHAT})
    world.emit("y", "wake", "of another")
    world.do(sessions.create(world.session("chat/2")))
    world.do(processes.retarget("x", "chat/2"))
    assert [(e.input, e.state, e.reason) for e in inbox(world)] == [
        ("early", "undeliverable", "retargeted"),
        ("of another", "delivered", None),
    ]
    (event,) = (event for event in world.log("x") if event.type == "process.retargeted")
    assert json.loads(event.payload) == {"wake_target": {"session_id": "chat/2"}}


def test_a_deleted_session_is_no_new_target(world: World) -> None:
    source(world)
    send(world, "a", to="chat/2")
    world.do(sessions.delete("chat/2"))
    with pytest.raises(SessionDeleted):
        world.do(processes.retarget("x", "chat/2"))
    assert world.types("x") == []
