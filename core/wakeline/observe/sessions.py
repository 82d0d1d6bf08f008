"""A session as seen from outside at one moment, and why it does, or does not, go on.

Invariant: pure; every status names what moves the session out of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from wakeline.observe.entries import EntryView, entry_of
from wakeline.observe.reasons import Reason, leaves_room, reason_of, reason_of_queue
from wakeline.observe.view import View
from wakeline.sessions.addresses import argument
from wakeline.store.entries import StoredInbox
from wakeline.store.fields import SessionHead, StoredRecord
from wakeline.store.queues import QueueState
from wakeline.store.sessions import StoredSession
from wakeline.values import from_json

SessionStatus = Literal["unopened", "idle", "active", "blocked", "deleted"]
CONTENTS = ("state", "history", "inbox")


@dataclass(frozen=True, slots=True)
class Message(View):
    """One message of a session's history; its role is 'wake', 'input' or 'agent'."""

    n: int
    role: str
    content: Any
    at_ms: int
    id: str | None = None
    """The id that it was appended with, if any: the same id again is the same message."""
    transient: bool = False
    """Whether readers of the conversation do not see it."""


def history_of(view: StoredSession) -> list[Message]:
    """The messages of a session that was read, oldest first."""
    bodies = [(n, cast("dict[str, Any]", from_json(text)), at) for n, text, at in view.history]
    return [
        Message(n, body["role"], body.get("content"), at, body.get("id"), body.get("transient") is True)
        for n, body, at in bodies
    ]


@dataclass(frozen=True, slots=True)
class SessionView(View):
    """A session at one moment; times in ms. ``unopened``: wakes wait for it, and it was not created yet."""

    id: str
    status: SessionStatus
    agent: str | None
    """The agent that reads it; None if the session was only addressed."""
    revision: int
    """The number that every commit raises."""
    frame: str | None
    turn: str | None
    """The id of the turn that runs or waits."""
    turn_status: str | None
    pending: int
    """How many entries are not settled."""
    entries: int
    """The number of its latest entry."""
    blocked_by: int | None
    """The entry that blocks it."""
    isolating: bool
    """Whether a failed batch is taken in parts."""
    created_ms: int | None
    deleted_ms: int | None
    misfit: str | None = None
    """Why its turn waits for code that fits."""
    losses: int = 0
    """How often its turn was lost with its worker, if it runs alone again after a delay; 0 if it was lost at most
    twice, or runs."""
    because: Reason | None = None
    """Why its turn is queued, if it does not only wait for a free worker."""
    state: Mapping[str, Any] | None = None
    """The agent's state as of the latest commit. This and the following fields are None if they were not asked for."""
    history: tuple[Message, ...] | None = None
    inbox: tuple[EntryView, ...] | None = None
    """Its latest entries, by number."""

    @property
    def why(self) -> str:
        """Why it does, or does not, go on: one sentence, which says what to do if something has to be done."""
        return explain_session(self)

    def to_data(self) -> dict[str, Any]:
        """As JSON data, with `why`; contents that were not asked for are left out."""
        data = super(SessionView, self).to_data()
        return {name: value for name, value in data.items() if value is not None or name not in CONTENTS} | {
            "why": self.why
        }


def status_of(head: SessionHead) -> SessionStatus:
    """The status in a session's head. Without an agent only wakes were addressed to it so far."""
    if head.deleted_ms is not None:
        return "deleted"
    if head.agent is None:
        return "unopened"
    return "blocked" if head.blocked_by is not None else "active" if head.turn is not None else "idle"


def session_of(seen: StoredInbox | StoredSession) -> SessionView:
    """The view of a session from its head, inbox and turn."""
    head, turn = seen.head, StoredRecord(seen.turn)
    misfit = turn.misfit if turn.status == "queued" else None
    return SessionView(
        seen.session_id,
        status_of(head),
        head.agent,
        head.revision,
        head.frame,
        head.turn,
        turn.status if seen.turn else None,
        seen.pending,
        head.entries,
        head.blocked_by,
        head.is_isolating,
        head.created_ms,
        head.deleted_ms,
        misfit.message if misfit is not None else None,
        turn.losses if turn.runs_again_ms is not None else 0,
        reason_of(turn, offered_ms=None, unread=turn.left_unread, now_ms=seen.now_ms),
    )


def state_of(seen: StoredSession) -> dict[str, Any]:
    """The agent's state as of the latest commit."""
    return cast("dict[str, Any]", from_json(seen.state)) if seen.state else {}


def with_contents(view: SessionView, seen: StoredSession) -> SessionView:
    """The same, with state, messages and entries."""
    inbox = tuple(entry_of(entry) for entry in seen.entries)
    return replace(view, state=state_of(seen), history=tuple(history_of(seen)), inbox=inbox)


def turn_waits(seen: StoredInbox | StoredSession) -> str | None:
    """The queue (RQ's name) in which its turn waits for a worker, if the turn's own record does not say why."""
    turn = StoredRecord(seen.turn)
    is_queued = turn.status == "queued" and leaves_room(session_of(seen).because)
    return turn.queue if is_queued else None


def turn_held_up(view: SessionView, queue: QueueState) -> SessionView:
    """The same view, with the reason of its turn's queue, if that has one."""
    return replace(view, because=reason_of_queue(queue) or view.because)


def explain_session(view: SessionView) -> str:
    """One sentence on what the session waits for, which says what to do if something has to be done."""
    match view.status:
        case "deleted":
            return "the session was deleted; its id is never used again"
        case "unopened":
            wait = f"{view.pending} entries wait for a first send, a create, or a start with wake="
            return f"the session was never opened: {wait}"
        case "idle":
            return "the session has nothing to read"
        case "blocked":
            policy = 'its turn failed, and its agent\'s policy is on_failure="block"'
            again, skip = f"`wakeline redrive {argument(view.id)}`", f"`wakeline skip {argument(view.id)}`"
            ways = f"{again} offers it again, {skip} goes on without it"
            return f"entry {view.blocked_by} blocks the session: {policy}; {ways}"
        case "active":
            return _explain_turn(view)


def _explain_turn(view: SessionView) -> str:
    turn, says_more = f"turn {view.turn}", f"`wakeline show {view.turn}` says more"
    if view.misfit is not None:
        return f"{turn} waits for code that fits: {view.misfit}"
    if view.losses:
        lost = f"{turn} was lost with its worker {view.losses} times, and runs again apart from others"
        return f"{lost}; `wakeline show {view.turn}` says when"
    if view.because is not None:
        return f"{turn} is {view.turn_status}, and waits for {view.because.message}; {says_more}"
    halves = ", in halves, to find the entry that fails" if view.isolating else ""
    return f"{turn} is {view.turn_status}{halves}; {says_more}"
