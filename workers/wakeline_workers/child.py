"""One worker process under its supervisor: ``python -m wakeline_workers.child '<orders as JSON>'``.

Invariant: when the supervisor is gone (its line closes), this process has no heartbeat, so it hands its work back and
leaves. The line is a separate socket, because standard output is for what bodies print.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass

from wakeline.app import App
from wakeline.errors import WakelineError
from wakeline.logs import log_failure
from wakeline.run.traces import trace_of
from wakeline.shown import Lines, logger
from wakeline.store.connection import AWAY, typed_errors
from wakeline.store.keys import queue_name
from wakeline.store.queues import declare_queues

from wakeline_workers.leaving import Deadline
from wakeline_workers.loading import load_for_work
from wakeline_workers.loop import WorkerLoop
from wakeline_workers.said import begin_log
from wakeline_workers.streams import keep_output
from wakeline_workers.worker import WakelineWorker, serve

log = logger("wakeline.worker")
AGAIN_S = 0.5
COLLECT_AFTER = 10_000
"""After how many objects that were made and not freed Python looks for cycles; its default is 700."""


@dataclass(frozen=True, slots=True)
class Orders:
    """What a supervisor tells a worker process. It names the app, the owner id, the queues (empty for all of the
    app's), and the number of bodies. ``burst`` says whether the process ends when nothing is left.

    ``line`` is the descriptor of a socket. On it the process says what it runs (ids of claims in a line), and it ends
    with the supervisor. ``again``: the start before failed and logged at length why the app cannot be loaded.
    """

    target: str
    owner: str
    line: int
    queues: tuple[str, ...] = ()
    concurrency: int | None = None
    burst: bool = False
    again: bool = False

    def command(self) -> list[str]:
        """How to start a process with these orders."""
        return [sys.executable, "-m", "wakeline_workers.child", json.dumps(asdict(self))]

    def rq_queues(self, app: App) -> tuple[str, ...]:
        """RQ's names of the queues, in order of priority. The app's own name is its default queue.

        All queues of an app include those of earlier releases: what was started in one of them stays there, and has to
        be run. Raises `StoreError`.
        """
        named = [queue_name(app.namespace, None if queue == app.namespace else queue) for queue in self.queues]
        return tuple(named) or app.store.execute(declare_queues(app.name, app.queues))


def run(orders: Orders) -> None:
    """Announces itself to RQ and serves until SIGTERM, or until the supervisor's line closes. Raises `SystemExit` when
    the app cannot be loaded."""
    line = socket.socket(fileno=orders.line)
    line.set_inheritable(False)  # programs that a body starts must not write to it
    app = _loaded(orders)
    Deadline(0).start_with_the_end_of(line)  # an orphan has no heartbeat, so it has no time to let its work end
    queues = _announced(app, orders, line)
    if queues is None:
        return
    # What the app loaded stays, and runs leave few cycles behind. By default a collection would run twenty times in a
    # batch.
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 10, 10)
    # The loop is never closed, because that would wait for threads of bodies. If something ends the loop, nothing more
    # runs on it, and the supervisor hands on what ran.
    try:
        asyncio.Runner(loop_factory=loop_factory()).run(_serve(app, orders, queues, line))
    finally:
        if app.instruments.leaves:
            app.instruments.leaving()


def _loaded(orders: Orders) -> App:
    try:
        return load_for_work(orders.target)
    except WakelineError as error:
        # The lines of user code are logged once: a supervisor goes on trying while another of its workers serves.
        log.error("%s%s", error, "" if orders.again else Lines(trace_of(error.__cause__ or error)))
        raise SystemExit(1) from error


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's event loop if it is installed (`wakeline[uvloop]`); None for Python's own."""
    try:
        return importlib.import_module("uvloop").new_event_loop  # type: ignore[no-any-return]
    except ImportError:
        return None


def _announced(app: App, orders: Orders, line: socket.socket) -> tuple[str, ...] | None:
    """Announces the worker to RQ once Redis is there. Returns its queues, or None if the supervisor is gone before
    that.

    A worker that starts while Redis is away waits like running ones. If it left instead, five such ends in a row would
    end the supervisor and with it the fleet.
    """
    said = False
    while True:
        try:
            with typed_errors("announce"):
                queues = orders.rq_queues(app)
                WakelineWorker.of(app, orders.owner, queues).announce()
            return queues
        except AWAY as error:
            if not said:
                log.warning("%s Waiting for it.", error)
            said = True
        if select.select([line], [], [], AGAIN_S)[0]:
            return None


async def _serve(app: App, orders: Orders, queues: tuple[str, ...], line: socket.socket) -> None:
    reader, writer = await asyncio.open_connection(sock=line)

    def report(running: list[str]) -> None:
        if not writer.is_closing():
            writer.write(f"{' '.join(running)}\n".encode())

    worker = WorkerLoop(
        app,
        owner=orders.owner,
        queues=queues,
        concurrency=orders.concurrency,
        burst=orders.burst,
        reported=report,
        counts=app.settings.metrics,
    )

    async def orphaned() -> None:
        with suppress(OSError):  # a line whose other end is gone raises this too, if what was said on it was not read
            await reader.read()
        log.warning(
            "the supervisor of this worker is gone, and with it its heartbeat: what runs is handed back, and the worker"
            " leaves"
        )
        writer.close()
        worker.hand_back()

    watch = asyncio.create_task(orphaned())
    await serve(worker, beating=False)
    watch.cancel()


if __name__ == "__main__":
    # What a body prints is visible at once, in a file or a pipe too, and a failed print ends nothing.
    keep_output()
    begin_log(os.environ.get("WAKELINE_LOG", "INFO").upper())
    # Until the loop handles signals, a signal of the supervisor just ends the process: nothing was taken yet.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    given = json.loads(sys.argv[1])
    code = 1
    try:
        run(Orders(**(given | {"queues": tuple(given["queues"])})))
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException as error:
        log_failure(log, error, "the worker process ends")
    finally:
        try:
            sys.stdout.flush()  # or the object that a body put in its place
        finally:
            # In any case, a thread or a child that a body left behind must not keep this process alive: it would not be
            # replaced.
            os._exit(code)
