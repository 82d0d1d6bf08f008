"""Wakes: identity, lineage, and which ones coalesce."""

from __future__ import annotations

from typing import Any

import pytest
from wakeline.causality import SessionScope, TurnCause
from wakeline.processes.events import Materialised, ProcessEvent, Terminal, WakeInput
from wakeline.processes.outputs import Failure, Success
from wakeline.testing.model.wakes import Placed, Wake, place, wake_from_event
from wakeline.wakes.wake import wake_id

TARGET = SessionScope(session_id="helper/u42", agent_frame_id="f1")
CAUSE = TurnCause(session_id="helper/u42", turn_id="t1")


PAGE_DONE = WakeInput("Page a done")


def event(sequence: int = 7, wake: WakeInput | None = PAGE_DONE, terminal: Terminal | None = None) -> ProcessEvent:
    return ProcessEvent("p_1", sequence, "page_done", {"url": "a"}, 1000 + sequence, "k", Materialised(terminal, wake))


def wake(sequence: int, key: str | None = "k", text: str = "x", **changed: Any) -> Wake:
    given: dict[str, Any] = {
        "target": TARGET,
        "process_id": "p_1",
        "incarnation": "inc00001",
        "event_type": "line",
        "at_ms": 1,
    }
    return Wake(**(given | {"sequence": sequence, "input": text, "key": key} | changed))


def made(given: ProcessEvent) -> Wake:
    result = wake_from_event(given, TARGET, "inc00001", caused_by=CAUSE)
    assert result is not None
    return result


def test_wake_id_golden_vector() -> None:
    expected = "wake:v1:d684ce692ed3197b834de3aae575009ad3a571faac4d6f6b56631444d968e4be"
    assert wake_id("helper/u42", "p_1", "inc00001", 7) == expected
    assert made(event()).id == expected


def test_wake_id_depends_on_every_part() -> None:
    ids = {
        wake_id("helper/u42", "p_1", "inc00001", 7),
        wake_id("helper/u43", "p_1", "inc00001", 7),
        wake_id("helper/u42", "p_2", "inc00001", 7),
        wake_id("helper/u42", "p_1", "inc00002", 7),
        wake_id("helper/u42", "p_1", "inc00001", 8),
    }
    assert len(ids) == 5


def test_a_wake_tells_where_it_comes_from() -> None:
    # P23 to P31
    given = event()
    result = made(given)
    assert result.event_type == "page_done"
    assert result.invocation == given.invocation
    assert result.caused_by == CAUSE
    assert result.target.session_id == "helper/u42"
    assert result.target.scope_id == "session:helper/u42/frame:f1"
    assert (result.process_id, result.sequence, result.at_ms) == ("p_1", 7, 1007)
    assert result.dedupe_key == "p_1:7"
    assert result.input == "Page a done"


def test_materialising_again_gives_the_same_wake() -> None:
    # P32, P49
    assert made(event()) == made(event())


def test_no_wake_without_meaning_or_target() -> None:
    # P39, P52, P53
    assert wake_from_event(event(wake=None), TARGET, "inc00001") is None
    assert wake_from_event(event(), None, "inc00001") is None


def test_turn_text() -> None:
    assert made(event()).turn_text() == "Wake from process p_1, event 7 (page_done):\nPage a done"


@pytest.mark.parametrize(
    ("terminal", "failure"),
    [
        (None, False),
        (Terminal("completed", Success(1)), False),
        (Terminal("failed", Failure("internal", "c", "m")), True),
    ],
)
def test_an_end_without_success_is_marked(terminal: Terminal | None, failure: bool) -> None:
    assert made(event(terminal=terminal)).failure is failure


def test_by_default_every_event_is_its_own_wake() -> None:
    inbox = place(place((), wake(1, key=None)), wake(2, key=None))
    assert [(placed.n, placed.wake.sequence, placed.swallowed) for placed in inbox] == [(1, 1, 0), (2, 2, 0)]


def test_a_pending_wake_of_the_same_key_keeps_its_place_and_takes_the_newest_input() -> None:
    # P44, P46
    inbox: tuple[Placed, ...] = ()
    for sequence, key in ((1, "k"), (2, "other"), (3, "k"), (4, "k")):
        inbox = place(inbox, wake(sequence, key=key, text=f"n{sequence}"))
    assert [(placed.n, placed.wake.input, placed.swallowed) for placed in inbox] == [(1, "n4", 2), (2, "n2", 0)]


def test_an_admitted_wake_is_left_alone() -> None:
    inbox = place((Placed(1, wake(1), admitted=True),), wake(2))
    assert [(placed.n, placed.wake.sequence, placed.swallowed) for placed in inbox] == [(1, 1, 0), (2, 2, 0)]


@pytest.mark.parametrize(("first", "second"), [(True, False), (False, True)])
def test_failures_and_successes_do_not_coalesce(first: bool, second: bool) -> None:
    inbox = place(place((), wake(1, failure=first)), wake(2, failure=second))
    assert [placed.swallowed for placed in inbox] == [0, 0]


def test_wakes_of_two_sessions_do_not_coalesce() -> None:
    inbox = place(place((), wake(1)), wake(2, target=SessionScope(session_id="helper/u43")))
    assert len(inbox) == 2
