"""Values of a declared type as JSON data and back, through cached pydantic adapters.

Invariant: what is stored reads back as the value that was given; what does not is refused where it enters.
"""

from __future__ import annotations

import io
import math
import sys
from collections.abc import Mapping
from typing import IO, Any, Literal, cast, get_args, get_origin
from weakref import WeakKeyDictionary, WeakValueDictionary

from pydantic import PydanticSchemaGenerationError, PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from wakeline.errors import BodyInvalid, InvalidPayload
from wakeline.faithful import ANYTHING, REMEDY, Lost, Nature, check_kept, difference, joined, nature_of, settled
from wakeline.plain import NOT_PLAIN, plain
from wakeline.values import NON_FINITE, bare, is_marked, to_json, unusable

Json = Any
MOST_ADAPTERS = 1024
_lasting: dict[Any, TypeAdapter[Any]] = {}
"""Adapters of types that modules have by name. They live as long as the code does."""
_passing: WeakValueDictionary[Any, TypeAdapter[Any]] = WeakValueDictionary()
"""Adapters of types that a function made: such a type holds what the function had in hand, so its adapter is kept only
while something else uses it."""


def adapter(kind: Any) -> TypeAdapter[Any]:
    """The adapter of a type; unhashable types get a new one each time."""
    try:
        known = _lasting.get(kind) or _passing.get(kind)
    except TypeError:
        return TypeAdapter(kind)
    if known is not None:
        return known
    made = TypeAdapter(kind)
    kept = _lasting if len(_lasting) < MOST_ADAPTERS and lasts(kind) else _passing
    kept[kind] = made
    return made


def lasts(kind: Any) -> bool:
    """Whether a type, with all that it is made of, is one that modules have by name."""
    if isinstance(kind, type):
        found: Any = sys.modules.get(kind.__module__)
        for name in kind.__qualname__.split("."):
            found = getattr(found, name, None)
        return found is kind
    if get_origin(kind) is Literal or kind is None or kind is Any:
        return True
    parts = get_args(kind)
    return bool(parts) and all(part is ... or lasts(part) for part in parts)


def dump(value: Any, kind: Any = Any, what: str = "The value") -> Json:
    """A value as JSON data that can be stored and read back. Raises `InvalidPayload` for a value that JSON cannot hold,
    or does not give back as it was."""
    copy = _plain(value, kind)
    if copy is not NOT_PLAIN:
        return copy
    data = _kept(value, kind, what, strict=True)
    return bare(data) if is_marked(data) else data


def asked(value: Any, kind: Any = Any, what: str = "The value", *, strict: bool = True) -> Json:
    """`dump` for data that repetitions are compared with: sets, numbers and moments are marked (`Unordered`, `Exact`).

    Without ``strict`` only the identity of the value counts, because the code gets the value itself.
    """
    copy = _plain(value, kind)
    return _kept(value, kind, what, strict=strict) if copy is NOT_PLAIN else copy


def _kept(value: Any, kind: Any, what: str, *, strict: bool) -> Json:
    try:
        return _checked(value, kind, what, strict)
    except Lost as lost:
        raise InvalidPayload(what=what, reason=f"at {lost.path}, {lost.why}" if lost.path else lost.why) from lost


def checked(value: Any, kind: Any, what: str, strict: bool) -> Json:
    """`asked`, for a caller who knows better where the value stands: raises `Lost` with the path inside the value."""
    copy = _plain(value, kind)
    return _checked(value, kind, what, strict) if copy is NOT_PLAIN else copy


def _plain(value: Any, kind: Any) -> Any:
    """A plain copy of a value that its type takes as it is."""
    return plain(value) if kind is Any or kind is type(value) or (value is None and kind is None) else NOT_PLAIN


def _checked(value: Any, kind: Any, what: str, strict: bool) -> Json:
    check_kept(value)
    nature = _nature(kind)
    try:
        return _read_back(value, _form(value, kind, what), kind, nature, strict)
    except Lost as lost:
        # A type with another form for reading (computed fields, Json) is stored in that form. All others keep the form
        # they always had.
        other = _form(value, kind, what, round_trip=True) if kind is not Any and nature.compares else None
        if other is None or other == _form(value, kind, what):
            raise
        try:
            return _read_back(value, other, kind, nature, strict)
        except Lost:
            raise lost from None


def _form(value: Any, kind: Any, what: str, *, round_trip: bool = False) -> Json:
    try:
        data = adapter(kind).dump_python(
            value, mode="json", warnings="error" if kind is not Any else "none", round_trip=round_trip
        )
        # Records put a payload into further objects (event, record, message of a session), which have to be readable
        # too. So 16 levels are kept free.
        text = to_json([[[[[[[[[[[[[[[[data]]]]]]]]]]]]]]]], what)
        # pydantic silently writes null for NaN and Infinity.
        if "null" in text and not _finite(adapter(kind).dump_python(value, warnings="none")):
            raise InvalidPayload(what=what, reason=NON_FINITE)
    except (PydanticSerializationError, ValueError, RecursionError) as error:
        raise unusable(what, error) from error
    return data


