"""Effects: what identifies one, and what its journal row answers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wakeline.effects.envelope import Envelope, diff_paths, envelope_hash, replay_key
from wakeline.effects.journal import JournalRow
from wakeline.errors import RetryAfter, UnknownError, WaitFailed, WaitTimeout
from wakeline.testing.model.replaying import Mismatch, RaiseRecorded, ReturnOutcome, RunEffect, decide

FETCH = Envelope("step", "fetch", {"n": 1})
FAILED = WaitFailed(what="ci", failure_code="red", failure_message="tests failed")


def row(outcome: Any = None, error: Any = None, envelope: Envelope = FETCH) -> JournalRow:
    return JournalRow.of(3, envelope, envelope_hash(envelope), outcome, error, 1000)


def test_envelope_hash_golden_vector() -> None:
    # E14
    assert envelope_hash(FETCH) == "ba07b895f308436fa93534bf4e52d317"


@pytest.mark.parametrize(
    "changed",
    [Envelope("call", "fetch", {"n": 1}), Envelope("step", "fetched", {"n": 1}), Envelope("step", "fetch", {"n": 2})],
)
def test_every_part_of_an_envelope_is_hashed(changed: Envelope) -> None:
    assert envelope_hash(changed) != envelope_hash(FETCH)


def test_key_order_is_no_difference() -> None:
    # E64
    assert envelope_hash(Envelope("step", "f", {"a": 1, "b": 2})) == envelope_hash(
        Envelope("step", "f", {"b": 2.0, "a": 1})
    )


def test_replay_keys_are_local_facts() -> None:
    assert replay_key("fetch", "ba07b895f308436fa93534bf4e52d317", 2) == "fetch:ba07b895f308436f:2"


@pytest.mark.parametrize(
    ("old", "new", "paths"),
    [
        ({"a": 1}, {"a": 1.0}, []),
        ({"a": 1}, {"a": 2}, ["args.a"]),
        ({"a": {"b": [1, {"c": 2}]}}, {"a": {"b": [1, {"c": 3}]}}, ["args.a.b[1].c"]),
        ({"a": 1}, {"b": 1}, ["args.a", "args.b"]),
        ([1, 2], [2, 1], ["args[0]", "args[1]"]),
        ([1], [1, None], ["args[1]"]),
        ({"a": None}, {}, ["args.a"]),
        ({"0": 1}, [1], ["args"]),
        (None, {"a": 1}, ["args"]),
    ],
)
def test_a_mismatch_names_the_places(old: Any, new: Any, paths: list[str]) -> None:
    # E69
    assert diff_paths(old, new) == (paths, len(paths))


def test_all_places_are_counted_and_eight_are_named() -> None:
    paths, total = diff_paths(list(range(20)), list(range(1, 21)))
    assert (paths, total) == ([f"args[{n}]" for n in range(8)], 20)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=8,
    )
)
def test_a_value_does_not_differ_from_itself(value: Any) -> None:
    assert diff_paths(value, json.loads(json.dumps(value))) == ([], 0)


@pytest.mark.parametrize(
    ("recorded", "text"),
    [
        (
            row({"body": "x"}),
            '{"n":3,"o":{"body":"x"},"k":"step","h":"ba07b895f308436fa93534bf4e52d317","at":1000,"f":"fetch","e":{"n":1},"w":0}',
        ),
        (
            row(None),
            '{"n":3,"o":null,"k":"step","h":"ba07b895f308436fa93534bf4e52d317","at":1000,"f":"fetch","e":{"n":1},"w":0}',
        ),
        (
            row(error=WaitTimeout(what="ci")),
            (
                '{"n":3,"x":{"code":"wait_timeout","message":"Waiting for ci timed out. Wait longer; in code, default='
                ' says what to go on with.","retryable":false,'
                '"fields":{"what":"ci"}},"k":"step","h":"ba07b895f308436fa93534bf4e52d317","at":1000,"f":"fetch","e":{"n":1},"w":0}'
            ),
        ),
        (
            row({"id": "c_1"}, envelope=Envelope("step", "fetch", {"n": 1}, "call:charge:1")),
            '{"n":3,"o":{"id":"c_1"},"k":"step","h":"ba07b895f308436fa93534bf4e52d317","at":1000,"f":"fetch","e":{"n":1},"c":"call:charge:1","w":0}',
        ),
        (
            JournalRow(3, "tool_call", "call:charge", "00", "err", {"code": "tool_failed"}, 1000, None, next_ms=250),
            '{"n":3,"x":{"code":"tool_failed"},"k":"tool_call","h":"00","at":1000,"f":"call:charge","r":250}',
        ),
    ],
)
def test_rows_are_pinned_and_read_back(recorded: JournalRow, text: str) -> None:
    assert recorded.to_json() == text
    assert JournalRow.from_json(text) == recorded


def test_long_arguments_are_known_by_their_hash_only() -> None:
    assert row(1, envelope=Envelope("step", "fetch", "x" * 2046)).envelope == "x" * 2046
    assert row(1, envelope=Envelope("step", "fetch", "x" * 2047)).envelope is None


def test_the_outcome_stands_before_what_callers_choose() -> None:
    # A script puts a sequence where the first marker is; a marker in the arguments must not come first.
    text = row("\x00", envelope=Envelope("emit", "emit:line", {"text": "\x00"})).to_json()
    before, _, after = text.partition('"\\u0000"')
    assert JournalRow.from_json(f"{before}7{after}").outcome == 7


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        '{"n":1,"k":"step","f":"x","h":"h","at":1}',
        '{"n":1,"k":"step","f":"x","h":"h","at":1,"o":1,"x":{"code":"c"}}',
        '{"n":1,"k":"step","f":"x","h":"h","at":1,"x":"text"}',
        '{"n":"1","k":"step","f":"x","h":"h","at":1,"o":1}',
        '{"n":1,"k":"start","f":"x","h":"h","at":1,"o":1,"c":7}',
        '{"n":1,"k":"tool_call","f":"x","h":"h","at":1,"x":{"code":"c"},"r":"soon"}',
    ],
)
def test_an_unreadable_row_is_a_value_error(text: str) -> None:
    # E81, E82: never taken for an empty one, which would run the effect again.
    with pytest.raises(ValueError, match=r"."):
        JournalRow.from_json(text)


def test_no_row_runs_the_effect() -> None:
    # E75
    assert decide(None, "h") == RunEffect()


def test_a_recorded_outcome_is_returned() -> None:
    # E16, E79
    assert decide(row({"body": "x"}), envelope_hash(FETCH)) == ReturnOutcome({"body": "x"})
    assert decide(row(None), envelope_hash(FETCH)) == ReturnOutcome(None)


def test_a_recorded_error_is_raised_again_as_what_it_was() -> None:
    # E16, E80
    decision = decide(JournalRow.from_json(row(error=FAILED).to_json()), envelope_hash(FETCH))
    assert isinstance(decision, RaiseRecorded)
    assert isinstance(decision.error, WaitFailed)
    assert decision.error.fields == {"what": "ci", "failure_code": "red", "failure_message": "tests failed"}
    with pytest.raises(WaitFailed, match="tests failed"):
        row(error=FAILED).deliver()


def test_a_recorded_error_of_an_unknown_class_keeps_its_code() -> None:
    recorded = JournalRow(1, "step", "f", "h", "err", {"code": "gone", "message": "m"}, 1)
    with pytest.raises(UnknownError, match="gone: m"):
        recorded.deliver()


def test_errors_with_positional_arguments_replay_too() -> None:
    with pytest.raises(RetryAfter) as caught:
        JournalRow.from_json(row(error=RetryAfter("30s")).to_json()).deliver()
    assert caught.value.delay == "30s"


@pytest.mark.parametrize("recorded", [row(1), row(error=FAILED)], ids=["ok", "err"])
def test_a_mismatch_outranks_every_outcome(recorded: JournalRow) -> None:
    # E78
    assert decide(recorded, "another hash") == Mismatch(recorded)
