"""A cache of a bounded size in bytes: what was used last stays.

Invariant: the weights of what it holds never sum to more than its bound; what weighs more than that alone is not kept.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")
WEIGHT_OF_JSON = 8
"""Bytes that objects take for each character of the JSON they were read from, about."""


class Bounded(Generic[K, V]):
    """Values by key, each with a weight in bytes, and no more than ``most`` of them; safe to use from any thread."""

    def __init__(self, most_bytes: int, *, most: int | None = None) -> None:
        self.most_bytes, self._most = most_bytes, most
        self.bytes = 0
        """What it holds now, as its users weigh it."""
        self._lock = threading.Lock()
        self._kept: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def get(self, key: K) -> V | None:
        """The value, used last from now on; None where it is not kept."""
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                return None
            self._kept.move_to_end(key)
            return found[0]

    def put(self, key: K, value: V, weight: int) -> None:
        """Keeps it, and lets go of what was used longest ago as far as it takes."""
        with self._lock:
            self._drop(key)
            if weight > self.most_bytes:
                return
            self._kept[key] = (value, weight)
            self.bytes += weight
            while self.bytes > self.most_bytes or (self._most is not None and len(self._kept) > self._most):
                self._drop(next(iter(self._kept)))

    def drop(self, key: K) -> None:
        """Lets go of one."""
        with self._lock:
            self._drop(key)

    def clear(self) -> None:
        """Lets go of all."""
        with self._lock:
            self._kept.clear()
            self.bytes = 0

    def _drop(self, key: K) -> None:
        found = self._kept.pop(key, None)
        if found is not None:
            self.bytes -= found[1]

    def items(self) -> list[tuple[K, V]]:
        """All keys with their values, used longest ago first."""
        with self._lock:
            return [(key, value) for key, (value, _) in self._kept.items()]

    def __contains__(self, key: K) -> bool:
        return key in self._kept

    def __len__(self) -> int:
        return len(self._kept)
