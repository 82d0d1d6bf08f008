"""Envelopes, hashes, journal rows and what a row means (E14, E22, E56, E57, E61 to E64, E68, E69, E74 to E92): pure."""

from __future__ import annotations

import json
from typing import Any

import pytest
from wakeline.effects.envelope import Envelope, diff_paths, envelope_hash, replay_key
from wakeline.effects.journal import JournalRow
from wakeline.errors import (
    AwaitEventUnknownOrRevoked,
    InvalidDuration,
    InvalidId,
    InvalidPayload,
    InvalidWaitIdentity,
    JournalCorrupt,
    LeaseLost,
    NonRetryable,
    ParkSwallowed,
    RedisUnavailable,
    ReplayConflict,
    ReplayMismatch,
    StoreOutOfMemory,
    UnknownError,
    WakelineError,
    from_json,
)
from wakeline.names import child_id, signal_replay_key
from wakeline.processes.inputs import ToolCall
from wakeline.processes.registration import Registration
from wakeline.values import canonical_json, parse_duration

CHARGE = Envelope(kind="step", name="charge", args={"order": 7, "cents": 500})
STORED = (
    '{"id":"p","input":{"type":"tool_call","call":{"call_id":"p","tool_id":"tool:add","tool_name":"add","args":{"a":1},'
    '"prepared":{"quote":"q-1"}}},"identity":{"kind":"tool","label":"add"},"provenance":{},'
    '"env_ref":"process-env:sha256:ab","queue":"shop","incarnation":"inc00001"}'
)


def row(outcome: Any = None, error: WakelineError | None = None, digest: str = "h") -> JournalRow:
    return JournalRow.of(1, CHARGE, digest, outcome, error, 5)


# -- identity of an effect


def test_an_envelope_has_one_hash_which_changes_with_its_arguments() -> None:
    same = Envelope("step", "charge", {"cents": 500, "order": 7})
    assert envelope_hash(CHARGE) == envelope_hash(same)
    others = [
        Envelope("step", "charge", {"cents": 501, "order": 7}),
        Envelope("step", "refund", {"cents": 500, "order": 7}),
        Envelope("tool_call", "charge", {"cents": 500, "order": 7}),
    ]
    assert len({envelope_hash(envelope) for envelope in [CHARGE, *others]}) == 4


def test_the_replay_key_names_the_call_its_arguments_and_its_occurrence() -> None:
    assert replay_key("charge", "c876fbd1b2be557bebd44562512735ec", 2) == "charge:c876fbd1b2be557b:2"


def test_derived_ids_are_pinned() -> None:
    assert child_id("p", "inc00001", 1, "start:job:abc:1") == "c_qrqnwvnhbxcbas4uuwqbhafw5k"
    assert signal_replay_key("p", "go", "s-1") == "process:p:signal.go:s-1"


@pytest.mark.parametrize(
    ("value", "canonical"),
    [
        (None, "null"),
        ("ümlaut \u2028", '"ümlaut \u2028"'),
        ([1, 1.0, -0.0, 1.5, True], "[1,1,0,1.5,true]"),
        ({"b": [], "a": {}}, '{"a":{},"b":[]}'),
        ({"B": 1, "a": 2, "A": 3}, '{"A":3,"B":1,"a":2}'),
    ],
)
def test_equal_content_has_one_canonical_text(value: Any, canonical: str) -> None:
    assert canonical_json(value) == canonical


def test_a_signal_without_an_id_of_its_sender_is_refused() -> None:
    with pytest.raises(InvalidId):
        signal_replay_key("p", "go", " ")


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), object(), "\ud800"], ids=["nan", "infinity", "object", "surrogate"]
)
def test_arguments_that_are_no_json_have_no_envelope(value: Any) -> None:
    with pytest.raises(InvalidPayload):
        envelope_hash(Envelope("step", "charge", {"x": value}))


# -- what is stored


def test_a_registration_with_a_prepared_call_comes_back_as_it_was_written() -> None:
    registration = Registration.from_json(STORED)
    assert isinstance(registration.input, ToolCall)
    assert registration.input.call.prepared == {"quote": "q-1"}
    assert Registration.from_json(registration.to_json()) == registration
    assert registration.to_json() == STORED
    assert Registration.from_json(registration.to_json()).content_hash == registration.content_hash


def test_a_registration_has_no_room_for_anything_else() -> None:
    with pytest.raises(InvalidPayload):
        Registration.from_json(STORED.replace('"queue"', '"executor":"live","queue"'))


@pytest.mark.parametrize("recorded", [row({"receipt": 1}), row(None), row(error=NonRetryable("no"))])
def test_a_row_comes_back_as_it_was_written(recorded: JournalRow) -> None:
    again = JournalRow.from_json(recorded.to_json())
    assert again == recorded
    assert (again.n, again.name, again.hash, again.at_ms) == (1, "charge", "h", 5)


