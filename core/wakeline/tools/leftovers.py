"""What tools leave for the body that calls them: notes, and receipts of what they emitted to triggers.

Invariant: they come in order, each once. A drain empties the list, and a second drain finds nothing.
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
        """Adds one behind the others."""
        with self._lock:
            self._items.append(item)

    def drain(self) -> list[T]:
        """Returns all in order, and empties the list."""
        with self._lock:
            items, self._items = self._items, []
        return items
