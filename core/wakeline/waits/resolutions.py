"""How a wait ends: with a value, an error, a timeout or a cancel.

Invariant: the first resolution of a slot is its only one. Scripts write its JSON form too, so that never changes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, assert_never

from wakeline import values
from wakeline.errors import InvalidPayload
from wakeline.values import Json


@dataclass(frozen=True, slots=True)
class Ok:
    """Resolved with a value."""

    value: Json = None


@dataclass(frozen=True, slots=True)
class Err:
    """Resolved with an error: a stable code, a message, and further data of the resolver."""

    code: str
    message: str
    raw: Json = None


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The deadline came first."""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """A cancel came first, or the slot was revoked while it was open."""


TIMED_OUT = '{"status":"timeout"}'
_KNOWN = re.compile('{"status":"(?:ok|err|timeout|cancelled)"[,}]')
Resolution = Ok | Err | TimedOut | Cancelled


def to_json(resolution: Resolution) -> str:
    """The resolution as stored: `{"status":"ok","value":…}`, status ok, err, timeout or cancelled."""
    match resolution:
        case Ok(value):
            return values.to_json({"status": "ok", "value": value})
        case Err(code, message, raw):
            error = {"code": code, "message": message} | ({"raw": raw} if raw is not None else {})
            return values.to_json({"status": "err", "payload": error})
        case TimedOut():
            return TIMED_OUT
        case Cancelled():
            return '{"status":"cancelled"}'
        case _:
            assert_never(resolution)


def is_known(text: str) -> bool:
    """Whether a stored resolution has a status that this release knows. It looks at the beginning, where the status
    always stands."""
    return _KNOWN.match(text) is not None


def resolution_of(data: Any) -> Resolution:
    """The resolution of stored JSON data; raises `InvalidPayload`."""
    match data:
        case {"status": "ok"}:
            return Ok(data.get("value"))
        case {"status": "err", "payload": {"code": str(code), "message": str(message)}}:
            return Err(code, message, data["payload"].get("raw"))
        case {"status": "timeout"}:
            return TimedOut()
        case {"status": "cancelled"}:
            return Cancelled()
        case _:
            raise InvalidPayload(what="The resolution", reason=f"{data!r} has no known status")
