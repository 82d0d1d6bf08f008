"""What events mean: ends, wakes, conditions, keys; and which ones a producer may append."""

from __future__ import annotations

from typing import Any

import pytest
from wakeline import names
from wakeline.causality import ProcessCause
from wakeline.errors import (
    PayloadSchemaMismatch,
    ReplayKeyRequired,
    ReservedEvent,
    SelectorMiss,
    TerminalOutcomeMismatch,
)
from wakeline.processes.events import (
    CORE_TYPES,
    EventType,
    Materialised,
    ProcessEvent,
    Semantics,
    TerminalSpec,
    WakeSpec,
    check_append,
    materialise,
)
from wakeline.processes.outputs import AbandonedOutput, AwaitOutput, CancelledOutput, Failure, Success, TerminalState
from wakeline.processes.selectors import ConstSelector, PayloadSelector, PointerSelector, Selector, parse_text


def wakes(input: Selector, **spec: Any) -> EventType:
    return EventType(name="line", semantics=Semantics(wake=WakeSpec(input=input, **spec)))


def ends(state: TerminalState, output: Selector | None = None) -> EventType:
    return EventType(name="done", semantics=Semantics(terminal=TerminalSpec(state=state, output=output)))


def test_an_event_without_semantics_means_nothing() -> None:
    assert materialise(EventType(name="line"), {"a": 1}) == Materialised(None, None)


def test_wake_input_through_a_pointer() -> None:
    # P12
    assert materialise(wakes(PointerSelector(pointer="/text")), {"text": "hi"}).wake == ("hi", None)


def test_a_false_condition_suppresses_the_wake() -> None:
    # P39
    assert materialise(wakes(PayloadSelector(), when=ConstSelector(value=False)), "x").wake is None
    assert materialise(wakes(PayloadSelector(), when=PointerSelector(pointer="/n")), {"n": 0}).wake is not None


def test_a_bare_string_payload_is_the_input() -> None:
    # P40
    assert materialise(wakes(PayloadSelector()), "hello").wake == ("hello", None)


def test_constant_and_template_inputs() -> None:
    # P41, P42
    assert materialise(wakes(ConstSelector(value="again")), {"n": 1}).wake == ("again", None)
    assert materialise(wakes(parse_text("line {w} #{n}")), {"w": "done", "n": 7}).wake == ("line done #7", None)


def test_a_key_from_the_payload_and_a_constant_key() -> None:
    # P43 to P46: equal selected values are equal keys.
    by_file = wakes(PayloadSelector(), dedupe=PointerSelector(pointer="/file"))
    keys = [materialise(by_file, {"file": "a", "n": n}).wake for n in (1, 2)]
    assert [wake.key for wake in keys if wake] == ["a", "a"]
    constant = materialise(wakes(PayloadSelector(), dedupe=ConstSelector(value="k")), {"n": 1}).wake
    assert constant is not None
    assert constant.key == "k"


def test_a_wake_whose_pointer_misses_is_an_error() -> None:
    with pytest.raises(SelectorMiss):
        materialise(wakes(PointerSelector(pointer="/text")), {})


@pytest.mark.parametrize(
    ("payload", "text"),
    [({"text": "look"}, "look"), ({"other": 1}, '{"other":1}'), ("plain", "plain"), ({"text": {"a": 1}}, '{"a":1}')],
)
def test_the_wake_type_is_always_there(payload: Any, text: str) -> None:
    assert materialise(CORE_TYPES["wake"], payload).wake == (text, None)


@pytest.mark.parametrize(
    ("state", "payload", "output"),
    [
        ("completed", 7, Success(7)),
        ("failed", {"a": 1}, Failure("execution", "process_failed", '{"a":1}', {"a": 1})),
        ("cancelled", "asked", CancelledOutput("asked")),
        ("abandoned", {"writer": "x"}, AbandonedOutput({"writer": "x"})),
    ],
)
def test_a_selected_value_is_wrapped_by_its_state(state: TerminalState, payload: Any, output: AwaitOutput) -> None:
    assert materialise(ends(state, PayloadSelector()), payload).terminal == (state, output)


