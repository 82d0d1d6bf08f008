"""The look of a view that lives: what a namespace does at one moment.

Invariant: it takes three round trips, and reads a bounded part of what there is.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version as installed
from typing import Any

from wakeline.errors import ProcessNoLongerRetained, ProcessNotFound
from wakeline.observe.fleet import fleet_of
from wakeline.observe.metrics import metrics_of
from wakeline.observe.top import NowView, TopView, now_of, top_of
from wakeline.store import fleet, journal, processes
from wakeline.store.calls import Call, Program, Together
from wakeline.store.metrics import read_metrics
from wakeline.store.queues import list_queues

SPARE = 128
"""Runs end and begin between the count of them and the list: the oldest ones are looked for in twice as many ids."""


def top(queues: Sequence[str], *, stale_ms: int, most: int) -> Program[TopView]:
    """The fleet, its totals, and ``most`` of the processes that run longest."""
    stored: fleet.StoredFleet = yield fleet.read_fleet(queues, stale_ms=stale_ms)
    listed = [queue.name for queue in stored.queues]
    behind = max(0, stored.counts["running"] - SPARE)
    (states, limits), totals, running = yield Together(
        [
            list_queues(listed),
            read_metrics(listed),
            processes.list_ids("running", offset=behind, limit=2 * SPARE),
        ]
    )
    longest: list[tuple[str, int]] = running[::-1][:most]
    runs = yield from _runs(longest)
    metrics = metrics_of(totals, stored, states, limits, version=installed("wakeline"))
    return top_of(fleet_of(stored, states, limits), metrics, runs)


def _runs(longest: Sequence[tuple[str, int]]) -> Program[list[NowView]]:
    if not longest:
        return []
    calls: list[Call[Any]] = [processes.read(pid, brief=True) for pid, _ in longest]
    calls += [journal.list_keys(pid, "0") for pid, _ in longest]
    try:
        read: list[Any] = yield Together(calls)
    except (ProcessNotFound, ProcessNoLongerRetained):
        return [NowView(pid, since_ms) for pid, since_ms in longest]  # one ended and was pruned since
    n = len(longest)
    return [
        now_of(one, since_ms, keys, whole=cursor == "0")
        for (_, since_ms), one, (cursor, keys) in zip(longest, read[:n], read[n:], strict=True)
    ]
