"""streaQ (Redis streams): two processes of a hundred tasks at once, quiet, results not kept, asyncio with uvloop.

A task is acknowledged after it ran. Sent in pipelines (``enqueue_many``).
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable

import uvloop
from streaq import Worker

from benchmarks.peers import work

worker = Worker(redis_url=work.URL, concurrency=100, anyio_kwargs={"use_uvloop": True})
BATCH = 500


@worker.task(name="nothing", silent=True, ttl=0)
async def nothing() -> None:
    """The no-op."""
    work.nothing()


@worker.task(name="began", silent=True, ttl=0)
async def began(sent: float) -> None:
    """The one whose delay is measured."""
    work.began(sent)


def client() -> dict[str, Callable[[int], object]]:
    """How tasks are sent."""
    loop = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    loop.run(worker.__aenter__())

    async def many(n: int) -> None:
        for at in range(0, n, BATCH):
            await worker.enqueue_many([nothing.enqueue() for _ in range(min(BATCH, n - at))])

    async def one() -> None:
        await began.enqueue(time.time())

    return {"many": lambda n: loop.run(many(n)), "one": lambda _: loop.run(one())}


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        worker.run_sync()
    else:
        work.main([["-m", f"{__package__}.streaq", "worker"]] * work.PROCESSES, client)
