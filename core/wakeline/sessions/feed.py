"""What followers of a session are told: entries that change, commits, what its turns are doing, and what could not be
told.

Invariant: items are numbered without gaps while the session is followed. A missing number becomes a `Gap`, and is never
silent.
"""

from __future__ import annotations

from dataclasses import dataclass

from wakeline.errors import ForeignCursor
from wakeline.sessions.activity import ActivityEvent


@dataclass(frozen=True, slots=True)
class EntryChanged:
    """An entry of the inbox changed: its number, its new state, and the turn that has or had it. Times are in ms.
    Follow from ``cursor`` to go on after it."""

    cursor: str
    at_ms: int
    entry: int
    state: str
    turn: str | None = None
    reason: str | None = None
    """Why it is undeliverable; for a superseded entry, its new number."""


@dataclass(frozen=True, slots=True)
class Committed:
    """The head moved. It has the new revision, the turn that moved the head (None if history was appended), and the
    numbers of the new messages."""

    cursor: str
    at_ms: int
    revision: int
    turn: str | None
    messages: range


@dataclass(frozen=True, slots=True)
class TurnActivity:
    """What a turn is doing. ``correlation_id`` is the same for all items of one thing, such as ``tool:<call>``."""

    cursor: str
    at_ms: int
    id: str
    correlation_id: str
    event: ActivityEvent


@dataclass(frozen=True, slots=True)
class Gap:
    """Changes may be missing: the session had no follower, or the reader fell behind by more items than are kept. Read
    the session anew."""

    cursor: str


@dataclass(frozen=True, slots=True)
class SessionGone:
    """The session was deleted; nothing follows."""

    cursor: str
    at_ms: int


FeedItem = EntryChanged | Committed | TurnActivity | Gap | SessionGone


def cursor_of(mark: str, number: int) -> str:
    """The cursor of an item, valid for this session alone."""
    return f"{mark}:{number}"


def parse_cursor(cursor: str) -> tuple[str, int]:
    """Mark and number of a cursor; raises `ForeignCursor`."""
    if not isinstance(cursor, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ForeignCursor(cursor=repr(cursor))
    mark, colon, number = cursor.rpartition(":")
    if not (colon and mark and number.isascii() and number.isdigit() and len(number) < 16):
        raise ForeignCursor(cursor=cursor)
    return mark, int(number)
