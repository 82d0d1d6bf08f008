"""What went wrong with a process, as its log tells it: the setbacks that did not end it, and where it failed.

Invariant: pure; what a later release writes otherwise is shown as far as it can be read, and stops no look.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from wakeline.names import PROCESS_ATTEMPT_FAILED, PROCESS_RECOVERED
from wakeline.observe.events import EventView
from wakeline.observe.view import View

SetbackKind = Literal["attempt", "loss", "misfit"]


@dataclass(frozen=True, slots=True)
class Setback(View):
    """A failed attempt, a loss or a misfit of a process."""

    kind: SetbackKind
    sequence: int
    """The number of its event in the log."""
    at_ms: int
    number: int | None
    """Which attempt failed, from 1; how often in a row the process was lost; None for a misfit."""
    tool: str | None
    """The tool whose attempt failed; None for an attempt of a turn, a loss and a misfit."""
    code: str
    """The code of the error, the kind of the misfit, or ``lost``."""
    message: str
    """What was raised, cut after 500 characters; what does not fit; the owner that was lost."""
    next_ms: int | None
    """When the next attempt or look comes (server ms); None if none follows, and after a loss."""


@dataclass(frozen=True, slots=True)
class FailedEffect(View):
    """The effect whose error ended a process."""

    kind: str
    """As `EffectView.kind`: step, tool_call, start, wait, …"""
    name: str
    key: str
    """Its replay key, by which `effects` shows it."""
    tool: str | None = None
    """The tool of a call; None for other effects."""


def setback_of(event: EventView) -> Setback:
    """The setback of which an event tells."""
    said = _fields(event.payload)
    kind: SetbackKind
    match event.type:
        case t if t == PROCESS_ATTEMPT_FAILED:
            kind, number, code, message = (
                "attempt",
                _number(said, "number"),
                _text(said, "code"),
                _text(said, "message"),
            )
        case t if t == PROCESS_RECOVERED:
            kind, number, code, message = "loss", _number(said, "losses"), "lost", _text(said, "owner")
        case _:
            kind, number, code, message = "misfit", None, _text(said, "kind"), _text(said, "what")
    tool = _text(said, "tool") or None
    next_ms = _number(said, "next_ms")
    return Setback(kind, event.sequence, event.at_ms, number, tool, code, message, next_ms)


def failed_effect_of(end: EventView) -> FailedEffect | None:
    """The effect that the event of an end names."""
    said = _fields(_fields(end.payload).get("effect"))
    if not said:
        return None
    return FailedEffect(_text(said, "kind"), _text(said, "name"), _text(said, "key"), _text(said, "tool") or None)


def trace_in(end: EventView) -> str | None:
    """The frames of user code that the event of an end keeps."""
    return _text(_fields(end.payload), "trace") or None


def _fields(data: Any) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", data) if isinstance(data, dict) else {}


def _text(said: Mapping[str, Any], name: str) -> str:
    found = said.get(name)
    return found if isinstance(found, str) else ""


def _number(said: Mapping[str, Any], name: str) -> int | None:
    found = said.get(name)
    return found if isinstance(found, int) else None
