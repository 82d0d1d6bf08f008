"""What happens to a value on its way through JSON. Sets get one order, and the value that is read back is compared with
the one that was given.

Invariant: equal values are equal JSON in every process. A value that JSON cannot give back is refused, with its path,
and never stored as something else.
"""

from __future__ import annotations

import io
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any, cast

from pydantic import BaseModel, RootModel, SecretBytes, SecretStr

from wakeline.values import Exact, Unordered, canonical_json

_PLAIN = {
    "int",
    "str",
    "bool",
    "none",
    "float",
    "literal",
    "date",
    "time",
    "timedelta",
    "uuid",
    "bytes",
    "enum",
    "list",
    "tuple",
    "dict",
    "nullable",
    "default",
    "model",
    "model-fields",
    "model-field",
    "dataclass",
    "dataclass-args",
    "dataclass-field",
    "typed-dict",
    "typed-dict-field",
    "definitions",
    "definition-ref",
}
"""Schemas of types whose equal values have one JSON, which reads back as the value."""
_UNSETTLED = {"set", "frozenset", "decimal", "datetime"}
"""Schemas of types that read back too, and whose equal values have several forms."""
_IN_JSON = ("ser_json_bytes", "val_json_bytes", "ser_json_timedelta", "ser_json_temporal", "val_temporal_unit")
_MASK = "**********"


