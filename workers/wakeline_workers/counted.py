"""What a worker counts, and how that comes to the store: once a beat, and when the worker leaves.

Invariant: what was counted is added once. A write without an answer is sent again as it was, under its number, before
what was counted since. So a worker that is killed loses at most what it counted since its last write.
"""

from __future__ import annotations

import asyncio
from itertools import islice

from wakeline.app import App
from wakeline.errors import StoreError
from wakeline.logs import log_failure
from wakeline.shown import logger
from wakeline.store.awaited import AsyncStore
from wakeline.store.metrics import add_metrics
from wakeline.telemetry.counting import AT_ONCE, Counting

log = logger("wakeline.worker")


class Counted:
    """The metrics of one worker, from its start to its end. Unless it ``counts``, there are none."""

    def __init__(self, app: App, store: AsyncStore, owner: str, *, counts: bool) -> None:
        self._app, self._store, self._owner, self._counts = app, store, owner, counts
        self._counting = Counting()
        self._waiting: dict[str, int] = {}
        """What was counted and not yet written."""
        self._sent: dict[str, int] = {}
        """What the write that is not answered brings."""
        self._answered = 0

    def begin(self) -> None:
        """Counts from now on."""
        if self._counts:
            self._app.observe(self._counting)

    async def run(self) -> None:
        """Writes once a beat what was counted since, without an end."""
        self.begin()
        while True:
            await asyncio.sleep(self._app.settings.beat_ms / 1000)
            try:
                if self._counts:
                    await self._write()
            except StoreError as error:
                log_failure(log, error, "metrics were not written; the next beat brings them")

    async def end(self) -> None:
        """Writes all that is left, and counts no more."""
        if not self._counts:
            return
        self._app.instruments.remove(self._counting)
        self._gather()
        while self._sent or self._waiting:
            await self._write()

    def _gather(self) -> None:
        self._counting.failed(self._app.instruments.failures)
        for series, n in self._counting.take().items():
            self._waiting[series] = self._waiting.get(series, 0) + n

    async def _write(self) -> None:
        self._gather()
        if not self._sent:
            self._sent = dict(islice(self._waiting.items(), AT_ONCE))
            for series in self._sent:
                del self._waiting[series]
        if self._sent:
            await self._store.execute(add_metrics(self._owner, self._answered + 1, self._sent))
            self._answered, self._sent = self._answered + 1, {}
