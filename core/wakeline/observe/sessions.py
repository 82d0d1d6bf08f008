"""A session as seen from outside at one moment, and why it does, or does not, go on.

Invariant: pure; every status names what moves the session out of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from wakeline.processes.misfit import Misfit
from wakeline.sessions.addresses import argument
from wakeline.store.entries import InboxView
from wakeline.store.sessions import SessionView
from wakeline.values import from_json
from wakeline.values import number as stored

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
    return [Message(n, body["role"], body.get("content"), at, body.get("id"), body.get("transient") is True) for n, body, at in bodies]


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


def status_of(head: Mapping[str, str]) -> SessionStatus:
    """What the fields of a session's head mean; without an agent only wakes were addressed to it so far."""
    if "gone" in head:
        return "deleted"
    return "unopened" if "ag" not in head else "blocked" if "blk" in head else "active" if "turn" in head else "idle"


def report_of(view: InboxView) -> SessionReport:
    """What an inbox and its head say of the session."""
    head = view.head

    def number(name: str) -> int | None:
        return stored(head[name]) if name in head else None

    return SessionReport(
        view.session_id,
        status_of(head),
        head.get("ag"),
        number("rev") or 0,
        head.get("fr"),
        head.get("turn"),
        view.turn.get("st"),
        view.pending,
        number("n") or 0,
        number("blk"),
        "half" in head,
        number("ca"),
        number("gone"),
        misfit.message if view.turn.get("st") == "queued" and (misfit := Misfit.from_json(view.turn.get("mf"))) is not None else None,
    )


def explain_session(report: SessionReport) -> str:
    """One sentence on what the session waits for, with what to do where something is to be done."""
    match report.status:
        case "deleted":
            return "the session was deleted; its id is never used again"
        case "unopened":
            return f"nobody opened the session yet: {report.pending} entries wait for a first send, a create, or a start with wake="
        case "idle":
            return "the session has nothing to read"
        case "blocked":
            where = f"entry {report.blocked_by} blocks the session: its turn failed, and its agent's policy is on_failure=\"block\""
            return f"{where}; `wakeline redrive {argument(report.id)}` offers it again, `wakeline skip {argument(report.id)}` goes on without it"
        case "active":
            halves = ", in halves, to find the entry that fails" if report.isolating else ""
            if report.misfit is not None:
                return f"turn {report.turn} waits for code that fits: {report.misfit}"
            return f"turn {report.turn} is {report.turn_status}{halves}; `wakeline show {report.turn}` says more"
