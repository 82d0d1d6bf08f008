"""taskiq on a Redis stream (`RedisStreamBroker`, acknowledged after the task ran): two processes, uvloop and hiredis,
no result backend.

A hundred tasks at once a process and reads of a hundred (the defaults), with as many prefetched. Sent by a hundred
coroutines of one client, as there is no bulk call.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import uvloop
from taskiq_redis import RedisStreamBroker

from benchmarks.peers import work

broker = RedisStreamBroker(work.URL, consumer_id="0")


@broker.task(task_name="nothing")
async def nothing() -> None:
    """The no-op."""
    work.nothing()


@broker.task(task_name="began")
async def began(sent: float) -> None:
    """The one whose delay is measured."""
    work.began(sent)


def client() -> dict[str, Callable[[int], object]]:
    """How tasks are sent."""
    loop = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    loop.run(broker.startup())
    return {
        "many": lambda n: loop.run(work.gathered(n, nothing.kiq)),
        "one": lambda _: loop.run(began.kiq(time.time())),
    }


if __name__ == "__main__":
    options = ["--workers", str(work.PROCESSES), "--max-prefetch", "100", "--log-level", "WARNING"]
    work.main([["-m", "taskiq", "worker", *options, f"{__package__}.taskiq:broker"]], client)
