"""How long a body that only waits is held in memory before it is parked.

Invariant: a hold is over only once all that is ready on the loop has run. A task of the body that just got what it
waited for may be about to ask for more, and a park would cut it off.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from wakeline.run.replay import CYCLES


class Hold:
    """One at a time. It calls ``over`` at its end, if the body still ``waits``. Code that changes what the body does
    stops it, or begins it anew."""

    def __init__(self, over: Callable[[], None], waits: Callable[[], bool]) -> None:
        self._over = over
        self._waits = waits
        self._handle: asyncio.Handle | None = None

    def begin(self, for_s: float) -> None:
        """Begins a hold of this time."""
        self.stop()
        self._handle = asyncio.get_running_loop().call_later(for_s, self._turn, CYCLES)

    def stop(self) -> None:
        """Ends the hold without a call of ``over``."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _turn(self, left: int) -> None:
        self._handle = asyncio.get_running_loop().call_soon(self._turn, left - 1) if left else None
        if not left and self._waits():
            self._over()
