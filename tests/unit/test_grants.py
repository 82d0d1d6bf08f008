"""Handle values: made one way, and refused with the reason."""

from __future__ import annotations

from typing import Any

import pytest
from wakeline.errors import InvalidHandle, InvalidId
from wakeline.processes.grants import HandleDescriptor, make_handle, parse_handle


def test_a_handle_reads_back() -> None:
    assert make_handle("p_1") == {"__handle__": "process", "id": "p_1"}
    assert parse_handle(make_handle("p_1")) == "p_1"
    assert parse_handle(make_handle("process:turn:x:1")) == "process:turn:x:1"


def test_hints_are_ignored() -> None:
    assert parse_handle({"__handle__": "process", "id": "p_1", "tool": "charge", "status": "running"}) == "p_1"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("p_1", "it is a str, not an object"),
        (None, "it is a NoneType, not an object"),
        ({"id": "p_1"}, "__handle__ is missing"),
        ({"__handle__": "file", "id": "p_1"}, "__handle__ is 'file', not 'process'"),
        ({"__handle__": "process"}, "id is missing or empty"),
        ({"__handle__": "process", "id": ""}, "id is missing or empty"),
        ({"__handle__": "process", "id": "a\nb"}, "its id is 'a\\nb', which is no process id"),
        ({"__handle__": "process", "id": 7}, "its id is 7, which is no process id"),
    ],
)
def test_a_malformed_handle_says_what_is_wrong(value: Any, reason: str) -> None:
    with pytest.raises(InvalidHandle) as caught:
        parse_handle(value)
    assert caught.value.reason == reason


def test_no_handle_of_what_is_no_id() -> None:
    with pytest.raises(InvalidId):
        make_handle("a\nb")


def test_a_descriptor_is_stored_as_what_it_says() -> None:
    assert HandleDescriptor(kind="crawl", label="news").model_dump_json() == '{"kind":"crawl","label":"news"}'


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"kind":"crawl","later":1}', HandleDescriptor(kind="crawl")),
        ('{"kind":7,"label":"news"}', HandleDescriptor(label="news")),
        ("nonsense", HandleDescriptor()),
        ("[1]", HandleDescriptor()),
    ],
)
def test_a_descriptor_of_a_later_release_is_shown_as_far_as_it_is_known(text: str, found: HandleDescriptor) -> None:
    assert HandleDescriptor.read(text) == found
