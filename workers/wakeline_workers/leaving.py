"""The last resort of a process that has to leave: what it still wants to write may find no Redis, for ever, and nobody
may be left to kill it.

Invariant: a process that was told to leave is gone a few seconds after the shutdown time, and one that lost its
supervisor within these seconds; what it
ran is handed on by its lease.
"""

from __future__ import annotations

import os
import select
import socket
import threading
from types import TracebackType

from wakeline_workers.streams import say

BEYOND_S = 3.0
"""After the shutdown time. A supervisor that is there kills a second before (`supervisor.GRACE_S`): it knows that what
ran was no loss."""


class Deadline:
    """A context manager around what a process does until it ends by itself; `start` begins to count, from any
    thread."""

    def __init__(self, shutdown_ms: int) -> None:
        self._seconds = shutdown_ms / 1000 + BEYOND_S
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._started = False

    def start(self) -> None:
        """From now on the process has its shutdown time; told again, it has no more."""
        with self._lock:
            if not self._started:
                self._started = True
                threading.Thread(target=self._count, name="wakeline-deadline", daemon=True).start()

    def start_with_the_end_of(self, line: socket.socket) -> None:
        """Starts once the other end of a line is closed: nothing is ever said on it."""

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
