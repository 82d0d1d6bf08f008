"""redflow (durable workflows on Redis): two processes of ten runs at once, asyncio, hiredis.

Each run at once is a slot that looks for work over a connection of its own: with a hundred of them a process was
several times slower here. Sent by a hundred coroutines of one client, as there is no bulk call. Histories are kept for
its usual time.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from secrets import token_hex

from redflow import StartWorkerOptions, WorkflowHandlerContext, create_client, start_worker, workflow

from benchmarks.peers import work

APP = "peer"
SLOTS = 10
# redis-py allows a hundred connections; each start of the client uses two at a time.
URL = f"{work.URL}?max_connections=1000"


@workflow("nothing")
async def nothing(ctx: WorkflowHandlerContext) -> None:
    """The no-op."""
    work.nothing()


@workflow("began")
async def began(ctx: WorkflowHandlerContext) -> None:
    """The one whose delay is measured."""
    work.began(ctx.input)


@workflow("ten_steps")
async def ten_steps(ctx: WorkflowHandlerContext) -> int:
    """Ten recorded steps, one after the other; each needs a name of its own."""
    total = 0
    for n in range(10):
        total += await ctx.step.run(f"step {n}", one_step, n)
    work.nothing()
    return total


@workflow("waits")
async def waits(ctx: WorkflowHandlerContext) -> None:
    """Parks until the event with its key is emitted."""
    work.parks()
    await ctx.step.wait_for_event("go", "go", ctx.input, "1h")
    work.nothing()


async def one_step(n: int) -> int:
    """A step that returns its number."""
    return n


async def serve() -> None:
    """A worker."""
    await start_worker(StartWorkerOptions(app=APP, url=URL, concurrency=SLOTS))
    await asyncio.Event().wait()


def client() -> dict[str, Callable[[int], object]]:
    """How runs are started."""
    loop = asyncio.Runner()
    sender = create_client(app=APP, url=URL)
    keys: list[str] = []

    async def known() -> None:
        """Its workers make known what may be started."""
        while "waits" not in await sender.list_workflows():
            await asyncio.sleep(0.1)

    loop.run(known())

    def many(name: str, n: int) -> None:
        loop.run(work.gathered(n, lambda: sender.emit_workflow(name, None)))

    def park(n: int) -> None:
        keys[:] = [token_hex(8) for _ in range(n)]
        left = iter(keys)
        loop.run(work.gathered(n, lambda: sender.emit_workflow("waits", next(left))))

    def signal(n: int) -> None:
        left = iter(keys)
        loop.run(work.gathered(n, lambda: sender.emit_event("go", True, correlation_key=next(left))))

    return {
        "many": lambda n: many("nothing", n),
        "one": lambda _: loop.run(sender.emit_workflow("began", time.time())),
        "steps": lambda n: many("ten_steps", n),
        "park": park,
        "signal": signal,
    }


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        asyncio.run(serve())
    else:
        work.main([["-m", f"{__package__}.redflow", "worker"]] * work.PROCESSES, client)
