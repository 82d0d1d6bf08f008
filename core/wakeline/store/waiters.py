"""One that waits for a change, in a thread or on an event loop, and how it is woken from another thread.

Invariant: a waiter belongs to the code that waits. It is woken once, and to wake it again does nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress

from wakeline.store.flags import Flag
from wakeline.store.tails import ToldEnd


class Waiter:
    """One that waits until something is behind ``after``."""

    __slots__ = ("__weakref__", "after", "end")

    def __init__(self, after: int) -> None:
        self.after = after
        self.end: ToldEnd | None = None
        """How the process ended for which it waits, if that came with what woke it."""


class BlockingWaiter(Waiter):
    """It blocks its thread."""

    __slots__ = ("_told",)

    def __init__(self, after: int) -> None:
        super().__init__(after)
        self._told = Flag()

    def wake(self) -> None:
        """Ends its wait."""
        self._told.up()

    def wait(self, ms: int | None) -> None:
        """Blocks until it is woken, at most ``ms``."""
        self._told.wait(None if ms is None else ms / 1000)


class AwaitedWaiter(Waiter):
    """It waits on the running loop."""

    __slots__ = ("loop", "told")

    def __init__(self, after: int) -> None:
        super().__init__(after)
        self.loop = asyncio.get_running_loop()
        self.told: asyncio.Future[None] = self.loop.create_future()

    async def wait(self, ms: int | None) -> None:
        """Returns when it is woken, or after ``ms``."""
        timer = None if ms is None else self.loop.call_later(ms / 1000, _tell, [self.told])
        try:
            await self.told
        finally:
            if timer is not None:
                timer.cancel()


def wake(waiters: Iterable[Waiter]) -> None:
    """Wakes them, those of one loop in one call; from any thread."""
    on_loops: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for one in waiters:
        if isinstance(one, BlockingWaiter):
            one.wake()
        elif isinstance(one, AwaitedWaiter):
            on_loops.setdefault(one.loop, []).append(one.told)
    for loop, futures in on_loops.items():
        with suppress(RuntimeError):  # the loop is closed, and what waited there is gone with it
            loop.call_soon_threadsafe(_tell, futures)


def _tell(futures: Sequence[asyncio.Future[None]]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)
