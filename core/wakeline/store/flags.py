"""A flag that any code raises, signal handlers too, and that a thread waits for.

Invariant: a wait ends by its timeout. `SimpleQueue.get` with a timeout never ends if a signal handler outlasts it
(CPython up to 3.12), and an `Event` may be set by a handler that broke into it and then waits for itself.
"""

from __future__ import annotations

import threading
from contextlib import suppress


class Flag:
    """It is down at first. A wait that finds it up takes it down."""

    __slots__ = ("_down",)

    def __init__(self) -> None:
        self._down = threading.Lock()  # held while the flag is down
        self._down.acquire()

    def up(self) -> None:
        """Raises it; if it is up already, nothing changes."""
        with suppress(RuntimeError):  # it was up
            self._down.release()

    def wait(self, seconds: float | None) -> bool:
        """Waits until it is up, at most so many seconds; whether it was."""
        return self._down.acquire(timeout=-1 if seconds is None else max(0.0, seconds))
