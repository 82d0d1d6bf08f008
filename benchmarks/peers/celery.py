"""Celery on its Redis broker: prefork with two pool processes beside the consumer's own process, prefetch 4 each (the
default).

No result backend; gossip, mingle and heartbeats between workers are off. A task is acknowledged before it runs, which
is the default and the faster way: ``acks_late`` would bring it back after the visibility timeout (an hour). Sent one by
one over one pooled producer, as there is no bulk call.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from celery import Celery

from benchmarks.peers import work

app = Celery("peer", broker=work.URL)
app.conf.update(task_ignore_result=True, broker_connection_retry_on_startup=True, worker_hijack_root_logger=False)


@app.task(name="nothing")
def nothing() -> None:
    """The no-op."""
    work.nothing()


@app.task(name="began")
def began(sent: float) -> None:
    """The one whose delay is measured."""
    work.began(sent)


def client() -> dict[str, Callable[[int], object]]:
    """How tasks are sent."""

    def many(n: int) -> None:
        with app.producer_pool.acquire(block=True) as producer:
            for _ in range(n):
                nothing.apply_async(producer=producer)

    return {"many": many, "one": lambda _: began.delay(time.time())}


if __name__ == "__main__":
    options = [
        "--concurrency",
        str(work.PROCESSES),
        "--loglevel",
        "WARNING",
        "--without-gossip",
        "--without-mingle",
        "--without-heartbeat",
    ]
    work.main([["-m", "celery", "-A", f"{__package__}.celery", "worker", *options]], client)
