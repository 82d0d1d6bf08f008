"""A process as seen from outside at one moment: in a list (`Status`), and all that there is to know (`ProcessView`).

Invariant: pure; what the store holds of a process is turned into words here, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, assert_never

from wakeline.names import split_session_id
from wakeline.observe.events import event_view
from wakeline.observe.reasons import Reason, leaves_room, reason_of, reason_of_queue
from wakeline.observe.runs import RunView
from wakeline.observe.setbacks import FailedEffect, Setback, failed_effect_of, setback_of, trace_in
from wakeline.observe.view import View
from wakeline.observe.waits import WaitView, waits_of
from wakeline.processes.inputs import EngineInput, ExternalInput, SessionTurn, ToolCall
from wakeline.processes.lifecycle import TERMINAL
from wakeline.processes.misfit import Misfit
from wakeline.processes.outputs import AwaitOutput, output_of
from wakeline.processes.registration import Registration
from wakeline.store.processes import ProcessRow, StoredProcess
from wakeline.store.queues import QueueState

S = TypeVar("S", bound="Status")
LIVE, ENDED = ("running", "waiting", "queued"), ("completed", "failed", "cancelled", "abandoned")


@dataclass(frozen=True, slots=True)
class Status(View):
    """A process as seen from outside at one moment. Times are ms since 1970, by the server."""

    id: str
    status: str
    """queued, running, waiting, completed, failed, cancelled or abandoned."""
    kind: str
    """An engine's name, or tool, session_turn, external."""
    label: str | None
    created_ms: int
    updated_ms: int
    """Since when it has its status."""
    sequence: int
    """The number of its latest event."""
    waiting_for: tuple[str, ...]
    """Names of the signals it waits for; `ProcessView.waits` has waits of every kind."""
    owner: str | None
    """The worker that runs it, or ran it last."""
    release: str | None = None
    """The release of the code that ran it last (`Settings.release`)."""
    unread: str | None = None
    """What of it this release cannot read, or the worker that took it last could not: it waits for a release that
    can."""
    misfit: Misfit | None = None
    """Why the last code did not fit a queued process that waits for code that does."""
    losses: int = 0
    """How often in a row it was lost with its worker."""
    runs_again_ms: int | None = None
    """When a queued process that was lost more than twice is run again, apart from others (server ms)."""
    because: Reason | None = None
    """Why it is queued, if it does not only wait for a free worker. `Handle.status` says what the record of the process
    says; `Handle.view` and `App.processes` look at its queue, too."""
    error: str | None = None
    """What a failed process says of its error: the code, and the first line of the message."""
    seen_ms: int = 0
    """When it was looked at."""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    """The labels that it was started with."""


def status_of(row: ProcessRow, now_ms: int = 0) -> Status:
    """The view of a row of the store; ``now_ms`` is when it was read."""
    return Status(**_common(row, now_ms))


def _common(row: ProcessRow, now_ms: int) -> dict[str, Any]:
    identity, queued = row.registration.identity, row.status == "queued"
    unread = row.registration.unknown or (row.left_unread if queued else None)
    return {
        "id": row.process_id,
        "status": row.status,
        "kind": identity.kind,
        "label": identity.label,
        "created_ms": row.created_ms,
        "updated_ms": row.status_since_ms,
        "sequence": row.sequence,
        "waiting_for": row.waiting_for,
        "owner": row.owner,
        "release": row.release,
        "unread": unread,
        "misfit": row.misfit if queued else None,
        "losses": row.losses,
        "runs_again_ms": row.runs_again_ms,
        "because": reason_of(row, offered_ms=row.offered_ms, unread=unread, now_ms=now_ms),
        "error": row.error or None,
        "seen_ms": now_ms,
        "labels": row.registration.labels,
    }


