"""Registering a process, its external reference, and reading both again (P2 to P6, P58, P59, P107 to P110)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from wakeline.errors import ExternalRefConflict, ProcessConflict, ProcessNotFound
from wakeline.processes.outputs import CancelledOutput, Success
from wakeline.store import processes, sessions
from wakeline.verbs import looks
from wakeline.verbs import processes as processes_verbs

if TYPE_CHECKING:
    from tests.contract.conftest import World


def test_registering_the_same_content_again_returns_the_existing_process(world: World) -> None:
    first = world.start("p", payload={"order": 7})
    second = world.start("p", payload={"order": 7}, incarnation="inc00002")
    assert (first.created, second.created) == (True, False)
    assert second.incarnation == "inc00001"
    assert (
        world.registration("p", payload={"order": 7}).content_hash
        == world.registration("p", payload={"order": 7}).content_hash
    )
    assert world.types() == []


def test_another_input_under_the_same_id_is_a_conflict(world: World) -> None:
    world.start("p", payload={"order": 7})
    with pytest.raises(ProcessConflict):
        world.start("p", payload={"order": 8})
    assert world.view().registration.input.payload == {"order": 7}  # type: ignore[union-attr]


def test_other_event_types_under_the_same_id_keep_the_first_ones(world: World) -> None:
    world.start("p", event_types=[{"name": "page"}])
    again = world.start("p", event_types=[{"name": "page"}, {"name": "chapter"}])
    assert again.created is False
    assert [
        declared.name for declared in world.view().registration.event_types if declared.name in ("page", "chapter")
    ] == ["page"]


def test_an_external_reference_of_an_unknown_process_is_refused(world: World) -> None:
    with pytest.raises(ProcessNotFound):
        world.do(processes.set_external_ref("nobody", '{"backend":"ci","id":"77"}'))


def test_an_external_reference_is_an_event_and_stays_readable(world: World) -> None:
    world.start("x", kind="external")
    assert world.do(processes.set_external_ref("x", '{"backend":"ci","id":"77"}')) == 1
    assert [(event.type, event.payload) for event in world.log("x")] == [
        ("process.external_ref_set", '{"backend":"ci","id":"77"}')
    ]


def test_an_external_reference_is_written_once(world: World) -> None:
    world.start("x", kind="external")
    world.do(processes.set_external_ref("x", '{"id":"77"}'))
    assert world.do(processes.set_external_ref("x", '{"id":"77"}')) is None
    with pytest.raises(ExternalRefConflict):
        world.do(processes.set_external_ref("x", '{"id":"78"}'))
    assert world.types("x") == ["process.external_ref_set"]


def test_awaiting_an_ended_process_returns_exactly_its_output_in_one_read(world: World) -> None:
    world.start("x", kind="external")
    world.go(processes_verbs.finish_external("x", Success({"paid": [1, 2]})))
    before = dict(world.store.sent.counts)
    assert world.go(looks.await_output(world.caller, "x", 0)) == Success({"paid": [1, 2]})
    assert world.store.sent.counts["process_read"] - before.get("process_read", 0) == 1
    assert world.status("x") == "completed"


def test_ending_with_a_cancelled_output_ends_as_cancelled(world: World) -> None:
    world.start("x", kind="external")
    world.go(processes_verbs.finish_external("x", CancelledOutput("the vendor gave up")))
    assert world.status("x") == "cancelled"
    assert world.types("x") == ["process.cancelled"]


def test_a_process_its_log_its_replay_keys_and_its_handles_survive_a_reopen(world: World) -> None:
    world.start("p", payload={"order": 7})
    world.append("p", "log", "one", key="k1")
    world.append("p", "log", "two")
    world.do(sessions.grant("session:chat/1", "p", '{"kind":"job"}'))

    later = world.reopened()

    assert later.view("p").registration.input.payload == {"order": 7}  # type: ignore[union-attr]
    assert [(event.sequence, event.payload) for event in later.log("p")] == [(1, '"one"'), (2, '"two"')]
    assert later.do(sessions.grants_of("p")) == ["session:chat/1"]
    replayed = later.append("p", "log", "one", key="k1")
    assert (replayed.sequence, replayed.replayed) == (1, True)
    assert len(later.log("p")) == 2
