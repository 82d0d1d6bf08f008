"""Payload schemas: JSON Schema Draft 2020-12, checked before anything is written.

Invariant: checking reads nothing but schema and payload; a reference to another document is an error, never a download.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from wakeline.bounded import WEIGHT_OF_JSON, Bounded
from wakeline.errors import PayloadSchemaMismatch, RegistrationInvalid
from wakeline.values import canonical_json, from_json, short_hash

OWN_BYTES = 2048
"""About how many bytes a validator takes besides its schema."""


def schema_hash(schema: dict[str, Any]) -> str:
    """Sixteen digits that are equal for equal schemas, with their keys in any order."""
    return short_hash("schema", canonical_json(schema, "The schema"))


def check_schema(schema: dict[str, Any], what: str) -> None:
    """Raises `RegistrationInvalid` if the schema itself is invalid."""
    if schema:
        _validator(canonical_json(schema, f"The schema of {what}"), what)


def check_payload(schema: dict[str, Any], payload: Any, what: str) -> None:
    """Raises `PayloadSchemaMismatch` naming the first place where the payload does not fit; `{}` accepts everything."""
    if schema:
        check_against(canonical_json(schema, f"The schema of {what}"), payload, what)


def check_against(schema_text: str, payload: Any, what: str) -> None:
    """`check_payload` for the canonical text of a schema that is not empty."""
    validator = _validator(schema_text, what)
    try:
        error = _library("jsonschema.exceptions").best_match(validator.iter_errors(payload))
    except _library("referencing.exceptions").Unresolvable as missing:
        reason = f"the schema of {what} refers to {missing.ref!r}, which it does not have"
        raise RegistrationInvalid(reason=reason) from None
    if error is not None:
        raise PayloadSchemaMismatch(what=what, path=error.json_path, reason=error.message)


def fits_schema(schema: dict[str, Any], payload: Any) -> bool:
    """Whether `check_payload` would let it pass."""
    try:
        check_payload(schema, payload, "it")
    except (PayloadSchemaMismatch, RegistrationInvalid):
        return False
    return True


def _library(name: str) -> Any:
    # Loaded on first use: it costs 80 ms to import, and programs without typed payloads never need it.
    return import_module(name)


_validators: Bounded[tuple[str, str], Any] = Bounded(8 * 1024 * 1024)


def _validator(schema_text: str, what: str) -> Any:
    known = _validators.get((schema_text, what))
    if known is None:
        known = _made_validator(schema_text, what)
        _validators.put((schema_text, what), known, OWN_BYTES + WEIGHT_OF_JSON * len(schema_text))
    return known


def _made_validator(schema_text: str, what: str) -> Any:
    draft = _library("jsonschema").Draft202012Validator
    schema = from_json(schema_text)
    try:
        draft.check_schema(schema)
    except _library("jsonschema.exceptions").SchemaError as error:
        raise RegistrationInvalid(reason=f"the schema of {what} is not usable: {error.message}") from None
    # An empty registry: without it, a "$ref" to a URL would be fetched.
    return draft(schema, registry=_library("referencing").Registry())
