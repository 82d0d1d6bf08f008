"""Selectors: how an event type says which part of a payload it means.

Invariant: selecting is pure, and fails only for a pointer that finds nothing. A template is filled in one pass: text
from a field is never filled in again.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self, assert_never

from pydantic import Field, field_validator, model_validator

from wakeline.errors import InvalidSelector, SelectorMiss
from wakeline.values import Json, Tagged, to_json

_HOLE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_MISSING = object()


def _checked_pointer(pointer: str) -> str:
    if pointer and not pointer.startswith("/"):
        raise InvalidSelector(reason=f"pointer {pointer!r} has to be empty or begin with /")
    if re.search(r"~(?![01])", pointer):
        raise InvalidSelector(reason=f"pointer {pointer!r} has a ~ that is neither ~0 nor ~1")
    return pointer


class PayloadSelector(Tagged):
    """The whole payload."""

    type: Literal["payload"] = "payload"


class PointerSelector(Tagged):
    """The value at an RFC 6901 pointer; it is an error if there is none."""

    type: Literal["pointer"] = "pointer"
    pointer: str

    @field_validator("pointer")
    @classmethod
    def _is_pointer(cls, value: str) -> str:
        return _checked_pointer(value)


class ConstSelector(Tagged):
    """Always this value."""

    type: Literal["const"] = "const"
    value: Json


class TemplateSelector(Tagged):
    """A text in which the text of a field replaces each `{name}`. A name without a field stays as it is."""

    type: Literal["template"] = "template"
    template: str
    fields: dict[str, Selector] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fields_have_names(self) -> Self:
        for name in self.fields:
            if _HOLE.fullmatch("{" + name + "}") is None:
                raise InvalidSelector(reason=f"template field {name!r} is not a name")
        return self


class PresentSelector(Tagged):
    """True if the pointer finds a value, also null."""

    type: Literal["present"] = "present"
    pointer: str

    @field_validator("pointer")
    @classmethod
    def _is_pointer(cls, value: str) -> str:
        return _checked_pointer(value)


Selector = Annotated[
    PayloadSelector | PointerSelector | ConstSelector | TemplateSelector | PresentSelector,
    Field(discriminator="type"),
]
TemplateSelector.model_rebuild()


def select(selector: Selector, payload: Any) -> Any:
    """What the selector finds in a payload; raises `SelectorMiss` where its pointer finds nothing."""
    match selector:
        case PayloadSelector():
            return payload
        case PointerSelector(pointer=pointer):
            found = _resolve(payload, pointer)
            if found is _MISSING:
                raise SelectorMiss(pointer=pointer)
            return found
        case ConstSelector(value=value):
            return value
        case TemplateSelector(template=template, fields=fields):
            texts = {name: text(select(field, payload)) for name, field in fields.items()}
            return _HOLE.sub(lambda hole: texts.get(hole[1], hole[0]), template)
        case PresentSelector(pointer=pointer):
            return _resolve(payload, pointer) is not _MISSING
        case _:
            assert_never(selector)


def _resolve(value: Any, pointer: str) -> Any:
    for token in pointer.split("/")[1:]:
        step = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and step in value:
            value = value[step]  # pyright: ignore[reportUnknownVariableType]
        elif isinstance(value, list) and re.fullmatch("0|[1-9][0-9]{0,9}", step) and int(step) < len(value):  # pyright: ignore[reportUnknownArgumentType]
            value = value[int(step)]  # pyright: ignore[reportUnknownVariableType]
        else:
            return _MISSING
    return value  # pyright: ignore[reportUnknownVariableType]


def truthy(value: Any) -> bool:
    """Whether a `when` is met. Null, false and empty strings, lists and objects do not meet it; every number does, also
    0."""
    return value is not None and value is not False and not (isinstance(value, (str, list, dict)) and not value)


def text(value: Any) -> str:
    """A selected value as text: a string as it is, anything else as compact JSON."""
    return value if isinstance(value, str) else to_json(value, "The selected value")


def parse_text(template: str) -> Selector:
    """The template selector of a text such as "Page {url} done": each `{name}` is the payload's field of that name."""
    names = dict.fromkeys(_HOLE.findall(template))
    if not names:
        return ConstSelector(value=template)
    return TemplateSelector(template=template, fields={name: PointerSelector(pointer=f"/{name}") for name in names})
