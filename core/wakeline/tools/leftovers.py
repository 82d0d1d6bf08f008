"""What tools leave for whoever runs them: notes for the body, receipts of what they emitted to triggers.

Invariant: in order, each once: draining empties, and a second drain finds nothing.
"""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class Leftovers(Generic[T]):
    """A list that threads append to and one reader empties."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._items: list[T] = []

    def add(self, item: T) -> None:
        """Behind the others."""
        with self._lock:
            self._items.append(item)

    def drain(self) -> list[T]:
        """All of it, in order; it is empty afterwards."""
        with self._lock:
            items, self._items = self._items, []
        return items
