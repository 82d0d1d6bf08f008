"""Which events wake a session, and with what (P12 to P14, P23 to P32, P35, P36, P39 to P47, P49, P50, P52 to P54)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from wakeline.causality import SessionScope, event_invocation
from wakeline.processes.events import ProcessEvent
from wakeline.store import ends, events, sessions
from wakeline.store.ends import TurnCommit

if TYPE_CHECKING:
    from tests.contract.conftest import World

CHAT = "chat/1"
PAYLOAD = {"type": "payload"}


def pointer(path: str) -> dict[str, Any]:
    return {"type": "pointer", "pointer": path}


def const(value: Any) -> dict[str, Any]:
    return {"type": "const", "value": value}


def waking(name: str, **wake: Any) -> dict[str, Any]:
    """An event type whose events wake the target."""
    return {"name": name, "semantics": {"wake": wake}}


def test_a_wake_carries_the_text_its_pointer_selects(world: World) -> None:
    world.start("p", wake=CHAT, event_types=[waking("done", input=pointer("/summary"))])
    world.emit("p", "done", {"summary": "three files", "noise": 1})
    (wake,) = world.inbox(CHAT)
    assert wake["input"] == "three files"


def test_a_wake_names_its_event_and_its_process(world: World) -> None:
    world.start("p", wake=CHAT, event_types=[waking("done", input=PAYLOAD)])
    world.append("p", "log", "not a wake")
    world.clock.advance("1s")
    world.emit("p", "done", "ready")
    (wake,) = world.inbox(CHAT)
    assert wake == {
        "n": 1,
        "kind": "wake",
        "process_id": "p",
        "incarnation": "inc00001",
        "sequence": 2,
        "event_type": "done",
        "at_ms": 1_700_000_001_000,
        "input": "ready",
        "state": "delivered",
        "swallowed": 0,
    }


def test_the_lineage_of_a_wake_is_that_of_its_event(world: World) -> None:
    world.start("p", wake=CHAT, event_types=[waking("done", input=PAYLOAD)])
    world.append("p", "log", "before")
    world.emit("p", "done", "ready", key="k")
    (wake,), event = world.inbox(CHAT), world.log()[-1]
    restored = ProcessEvent.restore(
        "p", event.sequence, event.type, event.payload, event.at_ms, replay_key=event.replay_key
    )
    assert event_invocation(wake["process_id"], wake["sequence"], wake["event_type"], "k") == restored.invocation


def test_what_caused_a_process_is_read_from_its_registration(world: World) -> None:
    cause = {"type": "process_event", "process_id": "elder", "sequence": 4}
    world.start("p", wake=CHAT, provenance={"originator": {"type": "host"}, "caused_by": cause})
    world.emit("p", "wake", "ready")
    (wake,) = world.inbox(CHAT)
    caused_by = world.view(wake["process_id"]).registration.provenance.caused_by
    assert caused_by is not None
    assert caused_by.model_dump() == {"type": "process_event", "process_id": "elder", "sequence": 4}


def test_an_agent_frame_stays_with_the_process_and_the_wake_goes_to_the_session(world: World) -> None:
    world.do(sessions.create(world.session(CHAT)))
    world.start("p", wake_target={"session_id": CHAT, "agent_frame_id": "f2"})
    world.emit("p", "wake", "ready")
    assert [wake["input"] for wake in world.inbox(CHAT)] == ["ready"]
    target = world.view().registration.wake_target
    assert target == SessionScope(session_id=CHAT, agent_frame_id="f2")
    assert target.scope_id == "session:chat/1/frame:f2"


def test_a_settled_wake_is_not_offered_again(world: World) -> None:
    world.start("x", kind="external", wake=CHAT)
    world.emit("x", "wake", "ready")
    world.worker()
    (turn,) = world.take()
    batch = world.do(sessions.admit(turn.fence, CHAT, 256))
    assert [json.loads(entry.body)["input"] for entry in batch.entries] == ["ready"]
    world.do(
        ends.finish(
            turn.process_id,
            "completed",
            '{"type":"success","value":null}',
            fence=turn.fence,
            turn=TurnCommit(CHAT, "0"),
        )
    )
    assert [wake["state"] for wake in world.inbox(CHAT)] == ["settled"]
    assert world.take() == ()
    world.emit("x", "wake", "next")
    (turn,) = world.take()
    batch = world.do(sessions.admit(turn.fence, CHAT, 256))
    assert [json.loads(entry.body)["input"] for entry in batch.entries] == ["next"]


def test_each_event_is_a_wake_of_its_own_by_default(world: World) -> None:
    world.start("p", wake=CHAT)
    for _ in range(3):
        world.emit("p", "wake", "same text")
    assert [(wake["n"], wake["sequence"], wake["swallowed"]) for wake in world.inbox(CHAT)] == [
        (1, 1, 0),
        (2, 2, 0),
        (3, 3, 0),
    ]


def test_a_replayed_wake_is_delivered_once_and_unchanged(world: World) -> None:
    world.start("p", wake=CHAT)
    assert world.emit("p", "wake", "ready", key="k") == 1
    delivered = world.inbox(CHAT)
    world.clock.advance("1h")
    assert world.emit("p", "wake", "ready", key="k") == 1
    assert world.inbox(CHAT) == delivered
    assert (delivered[0]["process_id"], delivered[0]["sequence"], delivered[0]["input"]) == ("p", 1, "ready")


def test_a_condition_that_is_not_met_suppresses_the_wake_and_keeps_the_event(world: World) -> None:
    world.start("p", wake=CHAT, event_types=[waking("done", when=const(False), input=PAYLOAD)])
    world.emit("p", "done", "ready")
    assert world.inbox(CHAT) == []
    assert world.types() == ["done"]


@pytest.mark.parametrize(
    ("selector", "payload", "text"),
    [
        (PAYLOAD, "bare string", "bare string"),
        (PAYLOAD, {"b": 1, "a": None}, '{"b":1,"a":null}'),
        (const("always this"), "ignored", "always this"),
        (
            {
                "type": "template",
                "template": "{name} done #{n}",
                "fields": {"name": pointer("/name"), "n": pointer("/n")},
            },
            {"name": "line", "n": 7},
            "line done #7",
        ),
    ],
    ids=["string", "object", "const", "template"],
)
def test_the_text_of_a_wake_is_what_its_selector_finds(
    world: World, selector: dict[str, Any], payload: Any, text: str
) -> None:
    world.start("p", wake=CHAT, event_types=[waking("done", input=selector)])
    world.emit("p", "done", payload)
    assert [wake["input"] for wake in world.inbox(CHAT)] == [text]


@pytest.mark.parametrize("dedupe", [pointer("/job"), const("one at a time")], ids=["selector", "const"])
def test_pending_wakes_of_one_key_are_one_wake_with_the_newest_text(world: World, dedupe: dict[str, Any]) -> None:
    world.start("p", wake=CHAT, event_types=[waking("done", input=pointer("/text"), dedupe=dedupe)])
    world.emit("p", "done", {"job": "a", "text": "old"})
    world.emit("p", "wake", "between")
    world.emit("p", "done", {"job": "a", "text": "new"})
    assert [(wake["n"], wake["input"], wake["sequence"], wake["swallowed"]) for wake in world.inbox(CHAT)] == [
        (1, "new", 3, 1),
        (2, "between", 2, 0),
    ]


def test_wakes_of_other_keys_do_not_coalesce(world: World) -> None:
    world.start("p", wake=CHAT, event_types=[waking("done", input=pointer("/text"), dedupe=pointer("/job"))])
    world.emit("p", "done", {"job": "a", "text": "first"})
    world.emit("p", "done", {"job": "b", "text": "second"})
    assert [wake["input"] for wake in world.inbox(CHAT)] == ["first", "second"]


def test_a_wake_that_a_turn_took_does_not_coalesce_any_more(world: World) -> None:
    world.start("x", kind="external", wake=CHAT, event_types=[waking("done", input=PAYLOAD, dedupe=const("k"))])
    world.emit("x", "done", "first")
    world.worker()
    (turn,) = world.take()
    world.do(sessions.admit(turn.fence, CHAT, 256))
    world.emit("x", "done", "second")
    assert [(wake["input"], wake["state"]) for wake in world.inbox(CHAT)] == [
        ("first", "admitted"),
        ("second", "delivered"),
    ]


def test_the_inbox_holds_exactly_the_events_that_wake(world: World) -> None:
    types = [waking("quiet", when=pointer("/loud"), input=PAYLOAD), waking("done", input=PAYLOAD)]
    world.start("p", wake=CHAT, event_types=types)
    world.append("p", "log", "1")
    world.emit("p", "quiet", {"loud": False})
    world.emit("p", "done", "3")
    world.emit("p", "quiet", {"loud": 0})
    world.emit("p", "wake", "5")
    assert [wake["sequence"] for wake in world.inbox(CHAT)] == [3, 4, 5]


def test_without_a_target_a_waking_event_is_only_an_event(world: World) -> None:
    world.start("p")
    receipt = world.append("p", "wake", "ready", wake=events.WakeText("ready"))
    assert (receipt.sequence, receipt.entry) == (1, None)
    assert world.types() == ["wake"]
    assert world.do(sessions.list_sessions()) == []
