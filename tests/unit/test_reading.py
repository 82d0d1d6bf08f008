"""Registrations of another release: what is not known is ignored where one only looks, and named where it would be run
or repeated."""

from __future__ import annotations

import json
from typing import Any

import pytest
from wakeline.errors import RegistrationUnreadable
from wakeline.processes.reading import check_known, read_registration
from wakeline.processes.registration import Registration

STORED: dict[str, Any] = {
    "id": "p",
    "input": {
        "type": "tool_call",
        "call": {"call_id": "p", "tool_id": "double", "tool_name": "double", "args": {"n": 1}},
    },
    "identity": {"kind": "tool", "label": "double"},
    "provenance": {"originator": {"type": "host"}},
    "queue": "shop",
    "incarnation": "inc00001",
}


def read(**changed: Any) -> Registration:
    return read_registration("p", json.dumps(STORED | changed))


def test_what_this_release_wrote_is_known_whole() -> None:
    assert (read().unknown, read().known, read().input) == (
        None,
        True,
        Registration.from_json(json.dumps(STORED)).input,
    )
    assert check_known(read()).id == "p"


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"from_a_later_release": "x"}, "from_a_later_release"),
        ({"identity": {"kind": "tool", "label": "double", "icon": "x"}}, "identity.icon"),
        ({"input": STORED["input"] | {"more": 1}}, "input.tool_call.more"),
        (
            {"input": {"type": "tool_call", "call": STORED["input"]["call"] | {"more": {"a": [1]}}}},
            "input.tool_call.call.more",
        ),
        ({"provenance": {"originator": {"type": "host", "more": 1}}}, "provenance.originator.host.more"),
        ({"event_types": [{"name": "a", "more": 1}]}, "event_types.0.more"),
    ],
)
def test_a_field_of_a_later_release_is_ignored_by_who_looks_and_named(changed: dict[str, Any], name: str) -> None:
    found = read(**changed)
    assert found.unknown == f"it has fields that this release does not know: {name}"
    assert (found.known, found.identity.kind, found.identity.label, found.queue) == (True, "tool", "double", "shop")
    with pytest.raises(RegistrationUnreadable) as refused:
        check_known(found)
    assert refused.value.fields == {"process_id": "p", "reason": found.unknown}


def test_a_later_shape_says_its_number_and_what_is_known_of_it_is_shown() -> None:
    found = read(schema_version=2, more=1)
    assert (found.unknown, found.known, found.identity.label) == (
        "it has shape 2, and this release knows 1",
        True,
        "double",
    )
    strange = read(schema_version=7, input={"type": "poem"})
    assert (strange.unknown, strange.known, strange.identity.label) == (
        "it has shape 7, and this release knows 1",
        False,
        "double",
    )


@pytest.mark.parametrize(
    ("text", "reason", "kind"),
    [
        ("", "EOF while parsing a value at line 1 column 0", "unreadable"),
        ("{", "EOF while parsing an object at line 1 column 1", "unreadable"),
        ("null", "it is no object", "unreadable"),
        ('"x"', "it is no object", "unreadable"),
        ("{}", "id: Field required", "unreadable"),
        (json.dumps(STORED | {"queue": 7}), "queue: Input should be a valid string", "tool"),
        (
            json.dumps(STORED | {"input": {"type": "poem", "lines": 4}}),
            "input: Input tag 'poem' found using 'type' does not match",
            "tool",
        ),
        (json.dumps(STORED | {"identity": "x"}), "identity: Input should be", "unreadable"),
        (json.dumps(STORED | {"max_attempts": "many"}), "max_attempts: Input should be a valid integer", "tool"),
        (json.dumps(STORED | {"on_parent_end": "sing"}), "on_parent_end: Input should be 'detach'", "tool"),
    ],
)
def test_what_is_no_registration_stands_as_one_that_cannot_be_read(text: str, reason: str, kind: str) -> None:
    found = read_registration("p", text)
    assert found.unknown is not None and found.unknown.startswith(reason), found.unknown
    assert (found.id, found.known, found.identity.kind) == ("p", False, kind)


def test_a_copy_of_what_is_not_known_whole_is_not_either() -> None:
    assert read(more=1).model_copy(update={"id": "q"}).unknown == "it has fields that this release does not know: more"
