"""Scopes and lineage: what is blank is refused, what is stored reads back, ids of two kinds never clash."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from wakeline.causality import (
    CausalRef,
    EffectCause,
    ExecutionScope,
    HostOriginator,
    Originator,
    ProcessCause,
    ProcessEventCause,
    ProcessScope,
    Provenance,
    QueueDrainScope,
    RuntimeOperationScope,
    SessionDeleteScope,
    SessionNodeCause,
    SessionOriginator,
    SessionScope,
    SpawnProvenance,
    ToolCallCause,
    TriggerOccurrenceCause,
    TurnCause,
    TurnScope,
    event_invocation,
)
from wakeline.errors import InvalidId, MissingExecutionScopeId
from wakeline.testing.model.scopes import parse_execution_scope


@pytest.mark.parametrize(
    ("frame", "scope_id"),
    [(None, "session:helper/u42"), ("", "session:helper/u42"), ("f1", "session:helper/u42/frame:f1")],
)
def test_session_scope_ids(frame: str | None, scope_id: str) -> None:
    scope = SessionScope(session_id="helper/u42", agent_frame_id=frame)
    assert scope.scope_id == scope_id
    assert SessionScope.parse(scope_id) == scope


def test_a_key_that_looks_like_a_frame_is_no_frame() -> None:
    scope = SessionScope(session_id="helper/frame:f1")
    assert SessionScope.parse(scope.scope_id) == scope


@pytest.mark.parametrize(
    "scope_id",
    [
        "",
        "session:",
        "session:helper",
        "helper/u42",
        "session:helper/u42/",
        "session:helper/u42/frame:",
        "session:a/b/c",
    ],
)
def test_what_is_no_session_scope(scope_id: str) -> None:
    with pytest.raises(InvalidId):
        SessionScope.parse(scope_id)


def test_a_queue_drain_scope_keeps_its_metadata() -> None:
    scope = QueueDrainScope("helper/u42", "d1")
    assert (scope.kind, scope.id, scope.session_id, scope.turn_id) == ("queue_drain", "d1", "helper/u42", None)


def test_a_turn_scope_keeps_session_and_turn() -> None:
    scope = TurnScope("helper/u42", "t1")
    assert (scope.kind, scope.id, scope.session_id, scope.turn_id) == ("turn", "t1", "helper/u42", "t1")


def test_a_process_scope_belongs_to_no_session() -> None:
    scope = ProcessScope("p_1")
    assert (scope.kind, scope.id, scope.session_id, scope.turn_id) == ("process", "p_1", None, None)


@pytest.mark.parametrize(
    ("make", "kind", "component"),
    [
        (lambda: TurnScope("", "t"), "turn", "session_id"),
        (lambda: TurnScope("s", "  "), "turn", "turn_id"),
        (lambda: ProcessScope("\t"), "process", "process_id"),
        (lambda: QueueDrainScope("s", ""), "queue_drain", "drain_id"),
        (lambda: SessionDeleteScope(""), "session_delete", "session_id"),
        (lambda: RuntimeOperationScope(" "), "runtime_operation", "operation_id"),
    ],
)
def test_a_blank_component_is_refused(make: Callable[[], ExecutionScope], kind: str, component: str) -> None:
    with pytest.raises(MissingExecutionScopeId) as caught:
        make()
    assert caught.value.fields == {"kind": kind, "component": component}
    assert caught.value.code == "missing_execution_scope_id"


@pytest.mark.parametrize(
    ("scope", "key"),
    [
        (TurnScope("helper/u42", "t:1"), "turn:helper%2Fu42:t%3A1"),
        (ProcessScope("p_1"), "process:p_1"),
        (QueueDrainScope("a/b", "d"), "queue_drain:a%2Fb:d"),
        (SessionDeleteScope("a/b"), "session_delete:a%2Fb"),
        (RuntimeOperationScope("op"), "runtime_operation:op"),
    ],
)
def test_journal_keys_are_pinned_and_read_back(scope: ExecutionScope, key: str) -> None:
    assert scope.journal_key == key
    assert parse_execution_scope(key) == scope


@given(
    st.text(min_size=1).filter(str.strip), st.text(min_size=1).filter(str.strip), st.text(min_size=1).filter(str.strip)
)
def test_equal_ids_of_two_kinds_have_two_journal_keys(session: str, one: str, other: str) -> None:
    scopes: list[ExecutionScope] = [
        TurnScope(session, one),
        QueueDrainScope(session, one),
        ProcessScope(one),
        RuntimeOperationScope(one),
        TurnScope(other, one),
    ]
    keys = {scope.journal_key for scope in scopes}
    assert len(keys) == (4 if session == other else 5)
    assert {parse_execution_scope(key) for key in keys} == set(scopes)


@pytest.mark.parametrize("key", ["", "p_1", "turn:a", "process:a:b", "other:a"])
def test_what_is_no_journal_key(key: str) -> None:
    with pytest.raises(InvalidId):
        parse_execution_scope(key)


def test_originators_have_ids() -> None:
    session = SessionOriginator(scope=SessionScope(session_id="helper/u42", agent_frame_id="f1"))
    assert HostOriginator().id == "host"
    assert HostOriginator(label="web").id == "host:web"
    assert session.id == "session:helper/u42/frame:f1"


@pytest.mark.parametrize(
    ("cause", "text"),
    [
        (TurnCause(session_id="a/b", turn_id="t"), '{"type":"turn","session_id":"a/b","turn_id":"t"}'),
        (EffectCause(session_id="a/b", effect_id="e"), '{"type":"effect","session_id":"a/b","effect_id":"e"}'),
        (ToolCallCause(session_id="a/b", call_id="c"), '{"type":"tool_call","session_id":"a/b","call_id":"c"}'),
        (ProcessCause(process_id="p"), '{"type":"process","process_id":"p"}'),
        (ProcessEventCause(process_id="p", sequence=3), '{"type":"process_event","process_id":"p","sequence":3}'),
        (TriggerOccurrenceCause(occurrence_id="o"), '{"type":"trigger_occurrence","occurrence_id":"o"}'),
        (SessionNodeCause(session_id="a/b", node_id="n"), '{"type":"session_node","session_id":"a/b","node_id":"n"}'),
    ],
)
def test_causes_are_tagged_even_without_their_defaults(cause: CausalRef, text: str) -> None:
    assert cause.model_dump_json(exclude_defaults=True) == text
    assert TypeAdapter[CausalRef](CausalRef).validate_json(text) == cause


def test_provenance_reads_back_and_refuses_unknown_fields() -> None:
    provenance = Provenance(originator=HostOriginator(label="web"), caused_by=ProcessCause(process_id="p"))
    text = provenance.model_dump_json(exclude_defaults=True)
    assert text == '{"originator":{"type":"host","label":"web"},"caused_by":{"type":"process","process_id":"p"}}'
    assert Provenance.model_validate_json(text) == provenance
    with pytest.raises(ValidationError):
        Provenance.model_validate_json('{"originator":{"type":"host"},"forged":1}')


def test_children_get_the_chains_originator_and_target() -> None:
    target = SessionScope(session_id="helper/u42")
    originator: Originator = SessionOriginator(scope=target)
    spawn = SpawnProvenance(originator, target)
    assert (spawn.originator.id, spawn.wake_target) == ("session:helper/u42", target)


def test_lineage_of_an_event() -> None:
    # P19 to P22: scope, subject, cause and replay key.
    invocation = event_invocation("p_1", 1, "page_done", "k")
    assert invocation.scope == "runtime"
    assert invocation.subject.model_dump() == {
        "type": "process_event",
        "process_id": "p_1",
        "sequence": 1,
        "event_type": "page_done",
    }
    assert invocation.caused_by == ProcessCause(process_id="p_1")
    assert invocation.replay_key == "k"
    assert event_invocation("p_1", 1, "page_done", None).replay_key is None
