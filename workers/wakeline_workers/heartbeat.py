"""A heartbeat from a thread of the worker's own process: for a stock ``rq worker``, ``rq worker -w`` and tests, which
have no supervisor.

Invariant: it beats while the interpreter runs. C code that holds the interpreter stops it; only our own supervisor can
prevent that.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType

from wakeline.errors import StoreError
from wakeline.settings import Settings
from wakeline.shown import logger
from wakeline.store import owners
from wakeline.store.blocking import SyncStore
from wakeline.store.calls import Call
from wakeline.telemetry.phases import Phase
from wakeline.telemetry.seen import BeatSeen

from wakeline_workers.loop import WorkerLoop

log = logger("wakeline.worker")


def sent(store: SyncStore, owner: str, beating: Call[owners.Beaten]) -> owners.Beaten:
    """Sends a beat of an owner, of which instruments are told. Raises `StoreError`."""
    if not store.instruments.beats:
        return store.execute(beating)
    began_s, is_alive = time.monotonic(), False
    try:
        heard = store.execute(beating)
        is_alive = heard.alive
    finally:
        store.instruments.beat(BeatSeen(owner, time.monotonic() - began_s, is_alive))
    return heard


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
                heard = sent(self._store, self._owner, beating)
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