@dataclass(frozen=True, slots=True)
class ChildView(View):
    """A process that another one started."""

    id: str
    status: str | None
    """None if it is no longer retained."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessView(Status):
    """All that is known of a process at one moment, except its events, effects and attachments."""

    name: str
    """The name of its engine or tool, of the agent of a turn, or of the external work."""
    version: str | None
    """The version of its engine that runs it; None without one."""
    queue: str
    """RQ's name of its queue."""
    parent: str | None
    children: tuple[ChildView, ...]
    """The processes that its current generation started, by id; the first 256 if they are more.
    `App.processes` lists all of them in pages by ``parent=``."""
    children_count: int
    session: str | None
    """The session whose turn it is."""
    wake_target: str | None
    """The session that it wakes."""
    originator: str | None
    """Who its chain of starts began with: ``host:<name>`` of someone who uses the web face, or the scope of a session;
    None for code that holds the app."""
    recovery: str
    """What the loss of its worker means: rerunnable, owner_bound or externally_owned."""
    generation: int
    """Which journal of it this is, from 1; `continue_as_new` begins the next."""
    attempt: int
    """Which attempt runs or comes next; once the process has ended, which one ended it, as its log says. From 1:
    failed ones and losses since its last progress count. It stays the same for the whole run."""
    max_attempts: int
    failed_attempts: int
    """Attempts that failed since its last progress."""
    cancel_requested: bool
    offered_ms: int | None
    """When a queued process is offered to workers, or since when it is; None of others."""
    deadline_ms: int | None
    """When its time is over; None without a deadline."""
    input: Any
    """Its input (JSON data); None if that cannot be read."""
    recorded_effects: int
    """How many effects its current generation has recorded."""
    waits: tuple[WaitView, ...]
    """What it waits for, of every kind, soonest due first; of 256 of its waits if they are more."""
    waits_count: int
    """How many waits it has; one that was answered counts until the body has taken the answer."""
    outcome: AwaitOutput | None
    """How it ended: a value, or an error with its code; None while it lives."""
    failed_effect: FailedEffect | None
    """The effect whose error ended a failed process; None if its body failed by itself."""
    trace: str | None
    """The user's frames of the error of a failed process, at most 8 KB; None if there are none."""
    setbacks: tuple[Setback, ...]
    """What went wrong and did not end it: failed attempts, losses and misfits; the first 3 and the latest 7 of those
    that its log has."""
    runs: tuple[RunView, ...] = ()
    """Where a running process runs. Of one that waits for a place under a limit: some that have a place."""
    places_taken: int = 0
    """How many have a place under the limit for whose place it waits."""


def process_of(view: StoredProcess) -> ProcessView:
    """The view of a process that was read with its last event and all details."""
    registration = view.registration
    last = event_view(view.events[-1]) if view.status in TERMINAL and view.events else None
    return ProcessView(
        **_common(view, view.now_ms),
        name=name_of(registration),
        version=view.engine_version,
        queue=registration.queue,
        parent=registration.parent,
        children=tuple(ChildView(pid, status or None) for pid, status in sorted(view.children.items())),
        children_count=view.children_count,
        session=view.turn_of,
        wake_target=view.wake_session,
        originator=view.originator,
        recovery=registration.recovery,
        generation=view.generation,
        attempt=view.attempt if last is None or last.run is None else last.run.attempt,
        max_attempts=registration.max_attempts,
        failed_attempts=view.failed_attempts,
        cancel_requested=view.cancel_requested,
        offered_ms=view.offered_ms,
        deadline_ms=view.deadline_ms,
        input=registration.input.model_dump(mode="json") if registration.known else None,
        recorded_effects=len(view.journal),
        waits=tuple(waits_of(view)),
        waits_count=view.waits_count,
        outcome=None if last is None else output_of(view.events[-1].payload),
        failed_effect=None if last is None else failed_effect_of(last),
        trace=None if last is None else trace_in(last),
        setbacks=tuple(setback_of(event_view(one)) for one in view.setbacks),
    )


def name_of(registration: Registration) -> str:
    """The name of what a process runs."""
    match registration.input:
        case EngineInput(kind=kind):
            return kind
        case ToolCall(call=call):
            return call.tool_name
        case SessionTurn(session_id=session):
            return split_session_id(session)[0]
        case ExternalInput():
            return registration.identity.label or registration.identity.kind
        case _:
            assert_never(registration.input)


def held_up(status: S, queue: QueueState) -> S:
    """The same view, with the reason of its queue if its own record leaves room for one."""
    if status.status != "queued" or not leaves_room(status.because):
        return status
    return replace(status, because=reason_of_queue(queue) or status.because)
