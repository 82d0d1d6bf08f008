"""The worker loop: takes doorbells in batches, runs bodies concurrently, ticks, and waits for work on its own hint list.

Invariant: it never takes more than its free slots, and what it took it runs, hands back or loses with its lease.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from secrets import token_hex
from typing import Any

from wakeline.app import App
from wakeline.errors import StoreError
from wakeline.names import new_owner_id
from wakeline.phases import Probe
from wakeline.runtime.run import RunState
from wakeline.runtime.runner import Runner
from wakeline.store import fleet
from wakeline.store.runs import Claim

log = logging.getLogger("wakeline.worker")
TICK_MS = 1000


class WorkerLoop:
    """One worker on one event loop. ``on_beat`` (under a supervisor) is told what runs; without one the loop beats for itself."""

    def __init__(self, app: App, *, owner: str | None = None, queues: tuple[str, ...] | None = None, concurrency: int | None = None,
                 on_beat: Callable[[list[str]], None] | None = None, burst: bool = False, probe: Probe | None = None) -> None:  # fmt: skip
        self.app = app
        self.owner = owner or new_owner_id()
        self.queues = queues or app.queues
        self.concurrency = concurrency or app.settings.concurrency
        self.store = app.new_async_store(patient=True)
        self._threads = ThreadPoolExecutor(max_workers=self.concurrency, thread_name_prefix="wakeline-body")
        self._runner = Runner(self.store, app.registry, self, clock=app.clock, threads=self._threads, probe=probe)
        self._on_beat = on_beat
        self._burst = burst
        self._tasks: set[asyncio.Task[Any]] = set()
        self._alone = False
        self._stopping = asyncio.Event()
        self._next_tick_ms = 0
        self._request: tuple[str, int] | None = None
        self.ran = 0

    # -- what a run asks of its host ---------------------------------------------------------------------------------------------

    @property
    def hold_ms(self) -> int:
        return self.app.settings.hold_ms

    @property
    def grace_ms(self) -> int:
        return self.app.settings.grace_ms

    @property
    def full(self) -> bool:
        """No free slot: parked bodies should go at once."""
        return self.free == 0

    @property
    def free(self) -> int:
        return 0 if self._alone else self.concurrency - len(self._tasks)

    def timer(self, due_ms: int) -> None:
        """A timer this worker knows of: the tick comes no later."""
        self._next_tick_ms = min(self._next_tick_ms, due_ms)

    # -- the loop ----------------------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Stops taking; running work parks, ends or is handed back. Safe to call from a signal handler of the loop."""
        self._stopping.set()

    async def serve(self) -> int:
        """Runs until stopped (or, in burst mode, until nothing is left to take); returns how many claims it ran."""
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(self.concurrency, thread_name_prefix="wakeline-step"))
        await self._register()
        self._rung = asyncio.Event()
        side = [asyncio.create_task(self._ticking()), asyncio.create_task(self._beating()), asyncio.create_task(self._listening())]
        try:
            while not self._stopping.is_set():
                more = await self._take() if self.free else False
                if self._burst and not more and not self._tasks:
                    break
                if not (more and self.free):
                    await self._until_something()
            await self._drain()
        finally:
            for task in side:
                task.cancel()
            await asyncio.gather(*side, return_exceptions=True)
            await self.store.execute(fleet.reap(self.owner, "shutdown"))
            await self.store.close()
            self._threads.shutdown(wait=False)
        return self.ran

    async def _register(self) -> None:
        await self.store.execute(fleet.register_owner(self.owner, self.queues, lease_ms=self.app.settings.lease_ms))

    async def _take(self) -> bool:
        # The same request id until its reply was seen: a lost reply is asked for again, not taken twice.
        request, n = self._request = self._request or (token_hex(8), self.free)
        taken = await self.store.execute(fleet.take(self.owner, request, self.queues, n, lease_ms=self.app.settings.lease_ms))
        self._request = None
        if taken.reaped:
            await self._new_owner()
            return True
        for claim in taken.claims:
            self._start(claim)
        return taken.more or len(taken.claims) == n

    async def _new_owner(self) -> None:
        """Reaped (we looked dead): nothing of ours may write any more; a new id starts clean."""
        log.warning("owner %s was reaped; going on under a new id", self.owner)
        for run in list(self._runner.runs.values()):
            run.end(RunState.LOST)
        if self._on_beat is not None:
            # The supervisor beats for the old id; it starts this process again under a new one.
            self.stop()
            return
        self.owner = new_owner_id()
        await self._register()

    def _start(self, claim: Claim) -> None:
        task = asyncio.create_task(self._runner.run(claim))
        self._tasks.add(task)
        self._alone = self._alone or claim.alone
        task.add_done_callback(self._ended)
        self.ran += 1

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not self._tasks:
            self._alone = False
        self._rung.set()
        if not task.cancelled() and task.exception() is not None:
            log.error("a run ended unexpectedly; its lease decides", exc_info=task.exception())

    async def _until_something(self) -> None:
        stop = asyncio.ensure_future(self._stopping.wait())
        rung = asyncio.ensure_future(self._rung.wait())
        await asyncio.wait([stop, rung], timeout=0.05 if self._burst else TICK_MS / 1000, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        rung.cancel()
        self._rung.clear()

    async def _listening(self) -> None:
        while True:
            for message in await self.store.hints(self.owner, TICK_MS):
                self._heed(message)

    def _heed(self, message: str) -> None:
        verb, *rest = message.split(" ")
        if verb == "bell":
            self._rung.set()
            return
        run = self._runner.runs.get(rest[-1])
        if run is None:
            return
        if verb == "lost":
            run.end(RunState.LOST)
        else:
            run.cancelled = run.cancelled or verb == "cancel"
            run.spawn(run.look())

    async def _ticking(self) -> None:
        s = self.app.settings
        while True:
            try:
                report = await self.store.execute(
                    fleet.tick(beat_ms=s.beat_ms, lease_ms=s.lease_ms, stale_ms=s.stale_ms, retention_ms=s.retention_ms, tombstone_ms=s.tombstone_ms)
                )
            except StoreError:
                log.exception("a tick failed; the next one follows")
                await asyncio.sleep(TICK_MS / 1000)
                continue
            for run in list(self._runner.runs.values()):
                if run.waiting:
                    run.spawn(run.look())
            now = self.app.clock.now_ms()
            self._next_tick_ms = now + (0 if report.more else TICK_MS)
            if report.next_due_ms is not None:
                self._next_tick_ms = min(self._next_tick_ms, report.next_due_ms)
            while (left := self._next_tick_ms - self.app.clock.now_ms()) > 0:
                await asyncio.sleep(min(left, 50) / 1000)
            await asyncio.sleep(0.001)

    async def _beating(self) -> None:
        s = self.app.settings
        while True:
            running = list(self._runner.runs)
            if self._on_beat is not None:
                self._on_beat(running)
            else:
                alive, _ = await self.store.execute(fleet.beat(self.owner, running, lease_ms=s.lease_ms))
                if not alive:
                    await self._new_owner()
            await asyncio.sleep(s.beat_ms / 1000)

    async def _drain(self) -> None:
        """Shutdown: bodies park or stop at their next effect; what does not end in time is handed back and left behind."""
        for run in list(self._runner.runs.values()):
            run.stop()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self.app.settings.shutdown_ms / 1000)