class Lost(Exception):
    """JSON does not give the value back; says where, and what to do about it."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(path, why)
        self.path, self.why = path, why


@dataclass(frozen=True, slots=True)
class Nature:
    """What has to be done for values of a type; found once, from its schema."""

    settles: bool
    """Whether its values may contain sets, numbers or moments."""
    compares: bool
    """Whether the value has to be read back and compared."""
    loose: bool
    """Whether it has parts of any type; these read back as JSON data."""
    bare: bool
    """Whether only those parts contain objects."""
    as_json: bool
    """Whether it has to be read from JSON text, because the type itself says what its JSON means (strict, base64)."""


ANYTHING = Nature(settles=True, compares=False, loose=True, bare=True, as_json=False)


def nature_of(schema: Any) -> Nature:
    """The nature of a type, from its pydantic core schema."""
    kinds: set[str] = set()
    marks: set[str] = set()
    _look(schema, kinds, marks)
    rest = kinds - _PLAIN
    compares = bool(rest - _UNSETTLED - {"any"}) or bool(marks)
    loose = "any" in kinds
    return Nature(
        bool(rest) or compares, compares, loose, loose and not kinds & {"model", "dataclass"}, "as_json" in marks
    )


def _look(node: Any, kinds: set[str], marks: set[str]) -> None:
    if isinstance(node, list | tuple):
        for item in cast("Any", node):
            _look(item, kinds, marks)
        return
    if not isinstance(node, dict):
        return
    found = cast("dict[str, Any]", node)
    kind = found.get("type")
    if isinstance(kind, str):
        kinds.add(kind)
    own = {
        "serialization_exclude",
        "serialization_exclude_if",
        "serialization",
        "validation_alias",
        "serialization_alias",
    } & found.keys()
    if (
        own
        or found.get("computed_fields")
        or found.get("custom_init")
        or found.get("root_model")
        or found.get("init") is False
    ):
        marks.add("own")
    for config in (found, found.get("config") or {}):
        if config.get("strict") is True or any(name in config for name in _IN_JSON):
            marks.add("as_json")
    for name, inner in found.items():
        if name not in ("metadata", "config", "default", "expected", "members"):
            several = name in ("fields", "definitions") and isinstance(inner, dict)
            _look(list(inner.values()) if several else inner, kinds, marks)  # pyright: ignore[reportUnknownArgumentType]


def check_kept(value: Any, path: str = "") -> None:
    """Raises `Lost` for something that can be read only once, before it is read to be written as JSON."""
    if isinstance(value, io.IOBase) or (hasattr(value, "read") and hasattr(value, "close")):
        raise Lost(path, "it is an open file; put its bytes into an attachment")
    if isinstance(value, Iterator):
        raise Lost(path, "it is an iterator, which can be read once; make a list of it")
    if isinstance(value, Awaitable):
        raise Lost(path, "it is a coroutine that nothing awaits; await it, or declare the function as `async def`")


def settled(value: Any, data: Any, path: str = "", *, loose: Any = None, strict: bool = True) -> Any:
    """JSON data of a value, with sets in one order, and with numbers and moments marked (`Unordered`, `Exact`). Data
    without these is returned as it is.

    ``loose`` is a function that gives the data of an object without a declared type. Raises `Lost` for something that
    can be read only once, and, if ``strict``, for what JSON hides.
    """
    value = value.value if isinstance(value, Enum) else value
    check_kept(value, path)
    if isinstance(value, str | int | float | None):
        return data
    if isinstance(value, Decimal):
        return Exact.of_number(data) if isinstance(data, str) else data
    if isinstance(value, datetime):
        return Exact.of_moment(data) if isinstance(data, str) else data
    if isinstance(value, SecretStr | SecretBytes):
        if strict and data == _MASK:
            raise Lost(
                path,
                "it is a secret, which is stored as asterisks; give its name and look it up where it is used, or a"
                " serializer that reveals it",
            )
        return data
    if loose is not None and (isinstance(value, BaseModel) or (is_dataclass(value) and not isinstance(value, type))):
        return loose(value, data, path)
    if isinstance(value, RootModel):
        return settled(cast("Any", value).root, data, path, loose=loose, strict=strict)
    if isinstance(value, AbstractSet) and isinstance(data, list):
        items: list[Any] = cast("Any", data)
        if len(items) == len(cast("Any", value)):
            items = [
                settled(one, of, path, loose=loose, strict=strict)
                for one, of in zip(cast("Any", value), items, strict=True)
            ]
        return Unordered(sorted(items, key=canonical_json))
    parts = _parts(value, data)
    if parts is None:
        return data
    if isinstance(value, Mapping) and strict and len(data) < len(cast("Any", value)):
        raise Lost(
            path,
            "it has fewer entries as JSON: keys that are one text, or fields that are excluded; use texts as keys, and"
            " exclude nothing",
        )
    for key, name, one in parts:
        at = joined(path, name)
        made = settled(one, data[key], at, loose=loose, strict=strict)
        if made is not data[key]:
            data[key] = made
    return data


def _parts(value: Any, data: Any) -> list[tuple[Any, Any, Any]] | None:
    """The parts of a value that its JSON data has: the key there, the name, the value."""
    if isinstance(data, list) and isinstance(value, Sequence):
        items: list[Any] = cast("Any", data)
        return [(i, i, one) for i, one in enumerate(cast("Any", value)) if i < len(items)]
    if not isinstance(data, dict):
        return None
    there = cast("dict[str, Any]", data)
    if isinstance(value, Mapping):
        given: Mapping[Any, Any] = cast("Any", value)
        if len(given) == len(there):
            return [(key, key, one) for key, one in zip(there, given.values(), strict=True)]
        return [(key, key, given[key]) for key in there if key in given]
    if isinstance(value, BaseModel):
        named = [
            (name, field.serialization_alias or name, getattr(value, name, None))
            for name, field in type(value).model_fields.items()
        ]
        named += [(name, name, one) for name, one in (value.__pydantic_extra__ or {}).items()]
    elif is_dataclass(value):
        named = [(field.name, field.name, getattr(value, field.name, None)) for field in fields(value)]
    else:
        return None
    return [
        (name if name in there else alias, name, one) for name, alias, one in named if name in there or alias in there
    ]


def difference(value: Any, found: Any, path: str = "", *, loose: bool) -> str | None:
    """The first place where a value and its read-back form differ; None if they are the same.

    For a subclass of the declared type only the declared fields count. ``loose``: parts of any type come back as JSON
    data.
    """
    inner = _inner(value, found, loose)
    if inner is not None:
        if len(inner[0]) != len(inner[1]):
            return path
        for name, one in inner[0].items():
            at = joined(path, name)
            if name not in inner[1]:
                return at
            if (wrong := difference(one, inner[1][name], at, loose=loose)) is not None:
                return wrong
        return None
    if loose and type(found) in (str, int, float, bool, list, dict, type(None)):
        return None
    return None if _same(value, found) else path


def _inner(value: Any, found: Any, loose: bool) -> tuple[Mapping[Any, Any], Mapping[Any, Any]] | None:
    """The parts of both by name; None if one has no parts."""
    if isinstance(found, BaseModel) and isinstance(value, type(found)):
        names = list(type(found).model_fields)
        more = value.__pydantic_extra__ or {} if type(value) is type(found) else {}
        return _named(value, names) | more, _named(found, names) | (found.__pydantic_extra__ or {})
    if is_dataclass(found) and not isinstance(found, type) and isinstance(value, type(found)):
        names = [field.name for field in fields(found)]
        return _named(value, names), _named(found, names)
    if isinstance(found, Mapping) and isinstance(value, Mapping):
        given, back = dict[Any, Any](cast("Any", value)), dict[Any, Any](cast("Any", found))
        # A key of any type comes back as its text in JSON.
        if not loose or given.keys() == back.keys():
            return given, back
        return _numbered(given.values()), _numbered(back.values())
    if (
        isinstance(found, Sequence)
        and isinstance(value, Sequence)
        and not isinstance(found, str | bytes)
        and not isinstance(value, str | bytes)
    ):
        return _numbered(value), _numbered(found)
    return None


def _numbered(items: Any) -> dict[int, Any]:
    return dict(enumerate(cast("list[Any]", items)))


def _named(value: Any, names: Any) -> dict[Any, Any]:
    return {name: getattr(value, name, None) for name in names}


def _same(value: Any, found: Any) -> bool:
    if isinstance(value, float) and value != value:  # noqa: PLR0124 - NaN
        return isinstance(found, float) and found != found  # noqa: PLR0124
    if getattr(cast("Any", type(value)), "__eq__", None) is object.__eq__:
        # An object without its own equality: only its content can be compared.
        return type(found) is type(value) and getattr(value, "__dict__", None) == getattr(found, "__dict__", None)
    return bool(value == found) and isinstance(found, str) == isinstance(value, str)


def joined(path: str, name: object) -> str:
    """A path, joined with a name, a place, or a further path."""
    if isinstance(name, int):
        return f"{path}[{name}]"
    return f"{path}{name}" if str(name).startswith("[") else f"{path}.{name}".strip(".")


REMEDY = (
    "it is not what JSON gives back; give the field no other form (exclude=, alias, a serializer, a union without a"
    " discriminator) than it is read by"
)
