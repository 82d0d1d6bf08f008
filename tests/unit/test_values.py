"""JSON, hashes, durations and sizes: the same everywhere, and nothing unreadable is ever written."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wakeline.errors import InvalidDuration, InvalidPayload, PayloadTooLarge
from wakeline.plain import NOT_PLAIN, canonical_text, plain
from wakeline.values import (
    canonical_json,
    check_size,
    content_hash,
    format_duration,
    framed,
    from_json,
    parse_duration,
    short_hash,
    to_json,
)

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    "value",
    [float("nan"), [float("inf")], {"a": -float("inf")}, "\ud800", {"\udc00": 1}, object()],
    ids=["nan", "inf", "-inf", "surrogate", "surrogate key", "object"],
)
def test_what_json_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(InvalidPayload):
        to_json(value)


def test_a_cycle_is_refused() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    with pytest.raises(InvalidPayload):
        to_json(cycle)


def test_texts_that_look_like_nan_are_fine() -> None:
    assert to_json({"NaN": "-Infinity"}) == '{"NaN":"-Infinity"}'


@pytest.mark.parametrize("text", ["", "{", "[1,]", "NaN", '{"a":Infinity}', "{'a':1}", '"\\ud800"'])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(InvalidPayload):
        from_json(text)


def test_big_integers_survive() -> None:
    assert from_json(to_json(2**64 + 1)) == 18446744073709551617


@given(json_values)
def test_json_round_trips(value: Any) -> None:
    assert from_json(to_json(value)) == value


@given(json_values)
def test_canonical_text_does_not_depend_on_key_order(value: Any) -> None:
    def reordered(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: reordered(part[key]) for key in reversed(list(part))}
        return [reordered(item) for item in part] if isinstance(part, list) else part

    assert canonical_json(reordered(value)) == canonical_json(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        ("é\n", '"é\\n"'),
        ([1, 1.0, -0.0, 1.5], "[1,1,0,1.5]"),
        ({"b": [], "a": {}}, '{"a":{},"b":[]}'),
        ({"a": {"z": True, "é": 1, "Z": None}}, '{"a":{"Z":null,"z":true,"é":1}}'),
        (1e300, "1e+300"),
    ],
)
def test_canonical_corpus(value: Any, text: str) -> None:
    assert canonical_json(value) == text


def test_hash_golden_vectors() -> None:
    assert content_hash("ab", "c") == "8c049df7b26bca3297b6e8200f4b0db98f9cce2dd8af54feae3eea5feb69fd59"
    assert content_hash() == "ecaea00df132aa0fa97271271043b23d516db1282e52c8c1ad8fca82c96343b3"
    assert short_hash("ab", "c") == "8c049df7b26bca32"
    assert short_hash("ab", "c", length=8) == "8c049df7"


@given(st.lists(st.text(max_size=3), max_size=4), st.lists(st.text(max_size=3), max_size=4))
def test_different_parts_never_look_alike(one: list[str], other: list[str]) -> None:
    assert (framed(*one) == framed(*other)) == (one == other)


def test_a_lone_surrogate_has_no_hash() -> None:
    with pytest.raises(InvalidPayload):
        content_hash("\ud800")


@pytest.mark.parametrize(
    ("value", "milliseconds"),
    [
        ("1d12h", 129_600_000),
        ("30s", 30_000),
        ("250ms", 250),
        ("1h30m", 5_400_000),
        ("1.5h", 5_400_000),
        ("2w", 1_209_600_000),
        (" 1D ", 86_400_000),
        ("90", 90_000),
        (3, 3_000),
        (0.25, 250),
        (0, 0),
        (timedelta(days=1, milliseconds=1), 86_400_001),
    ],
)
def test_durations_are_read(value: Any, milliseconds: int) -> None:
    assert parse_duration(value) == milliseconds


@pytest.mark.parametrize(
    "value",
    [
        -1,
        -0.001,
        "-3s",
        float("nan"),
        float("inf"),
        "",
        "s",
        "x",
        "1m1h",
        "1s1s",
        "1h 30",
        "1h30",
        "١s",
        "1e3",
        True,
        None,
    ]
    + [timedelta(-1), 10**30, "999999999d"],
)
def test_what_is_no_duration_is_refused(value: Any) -> None:
    with pytest.raises(InvalidDuration):
        parse_duration(value)


@given(st.integers(0, 10**12))
def test_a_formatted_duration_reads_back(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds)) == milliseconds


@pytest.mark.parametrize(
    ("milliseconds", "text"), [(0, "0s"), (250, "250ms"), (129_600_000, "1d12h"), (90_061_001, "1d1h1m1s1ms")]
)
def test_durations_are_written(milliseconds: int, text: str) -> None:
    assert format_duration(milliseconds) == text


def test_size_counts_bytes_not_characters() -> None:
    check_size("The note", "éé", 4)
    with pytest.raises(PayloadTooLarge) as caught:
        check_size("The note", "ééé", 5)
    assert caught.value.fields == {"what": "The note", "size": 6, "limit": 5}


@given(json_values)
def test_what_is_plain_is_copied_as_a_serialiser_and_a_parser_would(value: Any) -> None:
    copy = plain(value)
    if copy is not NOT_PLAIN:
        assert to_json(copy) == to_json(from_json(to_json(value)))
        assert copy is not value or not isinstance(value, (list, dict))


@pytest.mark.parametrize("value", [{"a": (1, [True, None])}, "text", 2**62, -1.5, {}])
def test_most_values_are_plain(value: Any) -> None:
    assert plain(value) == json.loads(json.dumps(value))


@pytest.mark.parametrize(
    "value",
    [
        "\u00e9",
        2**63,
        float("nan"),
        {1: 2},
        {"\u00e9": 1},
        {1, 2},
        object(),
        [[[[[[[[[[]]]]]]]]]],
        type("Text", (str,), {})("x"),
    ],
)
def test_what_is_doubtful_is_left_to_the_serialiser(value: Any) -> None:
    assert plain(value) is NOT_PLAIN


@given(json_values)
def test_the_canonical_text_of_what_is_plain_is_the_one_that_an_encoder_writes(value: Any) -> None:
    def numbers(part: Any) -> Any:
        if isinstance(part, float):
            return int(part) if part.is_integer() and abs(part) < 2**53 else part
        if isinstance(part, dict):
            return {key: numbers(item) for key, item in part.items()}
        return [numbers(item) for item in part] if isinstance(part, list) else part

    text = canonical_text(value)
    assert (text is None) == (plain(value) is NOT_PLAIN)
    if text is not None:
        assert text == json.dumps(numbers(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert text == canonical_json(value)
