"""A cache of a bounded size in bytes, which keeps what was used last.

Invariant: the weights of its values never sum to more than its bound. A value that weighs more by itself is not kept.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")
WEIGHT_OF_JSON = 8
"""About how many bytes objects take for each character of their JSON."""


class Bounded(Generic[K, V]):
    """Values by key, each with a weight in bytes, and no more than ``most`` of them; safe to use from any thread."""

    def __init__(self, most_bytes: int, *, most: int | None = None) -> None:
        self.most_bytes, self._most = most_bytes, most
        self.bytes = 0
        """The sum of the weights that it holds now."""
        self._lock = threading.Lock()
        self._kept: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def get(self, key: K) -> V | None:
        """The value, which now counts as used last; None if it is not kept."""
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                return None
            self._kept.move_to_end(key)
            return found[0]

    def put(self, key: K, value: V, weight: int) -> None:
        """Keeps it, and drops values that were used longest ago until it fits."""
        with self._lock:
            self._drop(key)
            if weight > self.most_bytes:
                return
            self._kept[key] = (value, weight)
            self.bytes += weight
            while self.bytes > self.most_bytes or (self._most is not None and len(self._kept) > self._most):
                self._drop(next(iter(self._kept)))

    def drop(self, key: K) -> None:
        """Drops one."""
        with self._lock:
            self._drop(key)

    def clear(self) -> None:
        """Drops all."""
        with self._lock:
            self._kept.clear()
            self.bytes = 0

    def _drop(self, key: K) -> None:
        found = self._kept.pop(key, None)
        if found is not None:
            self.bytes -= found[1]

    def items(self) -> list[tuple[K, V]]:
        """All keys with their values; those used longest ago come first."""
        with self._lock:
            return [(key, value) for key, (value, _) in self._kept.items()]

    def __contains__(self, key: K) -> bool:
        return key in self._kept

    def __len__(self) -> int:
        return len(self._kept)
