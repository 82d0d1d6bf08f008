"""Values at the edges: JSON as text, its canonical form, hashes of it, durations and sizes.

Invariant: every JSON reader can read the JSON of this module (no NaN, no lone surrogate). Equal content has equal
canonical text and equal hashes, in every process and every release.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Self, cast

import pydantic_core
from pydantic import BaseModel, ConfigDict, JsonValue, SerializerFunctionWrapHandler, model_serializer

from wakeline.errors import InvalidArguments, InvalidDuration, InvalidPayload, PayloadTooLarge
from wakeline.plain import SAFE_INTEGER, canonical_text

Json = JsonValue
"""A JSON value: null, bool, int, float, str, list, dict with string keys."""


class Stored(BaseModel):
    """Base of what is written to Redis. It is frozen. A field that this release does not know is refused and not
    dropped."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with changes. Values that the original computes once (a hash, its text) are computed anew, unless
        ``update`` has them."""
        copied = super().model_copy(update=update, deep=deep)
        for name in vars(copied).keys() - type(self).model_fields.keys() - (update or {}).keys():
            del vars(copied)[name]
        return copied

    def with_fields(self, **changes: Any) -> Self:
        """A copy with other fields (or computed values), which are right already and are not checked. What the original
        computed is not copied. It costs a third of `model_copy`."""
        made = object.__new__(type(self))
        names, fields = type(self).__pydantic_fields__, vars(self)
        if len(fields) > len(names):
            fields = {name: fields[name] for name in names}
        object.__setattr__(made, "__dict__", fields | changes)
        object.__setattr__(made, "__pydantic_fields_set__", self.__pydantic_fields_set__ | (changes.keys() & names))
        object.__setattr__(made, "__pydantic_extra__", None)
        private = self.__pydantic_private__
        object.__setattr__(made, "__pydantic_private__", None if private is None else dict(private))
        return made


class Tagged(Stored):
    """A member of a closed union, told from the others by `type`."""

    @model_serializer(mode="wrap")
    def _with_tag(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Stored JSON has no defaults. The tag is a default, but no reader could read the rest without it.
        return {"type": vars(self)["type"], **handler(self)}


HASH_VERSION = "wakeline:1"
MAX_PAYLOAD = 8 * 1024 * 1024
"""Longest JSON text of one payload, in bytes: arguments, signal, event, result, outcome of a step, session input and
state."""
_DEEP, _LONG = 100, 4_000
_LONG_NUMBER = re.compile(r"[0-9]{4000}")
_NUMBER = re.compile("-?[0-9]{1,18}")
_LONGEST_MS = 366 * 1000 * 86_400_000

_UNITS_MS = {"w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_DURATION = re.compile("".join(rf"(?:(?P<{unit}>[0-9]+(?:\.[0-9]+)?){unit}(?![a-z]))?" for unit in _UNITS_MS))


def to_json(value: object, what: str = "The value") -> str:
    """Compact JSON text of a value, which `from_json` reads back; pydantic models, dataclasses, dates and the like
    become JSON too.

    Raises `InvalidPayload` for NaN, Infinity, lone surrogates, cycles, integers of over 4,300 digits, deep nesting and
    objects without a JSON form.
    """
    text = as_text(value, what)
    # The serialiser writes NaN as a bare word, and writes deeper and longer texts than the parser reads. Only a parse
    # can tell, and few texts need one.
    if (
        "NaN" in text
        or "Infinity" in text
        or text.count("[") + text.count("{") > _DEEP
        or (len(text) > _LONG and _LONG_NUMBER.search(text))
    ):
        try:
            pydantic_core.from_json(text, allow_inf_nan=False)
        except ValueError as error:
            # It writes all else correctly. Apart from depth and length, only these can be wrong.
            raise InvalidPayload(what=what, reason=_advice(error) or NON_FINITE) from error
    return text


def as_text(value: object, what: str) -> str:
    """`to_json` without the promise that it can be read back, for JSON that holds such texts as strings."""
    try:
        return pydantic_core.to_json(value).decode()
    except (pydantic_core.PydanticSerializationError, UnicodeError, ValueError, RecursionError) as error:
        raise unusable(what, error) from error


def number(text: str | None, otherwise: int = 0) -> int:
    """A number stored as text; ``otherwise`` if there is none, or if another release stored something else."""
    return int(text) if text is not None and _NUMBER.fullmatch(text) else otherwise


MOST = 999_999_999_999_999
"""The largest number of an event, entry, message or page, because a script counts in doubles, and a stream in 64
bits."""


def check_number(what: str, given: Any, *, least: int = 1, most: int = MOST) -> None:
    """Raises `InvalidArguments` for anything but a number from ``least`` to ``most``."""
    is_number = isinstance(given, int) and not isinstance(given, bool)
    if is_number and least <= given <= most:
        return
    beyond = is_number and abs(given) > MOST  # not shown: Python writes no number of thousands of digits
    shown = "" if beyond else f"it is {given!r}, "
    raise InvalidArguments(
        name=what, reason=f"{shown}it has to be {least} {'or more' if most == MOST and not beyond else f'to {most}'}"
    )


def from_json(text: str | bytes, what: str = "The text") -> Any:
    """The JSON value of a text; raises `InvalidPayload` for anything that is not JSON."""
    try:
        return pydantic_core.from_json(text, allow_inf_nan=False)
    except (ValueError, TypeError) as error:
        raise unusable(what, error) from error


_ADVICE = {
    "recursion limit": "it is nested too deeply; flatten it to at most 180 levels",
    "depth exceeded": "it is nested too deeply; flatten it to at most 180 levels",
    "out of range": "an integer has over 4,300 digits; write it as a text",
    "surrogates not allowed": "a text has a lone surrogate, which no encoding can write; replace it",
}


NON_FINITE = "JSON has no NaN and no Infinity; use null or a text"


_MISFIT = re.compile(r"Expected `([^`]+)`[^\[]*\[(?:field_name='([^']*)', )?input_value=(.*?), input_type=([^\]]+)\]")
"""What pydantic says of a value that is not of the type it was declared with."""


def _advice(error: Exception) -> str | None:
    if misfits := _MISFIT.findall(str(error)):
        return "; ".join(
            f"{f'its {field!r}' if field else 'it'} is {value} ({kind}), and {declared} is declared"
            for declared, field, value, kind in misfits
        )
    return next((advice for sign, advice in _ADVICE.items() if sign in str(error)), None)


def unusable(what: str, error: Exception) -> InvalidPayload:
    """The typed error for an error of a serialiser or parser. If its text does not say what to do, another text
    does."""
    return InvalidPayload(what=what, reason=_advice(error) or str(error))


def canonical_json(value: object, what: str = "The value") -> str:
    """JSON text that is equal for equal content: keys sorted, compact, integral floats (and -0.0) as integers.

    JSON has one kind of number, so 1 and 1.0 are the same content: a sender in another language may write either.
    """
    text = canonical_text(value)
    return _canonical_text(_canonical(from_json(to_json(value, what), what))) if text is None else text


def content_json(value: object, what: str = "The value") -> str:
    """`canonical_json` in which equal numbers and equal moments (`Exact`) have one text. It tells a repetition from
    other content."""
    text = canonical_text(value)
    return canonical_json(_same_texts(value), what) if text is None else text


class Unordered(list[Any]):
    """The items of a set as JSON has them, in the order of their canonical texts: the same in every process."""


class Exact(str):
    """A number or a moment as it was written, and the text that all equal ones share (``same``): 1.10 and 1.1, noon in
    Berlin and 11:00 in UTC."""

    same: str

    @classmethod
    def of(cls, text: str, same: str) -> Self:
        made = cls(text)
        made.same = same
        return made

    @classmethod
    def of_number(cls, text: str) -> str:
        """A Decimal's text."""
        try:
            number = Decimal(text)
        except InvalidOperation:
            return text
        return cls.of(
            text,
            f"{number.normalize() + 0:f}"
            if number.is_finite() and abs(number.adjusted()) < _LONG_EXPONENT
            else str(number),
        )

    @classmethod
    def of_moment(cls, text: str) -> str:
        """A moment's text (ISO 8601); a moment without a zone keeps its text."""
        try:
            moment = datetime.fromisoformat(text)
            return text if moment.tzinfo is None else cls.of(text, moment.astimezone(UTC).isoformat())
        except (ValueError, OverflowError):
            return text


