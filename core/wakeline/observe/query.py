"""Which processes a list or a bulk verb means.

Invariant: a filter is checked before anything is sent, and a process is meant only if all that the filter says is so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from wakeline.errors import InvalidArguments
from wakeline.names import called, check_name, check_signal_name, split_session_id
from wakeline.observe.processes import ENDED, LIVE
from wakeline.tools.tool import Duration
from wakeline.values import parse_duration

BEGINNING = 6
"""The fewest characters of an id by which processes are found. Scripts have the same number (lib/filters.lua)."""
STATUSES = {"live": LIVE, "any": LIVE + ENDED} | {one: (one,) for one in LIVE + ENDED}
"""The words for statuses, and the statuses that each means, in the order of a list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessQuery:
    """Which processes are meant: those of which all this is so. Without anything it means all of them.

    ``since`` and ``until`` are about the time at which a process came to its status: when it ended, began to wait, was
    taken, or is offered to workers. A duration is that long ago by the server's clock; a datetime has a time zone.
    """

    status: str | None = None
    """live, any, or one of queued, running, waiting, completed, failed, cancelled, abandoned."""
    kind: str | None = None
    """An engine's name, or tool, session_turn, external."""
    name: str | None = None
    """The name of an engine, a tool or an agent."""
    labels: Mapping[str, str] | None = None
    """It was started with all of these."""
    session: str | None = None
    """The session whose turn it is, or that it wakes."""
    waiting: str | None = None
    """The signal that it waits for."""
    parent: str | None = None
    """The process whose body started it."""
    beginning: str | None = None
    """What its id begins with, six characters or more."""
    since: Duration | datetime | None = None
    until: Duration | datetime | None = None

    @property
    def statuses(self) -> tuple[str, ...]:
        """The statuses that are meant, in the order of a list. Raises `InvalidArguments` for another word."""
        asked = "any" if self.status is None else self.status
        if not isinstance(asked, str) or asked not in STATUSES:  # pyright: ignore[reportUnnecessaryIsInstance]
            words = ", ".join(LIVE + ENDED)
            raise _wrong(f"status is live, any, or one of {words}; not {asked!r}")
        return STATUSES[asked]

    def wire(self) -> dict[str, Any]:
        """What `store.processes.list_page` takes. Raises `InvalidArguments`, `InvalidId`, `InvalidDuration`."""
        if self.kind is not None:
            check_name(self.kind, "kind of process")
        if self.name is not None:
            check_name(self.name)
        if self.session is not None:
            split_session_id(self.session)
        if self.waiting is not None:
            check_signal_name(self.waiting)
        if self.parent is not None:
            called(self.parent)
        since, until = _bound("since", self.since), _bound("until", self.until)
        _check_order(since, until)
        return {
            "kind": self.kind,
            "session_id": self.session,
            "waiting": self.waiting,
            "parent": self.parent,
            "name": self.name,
            "labels": None if self.labels is None else _labels(self.labels),
            "beginning": None if self.beginning is None else _beginning(self.beginning),
            "bounds": {**since, **until},
        }


def _wrong(reason: str) -> InvalidArguments:
    return InvalidArguments(name="processes", reason=reason)


def _labels(labels: Mapping[str, str]) -> dict[str, str]:
    if not isinstance(labels, Mapping) or not labels:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise _wrong(f"labels is a dict of texts that are not empty, not {labels!r}")
    if not all(_is_text(text) for pair in labels.items() for text in pair):
        raise _wrong(f"labels is a dict of texts that are not empty, not {labels!r}")
    return dict(labels)


def _is_text(given: Any) -> bool:
    return isinstance(given, str) and given != ""


def _beginning(text: Any) -> str:
    if not isinstance(text, str) or len(text) < BEGINNING:
        raise _wrong(f"the beginning of an id is a text of {BEGINNING} characters or more, not {text!r}")
    return called(text)


def _bound(name: str, given: Any) -> dict[str, int]:
    """The argument of the script that says this bound."""
    match given:
        case None:
            return {}
        case datetime():
            if given.tzinfo is None:
                raise _wrong(f"{name} is {given.isoformat()}, which has no time zone; give an aware datetime")
            return {name: round(given.timestamp() * 1000)}
        case timedelta() | int() | float() | str():
            return {f"{name}_ago": parse_duration(given)}
        case _:
            raise _wrong(f"{name} is a duration or a datetime, not {given!r}")


def _check_order(since: Mapping[str, int], until: Mapping[str, int]) -> None:
    """Raises if nothing can be between the bounds. One that is a moment and one that is a duration cannot be compared
    here."""
    moments, ago = (since.get("since"), until.get("until")), (since.get("since_ago"), until.get("until_ago"))
    if (None not in moments and moments[0] > moments[1]) or (None not in ago and ago[0] < ago[1]):  # type: ignore[operator]
        raise _wrong("since is later than until, so nothing is between them; exchange the two")
