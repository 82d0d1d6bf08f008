"""absurd (tasks and their steps in Postgres, worked by SQL functions): two processes of fifty tasks at once, asyncio,
one connection each, as its SDK has it.

Every commit is flushed (``synchronous_commit=on``). Workers look for tasks on a timer, every quarter of a second by
default, which is what its idle delay would be: ten milliseconds here. A claim is for two minutes (the default), and
every step extends it. Sent a hundred to a transaction, as there is no bulk call.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Any

from absurd_sdk import Absurd, AsyncAbsurd, AsyncTaskContext
from psycopg import Connection, errors

from benchmarks.peers import work

QUEUE = "peer"
BATCH = 100
AT_ONCE = 50


async def nothing(params: Any, context: AsyncTaskContext) -> None:
    """The no-op."""
    work.nothing()


async def began(params: float, context: AsyncTaskContext) -> None:
    """The one whose delay is measured."""
    work.began(params)


async def ten_steps(params: Any, context: AsyncTaskContext) -> int:
    """Ten recorded steps, one after the other."""
    total = 0
    for n in range(10):
        total += await context.step("one step", partial(one_step, n))
    work.nothing()
    return total


async def waits(params: str, context: AsyncTaskContext) -> None:
    """Parks until its event is emitted."""
    work.parks()
    await context.await_event(params)
    work.nothing()


async def one_step(n: int) -> int:
    """A step that returns its number."""
    return n


async def serve() -> None:
    """A worker."""
    app = AsyncAbsurd(work.POSTGRES, queue_name=QUEUE)
    for task in (nothing, began, ten_steps, waits):
        app.register_task(task.__name__)(task)
    await app.start_worker(concurrency=AT_ONCE, poll_interval=0.01)


def create() -> None:
    """Its tables, with its own tool, and the queue."""
    subprocess.run([str(Path(sys.executable).with_name("absurdctl")), "init", "--database", work.POSTGRES], check=True)
    Absurd(work.POSTGRES).create_queue(QUEUE)


def client() -> dict[str, Callable[[int], object]]:
    """How tasks are sent."""
    events: list[str] = []
    connection = Connection.connect(work.POSTGRES, autocommit=True)
    app = Absurd(connection)
    while not there(app):
        time.sleep(0.05)

    def batched(n: int, one: Callable[[int], object]) -> None:
        for at in range(0, n, BATCH):
            with connection.transaction():
                for i in range(at, min(at + BATCH, n)):
                    one(i)

    def many(name: str, n: int) -> None:
        batched(n, lambda _: app.spawn(name, None, queue=QUEUE))

    def park(n: int) -> None:
        events[:] = [f"go-{token_hex(8)}" for _ in range(n)]
        batched(n, lambda i: app.spawn("waits", events[i], queue=QUEUE))

    return {
        "many": lambda n: many("nothing", n),
        "one": lambda _: app.spawn("began", time.time(), queue=QUEUE),
        "steps": lambda n: many("ten_steps", n),
        "park": park,
        "signal": lambda n: batched(n, lambda i: app.emit_event(events[i], queue_name=QUEUE)),
    }


def there(app: Absurd) -> bool:
    """Whether the queue was created."""
    try:
        return QUEUE in app.list_queues()
    except (errors.UndefinedFunction, errors.InvalidSchemaName, errors.UndefinedTable):
        return False


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        asyncio.run(serve())
    else:
        if sys.argv[1] == "workers":
            create()
        work.main([["-m", f"{__package__}.absurd", "worker"]] * work.PROCESSES, client)
