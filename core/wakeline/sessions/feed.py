"""What whoever follows a session is told: entries that change, commits, what its turns are doing, and what could not be told.

Invariant: items are numbered without gaps while somebody follows; a number that is missing is a `Gap`, never silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from wakeline.errors import ForeignCursor, InvalidPayload
from wakeline.sessions.activity import ActivityEvent, event_from
from wakeline.values import from_json


@dataclass(frozen=True, slots=True)
class EntryChanged:
    """An entry of the inbox changed: its number, its state now, and the turn that has or had it. Times in ms; ``cursor`` is where to go on after it."""

    cursor: str
    at_ms: int
    entry: int
    state: str
    turn: str | None = None
    reason: str | None = None
    """Why it is undeliverable; of a superseded one, the number it has now."""


@dataclass(frozen=True, slots=True)
class Committed:
    """The head moved: the revision now, the turn that moved it (None: history was appended), and the numbers of the messages it wrote."""

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
    """Something may have changed that is not told any more: nobody followed, or the reader fell behind by more than is kept. Read the session anew."""

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


def read_feed(mark: str, after: int | None, last: int, items: Iterable[tuple[int, Mapping[str, str]]], *, whole: bool) -> tuple[list[FeedItem], int]:
    """The items of a page behind ``after`` (None: from now on), with a gap where numbers are missing, and the number to go on after.

    ``whole``: the page holds all there is, so that what is missing at its end is missing.
    """
    found: list[FeedItem] = []
    reached = last if after is None else after
    for number, fields in items:
        if number > reached + 1:
            found.append(Gap(cursor_of(mark, number - 1)))
        try:
            found.append(_item(cursor_of(mark, number), fields))
        except (InvalidPayload, KeyError, ValueError):
            found.append(Gap(cursor_of(mark, number)))  # of a later release: it is not told here, and said so
        reached = number
    if whole and reached < last:
        found.append(Gap(cursor_of(mark, last)))
        reached = last
    return found, reached


def _item(cursor: str, fields: Mapping[str, str]) -> FeedItem:
    at = int(fields["at"])
    match fields["w"]:
        case "entry":
            state, *rest = fields["s"].split(" ")
            turn = rest[0] if rest and state in ("admitted", "settled", "failed", "blocked") else None
            reason = rest[0] if rest and state in ("undeliverable", "superseded") else None
            return EntryChanged(cursor, at, int(fields["n"]), state, turn, reason)
        case "commit":
            last, count = int(fields["l"]), int(fields["c"])
            return Committed(cursor, at, int(fields["rev"]), fields["by"] or None, range(last - count + 1, last + 1))
        case "activity":
            data: Any = from_json(fields["e"])
            return TurnActivity(cursor, at, fields["id"], fields["c"], event_from(data))
        case "deleted":
            return SessionGone(cursor, at)
        case _:
            return Gap(cursor)
