"""Values that are JSON data beyond doubt, as most are: their copy and their canonical text without a serialiser.

Invariant: both equal what a serialiser and a parser make. What is not plain is left to them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from json.encoder import encode_basestring
from typing import Any

NOT_PLAIN: Any = object()
_kind_of: Callable[[object], object] = type
SAFE_INTEGER = 2**53
"""Below it a float and an integer of one value are the same number to every reader of JSON."""
_DEPTH, _INTEGER = 8, 2**63
_WORDS = {None: "null", True: "true", False: "false"}


def plain(value: Any, depth: int = _DEPTH) -> Any:
    """A copy of a value that is JSON data beyond doubt, as most values are. It equals what a serialiser and a parser
    would make, at a tenth of their cost.

    Returns `NOT_PLAIN` for everything else (subclasses, models, text that is not ASCII, large numbers, deep nesting),
    and then they decide.
    """
    kind = _kind_of(value)
    if kind is str:
        return value if value.isascii() else NOT_PLAIN
    if kind is int:
        return value if -_INTEGER < value < _INTEGER else NOT_PLAIN
    if value is None or kind is bool:
        return value
    if kind is float:
        return value if math.isfinite(value) else NOT_PLAIN
    if depth == 0:
        return NOT_PLAIN
    if kind is list or kind is tuple:
        items: list[Any] = []
        for item in value:
            copied = plain(item, depth - 1)
            if copied is NOT_PLAIN:
                return NOT_PLAIN
            items.append(copied)
        return items
    if kind is dict:
        copy: dict[str, Any] = {}
        for key, item in value.items():
            copied = plain(item, depth - 1)
            if type(key) is not str or not key.isascii() or copied is NOT_PLAIN:
                return NOT_PLAIN
            copy[key] = copied
        return copy
    return NOT_PLAIN


def canonical_text(value: Any, depth: int = _DEPTH) -> str | None:
    """The canonical JSON text (`values.canonical_json`) of a plain value; None for any other.

    It is written in one pass: a copy, a second one for the numbers and an encoder took three times as long, at every
    step and every start with arguments.
    """
    kind = _kind_of(value)
    if kind is str:
        return encode_basestring(value) if value.isascii() else None
    if kind is int:
        return repr(value) if -_INTEGER < value < _INTEGER else None
    if value is None or kind is bool:
        return _WORDS[value]
    if kind is float:
        return _number(value)
    if depth == 0:
        return None
    if kind is list or kind is tuple:
        items: list[str] = []
        for item in value:
            text = canonical_text(item, depth - 1)
            if text is None:
                return None
            items.append(text)
        return f"[{','.join(items)}]"
    if kind is dict:
        members: list[tuple[str, str]] = []
        for key, item in value.items():
            text = canonical_text(item, depth - 1)
            if type(key) is not str or not key.isascii() or text is None:
                return None
            members.append((key, text))
        members.sort()
        return f"{{{','.join([f'{encode_basestring(key)}:{text}' for key, text in members])}}}"
    return None


def _number(value: float) -> str | None:
    if not math.isfinite(value):
        return None
    return repr(int(value)) if value.is_integer() and abs(value) < SAFE_INTEGER else repr(value)
