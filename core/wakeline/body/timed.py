"""A try of a tool's code with a time limit.

Invariant: the try is over at its time, even if the code goes on. What the code does later does not count, and no other
try begins beside it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import Any

from wakeline.cancellation import CancellationToken
from wakeline.processes.failures import described
from wakeline.shown import logger

log = logger("wakeline.runner")
UNWIND_S = 0.1
"""How long code may take to clean up after its time, in seconds, before it counts as abandoned."""
_abandoned: set[asyncio.Task[Any]] = set()
"""Tasks of code that goes on. An event loop alone would not keep them."""


class TimedTry:
    """Code on the loop or in a thread, with its time. ``what`` names it in the log. ``token`` is cancelled when the
    time is over."""

    def __init__(
        self, what: str, code: Awaitable[Any], *, limit_ms: int, is_async: bool, token: CancellationToken
    ) -> None:
        self._what, self._limit_ms, self._is_async, self._token = what, limit_ms, is_async, token
        self._code = asyncio.ensure_future(code)
        self._due = time.monotonic() + limit_ms / 1000

    async def outcome(self) -> Any:
        """Returns or raises what the code does in its time; raises `TimeoutError` at the end of the time."""
        try:
            await asyncio.wait([self._code], timeout=self._limit_ms / 1000)
        except asyncio.CancelledError:
            # The task that waits for the outcome has to end. The code ends first, as if it were awaited itself, and has
            # its time for that.
            self._code.cancel()
            await asyncio.wait([self._code], timeout=max(0.0, self._due - time.monotonic()))
            if not self._code.done():
                self._abandon("it was cancelled and is over its time")
            raise
        if self._code.done():
            return self._code.result()
        late = f"it took longer than its timeout of {self._limit_ms} ms"
        self._token.cancel(late)
        if self._is_async:  # a thread goes on after a cancel, and its task says when it ends
            self._code.cancel()
        await asyncio.wait([self._code], timeout=UNWIND_S)
        if self._code.done():
            self._told()
        else:
            self._abandon(late)
        raise TimeoutError(late)

    def _abandon(self, why: str) -> None:
        log.warning("%s is abandoned: %s. Its code goes on; nothing it does counts.", self._what, why)
        _abandoned.add(self._code)
        self._code.add_done_callback(self._ended)

    async def is_over(self, patience_s: float, cancellation: CancellationToken) -> bool:
        """Whether the code has ended. It waits at most ``patience_s``, and no longer than until the run is
        cancelled."""
        if not self._code.done():
            cancelled = asyncio.ensure_future(cancellation.wait())
            await asyncio.wait([self._code, cancelled], timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
            cancelled.cancel()
        return self._code.done()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        _abandoned.discard(task)
        log.warning(
            "%s ended %.1f s after its time, with %s: that is not counted.",
            self._what,
            time.monotonic() - self._due,
            self._told(),
        )

    def _told(self) -> str:
        if self._code.cancelled():
            return "its cancellation"
        error = self._code.exception()
        return "a result" if error is None else ": ".join(described(error))
