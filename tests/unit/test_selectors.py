"""Selectors: the five forms, RFC 6901, one-pass templates, truthiness."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter
from wakeline.errors import InvalidSelector, SelectorMiss
from wakeline.processes.selectors import (
    ConstSelector,
    PayloadSelector,
    PointerSelector,
    PresentSelector,
    Selector,
    TemplateSelector,
    parse_text,
    select,
    text,
    truthy,
)

RFC = {"foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5, 'k"l': 6, " ": 7, "m~n": 8}


@pytest.mark.parametrize(
    ("pointer", "found"),
    [
        ("", RFC),
        ("/foo", ["bar", "baz"]),
        ("/foo/0", "bar"),
        ("/", 0),
        ("/a~1b", 1),
        ("/c%d", 2),
        ("/e^f", 3),
        ("/g|h", 4),
        ("/i\\j", 5),
        ('/k"l', 6),
        ("/ ", 7),
        ("/m~0n", 8),
    ],
)
def test_pointers_of_the_rfc(pointer: str, found: Any) -> None:
    assert select(PointerSelector(pointer=pointer), RFC) == found


def test_tilde_one_is_unescaped_before_tilde_zero() -> None:
    assert select(PointerSelector(pointer="/~01"), {"~1": "right", "/": "wrong"}) == "right"


@pytest.mark.parametrize("pointer", ["/x", "/foo/2", "/foo/-", "/foo/00", "/foo/-1", "/foo/bar", "/foo/0/x", "/foo/٠"])
def test_a_miss_is_an_error(pointer: str) -> None:
    with pytest.raises(SelectorMiss) as caught:
        select(PointerSelector(pointer=pointer), RFC)
    assert caught.value.fields == {"pointer": pointer}


@pytest.mark.parametrize("pointer", ["foo", "/a~2", "/a~"])
def test_what_is_no_pointer_is_refused_where_it_is_declared(pointer: str) -> None:
    for selector in (PointerSelector, PresentSelector):
        with pytest.raises(InvalidSelector):
            selector(pointer=pointer)


def test_present_tells_null_from_nothing() -> None:
    assert select(PresentSelector(pointer="/a"), {"a": None}) is True
    assert select(PresentSelector(pointer="/b"), {"a": None}) is False


def test_payload_and_const() -> None:
    assert select(PayloadSelector(), [1]) == [1]
    assert select(ConstSelector(value={"a": 1}), None) == {"a": 1}


def test_a_template_renders_fields_and_numbers_as_plain_digits() -> None:
    # P42
    line = TemplateSelector(
        template="line {what} #{n}", fields={"what": PointerSelector(pointer="/w"), "n": PointerSelector(pointer="/n")}
    )
    assert select(line, {"w": "done", "n": 7}) == "line done #7"


def test_a_template_is_filled_in_one_pass() -> None:
    swap = parse_text("{a}{b}")
    assert select(swap, {"a": "{b}", "b": "{a}"}) == "{b}{a}"


def test_braces_without_a_field_stay() -> None:
    assert (
        select(TemplateSelector(template='{"x": {a}} {b}', fields={"a": ConstSelector(value=1)}), None)
        == '{"x": 1} {b}'
    )


def test_a_template_field_has_a_name() -> None:
    with pytest.raises(InvalidSelector):
        TemplateSelector(template="{a b}", fields={"a b": PayloadSelector()})


def test_a_template_whose_field_misses_is_an_error() -> None:
    with pytest.raises(SelectorMiss):
        select(parse_text("Page {url} done"), {})


def test_a_text_without_holes_is_a_constant() -> None:
    assert parse_text("done") == ConstSelector(value="done")


@pytest.mark.parametrize("value", [None, False, "", [], {}])
def test_these_are_false(value: Any) -> None:
    assert truthy(value) is False


@pytest.mark.parametrize("value", [True, 0, 0.0, -1, "0", " ", [None], {"a": None}])
def test_everything_else_is_true_every_number_too(value: Any) -> None:
    assert truthy(value) is True


@pytest.mark.parametrize(("value", "shown"), [("a", "a"), (7, "7"), (None, "null"), ({"a": [1, "x"]}, '{"a":[1,"x"]}')])
def test_a_selected_value_as_text(value: Any, shown: str) -> None:
    assert text(value) == shown


@pytest.mark.parametrize(
    "stored",
    [
        '{"type":"payload"}',
        '{"type":"pointer","pointer":"/a"}',
        '{"type":"const","value":{"a":[1]}}',
        '{"type":"template","template":"{a}","fields":{"a":{"type":"pointer","pointer":"/a"}}}',
        '{"type":"present","pointer":"/a"}',
    ],
)
def test_stored_selectors_are_pinned_and_read_back(stored: str) -> None:
    adapter: TypeAdapter[Selector] = TypeAdapter(Selector)
    assert adapter.dump_json(adapter.validate_json(stored), exclude_defaults=True).decode() == stored
