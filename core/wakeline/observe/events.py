"""The log of a process as a reader sees it: each event with its payload as JSON data.

Invariant: pure; the store's texts are turned into values here, and a text that cannot be read stops no list.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from wakeline.errors import InvalidPayload
from wakeline.names import PROCESS_FAILED
from wakeline.observe.view import View
from wakeline.store.events import StoredEvent
from wakeline.values import from_json


@dataclass(frozen=True, slots=True)
class RunFacts:
    """Which run of a process an event tells of."""

    claimed_ms: int
    """When its owner took the process (server ms): the run began."""
    owner: str
    """The start of a worker that runs it."""
    release: str | None
    """The release of the owner's code, where it has a name."""
    attempt: int
    """1 for the first try. Each failed attempt and each loss adds one, until the process gets further."""


RUN_FIELDS = ("claimed_ms", "owner", "release", "attempt")
"""The fields about a run. An event has them in its payload if it tells that a run began, parked, went on as new, was
lost or ended."""


@dataclass(frozen=True, slots=True)
class EventView(View):
    """One event of a process, from its log."""

    sequence: int
    """Its number there, from 1, without gaps."""
    type: str
    payload: Any
    """JSON data."""
    at_ms: int
    """When it was written (server ms)."""
    replay_key: str | None
    """The key by which a repetition is known, if its sender gave one."""
    semantics: Any
    """What it meant beyond being in the log, as it was decided when it was written: an end, a wake (JSON data)."""

    @property
    def run(self) -> RunFacts | None:
        """The run that it tells of; None if it tells of none, or a release before this one wrote it."""
        match self.payload:
            case {"claimed_ms": int(claimed), "owner": str(owner), "release": str() | None as of, "attempt": int(n)}:
                return RunFacts(claimed, owner, of, n) if self.type.startswith("process.") else None
            case _:
                return None

    @property
    def said(self) -> Any:
        """The payload without the facts of the run and the frames of a failure, for lines that people read and that say
        these in their own way."""
        if self.run is None:
            return self.payload
        payload = cast("Mapping[str, Any]", self.payload)
        left_out = (*RUN_FIELDS, "trace") if self.type == PROCESS_FAILED else RUN_FIELDS
        return {name: value for name, value in payload.items() if name not in left_out}


@dataclass(frozen=True, slots=True)
class EventPage:
    """Some events, the sequence to go on after, and whether to go on."""

    events: tuple[EventView, ...]
    after: int
    more: bool

    @property
    def last(self) -> EventView | None:
        """The last of them; None if there is none."""
        return self.events[-1] if self.events else None


def event_view(event: StoredEvent) -> EventView:
    """An event as its reader sees it. A payload that is no JSON, which no release writes, is shown as its text."""
    payload = _data(event.payload)
    facts = _run_of(event)
    if facts is not None and isinstance(payload, dict):
        payload = cast("dict[str, Any]", payload) | facts
    semantics = None if event.semantics is None else _data(event.semantics)
    return EventView(event.sequence, event.type, payload, event.at_ms, event.replay_key, semantics)


def _data(text: str) -> Any:
    try:
        return from_json(text)
    except InvalidPayload:
        return text


def _run_of(event: StoredEvent) -> dict[str, Any] | None:
    """What the store says of the run in few bytes (`run_of` in store/lua/lib/log.lua), in whole words."""
    match (event.run or "").split(" ", 3):
        case [since, attempt, owner, *release] if since.isdecimal() and attempt.isdecimal():
            named = release[0] if release else None
            return {"claimed_ms": event.at_ms - int(since), "owner": owner, "release": named, "attempt": int(attempt)}
        case _:
            return None
