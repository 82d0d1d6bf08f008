"""What time does: the tick that any worker sends, and the retention that goes on after it.

Invariant: each call does a bounded part, and its report says what is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wakeline.processes.misfit import PATIENCE_MS
from wakeline.store.calls import Call, Reply, moment
from wakeline.store.triggers import due_schedules
from wakeline.triggers.schedule import Schedule


@dataclass(frozen=True, slots=True)
class TickReport:
    """What a tick did, when the next timer is due, the time (server ms), and whether more already waits."""

    fired: int
    reaped: int
    rung: int
    pruned: int
    next_due_ms: int | None
    more: bool
    now_ms: int
    schedules: tuple[tuple[Schedule, int], ...] = ()
    """Schedules that are due, each with its due time."""
    undelivered: int = 0
    """Deliveries of triggers that their emitter did not settle."""
    prune_in_ms: int | None = None
    """If more was over than this tick could prune: after how many ms the worker goes on with it (`prune`)."""
    spared_until_ms: int | None = None
    """Another program ticks, so this tick left all to it that is not urgent; until when (server ms) it does."""
    unwritten: tuple[tuple[str, str], ...] = ()
    """Apps, each with the release (`Declared.id`) whose declarations came into force and are not written."""

    @property
    def spared(self) -> bool:
        """Whether another program ticks."""
        return self.spared_until_ms is not None


def tick(
    *,
    beat_ms: int,
    lease_ms: int,
    stale_ms: int,
    retention_ms: int,
    tombstone_ms: int,
    limit: int = 100,
    by: str | None = None,
    spare_ms: int | None = None,
    every_ms: int | None = None,
    told: bool = False,
    patience_ms: int = PATIENCE_MS,
) -> Call[TickReport]:
    """Due timers, expired owners, lost doorbells, unfinished bounded work, retention: one bounded script.

    ``by`` says what ticks: `worker`, `clock` or `stock`, and its owner id. With ``spare_ms`` it does nothing if another
    program ticked less than that ago. With ``every_ms`` one program ticks, at least that often, and this one leaves it
    to that one unless it is late; timers that are due are fired in any case if it was ``told`` of one.
    ``patience_ms`` as for `reap`.
    """
    args: dict[str, Any] = {
        "beat_ms": beat_ms,
        "lease_ms": lease_ms,
        "stale_ms": stale_ms,
        "retention_ms": retention_ms,
        "tombstone_ms": tombstone_ms,
    }
    args |= {"limit": limit, "by": by, "spare_ms": spare_ms, "every_ms": every_ms, "told": told or None}
    args["patience_ms"] = patience_ms

    def decode(reply: Reply) -> TickReport:
        due = int(float(reply[4])) if reply[4] not in ("", None) else None
        fired, reaped, rung, pruned = (int(count) for count in reply[:4])
        more, now, schedules, undelivered, prune_in = (
            reply[5] == "1",
            int(reply[6]),
            due_schedules(reply[7]),
            int(reply[8]),
            moment(reply[9]),
        )
        unwritten = tuple((row[0], row[1]) for row in reply[11])
        spared_until = int(reply[10]) or None
        return TickReport(
            fired, reaped, rung, pruned, due, more, now, schedules, undelivered, prune_in, spared_until, unwritten
        )

    return Call("tick", args, decode)


@dataclass(frozen=True, slots=True)
class PruneReport:
    """How many processes a slice of retention removed, and in how many ms the next one is due; None if nothing is
    left."""

    pruned: int
    next_in_ms: int | None


def prune(*, retention_ms: int, tombstone_ms: int) -> Call[PruneReport]:
    """Go on with what a tick could not prune: one slice, some milliseconds of the server's time."""
    args = {"retention_ms": retention_ms, "tombstone_ms": tombstone_ms}
    return Call("retention_prune", args, lambda reply: PruneReport(int(reply[0]), moment(reply[1])))


@dataclass(frozen=True, slots=True)
class PrunedNow:
    """What became of processes that were to go: how many of them are done with (the others are to be sent again), those
    of them that stayed, each with the reason, and how long (ms) it kept the server."""

    done: int
    stayed: tuple[tuple[str, str], ...]
    took_ms: int


def prune_these(these: Sequence[tuple[str, str, str]], *, tombstone_ms: int) -> Call[PrunedNow]:
    """Prune these ended processes: id, status, and the time in the list of that status at which each was seen. One that
    is not as it was seen stays, and so does one that lives."""

    def decode(reply: Reply) -> PrunedNow:
        return PrunedNow(int(reply[0]), tuple((pid, why) for pid, why in reply[1]), int(reply[2]))

    args = {"these": [list(one) for one in these], "tombstone_ms": tombstone_ms}
    return Call("retention_prune", args, decode, about=tuple(one[0] for one in these))
