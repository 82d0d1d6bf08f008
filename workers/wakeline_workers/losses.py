"""What a worker lost: single runs with their lease, or all of them with its owner. It looks up the reason before it
logs the loss.

Invariant: a worker that leaves has compared its numbers with the store's. If its registration is gone, nothing that it
sends writes any more, so no answer would show what is lost.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

from wakeline.app import App
from wakeline.shown import logger
from wakeline.store.awaited import AsyncStore

log = logger("wakeline.worker")
NAMED = 10
"""How many processes one line names at most."""


class Losses:
    """The losses of one worker or job that are not logged yet. Used on its loop."""

    def __init__(self, app: App, store: AsyncStore) -> None:
        self._app = app
        self._store = store
        self._within_s = app.settings.lease_ms / 1000
        self._back_s: float | None = None
        self._runs: list[str] = []
        self._owner: str | None = None
        self._saying: asyncio.Task[None] | None = None
        store.rewound.append(self._went_back)

    def _went_back(self) -> None:
        self._back_s = time.monotonic()

    def of_run(self, process_id: str) -> None:
        """This run lost its lease."""
        self._runs.append(process_id)
        self._soon()

    def of_owner(self, owner: str) -> None:
        """The fleet no longer knows this owner, so all its runs lose their lease."""
        self._owner = owner
        self._soon()

    def _soon(self) -> None:
        if self._saying is None or self._saying.done():
            self._saying = asyncio.get_running_loop().create_task(self._look_and_say())

    async def say(self) -> None:
        """Called before the worker leaves. It looks whether the store still has all writes that it answered here, and
        logs what was lost."""
        if self._saying is not None:
            await asyncio.wait([self._saying])
        await self._look_and_say()

    async def _look_and_say(self) -> None:
        await self._store.compare()
        # Writes that bodies sent by their app are counted separately. This blocks, and all threads of the loop may be
        # in code that never ends.
        threads = ThreadPoolExecutor(1, thread_name_prefix="wakeline-losses")
        await asyncio.get_running_loop().run_in_executor(threads, self._app.store.compare)
        threads.shutdown(wait=False)
        runs, self._runs = self._runs, []
        owner, self._owner = self._owner, None
        if self._back_s is not None and time.monotonic() - self._back_s < self._within_s:
            self._say_it_went_back(runs, owner)
            return
        for process_id in runs:
            log.warning(
                "%s: this run lost its lease, so nothing of it is recorded any more; it was ended from outside, or "
                "another run has it",
                process_id,
            )
        if owner is not None:
            log.warning("owner %s was reaped; its runs stop", owner)

    @staticmethod
    def _say_it_went_back(runs: list[str], owner: str | None) -> None:
        if owner is not None:
            log.error("the store went back, and no longer knows owner %s; what ran here is stopped", owner)
        if runs:
            more = f" and {len(runs) - NAMED} more" if len(runs) > NAMED else ""
            log.error(
                "the store went back, and the leases of runs here are gone; these are stopped: %s%s",
                ", ".join(runs[:NAMED]),
                more,
            )
