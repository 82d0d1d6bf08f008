"""Cancellation as a value: a token that is cancelled once, for threads and for the event loop.

Invariant: a cancel goes from a token to its children, never back. A cancelled token stays cancelled, with its first
reason. A shutdown, a lost lease and a park cancel nothing.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable

from wakeline.errors import OperationCancelled


class CancellationToken:
    """A flag that many may ask and that is set once. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._event: threading.Event | None = None
        self._listeners: list[Callable[[], None]] = []
        self._children: weakref.WeakSet[CancellationToken] | None = None
        self._cancelled = False
        self.reason = ""
        """Why it was cancelled; "" before that."""

    @property
    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self._cancelled

    def cancel(self, reason: str = "requested") -> bool:
        """Cancel it and its children; False if it was cancelled before. Listeners run in this thread."""
        with self._lock:
            if self._cancelled:
                return False
            self._cancelled, self.reason = True, reason
            listeners, self._listeners = self._listeners, []
            children = list(self._children or ())
            event = self._event
        if event is not None:
            event.set()
        for child in children:
            child.cancel(reason)
        for listener in listeners:
            listener()
        return True

    def child(self) -> CancellationToken:
        """A token that is cancelled with this one, and may be cancelled alone."""
        made = CancellationToken()
        with self._lock:
            if self._children is None:
                self._children = weakref.WeakSet()
            self._children.add(made)
            cancelled = self._cancelled
        if cancelled:
            made.cancel(self.reason)
        return made

    def on_cancel(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call the listener when the token is cancelled; at once if it already is. Returns a function that removes the
        listener."""
        with self._lock:
            if not self._cancelled:
                self._listeners.append(listener)
                return lambda: self._take_back(listener)
        listener()
        return lambda: None

    def _take_back(self, listener: Callable[[], None]) -> None:
        with self._lock:
            if listener in self._listeners:
                self._listeners.remove(listener)

    def wait_blocking(self, timeout: float | None = None) -> bool:
        """Wait in a thread until it is cancelled, at most ``timeout`` seconds. Returns whether it is cancelled."""
        with self._lock:
            if self._cancelled:
                return True
            self._event = self._event or threading.Event()
            event = self._event
        return event.wait(timeout)

    async def wait(self) -> None:
        """Wait on the event loop until it is cancelled."""
        loop = asyncio.get_running_loop()
        reached = asyncio.Event()

        def reach() -> None:
            loop.call_soon_threadsafe(reached.set)

        take_back = self.on_cancel(reach)
        try:
            await reached.wait()
        finally:
            take_back()

    def raise_if_cancelled(self) -> None:
        """Raises `OperationCancelled` once it is cancelled. In a process that was asked to end, this ends it as
        cancelled."""
        if self._cancelled:
            raise OperationCancelled(reason=self.reason)
