"""Calls on entries of inboxes: list, list what came to no good end, redrive, skip.

Invariant: an entry that is offered again names its successor, so that it is offered once however often that is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wakeline.errors import EntryNotFound, RedriveRefused, SessionNotFound
from wakeline.sessions.life import InboxEntry, entry_of
from wakeline.store.calls import Call, Reply, flat
from wakeline.store.replies import refuse


@dataclass(frozen=True, slots=True)
class InboxView:
    """One moment of an inbox: the session's head, how many entries are pending, fields of its turn (empty without one), entries by number."""

    session_id: str
    head: Mapping[str, str]
    pending: int
    turn: Mapping[str, str]
    entries: tuple[InboxEntry, ...]
    now_ms: int


def _entry(row: Reply) -> InboxEntry:
    return entry_of(row[0], int(row[1]), row[2], row[3], swallowed=int(row[4]), error=row[5], swallowed_wakes=row[6])


def look(session_id: str, *, after: int | None = None, limit: int = 50, n: int | None = None) -> Call[InboxView]:
    """The latest entries, those after a number, or one; also of a deleted session. Raises `SessionNotFound`, `EntryNotFound`."""

    def decode(reply: Reply) -> InboxView:
        head = flat(reply[0])
        if not head:
            raise SessionNotFound(session_id=session_id)
        if n is not None and not reply[3]:
            raise EntryNotFound(session_id=session_id, entry=n)
        return InboxView(session_id, head, int(reply[1]), flat(reply[2]), tuple(_entry(row) for row in reply[3]), int(reply[4]))

    return Call("entry_list", {"sid": session_id, "after": after, "limit": limit, "n": n}, decode)


def undeliverable(limit: int) -> Call[list[InboxEntry]]:
    """Entries of all sessions that are undeliverable, failed or blocking, the latest first."""
    return Call("entry_list", {"limit": limit}, lambda reply: [_entry(row) for row in reply[3]])


def redrive(session_id: str, n: int) -> Call[int]:
    """Offer an entry again; the number it has now. Raises `EntryNotFound`, `RedriveRefused`, `SessionDeleted`."""
    return _again(session_id, n, {})


def skip(session_id: str, n: int) -> Call[int]:
    """Give up on the entry that blocks its session, which goes on. Raises `EntryNotFound`, `RedriveRefused`, `SessionDeleted`."""
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

    return Call("entry_redrive", {"sid": session_id, "n": n} | how, decode)
