"""Scopes, wait identities, keys and their signatures: derived the same everywhere (E1 to E5, E11, E40, E49, E53 to E55,
E67): pure."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from wakeline.causality import (
    ExecutionScope,
    ProcessScope,
    QueueDrainScope,
    RuntimeOperationScope,
    SessionDeleteScope,
    TurnScope,
)
from wakeline.errors import InvalidId, InvalidWaitIdentity, MissingExecutionScopeId
from wakeline.names import split_session_id
from wakeline.testing.model.keys import mint, verify
from wakeline.testing.model.scopes import parse_execution_scope
from wakeline.waits.identity import (
    Custom,
    ProcessSignal,
    ProcessTerminal,
    Timer,
    ToolCompletion,
    WaitIdentity,
    key_id,
    preimage,
)

SECRET = b"s" * 32
CALL = ToolCompletion("call-1")


def test_a_queue_drain_scope_has_a_session_and_no_turn() -> None:
    scope = QueueDrainScope("chat/1", "d1")
    assert (scope.id, scope.session_id, scope.turn_id) == ("d1", "chat/1", None)


def test_a_turn_scope_has_a_session_and_a_turn() -> None:
    scope = TurnScope("chat/1", "t1")
    assert (scope.id, scope.session_id, scope.turn_id) == ("t1", "chat/1", "t1")


@pytest.mark.parametrize(
    ("make", "arguments"),
    [
        (TurnScope, (" ", "t1")),
        (TurnScope, ("chat/1", "")),
        (ProcessScope, ("",)),
        (QueueDrainScope, ("chat/1", "\t")),
        (SessionDeleteScope, ("",)),
        (RuntimeOperationScope, (" ",)),
    ],
)
def test_a_blank_component_of_a_scope_is_refused(make: Any, arguments: tuple[str, ...]) -> None:
    with pytest.raises(MissingExecutionScopeId) as refused:
        make(*arguments)
    assert refused.value.code == "missing_execution_scope_id"


@pytest.mark.parametrize(
    ("scope", "journal_key"),
    [
        (TurnScope("chat/1", "t:1"), "turn:chat%2F1:t%3A1"),
        (ProcessScope("p"), "process:p"),
        (QueueDrainScope("chat/1", "p"), "queue_drain:chat%2F1:p"),
        (SessionDeleteScope("chat/1"), "session_delete:chat%2F1"),
        (RuntimeOperationScope("p"), "runtime_operation:p"),
    ],
)
def test_a_scope_is_stored_by_kind_and_every_component_and_read_back(scope: ExecutionScope, journal_key: str) -> None:
    assert scope.journal_key == journal_key
    assert parse_execution_scope(journal_key) == scope


@pytest.mark.parametrize("stored", ["turn:only-one", "drain:chat:1", "process", ""])
def test_what_is_no_scope_is_not_read_as_one(stored: str) -> None:
    with pytest.raises(InvalidId):
        parse_execution_scope(stored)


@pytest.mark.parametrize(
    ("scope", "identity", "expected"),
    [
        (TurnScope("ab", "c"), ToolCompletion("x:y"), "v1XnXwMGFUflDaw98rTDpFHLzs"),
        (TurnScope("a", "bc"), ToolCompletion("x:y"), "v10PahlKFVVAEc2B47j_ROfLUS"),
        (ProcessScope("p"), ProcessSignal("p", "inc00001", 1, "go", 1), "v1pTlTWsgHh23bKAXfuan-6li7"),
        (ProcessScope("p"), ProcessSignal("p", "inc00001", 1, "go", 12), "v1qnRna1V8_JViy28Dx_3d1RK7"),
        (QueueDrainScope("chat/1", "d1"), Custom("k"), "v1JVitc5eeP0EolaHKzSH_zEbz"),
        (RuntimeOperationScope("op"), Timer("t"), "v1KToXJ-11_ltVZHFjGWgfXPo5"),
        (SessionDeleteScope("chat/1"), ProcessTerminal("p", "inc00001"), "v1mKW-q9cxNBz6FOD0nzFakI-g"),
    ],
)
def test_the_id_of_a_slot_is_pinned(scope: ExecutionScope, identity: WaitIdentity, expected: str) -> None:
    assert key_id(scope, identity) == expected


def test_what_is_hashed_is_framed_and_carries_its_version() -> None:
    assert preimage(ProcessScope("p"), Custom("k")).hex() == (
        "0000000000000014" + b"wakeline.await-event".hex()
        + "0000000000000002" + b"v1".hex()
        + "0000000000000007" + b"process".hex()
        + "0000000000000001" + b"p".hex()
        + "0000000000000006" + b"custom".hex()
        + "0000000000000001" + b"k".hex()
    )  # fmt: skip


def test_the_signature_of_a_key_is_pinned_and_minting_again_gives_the_same_key() -> None:
    key = mint(SECRET, ProcessScope("p"), CALL)
    assert (key.key_id, key.signature) == ("v1eXwObO2oHxoQYpOfH3P7DZLa", "wpgKOKDNMV2-S_QuVqHK-YfibW0wcjIGWp5g9cEYAUM")
    assert mint(SECRET, ProcessScope("p"), ToolCompletion("call-1")) == key
    assert verify(SECRET, key)


@pytest.mark.parametrize(
    "forged",
    [
        {"signature": "Wpgkokdnmv2-S_QuVqHK-YfibW0wcjIGWp5g9cEYAUM"},
        {"signature": "wpgKOKDNMV2-S_QuVqHK-YfibW0wcjIGWp5g9cEYAU"},
        {"signature": ""},
        {"key_id": "v1eXwObO2oHxoQYpOfH3P7DZLb"},
        {"scope": ProcessScope("q")},
        {"scope": TurnScope("chat/1", "t1")},
        {"identity": ToolCompletion("call-2")},
    ],
    ids=["content", "length", "empty", "key id", "scope", "session", "identity"],
)
def test_a_key_with_any_part_changed_is_not_accepted(forged: dict[str, Any]) -> None:
    assert verify(SECRET, dataclasses.replace(mint(SECRET, ProcessScope("p"), CALL), **forged)) is False


@pytest.mark.parametrize(
    ("make", "arguments"),
    [
        (ToolCompletion, (" ",)),
        (Custom, ("",)),
        (ProcessTerminal, ("p", "")),
        (ProcessSignal, ("p", "inc00001", 1, "", 1)),
        (ProcessSignal, ("p", "inc00001", 1, "go", 0)),
    ],
)
def test_a_blank_or_zero_part_of_an_identity_is_refused(make: Any, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(InvalidWaitIdentity) as refused:
        make(*arguments)
    assert refused.value.code == "invalid_await_event_wait_identity"


def test_a_blank_session_id_is_refused_before_anything_is_sent() -> None:
    for blank in ("", "/", "chat/", "/1"):
        with pytest.raises(InvalidId):
            split_session_id(blank)
