"""What a run is doing now: effects, and waits that are being opened or closed.

Invariant: it lives in memory, on one event loop. While anything is in flight, the run is not parked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class InFlight:
    """Counts what is under way; it calls ``changed`` at every beginning and end."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._count = 0
        self._changed = changed
        self._over: asyncio.Future[None] | None = None

    def __bool__(self) -> bool:
        return self._count > 0

    def begin(self) -> None:
        """One more is under way."""
        self._count += 1
        self._changed()

    def end(self) -> None:
        """One less is."""
        self._count -= 1
        self._changed()
        if not self._count and self._over is not None:
            self._over.set_result(None)
            self._over = None

    def __enter__(self) -> None:
        """One is under way until the block ends."""
        self.begin()

    def __exit__(self, *_: object) -> None:
        self.end()

    async def over(self) -> None:
        """Returns once nothing is in flight."""
        while self._count:
            self._over = self._over or asyncio.get_running_loop().create_future()
            await asyncio.shield(self._over)
