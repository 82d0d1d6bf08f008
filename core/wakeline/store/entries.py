"""Calls on entries of inboxes: list, list failed and undeliverable ones, redrive, skip.

Invariant: an entry that is offered again names its successor, so repeated requests offer it once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wakeline.errors import EntryNotFound, RedriveRefused, SessionNotFound
from wakeline.store import stand_ins
from wakeline.store.calls import Call, Reply, flat
from wakeline.store.fields import SessionHead
from wakeline.store.replies import refuse


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """One entry as stored: its body (JSON), its state ('delivered', 'admitted <turn> <ms>', …), how many wakes it
    swallowed, how its turn failed (JSON, or empty), and the events of those wakes ('pid#sequence ' each)."""

    session_id: str
    n: int
    body: str
    state: str
    swallowed: int = 0
    error: str = ""
    swallowed_wakes: str = ""


def entry_row(session_id: str, row: Reply) -> StoredEntry:
    """An entry of a reply: number, body, state, how many it swallowed, error, events of those."""
    return StoredEntry(session_id, int(row[0]), row[1], row[2], int(row[3]), row[4], row[5])


@dataclass(frozen=True, slots=True)
class StoredInbox:
    """One moment of an inbox: the session's head, how many entries are pending, fields of its turn (empty without one),
    entries by number."""

    session_id: str
    head: SessionHead
    pending: int
    turn: Mapping[str, str]
    entries: tuple[StoredEntry, ...]
    now_ms: int
    following: int | None = None
    """The number to go on after, or before; None if nothing follows. There may be fewer entries than were asked for
    while more follow."""
    listed_at: str = ""
    """The place of its session in the list of sessions; '' where that was not read."""


def _entry(row: Reply) -> StoredEntry:
    return entry_row(row[0], row[1:])


MOST = 1_000
"""How many entries one look brings at most."""


def look(
    session_id: str, *, after: int | None = None, before: int | None = None, limit: int = 50, n: int | None = None
) -> Call[StoredInbox]:
    """The latest entries (before a number), those after a number, or one; also of a deleted session. Raises
    `SessionNotFound`, `EntryNotFound`."""

    def decode(reply: Reply) -> StoredInbox:
        head = flat(reply[0])
        if not head:
            raise SessionNotFound(session_id=session_id)
        if n is not None and not reply[3]:
            raise EntryNotFound(session_id=session_id, entry=n)
        found = tuple(_entry(row) for row in reply[3])
        return StoredInbox(
            session_id,
            SessionHead(head),
            int(reply[1]),
            flat(reply[2]),
            found,
            int(reply[4]),
            int(reply[5]) if reply[5] else None,
        )

    args = {"sid": session_id, "after": after, "before": before, "limit": limit, "n": n}
    return Call("entry_list", args, decode, brings=stand_ins.whole, about=(session_id,))


def undeliverable(
    limit: int, *, behind: str | None = None, seen: int = 0
) -> Call[tuple[list[StoredEntry], str | None]]:
    """Entries of all sessions that are undeliverable, failed or blocked, the latest first, at most `MOST`; and the one
    behind which to go on (None at the end).

    ``seen`` is how many were seen so far. It counts if that one was offered again meanwhile.
    """
    args = {"limit": min(limit, MOST), "behind": behind, "seen": seen}
    return Call(
        "entry_list", args, lambda reply: ([_entry(row) for row in reply[3]], reply[5] or None), brings=stand_ins.whole
    )


def redrive(session_id: str, n: int) -> Call[int]:
    """Offer an entry again; returns its new number. Raises `EntryNotFound`, `RedriveRefused`, `SessionDeleted`."""
    return _again(session_id, n, {})


def skip(session_id: str, n: int) -> Call[int]:
    """Give up on the entry that blocks its session; the session goes on. Raises `EntryNotFound`, `RedriveRefused`,
    `SessionDeleted`."""
    return _again(session_id, n, {"skip": True})


def _again(session_id: str, n: int, how: dict[str, Any]) -> Call[int]:
    def decode(reply: Reply) -> int:
        if reply[0] in ("redriven", "skipped"):
            return int(reply[1])
        if reply[0] == "not_found":
            raise EntryNotFound(session_id=session_id, entry=n)
        if reply[0] == "refused":
            raise RedriveRefused(session_id=session_id, entry=n, state=reply[1].split(" ")[0])
        refuse(session_id, reply)

    return Call("entry_redrive", {"sid": session_id, "n": n} | how, decode, about=(session_id,))
