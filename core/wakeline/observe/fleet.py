"""A namespace as a whole at one moment: its workers, queues and limits, and how much is in which status.

Invariant: pure; a queue is named as RQ names it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wakeline.observe.view import View
from wakeline.processes.limits import Limit
from wakeline.store.fleet import StoredFleet
from wakeline.store.queues import LimitState, QueueState


@dataclass(frozen=True, slots=True)
class WorkerView(View):
    """A worker: one start of ours, or a stock RQ worker that takes from a queue of the namespace."""

    id: str
    """Its owner id; the name of a stock worker."""
    alive: bool
    """Whether its lease runs."""
    expires_ms: int | None
    """Until when its lease runs, or ran (server ms); None for a stock worker, which RQ looks after."""
    holds: int
    """How many processes it runs. Those of a stock worker are not counted: each of its jobs is an owner of its own."""
    release: str | None
    """The release of its code, if it has a name."""
    app: str | None
    """The name of its app, if it said so."""
    queues: tuple[str, ...]
    """The queues from which it takes; empty if it does not live."""
    stock: bool = False
    """Whether it is a worker of RQ's own."""


@dataclass(frozen=True, slots=True)
class QueueView(View):
    """A queue of the namespace."""

    name: str
    waiting: int
    """How many processes wait in it for a worker, or for a place under its limit."""
    running: int
    paused: bool
    limit: Limit | None
    length: int
    """How many doorbells lie in it."""
    idle: int
    """How many of our workers wait for work from it."""
    workers: tuple[str, ...]
    """The live workers that take from it, stock ones included."""


@dataclass(frozen=True, slots=True)
class LimitView(View):
    """A limit of a body, or of one key of it."""

    limit_of: str
    """``<body>``, or ``<body>:<key>``."""
    waiting: int
    """How many processes wait for a place under it, or for its rate."""
    running: int
    limit: Limit | None


@dataclass(frozen=True, slots=True)
class FleetView(View):
    """Workers, queues and limits of a namespace, and how much is in which status."""

    counts: Mapping[str, int]
    """How many processes have each status."""
    timers: int
    """How many moments scripts wait for."""
    undeliverable: int
    """Entries of inboxes that are undeliverable, failed or blocked."""
    undelivered: int
    """Deliveries of triggers that are reserved and not settled."""
    workers: tuple[WorkerView, ...]
    queues: tuple[QueueView, ...]
    limits: tuple[LimitView, ...]
    format: str | None
    """The format of its keys; None before they were first opened."""
    rq_prefix: str | None
    now_ms: int
    """When it was looked at (server ms)."""


def fleet_of(stored: StoredFleet, states: Sequence[QueueState], limits: Sequence[LimitState]) -> FleetView:
    """A namespace, of what the store has of it and of its queues and limits."""
    return FleetView(
        stored.counts,
        stored.timers,
        stored.undeliverable,
        stored.undelivered,
        _workers(stored),
        tuple(queue_of(state) for state in states),
        tuple(LimitView(one.name, one.waiting, one.running, _limit(one.limit)) for one in limits),
        stored.format,
        stored.rq_prefix,
        stored.now_ms,
    )


def queue_of(state: QueueState) -> QueueView:
    """A queue, of what the store has of it."""
    counts = (state.doorbells, state.idle, state.workers)
    return QueueView(state.name, state.waiting, state.running, state.paused, _limit(state.limit), *counts)


def _limit(wire: Mapping[str, object] | None) -> Limit | None:
    return Limit.of_wire(wire) if wire else None


def _workers(stored: StoredFleet) -> tuple[WorkerView, ...]:
    ours = [
        WorkerView(
            owner,
            expiry > stored.now_ms,
            expiry,
            held,
            stored.releases.get(owner),
            stored.serves.get(owner, "").partition(" ")[0] or None,
            _queues_of(owner, stored),
        )
        for owner, expiry, held in stored.owners
    ]
    known = {one.id for one in ours}
    others = sorted({name for queue in stored.queues for name in queue.workers} - known)
    return (*ours, *(WorkerView(name, True, None, 0, None, None, _queues_of(name, stored), True) for name in others))


def _queues_of(worker: str, stored: StoredFleet) -> tuple[str, ...]:
    return tuple(queue.name for queue in stored.queues if worker in queue.workers)
