"""A session as seen from outside at one moment, and why it does, or does not, go on.

Invariant: pure; every status names what moves the session out of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, cast

from wakeline.sessions.addresses import argument
from wakeline.store.entries import InboxView
from wakeline.store.fields import SessionHead, StoredRecord
from wakeline.store.sessions import SessionView
from wakeline.values import from_json

SessionStatus = Literal["unopened", "idle", "active", "blocked", "deleted"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a session's history; its role is 'wake', 'input' or 'agent'."""

    n: int
    role: str
    content: Any
    at_ms: int
    id: str | None = None
    """Of a message that was appended with one: the same id again is the same message."""
    transient: bool = False
    """Not part of what a reader of the conversation sees."""


def history_of(view: SessionView) -> list[Message]:
    """The messages that a look at a session brought, oldest first."""
    bodies = [(n, cast("dict[str, Any]", from_json(text)), at) for n, text, at in view.history]
    return [
        Message(n, body["role"], body.get("content"), at, body.get("id"), body.get("transient") is True)
        for n, body, at in bodies
    ]


@dataclass(frozen=True, slots=True)
class SessionReport:
    """A session without its contents; times in ms. ``unopened``: wakes wait for it, and nobody has created it yet."""

    id: str
    status: SessionStatus
    agent: str | None
    revision: int
    frame: str | None
    turn: str | None
    turn_status: str | None
    pending: int
    entries: int
    blocked_by: int | None
    isolating: bool
    created_ms: int | None
    deleted_ms: int | None
    misfit: str | None = None
    """Why its turn waits for code that fits."""
    losses: int = 0
    """How often its turn, which runs alone again after a while, was lost with its worker; 0 where it was lost no more
    than twice, or runs."""


def status_of(head: SessionHead) -> SessionStatus:
    """What a session's head means; without an agent only wakes were addressed to it so far."""
    if head.deleted_ms is not None:
        return "deleted"
    return (
        "unopened"
        if head.agent is None
        else "blocked"
        if head.blocked_by is not None
        else "active"
        if head.turn is not None
        else "idle"
    )


def report_of(view: InboxView) -> SessionReport:
    """What an inbox and its head say of the session."""
    head, turn = view.head, StoredRecord(view.turn)
    misfit = turn.misfit if turn.status == "queued" else None
    return SessionReport(
        view.session_id,
        status_of(head),
        head.agent,
        head.revision,
        head.frame,
        head.turn,
        turn.status if view.turn else None,
        view.pending,
        head.entries,
        head.blocked_by,
        head.is_isolating,
        head.created_ms,
        head.deleted_ms,
        misfit.message if misfit is not None else None,
        turn.losses if turn.runs_again_ms is not None else 0,
    )


def explain_session(report: SessionReport) -> str:
    """One sentence on what the session waits for, with what to do where something is to be done."""
    match report.status:
        case "deleted":
            return "the session was deleted; its id is never used again"
        case "unopened":
            return (
                f"nobody opened the session yet: {report.pending} entries wait for a first send, a create, or a start"
                " with wake="
            )
        case "idle":
            return "the session has nothing to read"
        case "blocked":
            where = (
                f"entry {report.blocked_by} blocks the session: its turn failed, and its agent's policy is"
                ' on_failure="block"'
            )
            return (
                f"{where}; `wakeline redrive {argument(report.id)}` offers it again, `wakeline skip"
                f" {argument(report.id)}` goes on without it"
            )
        case "active":
            halves = ", in halves, to find the entry that fails" if report.isolating else ""
            if report.misfit is not None:
                return f"turn {report.turn} waits for code that fits: {report.misfit}"
            if report.losses:
                return (
                    f"turn {report.turn} was lost with its worker {report.losses} times, and runs again alone;"
                    f" `wakeline show {report.turn}` says when"
                )
            return f"turn {report.turn} is {report.turn_status}{halves}; `wakeline show {report.turn}` says more"