@pytest.mark.parametrize("damage", ["no outcome", "two outcomes", "no place", "no hash", "a status", "garbage"])
def test_what_is_no_row_is_corrupt_and_never_an_empty_one(damage: str) -> None:
    good = json.loads(row({"receipt": 1}).to_json())
    bad = {
        "no outcome": {name: value for name, value in good.items() if name != "o"},
        "two outcomes": good | {"x": {"code": "c", "message": "m", "fields": {}}},
        "no place": {name: value for name, value in good.items() if name != "n"},
        "no hash": {name: value for name, value in good.items() if name != "h"},
        "a status": "in_progress",
        "garbage": None,
    }[damage]
    with pytest.raises(ValueError, match=r".+"):
        JournalRow.from_json(json.dumps(bad))


# -- what a row means


def test_a_recorded_value_is_returned_also_when_it_is_null() -> None:
    assert row({"receipt": 1}).deliver() == {"receipt": 1}
    assert row(None).deliver() is None


def test_a_recorded_error_is_raised_with_its_class_and_fields() -> None:
    recorded = row(error=ReplayConflict(process_id="p", replay_key="k"))
    with pytest.raises(ReplayConflict) as error:
        JournalRow.from_json(recorded.to_json()).deliver()
    assert error.value.fields == {"process_id": "p", "replay_key": "k", "session_id": None}


# -- where two envelopes differ


@pytest.mark.parametrize(
    ("old", "new", "paths"),
    [
        ({"a": {"b": [1, {"c": 1}]}}, {"a": {"b": [1, {"c": 2}]}}, ["args.a.b[1].c"]),
        ({"a": 1}, {"b": 1}, ["args.a", "args.b"]),
        ([1, 2, 3], [1, 3, 2], ["args[1]", "args[2]"]),
        ({"duration_ms": 1}, {"duration_ms": 2}, ["args.duration_ms"]),
        (1, {"a": 1}, ["args"]),
        ({"a": 1.0}, {"a": 1}, []),
    ],
    ids=["deep", "added and removed", "reordered", "scalar", "other shape", "equal"],
)
def test_a_difference_is_named_by_its_place(old: Any, new: Any, paths: list[str]) -> None:
    assert diff_paths(old, new) == (paths, len(paths))


def test_all_differences_are_counted_and_eight_are_named() -> None:
    old, new = {f"k{n:02}": 0 for n in range(20)}, {f"k{n:02}": 1 for n in range(20)}
    paths, total = diff_paths(old, new)
    assert paths == [f"args.k{n:02}" for n in range(8)]
    assert total == 20


def test_long_arguments_are_known_by_hash_only() -> None:
    short = JournalRow.of(1, CHARGE, "h", None, None, 5)
    long = JournalRow.of(1, Envelope("step", "charge", "x" * 3_000), "h", None, None, 5)
    assert (short.envelope, long.envelope) == ({"order": 7, "cents": 500}, None)


# -- errors


@pytest.mark.parametrize(
    ("kind", "code", "retryable"),
    [
        (RedisUnavailable, "redis_unavailable", True),
        (StoreOutOfMemory, "store_out_of_memory", True),
        (JournalCorrupt, "journal_corrupt", False),
        (ReplayMismatch, "replay_mismatch", False),
        (LeaseLost, "lease_lost", False),
        (ParkSwallowed, "park_swallowed", False),
        (AwaitEventUnknownOrRevoked, "await_event_unknown_or_revoked", False),
        (InvalidWaitIdentity, "invalid_await_event_wait_identity", False),
        (ReplayConflict, "replay_conflict", False),
    ],
)
def test_errors_have_stable_codes_and_say_whether_to_try_again(
    kind: type[WakelineError], code: str, retryable: bool
) -> None:
    assert (kind.code, kind.retryable) == (code, retryable)


def test_an_error_keeps_its_class_and_fields_across_the_journal() -> None:
    error = ReplayMismatch(
        process_id="p",
        name="charge",
        paths=["args.cents"],
        total=1,
        differences=["args.cents: recorded 1, asked for 2"],
        unasked=[],
    )
    again = from_json(error.to_json())
    assert type(again) is ReplayMismatch
    assert (again.fields, str(again)) == (error.fields, str(error))
    assert "args.cents" in str(again)


def test_an_error_of_another_program_keeps_its_code_and_message() -> None:
    again = from_json({"code": "vendor_down", "message": "try later", "fields": {"x": 1}})
    assert type(again) is UnknownError
    assert (again.original_code, again.original_message) == ("vendor_down", "try later")
    assert str(from_json(NonRetryable("the card is stolen").to_json())) == "the card is stolen"


@pytest.mark.parametrize("text", ["1001000000d", "-1s", "1e300", "soon"])
def test_a_duration_that_no_clock_can_hold_is_refused(text: str) -> None:
    with pytest.raises(InvalidDuration):
        parse_duration(text)
