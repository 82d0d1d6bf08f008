"""The command about workers: who takes work, from where, and how much it holds.

Invariant: for people the name of a queue is without the app's namespace, as in `queues`.
"""

from __future__ import annotations

import click
from wakeline.observe.findings.finding import named
from wakeline.observe.fleet import WorkerView
from wakeline.values import format_duration

from wakeline_workers.cli.root import Console, command
from wakeline_workers.cli.watching import watched


@command("workers")
@watched
@click.pass_obj
def workers(console: Console) -> None:
    """List workers, those that live first."""
    fleet = console.app.fleet()
    listed = sorted(fleet.workers, key=lambda one: not one.alive)
    cells = [
        (one.id, "" if one.stock else str(one.holds), lease(one, fleet.now_ms), one.release or "", _queues(one))
        for one in listed
    ]
    data = [one.to_data() for one in listed]
    console.table(("WORKER", "HOLDS", "LEASE", "RELEASE", "QUEUES"), cells, data, empty="no workers")


def lease(worker: WorkerView, now_ms: int) -> str:
    """What is left of a worker's lease, or since when it is over, in whole seconds. RQ looks after stock workers."""
    if worker.expires_ms is None:
        return "RQ's own"
    left = worker.expires_ms - now_ms
    told = format_duration(abs(left) // 1_000 * 1_000)
    return f"{told} left" if worker.alive else f"over for {told}"


def _queues(worker: WorkerView) -> str:
    return ", ".join(named(queue) for queue in worker.queues)