def _read_back(value: Any, data: Json, kind: Any, nature: Nature, strict: bool) -> Json:
    """The settled data of a value; raises `Lost` if reading it back does not give the value."""
    if nature.settles:
        data = settled(value, data, loose=_own_form if nature.bare and strict else None, strict=strict)
    if kind is Any:
        return data
    try:
        found = _loaded(data, kind)
    except ValidationError as error:
        if value is None:
            raise Lost("", f"it is None, and {kind!r} is declared; give a value, or declare it as optional") from error
        first = error.errors(include_url=False)[0]
        raise Lost(".".join(map(str, first["loc"])), f"{first['msg']} when it is read back; {REMEDY}") from error
    if nature.compares and (path := difference(value, found, loose=nature.loose)) is not None:
        raise Lost(path, REMEDY)
    return data


def _own_form(value: Any, data: Json, path: str) -> Json:
    """The data of an object whose type only the object itself tells."""
    try:
        nature = _nature(type(value))
    except (PydanticUserError, NameError):
        return data
    if not nature.settles:
        return data
    try:
        return checked(value, type(value), path, strict=True)
    except Lost as lost:
        raise Lost(joined(path, lost.path), lost.why) from lost


_natures: WeakKeyDictionary[TypeAdapter[Any], Nature] = WeakKeyDictionary()


def _nature(kind: Any) -> Nature:
    if kind is Any:
        return ANYTHING
    made = adapter(kind)
    known = _natures.get(made)
    if known is None:
        known = _natures[made] = nature_of(made.core_schema)
    return known


def outside(value: Any, data: Json) -> Json | None:
    """The data of a value with its fields under their outside names (aliases), as in schemas; None if that is the
    same."""
    if plain(value) is not NOT_PLAIN:
        return None
    other = settled(
        value, adapter(Any).dump_python(value, mode="json", warnings="none", by_alias=True, round_trip=True)
    )
    return None if other == data else other


def _finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Mapping):
        return all(_finite(item) for pair in value.items() for item in pair)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, (list, tuple, set, frozenset)):
        return all(_finite(item) for item in cast("list[Any]", value))
    return True


def load(data: Json, kind: Any, what: str = "The value") -> Any:
    """JSON data as a value of the type; raises `InvalidPayload`."""
    if kind is Any:
        return data
    try:
        return _loaded(data, kind)
    except ValidationError as error:
        raise InvalidPayload(what=what, reason=describe(error)) from error


def fit(value: Any, kind: Any, what: str = "The value") -> Any:
    """A value converted to the type, as a call of a typed function would take it; raises `InvalidPayload`."""
    try:
        return value if kind is Any else validated(value, kind)
    except ValidationError as error:
        raise InvalidPayload(what=what, reason=describe(error)) from error


def _loaded(data: Json, kind: Any) -> Any:
    if _nature(kind).as_json:
        return adapter(kind).validate_json(to_json(data), by_alias=True, by_name=True)
    return validated(data, kind)


def validated(value: Any, kind: Any) -> Any:
    """A value as one of the type; raises pydantic's `ValidationError`. Fields go by their names and aliases."""
    return adapter(kind).validate_python(value, by_alias=True, by_name=True)


def schema_of(kind: Any) -> dict[str, Any]:
    """The JSON Schema of a type; `{}` (anything) if it has none."""
    if kind is Any:
        return {}
    try:
        return adapter(kind).json_schema()
    except Exception:  # noqa: BLE001 - pydantic raises several kinds for types without a schema; no schema is a fine answer
        return {}


def describe(error: ValidationError) -> str:
    """A validation error in one line: the place, and what is wrong."""
    parts = [
        f"{'.'.join(str(p) for p in e['loc']) or 'value'}: {e['msg']}" for e in error.errors(include_url=False)[:5]
    ]
    return "; ".join(parts)


def check_kind(name: str, kind: Any) -> None:
    """Raises `BodyInvalid` for a type that is not JSON, or that pydantic refuses."""
    if isinstance(kind, str):
        raise BodyInvalid(name=name, reason=f"{kind!r} is a text; give the type itself, not its name")
    try:
        adapter(kind)
    except PydanticUserError as refused:
        if isinstance(kind, type) and issubclass(kind, io.IOBase | IO):
            raise BodyInvalid(
                name=name, reason=f"{kind!r} is an open file, which cannot be stored; put its bytes into an attachment"
            ) from refused
        if not isinstance(refused, PydanticSchemaGenerationError):
            raise BodyInvalid(name=name, reason=f"{kind!r} cannot be used: {refused.message.rstrip('.')}") from refused
        raise BodyInvalid(
            name=name, reason=f"{kind!r} cannot be stored as JSON; use a pydantic model, a dataclass or a plain type"
        ) from refused
    except (KeyError, TypeError) as refused:  # pydantic's, for a value that is no type
        raise BodyInvalid(name=name, reason=f"{kind!r} is no type") from refused
