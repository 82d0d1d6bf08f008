"""Payload schemas: typed refusals that name the place, and never a download."""

from __future__ import annotations

from typing import Any

import pytest
from wakeline.errors import PayloadSchemaMismatch, RegistrationInvalid
from wakeline.processes.schema import check_payload, check_schema, schema_hash

PAGE = {
    "type": "object",
    "properties": {"url": {"type": "string"}, "tags": {"type": "array", "items": {"type": "integer"}}},
    "required": ["url"],
}


def test_an_empty_schema_accepts_everything() -> None:
    check_payload({}, {"any": [1, None]}, "event x")


def test_a_fitting_payload_passes() -> None:
    check_payload(PAGE, {"url": "a", "tags": [1, 2]}, "event page")


def test_a_missing_required_field_is_refused() -> None:
    # P15
    with pytest.raises(PayloadSchemaMismatch) as caught:
        check_payload(PAGE, {}, "event page")
    assert (caught.value.what, caught.value.path) == ("event page", "$")
    assert "url" in caught.value.reason


def test_a_deep_mismatch_is_named() -> None:
    with pytest.raises(PayloadSchemaMismatch) as caught:
        check_payload(PAGE, {"url": "a", "tags": [1, "x"]}, "event page")
    assert caught.value.path == "$.tags[1]"


@pytest.mark.parametrize("payload", ["true", 1, None])
def test_draft_2020_12_types_are_exact(payload: Any) -> None:
    with pytest.raises(PayloadSchemaMismatch):
        check_payload({"type": "boolean"}, payload, "signal publish")


def test_local_references_work() -> None:
    schema = {"$defs": {"n": {"type": "integer"}}, "$ref": "#/$defs/n"}
    check_payload(schema, 1, "signal n")
    with pytest.raises(PayloadSchemaMismatch):
        check_payload(schema, "x", "signal n")


def test_a_remote_reference_is_an_error_and_no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a schema made a request")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    with pytest.raises(RegistrationInvalid, match=r"https://example\.invalid/s\.json"):
        check_payload({"$ref": "https://example.invalid/s.json"}, 1, "signal n")


def test_a_schema_that_is_none_is_refused() -> None:
    with pytest.raises(RegistrationInvalid):
        check_schema({"type": "text"}, "signal n")
    check_schema(PAGE, "event page")


def test_schema_hash_ignores_key_order() -> None:
    assert schema_hash({"type": "integer"}) == "8d765e8838cab7d5"
    assert schema_hash({"a": 1, "b": 2}) == schema_hash({"b": 2, "a": 1})
    assert schema_hash({"type": "integer"}) != schema_hash({"type": "string"})
