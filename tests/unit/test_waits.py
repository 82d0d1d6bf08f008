"""Await-event identities, keys, tokens and resolutions: derived the same everywhere, forged nowhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wakeline.causality import ExecutionScope, ProcessScope, RuntimeOperationScope, TurnScope
from wakeline.errors import AwaitEventUnknownOrRevoked, InvalidPayload, InvalidToken, InvalidWaitIdentity
from wakeline.testing.model.keys import AwaitEventKey, mint, verify
from wakeline.values import from_json
from wakeline.waits import resolutions
from wakeline.waits.identity import (
    Custom,
    ProcessSignal,
    ProcessTerminal,
    Timer,
    ToolCompletion,
    WaitIdentity,
    key_id,
)
from wakeline.waits.keys import TokenContent, decode_token, encode_token
from wakeline.waits.resolutions import Cancelled, Err, Ok, Resolution, TimedOut

SECRET = b"secret"
READY = ProcessSignal("p_1", "inc00001", 1, "ready", 1)
TOKEN = (
    "wt1.WyJwXzEiLCJpbmMwMDAwMSIsInYxNmRJZW9wNGYtLXNOdk9LaE95SlpmRVNQIixudWxsXQ.fL0TSEPl3qgSMAPavLI1Jzl2Y"
    "k1UvMjRMDsaPUWLUwg"
)


@pytest.mark.parametrize(
    ("scope", "identity", "expected"),
    [
        (ProcessScope("p_1"), READY, "v16dIeop4f--sNvOKhOyJZfESP"),
        (TurnScope("ab", "c"), ToolCompletion("x:y"), "v1XnXwMGFUflDaw98rTDpFHLzs"),
        (TurnScope("a", "bc"), ToolCompletion("x:y"), "v10PahlKFVVAEc2B47j_ROfLUS"),
        (ProcessScope("p_1"), Timer("nap"), "v1tYA3ZEMNs02RfDjLWK-veoeu"),
        (ProcessScope("p_1"), ProcessTerminal("c_1", "inc00002"), "v1ec_t839GeuTbsaQv9yjul9zZ"),
        (RuntimeOperationScope("op"), Custom("k"), "v1tDHKoc5G6eI_I2wKAPjX0C_b"),
    ],
)
def test_key_id_golden_vectors(scope: ExecutionScope, identity: WaitIdentity, expected: str) -> None:
    # E32, E49, E55: bytes are the same in every instance, framed, and carry their version.
    assert key_id(scope, identity) == expected


def test_every_field_of_a_signal_wait_is_part_of_its_id() -> None:
    changed = [
        READY,
        replace(READY, process_id="p_2"),
        replace(READY, incarnation="inc00002"),
        replace(READY, generation=2),
        replace(READY, name="steady"),
        replace(READY, ordinal=2),
    ]
    assert len({key_id(ProcessScope("p_1"), identity) for identity in changed}) == 6


def test_the_kind_of_wait_is_part_of_its_id() -> None:
    scope = ProcessScope("p_1")
    assert len({key_id(scope, identity) for identity in (Timer("x"), Custom("x"), ToolCompletion("x"))}) == 3


@pytest.mark.parametrize(
    "make",
    [
        lambda: ToolCompletion(" "),
        lambda: ProcessSignal("", "i", 1, "n", 1),
        lambda: ProcessSignal("p", "", 1, "n", 1),
        lambda: ProcessSignal("p", "i", 0, "n", 1),
        lambda: ProcessSignal("p", "i", 1, "\n", 1),
        lambda: ProcessSignal("p", "i", 1, "n", 0),
        lambda: ProcessTerminal("p", ""),
        lambda: Timer(""),
        lambda: Custom(""),
    ],
)
def test_blank_parts_and_ordinals_below_one_are_refused(make: Callable[[], WaitIdentity]) -> None:
    with pytest.raises(InvalidWaitIdentity) as caught:
        make()
    assert caught.value.code == "invalid_await_event_wait_identity"


def test_two_mints_are_equal_and_verify() -> None:
    # E5, E58: deriving a key again gives the same key.
    key = mint(SECRET, ProcessScope("p_1"), READY)
    assert key == mint(SECRET, ProcessScope("p_1"), READY)
    assert key.signature == "zHH-bgizioKgOwn2ac4OuSjCRDmbqueU3ui1Kydbsa4"
    assert verify(SECRET, key)


@pytest.mark.parametrize(
    "tampered",
    [
        lambda key: replace(key, signature="A" + key.signature[1:]),
        lambda key: replace(key, signature=key.signature + "A"),
        lambda key: replace(key, signature=""),
        lambda key: replace(key, key_id="v1AAAAAAAAAAAAAAAAAAAAAAAA"),
        lambda key: replace(key, scope=ProcessScope("p_2")),
        lambda key: replace(key, identity=replace(READY, ordinal=2)),
    ],
    ids=["signature", "longer", "empty", "key id", "scope", "identity"],
)
def test_a_tampered_key_is_refused(tampered: Callable[[AwaitEventKey], AwaitEventKey]) -> None:
    # E33, E53
    assert not verify(SECRET, tampered(mint(SECRET, ProcessScope("p_1"), READY)))


def test_a_key_of_another_namespace_is_refused() -> None:
    assert not verify(b"other", mint(SECRET, ProcessScope("p_1"), READY))


def test_token_golden_vector() -> None:
    assert encode_token(SECRET, "p_1", "inc00001", "v16dIeop4f--sNvOKhOyJZfESP") == TOKEN


@pytest.mark.parametrize("expires_ms", [None, 0, 1_700_000_000_000])
def test_tokens_carry_their_content(expires_ms: int | None) -> None:
    token = encode_token(SECRET, "p_1", "inc00001", "v1x", expires_ms)
    assert decode_token(SECRET, token) == TokenContent("p_1", "inc00001", "v1x", expires_ms)


@pytest.mark.parametrize(
    "forged",
    [
        "",
        "wt1",
        "wt1..",
        "wt1.a.b",
        "wt2" + TOKEN[3:],
        TOKEN + "A",
        TOKEN + "=",
        TOKEN[:-1],
        TOKEN[:-1] + "5",
        TOKEN + ".x",
    ]
    + [TOKEN.replace("WyJw", "WyJx"), "é" + TOKEN, TOKEN + "é", "wt1.\ud800.x"],
)
def test_every_bad_token_has_the_same_answer(forged: str) -> None:
    with pytest.raises(AwaitEventUnknownOrRevoked) as caught:
        decode_token(SECRET, forged)
    assert caught.value.fields == {}


def test_a_token_of_another_namespace_has_that_answer_too() -> None:
    with pytest.raises(AwaitEventUnknownOrRevoked):
        decode_token(b"other", TOKEN)


@given(st.text(max_size=60))
def test_no_text_is_a_token_by_chance(text: str) -> None:
    with pytest.raises(AwaitEventUnknownOrRevoked):
        decode_token(SECRET, text)


@pytest.mark.parametrize("parts", [("", "i", "k"), ("p", "", "k"), ("p", "i", "")])
def test_a_token_that_lacks_a_part_is_not_made(parts: tuple[str, str, str]) -> None:
    with pytest.raises(InvalidToken):
        encode_token(SECRET, *parts)


def test_a_token_that_expires_before_1970_is_not_made() -> None:
    with pytest.raises(InvalidToken):
        encode_token(SECRET, "p", "i", "k", -1)


def read(text: str) -> Resolution:
    return resolutions.resolution_of(from_json(text))


@pytest.mark.parametrize(
    ("resolution", "text"),
    [
        (Ok(), '{"status":"ok","value":null}'),
        (Ok({"a": [1]}), '{"status":"ok","value":{"a":[1]}}'),
        (Err("red", "tests failed"), '{"status":"err","payload":{"code":"red","message":"tests failed"}}'),
        (Err("red", "x", {"n": 1}), '{"status":"err","payload":{"code":"red","message":"x","raw":{"n":1}}}'),
        (TimedOut(), '{"status":"timeout"}'),
        (Cancelled(), '{"status":"cancelled"}'),
    ],
)
def test_resolutions_are_pinned_and_read_back(resolution: Resolution, text: str) -> None:
    assert resolutions.to_json(resolution) == text
    assert read(text) == resolution


@pytest.mark.parametrize(
    "text", ["{}", "null", "[]", '{"status":"maybe"}', '{"status":"err"}', '{"status":"err","payload":{}}', "{"]
)
def test_what_is_no_resolution(text: str) -> None:
    with pytest.raises(InvalidPayload):
        read(text)


def test_a_timeout_is_no_null() -> None:
    values: list[Any] = [read('{"status":"ok","value":null}'), read('{"status":"timeout"}')]
    assert values == [Ok(None), TimedOut()]
    assert values[0] != values[1]
