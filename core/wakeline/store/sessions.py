"""Calls on sessions and handle grants: send, read, delete, admit a turn's batch; grant, revoke, transfer, list.

Invariant: one script writes an entry and the turn that will take it.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wakeline.errors import ProcessNotVisible, SessionDeleted, SessionNotFound
from wakeline.processes.lease import Fence
from wakeline.sessions.admission import AdmissionPolicy, EntryKind
from wakeline.store import stand_ins
from wakeline.store.calls import Call, Parts, Reply, flat
from wakeline.store.entries import StoredEntry, StoredInbox, entry_row
from wakeline.store.fields import SessionHead
from wakeline.store.journal import Effect, fence_wire
from wakeline.store.replies import refuse
from wakeline.store.starts import SessionAddress
from wakeline.values import content_hash


@dataclass(frozen=True, slots=True)
class Sent:
    """The receipt of a send: the entry's number in the inbox, and whether an earlier send with this key had put it
    there."""

    entry: int
    replayed: bool


def send(
    session: SessionAddress,
    body: str,
    *,
    key: str | None = None,
    canonical: str = "",
    kind: EntryKind = "input",
    effect: Effect | None = None,
) -> Call[Sent]:
    """Put an input or a command into the inbox; raises `ReplayConflict` for the same key with other content,
    `SessionDeleted`.

    Without a key every call makes a new entry, and only one if the client sends it twice.
    """
    key = key or f"once:{secrets.token_hex(8)}"
    args: dict[str, Any] = {
        "session": session.wire(),
        "body": body,
        "dedupe": key,
        "hash": content_hash(canonical)[:16],
    }
    if kind != "input":
        args["kind"] = kind
    if effect:
        args |= effect.wire()

    def decode(reply: Reply) -> Sent:
        if reply[0] in ("sent", "replayed"):
            return Sent(int(reply[1]), reply[0] == "replayed")
        target = session.session_id
        refuse(target, reply, replay_key=key, holder=effect.fence.process_id if effect else target, entry_of=target)

    payloads: dict[str, str | Parts] = {
        "body": Parts(stand_ins.of_session(session.session_id), (("input",),)),
        **(effect.payloads if effect else {}),
    }
    return Call(
        "session_send",
        args,
        decode,
        payloads=payloads,
        about=(session.session_id, *(effect.about if effect else ())),
        grew=effect.grew if effect else None,
    )


def create(session: SessionAddress) -> Call[None]:
    """Create the session if it does not exist; raises `SessionDeleted`."""

    def decode(reply: Reply) -> None:
        if reply[0] != "created":
            refuse(session.session_id, reply)

    return Call("session_send", {"session": session.wire()}, decode, about=(session.session_id,))


@dataclass(frozen=True, slots=True)
class Deleted:
    """What a deletion did. It says whether this call deleted the session. It names the live processes of which the
    session held a handle: those that have no holder now, and those that have other holders."""

    deleted: bool
    orphaned: tuple[str, ...] = ()
    preserved: tuple[str, ...] = ()


def delete(session_id: str) -> Call[Deleted]:
    """Delete a session permanently. A repetition, or an unused id, does nothing."""

    def decode(reply: Reply) -> Deleted:
        if reply[0] != "deleted":
            return Deleted(False)
        return Deleted(True, tuple(sorted(reply[2])), tuple(sorted(reply[3])))

    return Call("session_delete", {"sid": session_id}, decode, about=(session_id,))


@dataclass(frozen=True, slots=True)
class EntryRow:
    """One inbox entry: its number, its body (JSON), its state as stored ('delivered', 'admitted <turn> <ms>', …), how
    many it swallowed."""

    n: int
    body: str
    state: str
    swallowed: int


@dataclass(frozen=True, slots=True)
class StoredSession:
    """One moment of a session: its head, its state (JSON), messages as (number, JSON, ms), its latest entries, how many
    are pending, fields of its turn (empty without one)."""

    session_id: str
    head: SessionHead
    state: str | None
    history: tuple[tuple[int, str, int], ...]
    entries: tuple[StoredEntry, ...]
    stopped: int | None = None
    """Where the search for messages of one frame stopped, because one call reads a limited number. None if it came to
    the end, or found as many as were asked for."""
    pending: int = 0
    turn: Mapping[str, str] = field(default_factory=dict[str, str])
    now_ms: int = 0


def read(
    session_id: str, *, after: int = 0, count: int = 100, entries: int = 50, frame: str | None = None
) -> Call[StoredSession]:
    """Head, state, messages after a number (of one frame) as (number, JSON, ms), latest entries; raises
    `SessionNotFound`, `SessionDeleted`."""

    def decode(reply: Reply) -> StoredSession:
        if reply[0] == "not_found":
            raise SessionNotFound(session_id=session_id)
        deleted_at = flat(reply[0]).get("gone")
        if deleted_at is not None:
            raise SessionDeleted(session_id=session_id, deleted_at_ms=int(deleted_at))
        history: list[tuple[int, str, int]] = []
        for row in reply[2]:
            values = flat(row[1])
            history.append((int(str(row[0]).split("-")[0]), values["m"], int(values["at"])))
        found = tuple(entry_row(session_id, row) for row in reply[3])
        stopped = int(reply[4].split("-")[0]) if reply[4] else None
        head, state, rest = (
            SessionHead(flat(reply[0])),
            reply[1] or None,
            (int(reply[5]), flat(reply[6]), int(reply[7])),
        )
        return StoredSession(session_id, head, state, tuple(history), found, stopped, *rest)

    args = {"sid": session_id, "after": after, "count": count, "entries": entries, "frame": frame}
    return Call("session_read", args, decode, brings=stand_ins.whole, about=(session_id,))


LISTED_AT_ONCE = 256
"""How many sessions one call lists at most."""


def list_sessions(
    limit: int = 50, *, score: str | None = None, session_id: str | None = None
) -> Call[list[StoredInbox]]:
    """Sessions by last activity, newest first, at most `LISTED_AT_ONCE`; without their entries. ``score`` and
    ``session_id``: of the last one before this page."""

    def decode(reply: Reply) -> list[StoredInbox]:
        return [
            StoredInbox(r[0], SessionHead(flat(r[1])), int(r[2]), flat(r[3]), (), int(r[4]), None, str(r[5]))
            for r in reply
        ]

    return Call("session_list", {"limit": limit, "score": score, "sid": session_id}, decode)


@dataclass(frozen=True, slots=True)
class Batch:
    """The input of a turn: the revision of the head that it read, the agent's state (JSON or None), its entries in
    order, and its agent frame.

    ``follow_ons`` is how many turns in a row, with this one, followed from a switch of frames alone.
    """

    revision: str
    state: str | None
    entries: tuple[EntryRow, ...]
    frame: str | None = None
    follow_ons: int = 0
    followed: bool = False
    """Whether the session has followers."""


def batch_of(reply: Reply) -> Batch:
    """Reads a batch from a claim, or from the reply of `admit`."""
    entries = tuple(EntryRow(int(r[0]), r[1], "admitted", int(r[2])) for r in reply[2])
    return Batch(reply[0], reply[1] or None, entries, reply[3] or None, int(reply[4]), reply[5] == "1")


def admit(fence: Fence, session_id: str, max_entries: int, policy: AdmissionPolicy | None = None) -> Call[Batch]:
    """Fix a turn's batch, or read the fixed one; ``policy`` is the agent's present policy. Raises
    `LeaseLost`."""

    def decode(reply: Reply) -> Batch:
        if reply[0] != "batch":
            refuse(fence.process_id, reply)
        return batch_of(reply[1:])

    args: dict[str, Any] = {"pid": fence.process_id, "fence": fence_wire(fence), "sid": session_id, "max": max_entries}
    args |= {"policy": policy.wire()} if policy else {}
    return Call(
        "turn_admit",
        args,
        decode,
        brings=stand_ins.whole,
        about=(fence.process_id, session_id),
        grew=fence.journaled.grew,
    )


def arrivals(effect: Effect, session_id: str, max_entries: int) -> Call[str]:
    """Offer the running turn the entries that arrived meanwhile, and record them with it: JSON of [number, body,
    swallowed] each. Raises `LeaseLost`."""

    def decode(reply: Reply) -> str:
        if reply[0] != "arrivals":
            refuse(effect.fence.process_id, reply)
        return str(reply[1])

    args = {"pid": effect.fence.process_id, "sid": session_id, "max": max_entries} | effect.wire()
    return Call(
        "turn_arrivals",
        args,
        decode,
        payloads=effect.payloads,
        brings=stand_ins.whole,
        about=(session_id, *effect.about),
        grew=effect.grew,
    )


def grant(scope: str, process_id: str, descriptor: str) -> Call[None]:
    """Grant a handle to a session scope; a repetition replaces the descriptor. Raises `ProcessNotFound`."""
    return _grants("grant", scope, [process_id], {"descriptor": descriptor})


def revoke(scope: str, process_id: str) -> Call[None]:
    """Remove a handle; idempotent."""
    return _grants("revoke", scope, [process_id], {})


def transfer(scope: str, to: str, process_ids: Sequence[str]) -> Call[None]:
    """Move handles, all or none; raises `ProcessNotVisible` with the one that was not granted."""
    return _grants("transfer", scope, process_ids, {"to": to})


def _grants(verb: str, scope: str, process_ids: Sequence[str], extra: dict[str, Any]) -> Call[None]:
    def decode(reply: Reply) -> None:
        if reply[0] == "not_granted":
            raise ProcessNotVisible(process_id=reply[1])
        if reply[0] != "done":
            refuse(process_ids[0], reply)

    return Call(
        "grant_write",
        {"verb": verb, "scope": scope, "pids": list(process_ids)} | extra,
        decode,
        about=tuple(process_ids),
    )


def list_grants(scope: str, *, live: bool = False) -> Call[list[tuple[str, str, str]]]:
    """(process id, descriptor JSON, status) by process id; ``live`` leaves ended ones out."""
    return Call(
        "grant_list", {"scope": scope, "live": live or None}, lambda reply: sorted((r[0], r[1], r[2]) for r in reply)
    )


def grants_of(process_id: str) -> Call[list[str]]:
    """The scopes that hold a handle of this process, sorted."""
    return Call("grant_list", {"pid": process_id}, lambda reply: sorted(reply), about=(process_id,))
