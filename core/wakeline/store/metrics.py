"""Metrics in the store: totals that workers add to, and what is read with them.

Invariant: what a worker counted is added once, however often the write is sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wakeline.store.calls import Call, Reply, flat


def add_metrics(owner: str, n: int, counted: Mapping[str, int]) -> Call[bool]:
    """Adds what a worker counted to the totals: numbers by series. ``n`` is 1 for its first write, and one more for
    each that was answered. False if the owner is not registered any more; then nothing is added."""
    pairs = [part for name, number in counted.items() for part in (name, number)]
    return Call("metrics_add", {"owner": owner, "n": n, "counted": pairs}, lambda reply: reply[0] == "added")


@dataclass(frozen=True, slots=True)
class StoredMetrics:
    """The totals by series, and since when (server ms) the process at the head of each queue is offered."""

    totals: Mapping[str, int]
    oldest_ms: Mapping[str, int]


def read_metrics(queues: Sequence[str]) -> Call[StoredMetrics]:
    """The totals, and how old the heads of queues (RQ's names) are. The queues without work are left out."""

    def decode(reply: Reply) -> StoredMetrics:
        totals = {name: int(value) for name, value in flat(reply[0]).items()}
        return StoredMetrics(totals, {queue: int(float(at)) for queue, at in reply[1]})

    return Call("metrics_read", {"queues": list(queues)}, decode)
