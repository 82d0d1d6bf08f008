"""Calls that follow a session, tell what its turns do, append to its history, and read its links to others.

Invariant: nothing is written for a session without followers. A reader that fell behind gets a gap.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wakeline.errors import ForeignCursor, InvalidPayload, SessionNotFound, StaleBranch
from wakeline.sessions.activity import event_from
from wakeline.sessions.feed import (
    Committed,
    EntryChanged,
    FeedItem,
    Gap,
    SessionGone,
    TurnActivity,
    cursor_of,
    parse_cursor,
)
from wakeline.store import stand_ins
from wakeline.store.calls import Call, Reply, flat
from wakeline.store.replies import refuse
from wakeline.values import from_json

FOLLOWED_MS = 60_000
"""How long a session counts as followed after a look."""
AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class FeedPage:
    """Items, the cursor to go on from, the last number for a wait, and whether the feed has ended."""

    items: tuple[FeedItem, ...]
    cursor: str
    reached: int
    over: bool


def follow(session_id: str, cursor: str | None) -> Call[FeedPage]:
    """What changed after a cursor (None: begin now, with nothing). Raises `SessionNotFound`, `ForeignCursor`."""
    mark, after = parse_cursor(cursor) if cursor is not None else (None, None)

    def decode(reply: Reply) -> FeedPage:
        if reply[0] == "not_found":
            raise SessionNotFound(session_id=session_id)
        if reply[0] == "foreign":
            raise ForeignCursor(cursor=str(cursor))
        rows = [(int(str(row[0]).split("-")[0]), flat(row[1])) for row in reply[2]]
        whole = len(rows) < AT_ONCE
        items, reached = read_feed(reply[0], after, int(reply[1]), rows, whole=whole)
        over = bool(reply[3]) and whole
        if over and not (items and isinstance(items[-1], SessionGone)):
            # The session had no follower when it was deleted, so no item tells it. The reader has to learn it anyway.
            items.append(SessionGone(cursor_of(reply[0], reached), int(reply[3])))
        return FeedPage(tuple(items), cursor_of(reply[0], reached), reached, over)

    args = {"sid": session_id, "after": after, "mark": mark, "count": AT_ONCE, "ttl_ms": FOLLOWED_MS}
    return Call("session_follow", args, decode, brings=stand_ins.whole, about=(session_id,))


def tell(session_id: str, activity_id: str, correlation_id: str, event: str) -> Call[None]:
    """Tell followers of the session what its turn is doing; ``event`` is JSON."""
    args = {"sid": session_id, "id": activity_id, "correlation": correlation_id, "event": event}
    return Call(
        "session_tell", args, lambda _: None, payloads={"event": stand_ins.of_session(session_id)}, about=(session_id,)
    )


def append(session_id: str, messages: Sequence[tuple[str, str]], *, ancestor: int | None = None) -> Call[int]:
    """Append messages (JSON, each with an id; at most 256) to the history; one with a known id is already there.

    Returns the new revision. Raises `StaleBranch`, `SessionNotFound`, `SessionDeleted`.
    """

    def decode(reply: Reply) -> int:
        if reply[0] == "appended":
            return int(reply[1])
        if reply[0] == "stale":
            raise StaleBranch(session_id=session_id, ancestor=ancestor or 0, found=int(reply[1]))
        if reply[0] == "not_found":
            raise SessionNotFound(session_id=session_id)
        refuse(session_id, reply)

    args = {
        "sid": session_id, "ancestor": str(ancestor) if ancestor is not None else None,
        "messages": [{"m": text, "id": own} for text, own in messages],
    }  # fmt: skip
    return Call("session_append", args, decode, payloads={"m": stand_ins.of_session(session_id)}, about=(session_id,))


@dataclass(frozen=True, slots=True)
class SessionNode:
    """The links of a session. They are the session whose turn first wrote to it, up to 256 sessions to which its own
    turns wrote first, its frames with the times (ms) at which they were opened, and the revision of its head."""

    session_id: str
    parent: str | None
    children: tuple[str, ...]
    frames: dict[str, int]
    revision: int


def graph(session_id: str) -> Call[SessionNode]:
    """The links of a session. Raises `SessionNotFound`, `SessionDeleted`."""

    def decode(reply: Reply) -> SessionNode:
        if reply[0] == "not_found":
            raise SessionNotFound(session_id=session_id)
        if reply[0] != "node":
            refuse(session_id, reply)
        frames = {name: int(at) for name, at in flat(reply[3]).items()}
        return SessionNode(session_id, reply[1] or None, tuple(sorted(reply[2])), frames, int(reply[4]))

    return Call("session_graph", {"sid": session_id}, decode, about=(session_id,))


def read_feed(
    mark: str, after: int | None, last: int, items: Iterable[tuple[int, Mapping[str, str]]], *, whole: bool
) -> tuple[list[FeedItem], int]:
    """The items of a page behind ``after`` (None: from now on), with a gap for missing numbers, and the number to go on
    after.

    ``whole``: the page holds all items, so numbers that are missing at its end are really missing.
    """
    found: list[FeedItem] = []
    reached = last if after is None else after
    for number, fields in items:
        if number > reached + 1:
            found.append(Gap(cursor_of(mark, number - 1)))
        try:
            found.append(_item(cursor_of(mark, number), fields))
        except (InvalidPayload, KeyError, ValueError):
            found.append(Gap(cursor_of(mark, number)))  # an item of a later release becomes a gap here
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
