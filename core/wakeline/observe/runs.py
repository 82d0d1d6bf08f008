"""A run as seen from outside: in which worker, since when, and how long that may keep it without a word.

Invariant: pure.
"""

from __future__ import annotations

from dataclasses import dataclass

from wakeline.observe.view import View
from wakeline.store.queues import StoredRun
from wakeline.values import age


@dataclass(frozen=True, slots=True)
class RunView(View):
    """A process that a worker runs. Times are server ms."""

    process_id: str
    worker: str
    since_ms: int
    lease_ends_ms: int | None
    """When the lease of its worker ends, if nothing is heard of that until then; None if the worker is gone."""


def run_of(stored: StoredRun) -> RunView:
    """A run of the store."""
    return RunView(stored.process_id, stored.owner, stored.since_ms, stored.lease_ends_ms)


def lease_said(run: RunView, now_ms: int) -> str:
    """What holds for the lease of its worker, in a clause."""
    if run.lease_ends_ms is None:
        return "which is gone: the next tick gives its work to others"
    left = run.lease_ends_ms - now_ms
    if left <= 0:
        return f"which has not been heard of: its lease is over since {age(-left)}, and a tick gives its work to others"
    return f"whose lease runs {age(left)} more; if it died, its work goes to others then"


def place_said(run: RunView, now_ms: int) -> str:
    """That it has a place under a limit, where and since when, in a sentence."""
    has = f"{run.process_id} has a place since {age(now_ms - run.since_ms)}"
    return f"{has}, in worker {run.worker}, {lease_said(run, now_ms)}"
