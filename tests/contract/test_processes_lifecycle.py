"""Ends, replays, and the law that a record is the fold of its log (P122 to P128, P148, P149, P155 to P165, P195, P203,
P209, P224, P233)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from wakeline.errors import (
    ExternalRefConflict,
    LeaseLost,
    NotExternal,
    ProcessAlreadyTerminal,
    ProcessNoLongerRetained,
    ProcessNotFound,
    ReplayConflict,
    ReservedEvent,
    TerminalOutcomeMismatch,
)
from wakeline.names import LIFECYCLE_TYPES
from wakeline.processes.outputs import CancelledOutput, Success
from wakeline.store import ends, events, journal, processes, sessions, waits
from wakeline.verbs import looks
from wakeline.verbs import processes as processes_verbs

from tests.contract.folding import check_fold

if TYPE_CHECKING:
    from tests.contract.conftest import World

CHAT = {"session_id": "chat/1"}
SUCCESS = '{"type":"success","value":1}'


@pytest.mark.parametrize("event_type", sorted(LIFECYCLE_TYPES))
def test_lifecycle_types_cannot_be_appended_and_change_nothing(world: World, event_type: str) -> None:
    world.start("x", kind="external", wake="chat/1")
    before = world.view("x").fields
    with pytest.raises(ReservedEvent):
        world.emit("x", event_type, {"wake_target": {"session_id": "chat/2"}}, key="k")
    assert world.types("x") == []
    assert world.view("x").fields == before


def test_minus_zero_and_the_order_of_keys_do_not_make_another_event(world: World) -> None:
    world.start("p")
    first = world.append("p", "log", {"a": 0.0, "b": 1}, key="k")
    again = world.append("p", "log", {"b": 1, "a": -0.0}, key="k")
    assert (first.sequence, again.sequence, again.replayed) == (1, 1, True)
    with pytest.raises(ReplayConflict):
        world.append("p", "log", {"a": 0.5, "b": 1}, key="k")


def test_a_long_cancel_reason_is_kept_whole_and_asked_twice_is_one_event(world: World) -> None:
    reason = "because " * 800
    world.start("p")
    for _ in range(2):
        assert world.go(processes_verbs.cancel(world.caller, "p", reason)) == "queued"
    (event,) = world.log()
    assert (event.sequence, len(reason), json.loads(event.payload)) == (1, 6_400, {"reason": reason})


def test_another_reason_does_not_replace_the_first(world: World) -> None:
    world.start("x", kind="external")
    world.go(processes_verbs.cancel(world.caller, "x", "first"))
    asked = world.view("x")
    world.clock.advance("1s")
    world.go(processes_verbs.cancel(world.caller, "x", "second"))
    again = world.view("x")
    assert (again.fields, again.events) == (asked.fields, asked.events)
    assert [event.payload for event in again.events] == ['{"reason":"first"}']
    world.clock.advance("10s")
    world.tick()
    assert world.go(looks.await_output(world.caller, "x", 0)) == CancelledOutput("first")


def test_external_work_that_nobody_reports_is_closed_by_a_cancel_without_any_worker(world: World) -> None:
    world.start("x", kind="external")
    world.go(processes_verbs.cancel(world.caller, "x", "the vendor is gone"))
    world.clock.advance("9999ms")
    world.tick()
    assert world.status("x") == "running"
    world.clock.advance("1ms")
    world.tick()
    assert world.types("x") == ["process.cancel_requested", "process.cancelled"]
    assert "ow" not in world.view("x").fields
    record = check_fold(world, "x")
    assert (record.status, record.output) == ("cancelled", CancelledOutput("the vendor is gone"))
    with pytest.raises(ProcessAlreadyTerminal):
        world.finish("x", "it was there after all")


def test_the_end_is_the_status_and_the_output_that_was_given(world: World) -> None:
    world.start("x", kind="external")
    world.go(processes_verbs.finish_external("x", Success({"paid": 1})))
    record = check_fold(world, "x")
    assert (record.status, record.output) == ("completed", Success({"paid": 1}))


def test_an_output_of_another_state_than_its_type_is_refused_and_changes_nothing(world: World) -> None:
    gone = {"name": "gone", "semantics": {"terminal": {"state": "failed", "output": {"type": "payload"}}}}
    world.start("p", event_types=[gone])
    before = world.view()
    with pytest.raises(TerminalOutcomeMismatch):
        world.emit("p", "gone", {"type": "success", "value": 1}, key="k")
    after = world.view()
    assert (after.fields, after.events) == (before.fields, before.events) == (before.fields, ())


def test_the_same_end_sent_again_by_its_run_is_the_same_event(world: World) -> None:
    fence = world.running("p")
    first = world.finish("p", 1, fence)
    world.clock.advance("1h")
    assert (first, world.finish("p", 1, fence)) == (2, 2)
    assert [(e.type, e.at_ms) for e in world.log()] == [
        ("process.started", 1_700_000_000_000),
        ("process.completed", 1_700_000_000_000),
    ]


def test_the_same_end_reported_again_from_outside_is_the_same_event_and_another_is_refused(world: World) -> None:
    world.start("x", kind="external")
    assert (world.finish("x", 1), world.finish("x", 1)) == (1, 1)
    with pytest.raises(ProcessAlreadyTerminal):
        world.finish("x", 2)
    assert [event.payload for event in world.log("x")] == ['{"await_output":{"type":"success","value":1}}']


def test_nothing_new_is_appended_after_the_end(world: World) -> None:
    world.start("x", kind="external")
    world.finish("x")
    before = world.view("x")
    for event_type in ("log", "progress", "wake"):
        with pytest.raises(ProcessAlreadyTerminal):
            world.emit("x", event_type, "late", key=event_type)
    with pytest.raises(ProcessAlreadyTerminal):
        world.signal("x", "go", None, key="late")
    with pytest.raises(ProcessAlreadyTerminal):
        world.do(processes.set_external_ref("x", '{"id":"1"}'))
    with pytest.raises(ProcessAlreadyTerminal):
        world.do(processes.retarget("x", "chat/1"))
    assert world.go(processes_verbs.cancel(world.caller, "x", "late")) == "completed"
    after = world.view("x")
    assert (after.fields, after.events) == (before.fields, before.events)


def test_a_replayed_signal_keeps_its_sequence_also_after_the_end(world: World) -> None:
    world.start("x", kind="external")
    first = world.signal("x", "go", 1, key="k")
    world.append("x", "log", "between")
    again = world.signal("x", "go", 1, key="k")
    world.finish("x")
    late = world.signal("x", "go", 1, key="k")
    assert (first.sequence, again.sequence, late.sequence) == (1, 1, 1)
    assert (first.replayed, again.replayed, late.replayed) == (False, True, True)
    with pytest.raises(ReplayConflict):
        world.signal("x", "go", 2, key="k")


def test_a_second_external_reference_is_refused_naming_both(world: World) -> None:
    world.start("x", kind="external")
    world.do(processes.set_external_ref("x", '{"id":"77"}'))
    with pytest.raises(ExternalRefConflict) as refused:
        world.do(processes.set_external_ref("x", '{"id":"78"}'))
    assert (refused.value.existing, refused.value.given) == ('{"id":"77"}', '{"id":"78"}')
    assert check_fold(world, "x").external_ref == {"id": "77"}


def test_an_insert_writes_one_event_and_one_wake_and_a_replay_neither(world: World) -> None:
    fence = world.running("p", wake="chat/1")
    ready = events.WakeText("ready")
    by_run = journal.Effect(fence, journal.Row("event:1", '{"v":', after="}"))
    for _ in range(2):
        world.append("p", "wake", "ready", key="host", wake=ready)
        world.append("p", "wake", "ready", wake=ready, effect=by_run)
    assert world.types() == ["wake", "process.started", "wake"]
    assert [wake["sequence"] for wake in world.inbox("chat/1")] == [1, 3]
    for _ in range(2):
        world.finish("p", 1, fence)
    assert world.types() == ["wake", "process.started", "wake", "process.completed"]
    assert [wake["sequence"] for wake in world.inbox("chat/1")] == [1, 3]


def test_the_record_is_the_fold_of_its_log_after_every_step_of_a_life(world: World) -> None:
    fence = world.running("p", wake="chat/1", wake_target=CHAT)
    assert check_fold(world).status == "queued"

    world.do(journal.record(fence, [journal.Row("step:1", "{}")]))
    assert check_fold(world).status == "running"
    world.wait_for(fence, "go")
    world.do(waits.park(fence, ["go.1"], '{"signals":["go"]}'))
    record = check_fold(world)
    assert (record.status, record.wait) == ("waiting", {"signals": ["go"]})

    world.clock.advance("1s")
    world.signal("p", "go", 1, key="k")
    record = check_fold(world)
    assert (record.status, record.wait) == ("running", None)
    sequence = record.sequence
    world.signal("p", "go", 1, key="k")
    assert check_fold(world).sequence == sequence

    world.do(processes.retarget("p", "chat/2"))
    assert check_fold(world).wake_target is not None
    world.do(processes.retarget("p", None))
    assert check_fold(world).wake_target is None

    (claim,) = (claim for claim in world.take() if claim.process_id == "p")
    check_fold(world)
    world.do(ends.continue_as_new(claim.fence, '{"page":2}'))
    record = check_fold(world)
    assert (record.generation, record.input.payload) == (2, {"page": 2})  # type: ignore[union-attr]

    world.go(processes_verbs.cancel(world.caller, "p", "enough"))
    assert check_fold(world).cancel_requested == "enough"
    (claim,) = (claim for claim in world.take() if claim.process_id == "p")
    world.do(ends.release(claim.fence))
    check_fold(world)
    (claim,) = (claim for claim in world.take() if claim.process_id == "p")
    world.finish("p", 3, claim.fence)
    hot = check_fold(world)
    assert (hot.status, hot.output, hot.sequence) == ("completed", Success(3), 9)
    assert check_fold(world.reopened()) == hot


def test_the_record_of_external_work_is_the_fold_of_its_log(world: World) -> None:
    world.start("x", kind="external", wake="chat/1", wake_target=CHAT)
    world.do(processes.set_external_ref("x", '{"backend":"ci","id":"77"}'))
    world.do(sessions.grant("session:chat/1", "x", "{}"))
    world.append("x", "progress", 0.5)
    world.signal("x", "go", 1)
    assert check_fold(world, "x").external_ref == {"backend": "ci", "id": "77"}
    world.finish("x", 1)
    assert check_fold(world, "x").status == "completed"


def test_a_process_without_a_worker_cannot_wait(world: World) -> None:
    fence = world.running("p")
    world.do(ends.release(fence))
    with pytest.raises(LeaseLost):
        world.do(waits.park(fence, [], "{}"))
    assert world.types() == []


def test_only_external_work_is_ended_from_outside(world: World) -> None:
    world.running("p", recovery="owner_bound")
    with pytest.raises(NotExternal):
        world.do(ends.finish("p", "completed", SUCCESS))
    assert (world.status(), world.types()) == ("running", [])
    with pytest.raises(ProcessNotFound):
        world.do(ends.finish("nobody", "completed", SUCCESS))


def test_a_request_that_asks_for_an_end_is_no_end(world: World) -> None:
    fence = world.running("p")
    assert world.go(processes_verbs.cancel(world.caller, "p", "please")) == "running"
    assert world.types() == ["process.cancel_requested"]
    world.finish("p", "finished anyway", fence)
    assert world.status() == "completed"


def test_a_cancel_of_what_is_not_there_is_refused_and_asks_nobody(world: World) -> None:
    world.start("p")
    with pytest.raises(ProcessNotFound):
        world.go(processes_verbs.cancel(world.caller, "nobody", "enough"))
    assert world.types("p") == []


def test_every_verb_checks_and_writes_in_one_script(world: World) -> None:
    def sent() -> int:
        return sum(n for name, n in world.store.sent.counts.items() if name != "round_trips")

    def scripts(verb: Callable[[], Any]) -> int:
        before = sent()
        verb()
        return sent() - before

    world.worker()
    fences: list[Any] = []
    assert scripts(lambda: world.start("p")) == 1
    assert scripts(lambda: fences.extend(claim.fence for claim in world.take())) == 1
    world.emit("p", "log", "from here on the sender knows its types")
    verbs: list[Callable[[], Any]] = [
        lambda: world.emit("p", "log", 1),
        lambda: world.signal("p", "go", 1),
        lambda: world.do(waits.resolve("p", "inc00001", "slot", '{"status":"ok","value":1}')),
        lambda: world.go(processes_verbs.cancel(world.caller, "p", "enough")),
        lambda: world.finish("p", 1, fences[0]),
        lambda: world.tick(retention_ms=0),
    ]
    assert [scripts(verb) for verb in verbs] == [1, 1, 1, 1, 1, 1]
    with pytest.raises(ProcessNoLongerRetained):
        world.view()


def test_a_key_is_one_event_and_no_key_is_always_another(world: World) -> None:
    world.start("p")
    assert [world.append("p", "log", 1, key="k").sequence for _ in range(2)] == [1, 1]
    with pytest.raises(ReplayConflict):
        world.append("p", "log", 2, key="k")
    assert len(world.log()) == 1
    assert [world.append("p", "log", 1).sequence for _ in range(2)] == [2, 3]


def test_replay_keys_belong_to_one_process(world: World) -> None:
    world.start("p")
    world.start("q")
    world.append("p", "log", 1, key="k")
    assert world.append("q", "log", 2, key="k").replayed is False
