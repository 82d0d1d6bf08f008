"""A heartbeat from a thread of the worker's own process: for a stock ``rq worker``, ``rq worker -w`` and tests, which
have no supervisor.

Invariant: it beats while the interpreter runs. C code that holds the interpreter stops it; only our own supervisor can
prevent that.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from types import TracebackType

from wakeline.errors import StoreError
from wakeline.settings import Settings
from wakeline.shown import logger
from wakeline.store import owners
from wakeline.store.blocking import SyncStore
from wakeline.telemetry.phases import Phase

from wakeline_workers.loop import WorkerLoop

log = logger("wakeline.worker")


class Heartbeat:
    """Beats for one owner while its ``with`` block runs; it calls ``reaped`` once when the fleet has given the owner's
    work away."""

    def __init__(
        self,
        store: SyncStore,
        owner: str,
        settings: Settings,
        *,
        running: Callable[[], Sequence[str] | None],
        reaped: Callable[[], object],
    ) -> None:
        self._store = store
        self._owner = owner
        self._settings = settings
        self._running = running
        self._reaped = reaped
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="wakeline-heartbeat", daemon=True)

    @classmethod
    def of(cls, worker: WorkerLoop, loop: asyncio.AbstractEventLoop) -> Heartbeat:
        """The heartbeat of a worker loop that runs on ``loop``."""

        def reaped() -> object:
            return loop.call_soon_threadsafe(worker.lose)

        return cls(worker.app.store, worker.owner, worker.app.settings, running=lambda: worker.running, reaped=reaped)

    def _beat(self) -> None:
        beat = pause = self._settings.beat_ms / 1000
        answered = 0
        while not self._stop.wait(pause):
            if self._store.instruments.points:
                self._store.instruments.point(Phase.beat, "")
            s = self._settings
            try:
                beating = owners.beat(
                    self._owner, self._running(), lease_ms=s.lease_ms, n=answered + 1, patience_ms=s.bug_patience_ms
                )
                heard = self._store.execute(beating)
            except StoreError as error:
                # After an outage all owners look dead until they beat, and others wait one heartbeat for them. So a
                # failed beat is tried again sooner (race 29).
                log.warning("no heartbeat for %s: %s", self._owner, error)
                pause = beat / 4
                continue
            pause, answered = beat, answered + 1
            if not heard.alive:
                self._reaped()
                return

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
