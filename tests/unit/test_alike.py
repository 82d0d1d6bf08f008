"""Registrations that are read by one like them: the same as if each were read whole, whatever stands in them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wakeline.causality import HostOriginator, ProcessCause, Provenance
from wakeline.processes import alike
from wakeline.processes.alike import read_claimed
from wakeline.processes.events import EventType
from wakeline.processes.inputs import EngineInput, PreparedCall, ToolCall
from wakeline.processes.reading import read_registration
from wakeline.processes.registration import Registration, prepare

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(['},"identity":{', '"payload":', '"incarnation":"inc00001"', "\\", '"']),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
SHAPED = EventType(
    name="signal.go",
    payload_schema={"type": "object", "properties": {"a": {}, "identity": {"type": "object"}, "payload": {}}},
)


def made(process_id: str, payload: dict[str, Any], incarnation: str = "inc00001", **more: Any) -> Registration:
    more = {"provenance": Provenance(originator=HostOriginator()), "env_ref": "process-env:sha256:" + "0" * 64} | more
    kind = EngineInput(kind="takes", payload=payload)
    return prepare(id=process_id, input=kind, queue="shop.default", incarnation=incarnation, **more)


def read(like: Registration, given: Registration) -> Registration:
    """The second, read after the first was."""
    alike._kept.clear()
    read_claimed(like.id, like.incarnation, like.text)
    return read_claimed(given.id, given.incarnation, given.text)


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_a_registration_read_by_one_like_it_is_the_one_that_is_read_whole(payload: dict[str, Any]) -> None:
    second = made("p_2", payload, "inc00002")
    found = read(made("p_1", {"n": 1}), second)
    whole = read_registration(second.id, second.text)
    assert found == whole
    assert found.text == whole.text
    assert found.content_hash == whole.content_hash
    assert (found.unknown, found.known) == (None, True)


TRACE = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}


@given(st.dictionaries(st.text(), JSON, max_size=4), st.dictionaries(st.text(), st.text(), max_size=3))
def test_headers_differ_with_each_start_and_are_read_as_they_are(
    payload: dict[str, Any], headers: dict[str, str]
) -> None:
    second = made("p_2", payload, "inc00002").with_headers(headers)
    found = read(made("p_1", {"n": 1}).with_headers(TRACE), second)
    whole = read_registration(second.id, second.text)
    assert (found, found.text, found.content_hash) == (whole, whole.text, whole.content_hash)
    assert found.headers == (headers or None)
    assert len(alike._kept) == 1, "the one that was read before serves for all traces"


@pytest.mark.parametrize(
    "more",
    [
        {"options": {"call": {"key": "k", "attempt": 2, "admitted": True}, "headers": TRACE}},
        {"options": {"headers": TRACE, "later": {"headers": TRACE}}},
        {"options": {"headers": 5}},
        {"options": {"headers": {"traceparent": 5, "tracestate": None}}},
        {"event_types": (EventType(name="signal.go", payload_schema={"a": 1, "options": {"headers": TRACE}}),)},
        {"labels": {"payload": '"payload":', "incarnation": "inc00002", "identity": '},"identity":{'}},
        {"event_types": (SHAPED,)},
        {"parent": "p_0", "provenance": Provenance(caused_by=ProcessCause(process_id="p_0"))},
        {"options": {"call": {"key": "k", "attempt": 2, "admitted": True}}},
        {"queue": "shop.other", "engine_version": "2", "limit": "l", "deadline_ms": 5},
    ],
)
def test_what_differs_in_another_way_is_read_as_it_is(more: dict[str, Any]) -> None:
    queue = more.pop("queue", "shop.default")
    second = made("p_2", {"n": {"identity": {}}}, "inc00002", **more).model_copy(update={"queue": queue})
    whole = read_registration(second.id, second.text)
    assert read(made("p_1", {"n": 1}), second) == whole
    assert read(second, second) == whole


def test_a_tool_is_read_whole() -> None:
    call = PreparedCall(call_id="p_1", tool_id="t", tool_name="charge", args={"payload": 1})
    first = made("p_1", {}).model_copy(update={"input": ToolCall(call=call)})
    assert read(first, first) == read_registration("p_1", first.text)


@pytest.mark.parametrize(
    "broken",
    [
        lambda text: text.replace('"payload":{"n":1}', '"payload":{"n":NaN}'),
        lambda text: text.replace('"payload":{"n":1}', '"payload":{"n":1}}'),
        lambda text: text.replace('"payload":{"n":1}', '"payload":'),
        lambda text: text.replace('"queue":', '"later":1,"queue":'),
        lambda text: text[:-1],
        lambda text: text.replace("{", "", 1),
    ],
)
def test_a_text_that_is_not_right_is_judged_as_a_whole(broken: Any) -> None:
    first = made("p_1", {"n": 1})
    text = broken(first.text)
    alike._kept.clear()
    read_claimed(first.id, first.incarnation, first.text)
    found, whole = read_claimed("p_1", "inc00001", text), read_registration("p_1", text)
    assert repr((found, found.unknown, found.known)) == repr((whole, whole.unknown, whole.known))


def test_of_what_was_read_neither_id_nor_arguments_are_kept() -> None:
    alike._kept.clear()
    first = made("p_secret", {"n": "a secret value"})
    read_claimed(first.id, first.incarnation, first.text)
    assert len(alike._kept) == 1
    assert "secret" not in repr(alike._kept.items())