def test_completed_may_leave_its_output_out() -> None:
    assert materialise(ends("completed"), {"type": "failure", "a": 1}).terminal == (
        "completed",
        Success({"type": "failure", "a": 1}),
    )


def test_a_selected_output_is_taken_as_it_is() -> None:
    payload = {"type": "failure", "class": "external", "code": "red", "message": "tests failed"}
    assert materialise(ends("failed", PayloadSelector()), payload).terminal == (
        "failed",
        Failure("external", "red", "tests failed"),
    )


def test_an_output_of_another_state_is_refused() -> None:
    with pytest.raises(TerminalOutcomeMismatch) as caught:
        materialise(ends("failed", PayloadSelector()), {"type": "success", "value": 1})
    assert (caught.value.declared, caught.value.given) == ("failed", "completed")


def test_core_types_are_always_present() -> None:
    assert sorted(CORE_TYPES) == sorted([*names.LIFECYCLE_TYPES, "log", "progress", "wake"])


@pytest.mark.parametrize("name", sorted(names.LIFECYCLE_TYPES))
def test_lifecycle_types_are_the_runtimes(name: str) -> None:
    with pytest.raises(ReservedEvent):
        check_append(CORE_TYPES[name], {"await_output": {"type": "success", "value": 1}}, "k")


@pytest.mark.parametrize("key", [None, ""])
def test_an_end_needs_a_replay_key(key: str | None) -> None:
    with pytest.raises(ReplayKeyRequired):
        check_append(ends("completed"), 1, key)
    assert check_append(ends("completed"), 1, "k").terminal == ("completed", Success(1))


def test_a_payload_is_checked_before_it_means_anything() -> None:
    page = EventType(name="page", payload_schema={"type": "object", "required": ["url"]})
    with pytest.raises(PayloadSchemaMismatch):
        check_append(page, {}, None)


def test_semantics_read_back() -> None:
    meaning = materialise(wakes(PayloadSelector(), dedupe=ConstSelector(value="k")), "x")
    assert meaning.to_json() == '{"wake":{"text":"x","key":"k"}}'
    assert Materialised.from_json('{"wake":{"text":"x","key":"k"}}') == meaning
    end = materialise(ends("completed"), [1])
    assert end.to_json() == '{"terminal":{"state":"completed","output":{"type":"success","value":[1]}}}'
    assert Materialised.from_json(end.to_json() or "") == end
    assert Materialised().to_json() is None


def test_a_stored_event_is_restored_with_its_meaning_and_lineage() -> None:
    # P19 to P22
    event = ProcessEvent.restore(
        "p_1", 3, "process.completed", '{"await_output":{"type":"success","value":1}}', 5, replay_key="k"
    )
    assert (event.sequence, event.at_ms, event.payload["await_output"]["value"]) == (3, 5, 1)
    assert event.semantics.terminal == ("completed", Success(1))
    assert event.invocation.scope == "runtime"
    assert event.invocation.caused_by == ProcessCause(process_id="p_1")
    assert event.invocation.replay_key == "k"
    kept = ProcessEvent.restore("p_1", 1, "line", '"x"', 5, semantics='{"wake":{"text":"x"}}')
    assert kept.semantics.wake == ("x", None)


def test_event_types_are_compact_and_read_back() -> None:
    declared = wakes(parse_text("{a}"), when=PointerSelector(pointer="/b"))
    stored = declared.model_dump_json(exclude_defaults=True)
    assert stored == (
        '{"name":"line","semantics":{"wake":{"when":{"type":"pointer","pointer":"/b"},"input":{"type":"template",'
        '"template":"{a}","fields":{"a":{"type":"pointer","pointer":"/a"}}}}}}'
    )
    assert EventType.model_validate_json(stored) == declared
