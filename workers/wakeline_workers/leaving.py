"""The last resort of a process that has to leave. Redis may never answer its last writes, and no supervisor may be left
to kill it.

Invariant: a process that was told to leave is gone a few seconds after the shutdown time. One that lost its supervisor
is gone within these seconds. Its lease hands on what it ran.
"""

from __future__ import annotations

import os
import select
import socket
import threading
from types import TracebackType

from wakeline_workers.said import say

BEYOND_S = 3.0
"""Seconds after the shutdown time. A supervisor kills a second earlier (`supervisor.GRACE_S`), because it knows that
what ran was no loss."""


class Deadline:
    """A context manager around the work of a process until it ends by itself. `start` begins to count, from any
    thread."""

    def __init__(self, shutdown_ms: int) -> None:
        self._seconds = shutdown_ms / 1000 + BEYOND_S
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._started = False

    def start(self) -> None:
        """From now on the process has its shutdown time. A second call gives no more time."""
        with self._lock:
            if not self._started:
                self._started = True
                threading.Thread(target=self._count, name="wakeline-deadline", daemon=True).start()

    def start_with_the_end_of(self, line: socket.socket) -> None:
        """Starts once the other end of a line is closed; no data ever comes on it."""

        def watch() -> None:
            ended = select.poll()
            ended.register(line, select.POLLIN)
            ended.poll()
            self.start()

        threading.Thread(target=watch, name="wakeline-orphan", daemon=True).start()

    def _count(self) -> None:
        if not self._over.wait(self._seconds):
            say(
                f"process {os.getpid()} had {self._seconds:g} s to leave and ends now; what it ran is handed on once"
                " its lease is over"
            )
            os._exit(1)

    def __enter__(self) -> Deadline:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
