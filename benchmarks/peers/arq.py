"""arq: two processes of a hundred jobs at once, uvloop and hiredis, results not kept.

It looks for jobs on a timer, every half second by default, which is what its idle delay would be: ten milliseconds
here. A job is removed after it ran. Sent by a hundred coroutines of one client, as there is no bulk call.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from typing import Any

import uvloop
from arq import create_pool, run_worker
from arq.connections import RedisSettings

from benchmarks.peers import work

REDIS = RedisSettings.from_dsn(work.URL)


async def nothing(ctx: dict[str, Any]) -> None:
    """The no-op."""
    work.nothing()


async def began(ctx: dict[str, Any], sent: float) -> None:
    """The one whose delay is measured."""
    work.began(sent)


class Settings:
    """What a worker process runs with."""

    functions = [nothing, began]
    redis_settings = REDIS
    max_jobs = 100
    poll_delay = 0.01
    keep_result = 0


def client() -> dict[str, Callable[[int], object]]:
    """How jobs are sent."""
    loop = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    pool = loop.run(create_pool(REDIS))
    return {
        "many": lambda n: loop.run(work.gathered(n, lambda: pool.enqueue_job("nothing"))),
        "one": lambda _: loop.run(pool.enqueue_job("began", time.time())),
    }


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        uvloop.install()
        run_worker(Settings)  # type: ignore[arg-type]
    else:
        work.main([["-m", f"{__package__}.arq", "worker"]] * work.PROCESSES, client)
