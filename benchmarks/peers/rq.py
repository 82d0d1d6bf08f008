"""RQ as it is usually run: a fork for every job, two workers under ``rq worker-pool``.

Jobs are enqueued in pipelines (``enqueue_many``), hiredis is installed, results and finished jobs are not kept
(``result_ttl=0``).
"""

from __future__ import annotations

import time
from collections.abc import Callable

from redis import Redis
from rq import Queue

from benchmarks.peers import work

BATCH = 500


def nothing() -> None:
    """The no-op."""
    work.nothing()


def began(sent: float) -> None:
    """The one whose delay is measured."""
    work.began(sent)


def client() -> dict[str, Callable[[int], object]]:
    """How jobs are sent."""
    queue = Queue(connection=Redis.from_url(work.URL))

    def many(n: int) -> None:
        for at in range(0, n, BATCH):
            queue.enqueue_many(
                [Queue.prepare_data(f"{__package__}.rq.nothing", result_ttl=0) for _ in range(min(BATCH, n - at))]
            )

    def one(_: int) -> None:
        queue.enqueue(f"{__package__}.rq.began", time.time(), result_ttl=0)

    return {"many": many, "one": one}


def workers(kind: str) -> list[list[str]]:
    """Two workers of a kind."""
    return [["-m", "rq.cli", "worker-pool", "-q", "-n", str(work.PROCESSES), "-w", kind, "-u", work.URL]]


if __name__ == "__main__":
    work.main(workers("rq.worker.Worker"), client)
