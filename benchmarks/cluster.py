"""What more namespaces are worth on a Redis Cluster: ``python -m benchmarks.cluster``.

One namespace lies on one master, so more of them are more throughput where masters are what bounds it. This machine has
too few cores to show three masters side by side, so each is slowed: it runs in a turn of its own of a few ms, and is
stopped (SIGSTOP) for the rest of the round.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from wakeline import App, AsyncCtx
from wakeline.settings import Settings
from wakeline_workers.threads import WorkerThread

from benchmarks.harness import count, many, until
from tests.e2e.clusters import MASTERS, Cluster, cluster, spread

TURN_S, TURNS = 0.012, 8
"""A master runs one turn in so many: an eighth of what it could."""
ROUNDS, EACH = 5, 800


def main() -> int:
    """Prints the rate of no-op processes over one, two and three namespaces on as many masters."""
    with tempfile.TemporaryDirectory() as folder, cluster(Path(folder)) as nodes, ExitStack() as stack:
        names = spread()
        apps = {name: served(nodes, name, stack) for name in names}
        masters = [nodes.nodes[nodes.owner(name)].pid for name in names]
        print(
            f"machine: {os.cpu_count()} cores; {MASTERS} masters that run {TURN_S * 1000:g} ms of every"
            f" {TURN_S * TURNS * 1000:g}, a worker thread each\n"
        )
        print("| namespaces | no-op processes, 1/s, median | spread |\n|---|---|---|")
        with slowed(masters):
            for number in range(1, MASTERS + 1):
                rates = [rate([apps[name] for name in names[:number]]) for _ in range(ROUNDS)]
                print(
                    f"| {number} | {statistics.median(rates):,.0f} | {min(rates):,.0f} to {max(rates):,.0f} |",
                    flush=True,
                )
    return 0


def served(nodes: Cluster, name: str, stack: ExitStack) -> tuple[App, Any]:
    """An app of a namespace, whose worker runs until the stack is closed, and its body."""
    app = App(name, settings=Settings(url=nodes.url, rq_prefix=f"{{{name}}}:rq"))

    @app.engine
    async def nothing(ctx: AsyncCtx) -> None:
        """Starts and ends."""

    stack.callback(app.close)
    stack.enter_context(WorkerThread(app))
    app.start(nothing).result(timeout=30)
    return app, nothing


@contextmanager
def slowed(pids: Sequence[int]) -> Generator[None]:
    """While the block runs each process runs in its own turns only; afterwards all run."""
    # A process of its own: a thread of this one would wait for the interpreter, and the turns would grow with the load.
    taking_turns = multiprocessing.get_context("spawn").Process(target=turns, args=(pids,))
    taking_turns.start()
    try:
        until(lambda: any(map(is_stopped, pids)))
        yield
    finally:
        taking_turns.kill()
        taking_turns.join()
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def turns(pids: Sequence[int]) -> None:
    """Has each process run in its turn and stopped in the others', until this one is killed."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    while True:
        for turn in range(TURNS):
            if turn < len(pids):
                os.kill(pids[turn], signal.SIGCONT)
            time.sleep(TURN_S)
            if turn < len(pids):
                os.kill(pids[turn], signal.SIGSTOP)


def is_stopped(pid: int) -> bool:
    """Whether a process is stopped by a signal."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def rate(apps: Sequence[tuple[App, Any]]) -> float:
    """Processes per second over all of them, from the first start to the last end."""
    before = {app.namespace: count(app, "completed") for app, _ in apps}
    at = time.monotonic()

    async def start() -> None:
        await asyncio.gather(
            *(many(EACH, lambda _, app=app, body=body: app.aio.start(body), at_once=128) for app, body in apps)
        )

    asyncio.run(start())
    for app, _ in apps:
        until(lambda app=app: count(app, "completed") >= before[app.namespace] + EACH)
    return EACH * len(apps) / (time.monotonic() - at)


if __name__ == "__main__":
    sys.exit(main())
