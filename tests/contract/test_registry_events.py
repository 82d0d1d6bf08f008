"""Appending to a process' log and reading it (P11, P15 to P22, P33, P34, P37, P38, P48, P51, P55, P56, P73 to P79)."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest
from wakeline.causality import ProcessCause, ProcessEventSubject
from wakeline.errors import PayloadSchemaMismatch, ProcessNotFound, ReplayConflict, ReservedEvent, UndeclaredEvent
from wakeline.processes.events import ProcessEvent
from wakeline.store.calls import Change, Program
from wakeline.verbs import processes

if TYPE_CHECKING:
    from tests.contract.conftest import World

PAGE = {
    "name": "page",
    "payload_schema": {"type": "object", "properties": {"url": {"type": "string"}}, "required": ["url"]},
}


def test_the_first_event_has_sequence_one_and_the_log_is_dense(world: World) -> None:
    world.start("p", event_types=[PAGE])
    assert [world.emit("p", "page", {"url": url}) for url in ("a", "b", "c")] == [1, 2, 3]


def test_a_payload_without_a_required_field_is_refused_and_nothing_is_written(world: World) -> None:
    world.start("p", event_types=[PAGE])
    with pytest.raises(PayloadSchemaMismatch):
        world.emit("p", "page", {"title": "no url"})
    assert world.types() == []


def test_an_undeclared_type_is_refused_and_nothing_is_written(world: World) -> None:
    world.start("p", event_types=[PAGE])
    with pytest.raises(UndeclaredEvent):
        world.emit("p", "chapter", {})
    assert world.types() == []


def test_the_same_key_and_content_is_one_event(world: World) -> None:
    world.start("p", event_types=[PAGE])
    first = world.emit("p", "page", {"url": "a"}, key="k")
    world.emit("p", "page", {"url": "b"})
    again = world.emit("p", "page", {"url": "a"}, key="k")
    assert (first, again) == (1, 1)
    assert [event.sequence for event in world.log()] == [1, 2]


def test_the_same_key_with_other_content_is_a_conflict(world: World) -> None:
    world.start("p", event_types=[PAGE])
    world.emit("p", "page", {"url": "a"}, key="k")
    with pytest.raises(ReplayConflict):
        world.emit("p", "page", {"url": "b"}, key="k")
    with pytest.raises(ReplayConflict):
        world.emit("p", "log", {"url": "a"}, key="k")
    assert len(world.log()) == 1


def test_a_replay_returns_the_original_event_also_after_the_end(world: World) -> None:
    world.start("x", kind="external")
    first = world.append("x", "log", "one", key="k")
    world.clock.advance("1h")
    world.finish("x")
    again = world.append("x", "log", "one", key="k")
    assert (again.sequence, again.at_ms, again.replayed) == (1, 1_700_000_000_000, True)
    assert first.at_ms == again.at_ms


def test_an_event_carries_its_lineage(world: World) -> None:
    world.start("p", event_types=[PAGE])
    world.emit("p", "page", {"url": "a"}, key="k")
    (stored,) = world.log()
    event = ProcessEvent.restore(
        "p", stored.sequence, stored.type, stored.payload, stored.at_ms, replay_key=stored.replay_key
    )
    assert event.invocation.scope == "runtime"
    assert event.invocation.subject == ProcessEventSubject(process_id="p", sequence=1, event_type="page")
    assert event.invocation.caused_by == ProcessCause(process_id="p")
    assert event.invocation.replay_key == "k"


def test_reading_after_a_sequence_leaves_out_what_is_older(world: World) -> None:
    world.start("p")
    for text in ("one", "two", "three"):
        world.append("p", "log", text)
    assert [(e.sequence, e.payload) for e in world.view(after=1).events] == [(2, '"two"'), (3, '"three"')]
    assert world.view(after=3).events == ()


def test_the_tail_of_a_log_comes_in_order(world: World) -> None:
    world.start("p")
    for text in ("one", "two", "three"):
        world.append("p", "log", text)
    assert [e.sequence for e in world.view(count=2, tail=True).events] == [2, 3]
    assert [e.sequence for e in world.view(count=100, tail=True).events] == [1, 2, 3]


def test_reading_the_log_of_an_unknown_process_is_an_error(world: World) -> None:
    with pytest.raises(ProcessNotFound):
        world.view("nobody", count=0)
    with pytest.raises(ProcessNotFound):
        world.view("nobody", count=2, tail=True)


def test_waiting_for_an_event_that_is_there_returns_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wakeline.store.tailer.YOUNG_S", 600)  # no look helps out
    world.start("p")
    for text in ("one", "two", "three"):
        world.append("p", "log", text)

    def third() -> Program[int]:
        yield Change("p", 2, 600_000)
        return world.log()[-1].sequence

    learned: list[int] = []
    waiter = threading.Thread(target=lambda: learned.append(world.go(third())), daemon=True)
    waiter.start()
    waiter.join(30)
    assert learned == [3]


def test_a_waiter_that_came_first_is_released_by_the_event(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wakeline.store.tailer.YOUNG_S", 600)  # only the event ends the wait
    world.start("x", kind="external")
    coming = threading.Event()

    def first() -> Program[int]:
        coming.set()
        yield Change("x", 0, 600_000)
        return world.log("x")[0].sequence

    learned: list[int] = []
    waiter = threading.Thread(target=lambda: learned.append(world.go(first())), daemon=True)
    waiter.start()
    assert coming.wait(30)
    while world.backend.real and world.store.info()["blocked_clients"] == 0:
        time.sleep(0.001)  # its read is on the way to the server
    world.append("x", "log", "here")
    waiter.join(30)
    assert learned == [1]


@pytest.mark.parametrize(
    "lifecycle", ["process.cancel_requested", "process.completed", "process.waiting", "process.resumed"]
)
def test_lifecycle_events_are_refused_from_producers(world: World, lifecycle: str) -> None:
    world.start("p")
    with pytest.raises(ReservedEvent):
        world.emit("p", lifecycle, {"reason": "x"}, key="k")
    assert world.types() == []


def test_a_cancel_needs_no_key_and_asking_twice_is_one_event(world: World) -> None:
    world.start("p")
    assert world.go(processes.cancel(world.caller, "p", "enough")) == "queued"
    assert world.go(processes.cancel(world.caller, "p", "enough")) == "queued"
    assert [(e.type, e.payload) for e in world.log()] == [("process.cancel_requested", '{"reason":"enough"}')]
