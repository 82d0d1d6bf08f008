"""Headers: short texts that instruments give a sending, and how they are stored with what it causes.

Invariant: what is stored is one JSON object of texts, of at most `LONGEST` bytes. What is read and is no such object
counts as none, so that no trace stops work.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

Headers = Mapping[str, str]
"""Short texts that instruments give a sending, such as ``traceparent``; what it causes brings them along."""
LONGEST = 1_024
"""The most bytes that the headers of one sending may have, as JSON."""
MOST_LINKS = 256
"""How many links a run shows."""
_AS_JSON = json.JSONEncoder(separators=(",", ":")).encode
_LONGEST_LETTER = 12
"""The most bytes that one letter has as JSON: a pair of surrogates, each ``\\u`` and four digits."""


def texts_of(given: Any) -> dict[str, str]:
    """The headers among what an instrument gives; what is no text is left out. Raises for what is no mapping."""
    is_plain = type(given) is dict
    if not isinstance(given, Mapping):
        raise TypeError(f"sending gives a mapping of texts, or None; this is a {type(given).__name__}")
    found: Mapping[object, object] = given  # pyright: ignore[reportUnknownVariableType]
    if is_plain and all(type(name) is str and type(text) is str for name, text in found.items()):
        return dict(cast("Mapping[str, str]", found))
    return {name: text for name, text in found.items() if isinstance(name, str) and isinstance(text, str)}


def fits(headers: Headers) -> bool:
    """Whether they are short enough to be stored. Most are by far, which is seen without their JSON."""
    letters = sum(len(name) + len(text) for name, text in headers.items())
    if _LONGEST_LETTER * letters + 6 * len(headers) + 2 <= LONGEST:
        return True
    return len(_text(headers)) <= LONGEST


def text_of(headers: Headers | None) -> str | None:
    """As they are stored; None for none."""
    return _text(headers) if headers else None


def headers_of(stored: Any) -> Headers | None:
    """Headers from stored data or its text; None for anything else."""
    if stored is None:
        return None
    try:
        data = json.loads(stored) if isinstance(stored, str) else stored
    except ValueError:
        return None
    return (texts_of(data) or None) if isinstance(data, Mapping) else None


def headers_in(document: str) -> Headers | None:
    """The headers among the members of a stored JSON object; None without any."""
    if '"headers":' not in document:  # most have none, and need not be read
        return None
    try:
        data = json.loads(document)
    except ValueError:
        return None
    return headers_of(cast("Mapping[str, Any]", data).get("headers")) if isinstance(data, Mapping) else None


def _text(headers: Headers) -> str:
    """In ASCII, so that a lone surrogate of an instrument is no invalid UTF-8."""
    return _AS_JSON(dict(headers))
