"""The question of an approval, as its event ``approval.requested`` keeps it. Pure.

Invariant: a question holds no token, because every reader of the log may read its event.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from wakeline.errors import InvalidPayload
from wakeline.values import canonical_json, check_size, from_json, to_json

MAX_QUESTION = 16_384
"""The most bytes that a question has as JSON; a longer schema than that is left out of its event."""
MOST_OPTIONS = 64


@dataclass(frozen=True, slots=True)
class Question:
    """What an approval asks. It has the JSON value that its body gave, the JSON Schema of an answer, the answers to
    choose from if they are few, and until when (ms) an answer is taken. Each is None if it is not known."""

    name: str
    value: Any = None
    schema: dict[str, Any] | None = None
    options: list[Any] | None = None
    due_ms: int | None = None

    @classmethod
    def of(cls, name: str, value: Any, schema: dict[str, Any], due_ms: int | None) -> Question:
        """A question as a body asks it; raises `PayloadTooLarge`. ``schema``: ``{}`` takes any answer."""
        check_size(f"the question of approval {name}", to_json(value), MAX_QUESTION)
        kept = schema if schema and len(canonical_json(schema).encode()) <= MAX_QUESTION else None
        return cls(name, value, kept, options_of(schema), due_ms)

    def to_json(self) -> str:
        """The payload of its event."""
        asked = {"name": self.name, "question": self.value, "schema": self.schema, "options": self.options}
        return to_json(asked | {"due_ms": self.due_ms})

    @classmethod
    def from_json(cls, text: str, name: str) -> Question:
        """The question of a stored event; of one that cannot be read, and of none (''), the name alone."""
        try:
            asked: object = from_json(text) if text else None
        except InvalidPayload:
            asked = None
        if not isinstance(asked, dict):
            return cls(name)
        data = cast("dict[str, Any]", asked)
        own, schema, due_ms = data.get("name"), data.get("schema"), data.get("due_ms")
        options: list[Any] | None = data["options"] if isinstance(data.get("options"), list) else None
        return cls(
            own if isinstance(own, str) else name,
            data.get("question"),
            cast("dict[str, Any]", schema) if isinstance(schema, dict) else None,
            options,
            due_ms if isinstance(due_ms, int) else None,
        )


def options_of(schema: dict[str, Any]) -> list[Any] | None:
    """The values that fit a JSON Schema, if it names them, as for a flag, an enumeration or a literal. None if any
    value fits, or too many do."""
    found = _values(schema, cast("dict[str, Any]", schema.get("$defs", {})))
    return found if found is not None and len(found) <= MOST_OPTIONS else None


def _values(schema: dict[str, Any], named: dict[str, Any]) -> list[Any] | None:
    if "$ref" in schema:
        return _values(named.get(str(schema["$ref"]).removeprefix("#/$defs/"), {}), {})
    if "enum" in schema or "const" in schema:
        return list(schema["enum"]) if "enum" in schema else [schema["const"]]
    if schema.get("type") in ("boolean", "null"):
        return [True, False] if schema["type"] == "boolean" else [None]
    found: list[Any] = []
    for part in schema.get("anyOf", ()):
        values = _values(part, named)
        if values is None:
            return None
        found += values
    return found or None
