"""A worker on a thread of this process, for fakeredis, which no other process can see, and for tests.

Invariant: it is the same loop that a worker process runs; only a kill is not possible.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from types import TracebackType
from typing import Any

from wakeline.app import App
from wakeline.errors import WakelineError

from wakeline_workers.heartbeat import Heartbeat
from wakeline_workers.loop import WorkerLoop

LEAVE_S = 30.0


class WorkerThread:
    """Serves an app while its ``with`` block runs; ``options`` are those of `WorkerLoop`."""

    def __init__(self, app: App, **options: Any) -> None:
        self._app = app
        self._options = options
        self._began = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="wakeline-worker", daemon=True)
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        loop = self._loop
        self._began.set()
        while not self._stop.is_set():
            worker = WorkerLoop(self._app, **self._options)
            stopping = asyncio.create_task(self._pass_on(self._stop, worker))
            with Heartbeat.of(worker, loop):
                await worker.serve()
            stopping.cancel()
            if not worker.reaped:
                return

    async def _pass_on(self, stop: asyncio.Event, worker: WorkerLoop) -> None:
        await stop.wait()
        worker.stop()

    def __enter__(self) -> WorkerThread:
        self._thread.start()
        self._began.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._loop is not None and self._stop is not None
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(LEAVE_S)
        if self._thread.is_alive():
            raise WorkerStuck(seconds=LEAVE_S)


class WorkerStuck(WakelineError):
    """A worker thread did not leave: a body holds its event loop."""

    template = (
        "The worker thread did not leave within {seconds} s: a body holds its event loop. Let it await, or move the"
        " blocking part into a step."
    )
    seconds: float


def until_stopped() -> int:
    """Blocks until SIGTERM or SIGINT; the exit code."""
    stopped = threading.Event()

    def stop(*_: object) -> None:
        stopped.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    while not stopped.wait(1.0):
        pass
    return 0
