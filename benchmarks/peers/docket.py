"""Docket (pydocket, Redis streams): two processes of a hundred tasks at once, asyncio, hiredis.

A task is acknowledged after it ran; records of executions are not kept (``execution_ttl`` of 0). Sent in pipelines
(``add_many``).
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from datetime import timedelta

from docket import Docket, Worker

from benchmarks.peers import work

CONCURRENCY = 100


async def nothing() -> None:
    """The no-op."""
    work.nothing()


async def began(sent: float) -> None:
    """The one whose delay is measured."""
    work.began(sent)


def docket() -> Docket:
    """What tasks are sent through and taken from."""
    # A task at once may need a connection; redis-py allows a hundred of them.
    made = Docket(name="peer", url=f"{work.URL}?max_connections={10 * CONCURRENCY}", execution_ttl=timedelta(0))
    for task in (nothing, began):
        made.register(task)
    return made


async def serve() -> None:
    """A worker."""
    async with docket() as served, Worker(served, concurrency=CONCURRENCY) as worker:
        await worker.run_forever()


def client() -> dict[str, Callable[[int], object]]:
    """How tasks are sent."""
    loop = asyncio.Runner()
    sender = docket()
    loop.run(sender.__aenter__())

    async def many(n: int) -> None:
        await sender.add_many([sender.call(nothing)() for _ in range(n)])

    async def one() -> None:
        await sender.add(began)(time.time())

    return {"many": lambda n: loop.run(many(n)), "one": lambda _: loop.run(one())}


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        asyncio.run(serve())
    else:
        work.main([["-m", f"{__package__}.docket", "worker"]] * work.PROCESSES, client)
