"""What whoever follows a session is told: entries that change, commits, what its turns are doing, and what could not be
told.

Invariant: items are numbered without gaps while somebody follows; a number that is missing is a `Gap`, never silence.
"""

from __future__ import annotations

from dataclasses import dataclass

from wakeline.errors import ForeignCursor
from wakeline.sessions.activity import ActivityEvent


@dataclass(frozen=True, slots=True)
class EntryChanged:
    """An entry of the inbox changed: its number, its state now, and the turn that has or had it. Times in ms;
    ``cursor`` is where to go on after it."""

    cursor: str
    at_ms: int
    entry: int
    state: str
    turn: str | None = None
    reason: str | None = None
    """Why it is undeliverable; of a superseded one, the number it has now."""


@dataclass(frozen=True, slots=True)
class Committed:
    """The head moved: the revision now, the turn that moved it (None: history was appended), and the numbers of the
    messages it wrote."""

    cursor: str
    at_ms: int
    revision: int
    turn: str | None
    messages: range


@dataclass(frozen=True, slots=True)
class TurnActivity:
    """What a turn is doing. ``correlation_id`` ties the items of one thing together, such as ``tool:<call>``."""

    cursor: str
    at_ms: int
    id: str
    correlation_id: str
    event: ActivityEvent


@dataclass(frozen=True, slots=True)
class Gap:
    """Something may have changed that is not told any more: nobody followed, or the reader fell behind by more than is
    kept. Read the session anew."""

    cursor: str


@dataclass(frozen=True, slots=True)
class SessionGone:
    """The session was deleted; nothing follows."""

    cursor: str
    at_ms: int


FeedItem = EntryChanged | Committed | TurnActivity | Gap | SessionGone


def cursor_of(mark: str, number: int) -> str:
    """The cursor of an item: of this session alone."""
    return f"{mark}:{number}"


def parse_cursor(cursor: str) -> tuple[str, int]:
    """Mark and number of a cursor; raises `ForeignCursor`."""
    mark, colon, number = cursor.rpartition(":")
    if not (colon and mark and number.isascii() and number.isdigit() and len(number) < 16):
        raise ForeignCursor(cursor=cursor)
    return mark, int(number)
