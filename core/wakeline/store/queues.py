"""Queues and limits for an operator: declared, listed, paused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from wakeline.errors import InvalidPayload
from wakeline.processes.limits import limited
from wakeline.store.calls import Call, Reply
from wakeline.values import from_json


@dataclass(frozen=True, slots=True)
class QueueState:
    """A queue: how many doorbells and held processes wait, how many run, whether it is paused, its limit (JSON
    data)."""

    name: str
    waiting: int
    running: int
    paused: bool
    limit: Mapping[str, Any] | None
    doorbells: int = 0
    """How many doorbells lie in it."""
    idle: int = 0
    """How many owners wait for work from it."""
    workers: tuple[str, ...] = ()
    """The names of the live workers that take from it, our own and stock ones."""
    alive: int = 0
    """How many owners of the namespace live, on any queue."""
    suspended: bool = False
    """Whether RQ is suspended; then no worker takes anything."""


@dataclass(frozen=True, slots=True)
class LimitState:
    """A limit of a body, or of one of its keys: how many run under it, and how many wait for a place."""

    name: str
    limit: Mapping[str, Any] | None
    running: int
    waiting: int


def _object(text: str) -> Mapping[str, Any] | None:
    """A stored limit; None if there is none, or if another release stored something else."""
    try:
        data = from_json(text) if text else None
    except InvalidPayload:
        return None
    return cast("Mapping[str, Any]", data) if isinstance(data, Mapping) else None


def declare_queues(app: str, queues: Sequence[str]) -> Call[tuple[str, ...]]:
    """The queues (RQ's names) that bodies of an app declare now, then those that a release before declared."""
    return Call("queue_declare", {"app": app, "queues": list(queues)}, tuple)


def list_queues(queues: Sequence[str]) -> Call[tuple[list[QueueState], list[LimitState]]]:
    """Queues and limits for an operator."""

    def decode(reply: Reply) -> tuple[list[QueueState], list[LimitState]]:
        alive, suspended = int(reply[2][0]), reply[2][1] == 1
        found = [
            QueueState(
                row[0],
                int(row[1]),
                int(row[2]),
                row[3] == "1",
                _object(row[4]),
                int(row[5]),
                int(row[6]),
                tuple(row[7]),
                alive,
                suspended,
            )
            for row in reply[0]
        ]
        limits = [LimitState(limited(row[0]), _object(row[1]), int(row[2]), int(row[3])) for row in reply[1]]
        return found, sorted(limits, key=lambda one: one.name)

    return Call("queue_list", {"queues": list(queues)}, decode)


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run: of which process, in which worker, since when, and until when the lease of that worker runs or ran (None:
    the worker is gone). In server ms."""

    process_id: str
    owner: str
    since_ms: int
    lease_ends_ms: int | None


def runs(*, process_id: str = "", limit: str = "", most: int = 1) -> Call[tuple[tuple[StoredRun, ...], int]]:
    """The run of a process, or some of the runs that have a place under a limit, by id; and how many places of the
    limit are taken. What does not run is left out."""

    def decode(reply: Reply) -> tuple[tuple[StoredRun, ...], int]:
        rows = (StoredRun(row[0], row[1], int(row[2]), int(row[3]) if row[3] != "" else None) for row in reply[0])
        return tuple(rows), int(reply[1])

    args = {"pid": process_id, "limit": limit, "most": most}
    return Call("process_runs", args, decode, about=(process_id,) if process_id else ())


def pause(queue: str, *, paused: bool = True) -> Call[bool]:
    """Let workers take nothing from a queue (or take from it again). What runs goes on. Returns whether that changed
    anything."""
    return Call("queue_pause", {"queue": queue, "paused": "1" if paused else "0"}, lambda reply: reply[0] == "1")
