"""How many tasks of a body run in one turn of the event loop.

Invariant: they run in the order in which the loop made them ready, as they do without it. A body that asks for
thousands of things at once keeps the loop for no longer than one that asks for a few, so that hints, ticks and other
bodies go on.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

AT_ONCE = 64
"""How many tasks of one body run in one turn of the loop, and how many items of a long list are handled in one."""


class Pacing:
    """The tasks of one body. It lives on one event loop.

    It has no ``__init__``, because most runs have no task but their body's, and a no-op would pay for it.
    """

    tasks = 0
    """How many tasks there are. Up to `AT_ONCE` none has to wait."""
    behind = 0
    """How many of them wait for their turn, or are at a question that takes several turns. While there are any, the
    body has not asked for all that it is about to ask for."""
    changed: Callable[[], None]
    """Called when none is behind any more."""
    _waiting: deque[asyncio.Future[None]] | None = None
    _placed = 0
    """How many have a place and did not run on yet: none overtakes them."""
    _begun = 0
    _turns = False

    def place(self) -> asyncio.Future[None] | None:
        """What a task that is ready awaits before it runs on, when it calls `took_place`; None if it may run on in this
        turn."""
        loop = asyncio.get_running_loop()
        if not self._turns:
            self._turns = True
            loop.call_soon(self._turn, loop)
        if self._begun < AT_ONCE and not self._placed:
            self._begun += 1
            return None
        place: asyncio.Future[None] = loop.create_future()
        if self._waiting is None:
            self._waiting = deque()
        self._waiting.append(place)
        self._placed += 1
        self.behind += 1
        return place

    def took_place(self) -> None:
        """A task that had to wait for its turn runs on, or is cancelled."""
        self._placed -= 1
        self.behind -= 1

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        self._begun = 0
        while self._waiting and self._begun < AT_ONCE:
            place = self._waiting.popleft()
            if not place.done():  # its task may have been cancelled
                place.set_result(None)
                self._begun += 1
        self._turns = self._begun > 0
        if self._turns:
            loop.call_soon(self._turn, loop)
        elif not self.behind:
            self.changed()

    async def each(self, items: Sequence[T], handled: Callable[[T], R], *, at_once: int = AT_ONCE) -> list[R]:
        """What ``handled`` makes of each item, in order, in parts: the loop goes on between them."""
        found: list[R] = []
        self.behind += 1
        try:
            for first in range(0, len(items), at_once):
                if first:
                    await asyncio.sleep(0)
                found += map(handled, items[first : first + at_once])
        finally:
            self.behind -= 1
            if len(items) > at_once:
                self.changed()
        return found
