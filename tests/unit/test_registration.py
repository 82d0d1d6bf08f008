"""Registrations: checked before anything is written, compact, and equal where a resend is equal."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError
from wakeline.causality import HostOriginator, Provenance, SessionOriginator, SessionScope
from wakeline.environments.spec import EMPTY_ENVIRONMENT
from wakeline.errors import InvalidId, InvalidPayload, RegistrationInvalid
from wakeline.processes.events import EventType, Semantics, TerminalSpec, WakeSpec
from wakeline.processes.inputs import EngineInput, ExternalInput, Identity, PreparedCall, SessionTurn, ToolCall
from wakeline.processes.registration import Carried, Registration, prepare
from wakeline.processes.selectors import parse_text

ENV = "process-env:sha256:00"
HOST = Provenance(originator=HostOriginator())


def crawl(**changed: Any) -> Registration:
    given: dict[str, Any] = {
        "id": "p_1",
        "input": EngineInput(kind="crawl", payload=["a"]),
        "provenance": HOST,
        "queue": "shop",
        "env_ref": ENV,
        "incarnation": "inc00001",
    }
    return prepare(**(given | changed))


def test_what_is_left_out_is_filled_in() -> None:
    registration = prepare(id="p_1", input=EngineInput(kind="crawl"), provenance=HOST, queue="shop", env_ref=ENV)
    assert registration.identity == Identity(kind="crawl")
    assert (registration.recovery, registration.max_attempts, registration.on_parent_end) == ("rerunnable", 5, "detach")
    assert len(registration.incarnation) == 8
    other = prepare(id="p_1", input=EngineInput(kind="crawl"), provenance=HOST, queue="shop", env_ref=ENV)
    assert other.incarnation != registration.incarnation


def test_external_work_is_externally_owned() -> None:
    assert prepare(id="x", input=ExternalInput(), provenance=HOST, queue="shop").recovery == "externally_owned"


def test_stored_form_leaves_defaults_out_and_reads_back() -> None:
    registration = crawl(
        event_types=(EventType(name="page", semantics=Semantics(wake=WakeSpec(input=parse_text("{url}")))),),
        wake_target=SessionScope(session_id="helper/u42"),
        labels={"team": "web"},
    )
    assert registration.to_json() == (
        '{"id":"p_1","input":{"type":"engine","kind":"crawl","payload":["a"]},"identity":{"kind":"crawl"},'
        '"event_types":[{"name":"page","semantics":{"wake":{"input":{"type":"template","template":"{url}",'
        '"fields":{"url":{"type":"pointer","pointer":"/url"}}}}}}],"provenance":{},"env_ref":"process-env:sha256:00",'
        '"wake_target":{"session_id":"helper/u42"},"queue":"shop","labels":{"team":"web"},"incarnation":"inc00001"}'
    )
    assert Registration.from_json(registration.to_json()) == registration


def test_a_call_that_went_through_hooks_is_stored_under_the_name_that_earlier_releases_read() -> None:
    carried = Carried("a-key", 2, hooked=True)
    assert carried.to_data() == {"key": "a-key", "attempt": 2, "admitted": True}
    assert crawl(options={"call": carried.to_data()}).carried == carried


def test_the_registration_a_script_writes_for_a_turn_is_read() -> None:
    text = (
        '{"id":"process:turn:salt0001:1","input":{"type":"session_turn","session_id":"helper/u42"},"identity":{"kind":"session_turn",'
        '"label":"helper"},"provenance":{"originator":{"type":"session","scope":{"session_id":"helper/u42"}}},'
        '"wake_target":{"session_id":"helper/u42"},"queue":"shop","incarnation":"salt0001"}'
    )
    registration = Registration.from_json(text)
    assert registration.input == SessionTurn(session_id="helper/u42")
    assert registration.provenance.originator == SessionOriginator(scope=SessionScope(session_id="helper/u42"))
    assert registration.to_json() == text


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"id":"p"}'])
def test_what_is_no_registration(text: str) -> None:
    with pytest.raises(InvalidPayload):
        Registration.from_json(text)


def test_a_field_of_a_later_release_is_refused_not_dropped() -> None:
    with pytest.raises(InvalidPayload):
        Registration.from_json(crawl().to_json()[:-1] + ',"from_the_future":1}')


def test_a_registration_does_not_change() -> None:
    with pytest.raises(ValidationError):
        crawl().queue = "other"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def test_content_hash_golden_vector() -> None:
    assert crawl().content_hash == "b5fc45e6a916cf475479f80972da5bf91926f2f5b47d7c0db57f8887bfde0218"


@pytest.mark.parametrize(
    "changed",
    [
        {"queue": "shop.slow"},
        {"incarnation": "inc00002"},
        {"env_ref": "process-env:sha256:01"},
        {"provenance": Provenance(originator=HostOriginator(label="web"))},
        {"event_types": (EventType(name="page"),)},
        {"wake_target": SessionScope(session_id="helper/u42")},
        {"max_attempts": 9},
        {"identity": Identity(kind="crawl", label="other")},
        {"input": EngineInput(kind="crawl", payload=["a"])},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_a_resend_after_a_deploy_has_the_same_content(changed: dict[str, Any]) -> None:
    # P2: only id, input and identity kind are content.
    assert crawl(**changed).content_hash == crawl().content_hash


@pytest.mark.parametrize(
    "changed",
    [
        {"id": "p_2"},
        {"input": EngineInput(kind="crawl", payload=["b"])},
        {"input": EngineInput(kind="other", payload=["a"]), "identity": Identity(kind="crawl")},
        {"identity": Identity(kind="other")},
    ],
)
def test_other_content_has_another_hash(changed: dict[str, Any]) -> None:
    assert crawl(**changed).content_hash != crawl().content_hash


def test_key_order_of_an_input_is_no_content() -> None:
    one, other = ({"a": 1, "b": 2.0}, {"b": 2, "a": 1})
    hashes = {crawl(input=EngineInput(kind="crawl", payload=payload)).content_hash for payload in (one, other)}  # type: ignore[arg-type]
    assert len(hashes) == 1


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"env_ref": None}, "needs a captured execution environment"),
        (
            {"input": ToolCall(call=PreparedCall(call_id="c", tool_id="t", tool_name="t")), "env_ref": None},
            "needs a captured",
        ),
        ({"input": ExternalInput(), "env_ref": ENV}, "must not have an execution environment"),
        ({"input": SessionTurn(session_id="helper/u42")}, "must not have an execution environment"),
        ({"recovery": "externally_owned"}, "externally_owned"),
        ({"input": ExternalInput(), "env_ref": None, "recovery": "rerunnable"}, "externally_owned"),
        ({"max_attempts": 0}, "max_attempts is 0"),
        ({"attempt_timeout_ms": 0}, "attempt_timeout_ms is 0"),
        ({"queue_timeout_ms": -1}, "queue_timeout_ms is -1"),
        ({"deadline_ms": 0}, "deadline_ms is 0"),
        ({"recovery": "maybe"}, "recovery"),
        ({"on_parent_end": "explode"}, "on_parent_end"),
        ({"event_types": (EventType(name="page"), EventType(name="page"))}, "declared twice"),
        ({"event_types": (EventType(name="process.completed"),)}, "cannot be declared"),
        ({"event_types": (EventType(name="process.waiting"),)}, "cannot be declared"),
        ({"event_types": (EventType(name="log"),)}, "cannot be declared"),
        ({"event_types": (EventType(name="page", payload_schema={"type": "text"}),)}, "schema of event page"),
        (
            {"event_types": (EventType(name="red", semantics=Semantics(terminal=TerminalSpec(state="failed"))),)},
            "has to select an output",
        ),
    ],
)
def test_what_cannot_be_registered(changed: dict[str, Any], reason: str) -> None:
    with pytest.raises(RegistrationInvalid) as caught:
        crawl(**changed)
    assert reason in caught.value.reason


@pytest.mark.parametrize(
    "changed",
    [
        {"id": ""},
        {"id": "a\nb"},
        {"id": "x" * 225},
        {"queue": "{shop}"},
        {"event_types": (EventType(name=" "),)},
    ],
)
def test_names_follow_their_grammars(changed: dict[str, Any]) -> None:
    with pytest.raises(InvalidId):
        crawl(**changed)


def test_the_systems_own_ids_may_be_registered() -> None:
    assert crawl(id="process:trigger:abc").id == "process:trigger:abc"


def test_an_input_that_is_no_json_is_refused() -> None:
    call = PreparedCall(call_id="c", tool_id="t", tool_name="t", args={"x": float("nan")})
    with pytest.raises(InvalidPayload):
        crawl(input=ToolCall(call=call))


def test_declared_and_core_types_are_found() -> None:
    page = EventType(name="page")
    registration = crawl(event_types=(page,))
    assert registration.event_type("page") == page
    assert registration.event_type("nope") is None
    for name in ("log", "progress", "wake"):
        found = registration.event_type(name)
        assert found is not None
        assert found.name == name


@pytest.mark.parametrize("name", ["process.completed", "process.started", "process.waiting"])
def test_lifecycle_types_are_not_for_producers(name: str) -> None:
    assert crawl().event_type(name) is None


def test_signals_are_open_unless_they_are_strict() -> None:
    publish = EventType(name="signal.publish", payload_schema={"type": "boolean"})
    assert crawl().event_type("signal.any") == EventType(name="signal.any")
    strict = crawl(event_types=(publish,), strict_signals=True)
    assert strict.event_type("signal.publish") == publish
    assert strict.event_type("signal.any") is None
    with pytest.raises(InvalidId):
        crawl().event_type("signal.a b")


def test_a_copy_with_changes_has_a_hash_and_a_text_of_its_own() -> None:
    host = Provenance(originator=HostOriginator())
    one = prepare(
        id="kid",
        input=EngineInput(kind="double", payload={"n": 1}),
        provenance=host,
        queue="shop",
        env_ref=EMPTY_ENVIRONMENT,
    )
    assert one.content_hash and one.text
    other = one.model_copy(update={"input": EngineInput(kind="double", payload={"n": 2})})
    assert '"n":2' in other.to_json()
    assert other.content_hash == Registration.from_json(other.to_json()).content_hash != one.content_hash
    assert one.model_copy().content_hash == one.content_hash