_LONG_EXPONENT = 1_000


def _same_texts(value: Any) -> Any:
    if isinstance(value, Exact):
        return value.same
    if isinstance(value, Unordered):
        return sorted(map(_same_texts, value), key=canonical_json)
    if isinstance(value, list):
        return [_same_texts(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, dict):
        return {key: _same_texts(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType]
    return value


def is_marked(value: Any, *, sets: bool = False) -> bool:
    """Whether JSON data has sets or, unless only ``sets`` count, numbers and moments that have several texts."""
    if isinstance(value, Unordered) or (not sets and isinstance(value, Exact)):
        return True
    known: Any = value
    parts: Any = known.values() if isinstance(value, dict) else known if isinstance(value, list | tuple) else ()
    return any(is_marked(part, sets=sets) for part in parts)


def bare(value: Any) -> Any:
    """JSON data without marks, as a reader of its text gets it."""
    if isinstance(value, Exact):
        return str(value)
    if isinstance(value, list):
        return [bare(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, dict):
        return {key: bare(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType]
    return value


def means(stored: Any, asked: Any) -> bool:
    """Whether stored JSON data has the content of marked data. Sets in the stored data have the order of the process
    that wrote them."""
    if isinstance(asked, Exact):
        return isinstance(stored, str) and any(
            asked.same == getattr(read(stored), "same", stored) for read in (Exact.of_number, Exact.of_moment)
        )
    if isinstance(asked, Unordered):
        if not isinstance(stored, list):
            return False
        left: list[Any] = [*cast("Any", stored)]
        return len(left) == len(asked) and all(_taken(left, item) for item in asked)
    old, new = stored, asked
    if isinstance(asked, list) and isinstance(stored, list):
        return len(old) == len(new) and all(map(means, old, new))
    if isinstance(asked, dict) and isinstance(stored, dict):
        return old.keys() == new.keys() and all(means(old[key], new[key]) for key in new)
    return canonical_json(old) == canonical_json(new)


def _taken(left: list[Any], item: Any) -> bool:
    found = next((i for i, one in enumerate(left) if means(one, item)), None)
    if found is not None:
        del left[found]
    return found is not None


_canonical_text = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def _canonical(value: Any) -> Any:
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < SAFE_INTEGER else value
    if isinstance(value, list):
        return [_canonical(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, dict):
        return {key: _canonical(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType]
    return value


def framed(*parts: str | bytes) -> bytes:
    """Bytes that differ for different lists of parts: each part stands behind its length (8 bytes, big-endian)."""
    frames: list[bytes] = []
    try:
        for part in parts:
            raw = part if isinstance(part, bytes) else part.encode()
            frames += (len(raw).to_bytes(8, "big"), raw)
    except UnicodeEncodeError as error:
        raise InvalidPayload(what="A part of a hash", reason=str(error)) from error
    return b"".join(frames)


_VERSION_FRAME = framed(HASH_VERSION)


def content_hash(*parts: str) -> str:
    """Sha256 (64 lower hex digits) over a version tag and the framed parts: ("ab", "c") differs from ("a", "bc")."""
    return hashlib.sha256(_VERSION_FRAME + framed(*parts)).hexdigest()


def short_hash(*parts: str, length: int = 16) -> str:
    """The first `length` digits of `content_hash`, for places where a clash costs a lookup and loses nothing."""
    return content_hash(*parts)[:length]


def parse_duration(value: timedelta | int | float | str) -> int:
    """A duration in milliseconds: a timedelta, seconds as a number, or text such as "1d12h", "30s", "250ms", "90".

    Units in text go from large to small (w d h m s ms), each at most once. Raises `InvalidDuration` for anything
    negative, not finite, over 1000 years or not readable.
    """
    if isinstance(value, timedelta):
        milliseconds = value / timedelta(milliseconds=1)
    elif isinstance(value, bool):
        raise InvalidDuration(value=value)
    elif isinstance(value, str):
        milliseconds = _text_ms(value)
    elif isinstance(value, (int, float)):  # pyright: ignore[reportUnnecessaryIsInstance]
        milliseconds = value * 1000
    else:
        raise InvalidDuration(value=value)
    # A comparison with NaN is false, and unlike isfinite it takes an integer of any size.
    if not 0 <= milliseconds <= _LONGEST_MS:
        raise InvalidDuration(value=value)
    return round(milliseconds)


def _text_ms(text: str) -> float:
    compact = text.strip().lower()
    if re.fullmatch(r"[0-9]+(?:\.[0-9]+)?", compact):
        return float(compact) * 1000
    match = _DURATION.fullmatch(compact)
    if not compact or match is None:
        raise InvalidDuration(value=text)
    return sum(float(number) * _UNITS_MS[unit] for unit, number in match.groupdict().items() if number)


def format_duration(milliseconds: int) -> str:
    """The shortest exact text of a duration, which `parse_duration` reads back: "1d12h", "250ms", "0s"."""
    rest, text = milliseconds, ""
    for unit, size in _UNITS_MS.items():
        if unit != "w":
            count, rest = divmod(rest, size)
            text += f"{count}{unit}" if count else ""
    return text or "0s"


def age(ms: int) -> str:
    """A time in words, as exact as a reader wants it: seconds below an hour, and minutes below a week."""
    unit = 1_000 if ms < 3_600_000 else 60_000 if ms < 7 * 86_400_000 else 3_600_000
    return format_duration(max(0, ms) // unit * unit)


def check_text(what: str, value: object) -> str:
    """The value if it is a str; raises `InvalidPayload`."""
    if not isinstance(value, str):
        raise InvalidPayload(what=what, reason=f"it has to be a text, not a {type(value).__name__}")
    return value


def check_size(what: str, text: str, limit: int) -> None:
    """Raises `PayloadTooLarge` if the text has more than `limit` bytes in UTF-8."""
    if len(text) * 4 > limit and (size := len(text.encode())) > limit:
        raise PayloadTooLarge(what=what, size=size, limit=limit)
