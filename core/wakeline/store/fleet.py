"""Calls of the fleet: owners and their beats, takes, the tick, what doctor asks.

Invariant: an owner that is not registered can neither take nor claim; whoever was reaped needs a new id.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wakeline.store.calls import Call, Reply
from wakeline.store.runs import Claim, claim_of


def register_owner(owner: str, queues: Sequence[str], *, lease_ms: int) -> Call[int]:
    """A worker start introduces itself; returns the server's time in ms."""
    return Call("owner_register", {"owner": owner, "queues": list(queues), "lease_ms": lease_ms}, lambda reply: int(reply[1]))


@dataclass(frozen=True, slots=True)
class Taken:
    """A take's batch; ``more`` while the queues may hold more, ``reaped`` when the owner must take a new id."""

    claims: tuple[Claim, ...]
    more: bool
    reaped: bool


def take(owner: str, request: str, queues: Sequence[str], n: int, *, lease_ms: int, idle: bool = True) -> Call[Taken]:
    """Take and claim up to ``n``; the same ``request`` again gives the same batch."""
    args: dict[str, Any] = {"owner": owner, "request": request, "n": n, "queues": list(queues), "lease_ms": lease_ms, "idle": idle or None}

    def decode(reply: Reply) -> Taken:
        if reply[0] == "reaped":
            return Taken((), False, True)
        return Taken(tuple(claim_of(row) for row in reply[1]), reply[2] == "1", False)

    return Call("queue_take", args, decode)


def claim(process_id: str, epoch: int, owner: str, claim_id: str, *, lease_ms: int) -> Call[Claim | None]:
    """Claim one process under a stock RQ worker; None when there is nothing to do."""
    args: dict[str, Any] = {"pid": process_id, "epoch": str(epoch), "owner": owner, "claim_id": claim_id, "lease_ms": lease_ms}
    return Call("process_claim", args, lambda reply: claim_of(reply[1]) if reply[0] == "claimed" else None)


def beat(owner: str, running: Sequence[str] | None, *, lease_ms: int, rq_ttl_s: int = 480) -> Call[tuple[bool, list[str]]]:
    """Heartbeat; ``running`` is what the worker runs (None when nothing new was heard). Returns (alive, processes handed back)."""
    args: dict[str, Any] = {"owner": owner, "running": list(running) if running is not None else None, "lease_ms": lease_ms, "rq_ttl_s": rq_ttl_s}

    def decode(reply: Reply) -> tuple[bool, list[str]]:
        return (True, list(reply[1])) if reply[0] == "alive" else (False, [])

    return Call("owner_beat", args, decode)


def reap(owner: str, writer: str = "owner_lost") -> Call[int]:
    """Give away what a dead owner held; returns how many processes."""
    return Call("owner_reap", {"owner": owner, "writer": writer}, lambda reply: int(reply[1]))


@dataclass(frozen=True, slots=True)
class TickReport:
    """What a tick did, when the next timer is due (server ms), and whether more waits already."""

    fired: int
    reaped: int
    rung: int
    pruned: int
    next_due_ms: int | None
    more: bool


def tick(*, beat_ms: int, lease_ms: int, stale_ms: int, retention_ms: int, tombstone_ms: int, limit: int = 100) -> Call[TickReport]:
    """Due timers, expired owners, lost doorbells, unfinished bounded work, retention: one bounded script."""
    args = {"beat_ms": beat_ms, "lease_ms": lease_ms, "stale_ms": stale_ms, "retention_ms": retention_ms, "tombstone_ms": tombstone_ms, "limit": limit}

    def decode(reply: Reply) -> TickReport:
        due = int(float(reply[4])) if reply[4] not in ("", None) else None
        return TickReport(int(reply[0]), int(reply[1]), int(reply[2]), int(reply[3]), due, reply[5] == "1")

    return Call("tick", args, decode)


@dataclass(frozen=True, slots=True)
class FleetView:
    """Counts by status, owners (id, expiry ms, processes held), queues (name, length, idle owners), doorbells nobody answers."""

    counts: dict[str, int]
    owners: tuple[tuple[str, int, int], ...]
    timers: int
    todo: int
    queues: tuple[tuple[str, int, int], ...]
    stuck: tuple[tuple[str, int], ...]
    now_ms: int


def read_fleet(queues: Sequence[str]) -> Call[FleetView]:
    """One consistent picture of the namespace."""

    def decode(reply: Reply) -> FleetView:
        return FleetView(
            {row[0]: int(row[1]) for row in reply[0]},
            tuple((row[0], int(float(row[1])), int(row[2])) for row in reply[1]),
            int(reply[2]),
            int(reply[3]),
            tuple((row[0], int(row[1]), int(row[2])) for row in reply[4]),
            tuple((row[0], int(row[1])) for row in reply[5]),
            int(reply[6]),
        )

    return Call("fleet_read", {"queues": list(queues)}, decode)
