"""The record is a fold of registration and events; the lifecycle table says what may follow what."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wakeline import names
from wakeline.causality import HostOriginator, Provenance, SessionScope
from wakeline.errors import ProcessAlreadyTerminal, TransitionRefused
from wakeline.processes.events import ProcessEvent
from wakeline.processes.inputs import EngineInput, ExternalInput, ProcessInput
from wakeline.processes.lifecycle import TERMINAL, Status
from wakeline.processes.outputs import AbandonedOutput, CancelledOutput, Failure, Success
from wakeline.processes.registration import Registration, prepare
from wakeline.testing.model.lifecycle import LIVE, STATUSES, next_status, observed
from wakeline.testing.model.record import Record, apply, fold
from wakeline.values import to_json

HELPER = SessionScope(session_id="helper/u42")
WAIT = {"waits": [{"kind": "signal", "name": "publish", "ordinal": 1}]}


def registered(process_input: ProcessInput | None = None) -> Registration:
    return prepare(
        id="p_1",
        input=process_input or EngineInput(kind="crawl", payload={"n": 1}),
        provenance=Provenance(originator=HostOriginator()),
        queue="shop",
        env_ref=None if isinstance(process_input, ExternalInput) else "process-env:sha256:00",
        wake_target=HELPER,
    )


def log(*entries: tuple[str, Any]) -> list[ProcessEvent]:
    return [
        ProcessEvent.restore("p_1", n, name, to_json(payload), 1000 + n) for n, (name, payload) in enumerate(entries, 1)
    ]


def record_of(*entries: tuple[str, Any], process_input: ProcessInput | None = None) -> Record:
    return fold(registered(process_input), 1000, log(*entries))


STARTED = ("process.started", {})


def test_a_new_record() -> None:
    record = record_of()
    assert (record.status, record.sequence, record.created_at_ms, record.updated_at_ms) == ("queued", 0, 1000, 1000)
    assert (record.generation, record.wake_target, record.wait, record.output) == (1, HELPER, None, None)
    assert record.input == EngineInput(kind="crawl", payload={"n": 1})


def test_it_runs_waits_and_resumes() -> None:
    assert record_of(STARTED).status == "running"
    waiting = record_of(STARTED, ("process.waiting", WAIT))
    assert (waiting.status, waiting.wait, waiting.sequence, waiting.updated_at_ms) == ("waiting", WAIT, 2, 1002)
    resumed = record_of(STARTED, ("process.waiting", WAIT), ("process.resumed", {}))
    assert (resumed.status, resumed.wait) == ("running", None)


@pytest.mark.parametrize(
    ("event_type", "output", "status", "expected"),
    [
        ("process.completed", {"type": "success", "value": 1}, "completed", Success(1)),
        (
            "process.failed",
            {"type": "failure", "class": "timeout", "code": "deadline", "message": "late"},
            "failed",
            Failure("timeout", "deadline", "late"),
        ),
        ("process.cancelled", {"type": "cancelled", "message": "asked"}, "cancelled", CancelledOutput("asked")),
        (
            "process.abandoned",
            {"type": "abandoned", "evidence": {"writer": "w"}},
            "abandoned",
            AbandonedOutput({"writer": "w"}),
        ),
    ],
)
@pytest.mark.parametrize(
    "before", [[], [STARTED], [STARTED, ("process.waiting", WAIT)]], ids=["queued", "running", "waiting"]
)
def test_it_ends_from_every_live_status(
    event_type: str, output: Any, status: str, expected: Any, before: list[tuple[str, Any]]
) -> None:
    # P57 to P59, P66: the end sets status and output, and clears the wait.
    record = record_of(*before, (event_type, {"await_output": output}))
    assert (record.status, record.output, record.wait, record.ended) == (status, expected, None, True)


@pytest.mark.parametrize(
    "event_type", ["process.completed", "process.cancel_requested", "log", "signal.go", "process.retargeted"]
)
def test_nothing_follows_the_end(event_type: str) -> None:
    ended = record_of(("process.cancelled", {"await_output": {"type": "cancelled", "message": "x"}}))
    late = ProcessEvent("p_1", 2, event_type, {"await_output": {"type": "success", "value": 1}}, 9)
    with pytest.raises(ProcessAlreadyTerminal) as caught:
        apply(ended, late)
    assert caught.value.fields == {"process_id": "p_1", "status": "cancelled"}


def test_a_cancel_is_sticky_and_the_first_reason_stands() -> None:
    record = record_of(
        STARTED, ("process.cancel_requested", {"reason": "asked"}), ("process.cancel_requested", {"reason": "again"})
    )
    assert (record.status, record.cancel_requested) == ("running", "asked")


def test_facts_are_folded() -> None:
    # P5, P6
    record = record_of(
        ("process.external_ref_set", {"backend": "ci", "id": "991"}),
        ("process.retargeted", {"wake_target": {"session_id": "other/u1"}}),
        process_input=ExternalInput(),
    )
    assert record.status == "running"
    assert record.external_ref == {"backend": "ci", "id": "991"}
    assert record.wake_target == SessionScope(session_id="other/u1")
    assert record_of(("process.retargeted", {"wake_target": None})).wake_target is None


def test_the_next_generation_has_its_own_input() -> None:
    record = record_of(STARTED, ("process.continued", {"generation": 2, "input": {"n": 2}}))
    assert (record.status, record.generation) == ("running", 2)
    assert record.input == EngineInput(kind="crawl", payload={"n": 2})
    assert record.registration.input == EngineInput(kind="crawl", payload={"n": 1})


def test_other_events_only_move_sequence_and_time() -> None:
    record = record_of(("signal.publish", True), ("log", {"message": "hi"}))
    assert (record.status, record.sequence, record.updated_at_ms) == ("queued", 2, 1002)


@pytest.mark.parametrize(
    "entries",
    [
        [("process.resumed", {})],
        [("process.waiting", WAIT)],
        [STARTED, STARTED],
        [STARTED, ("process.waiting", WAIT), ("process.waiting", WAIT)],
        [STARTED, ("process.resumed", {})],
        [("process.continued", {"generation": 2, "input": 1})],
    ],
)
def test_what_may_not_follow_is_refused(entries: list[tuple[str, Any]]) -> None:
    with pytest.raises(TransitionRefused):
        record_of(*entries)


@pytest.mark.parametrize("sequence", [0, 1, 3])
def test_a_gap_or_a_repeat_is_refused(sequence: int) -> None:
    with pytest.raises(TransitionRefused):
        apply(record_of(("log", {})), ProcessEvent("p_1", sequence, "log", {}, 9))


@given(st.lists(st.sampled_from([*sorted(names.LIFECYCLE_TYPES), "log"]), max_size=12))
def test_folding_in_two_parts_is_folding_at_once(types: list[str]) -> None:
    payload = {
        "process.completed": {"await_output": {"type": "success", "value": 1}},
        "process.failed": {"await_output": {"type": "failure", "class": "internal", "code": "c", "message": "m"}},
        "process.cancelled": {"await_output": {"type": "cancelled", "message": "m"}},
        "process.abandoned": {"await_output": {"type": "abandoned", "evidence": 1}},
        "process.retargeted": {"wake_target": None},
        "process.continued": {"generation": 2, "input": 1},
    }
    record = record_of()
    kept: list[ProcessEvent] = []
    for name in types:
        event = ProcessEvent.restore("p_1", record.sequence + 1, name, to_json(payload.get(name, {})), 5)
        try:
            record = apply(record, event)
        except (TransitionRefused, ProcessAlreadyTerminal):
            continue
        kept.append(event)
    assert fold(record.registration, 1000, kept) == record
    assert sum(event.type in names.TERMINAL_TYPES for event in kept) == (1 if record.ended else 0)


def test_statuses_are_pinned() -> None:
    assert STATUSES == ("queued", "running", "waiting", "completed", "failed", "cancelled", "abandoned")
    assert {*LIVE, *TERMINAL} == set(STATUSES)
    assert not TERMINAL & set(LIVE)


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_nothing_leads_out_of_a_terminal_status(status: Status) -> None:
    assert all(next_status(status, name) is None for name in [*names.LIFECYCLE_TYPES, "log", "signal.go"])


@pytest.mark.parametrize(
    ("status", "has_owner", "external", "shown"),
    [
        ("queued", False, False, "queued"),
        ("queued", True, False, "running"),
        ("running", True, False, "running"),
        ("running", False, False, "queued"),
        ("running", False, True, "running"),
        ("waiting", False, False, "waiting"),
        ("completed", False, False, "completed"),
        ("abandoned", True, False, "abandoned"),
    ],
)
def test_observed_status_is_record_and_lease(status: Status, has_owner: bool, external: bool, shown: Status) -> None:
    assert observed(status, has_owner, external=external) == shown
