"""Whether a namespace can work, for a probe that asks often: a few facts, and no look at processes.

Invariant: pure; what it says is wrong, an operator can put right.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from wakeline.observe.findings.finding import count, named
from wakeline.observe.view import View
from wakeline.store.fleet import Probed
from wakeline.store.queues import QueueState


@dataclass(frozen=True, slots=True)
class HealthView(View):
    """A server that answers and takes writes, and whether its fleet looks after time and queues."""

    where: str
    """The server that was asked."""
    ticked_by: str | None
    """What ticked last: `worker`, `clock` or `stock`; None if nothing ever did."""
    ticked_ms_ago: int | None
    """How long ago that was."""
    workers: int
    """How many workers take from a queue of the app."""
    unserved: tuple[str, ...]
    """The queues of the app that no live worker takes from (RQ's names)."""
    problems: tuple[str, ...]
    """What is wrong, each with what to do."""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    @property
    def message(self) -> str:
        """All of it in one line for people."""
        if self.problems:
            return f"unhealthy: {'; '.join(self.problems)}"
        served = count(self.workers, "worker")
        return f"healthy: {self.where} takes writes, a {self.ticked_by} ticks, {served} of this app's queues"

    def to_data(self) -> dict[str, Any]:
        """As JSON data, with the verdict."""
        own = {
            "where": self.where,
            "ticked_by": self.ticked_by,
            "ticked_ms_ago": self.ticked_ms_ago,
            "workers": self.workers,
            "unserved": list(self.unserved),
            "problems": list(self.problems),
        }
        return {"ok": self.ok, "message": self.message} | own


def health_of(probed: Probed, states: Sequence[QueueState], *, where: str, lease_ms: int, workers: bool) -> HealthView:
    """What a probe says. Something ticks if it did within two leases: a late tick is no dead fleet. ``workers``:
    whether a queue without a worker is a problem."""
    ago_ms = None if probed.ticked is None else max(0, probed.now_ms - probed.ticked.at_ms)
    unserved = tuple(state.name for state in states if not state.workers)
    return HealthView(
        where,
        None if probed.ticked is None else probed.ticked.kind,
        ago_ms,
        len({name for state in states for name in state.workers}),
        unserved,
        (*_of_ticks(ago_ms, lease_ms), *(_of_queues(unserved) if workers else ())),
    )


def _of_ticks(ago_ms: int | None, lease_ms: int) -> Iterator[str]:
    if ago_ms is None or ago_ms > 2 * lease_ms:
        since = "" if ago_ms is None else f" for {ago_ms // 1000} s"
        yield f"nothing ticks{since}: start `wakeline worker`, or `wakeline clock` beside stock workers"


def _of_queues(unserved: Sequence[str]) -> Iterator[str]:
    if unserved:
        noun = "queue" if len(unserved) == 1 else "queues"
        yield f"no worker takes from {noun} {', '.join(map(named, unserved))}: start `wakeline worker`"
