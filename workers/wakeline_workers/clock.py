"""What time does: fires due timers, reaps expired owners, rings lost doorbells, prunes. One worker ticks, and the
others look once a second whether it does; ``wakeline clock`` does nothing else.

Invariant: nothing depends on which one ticks. The script decides that by Redis' clock, and a second tick does nothing
twice. So one that died, stalls or was stopped is replaced within a second, and any number of programs may tick.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from wakeline.app import App
from wakeline.errors import StoreError
from wakeline.logs import log_failure
from wakeline.names import new_owner_id
from wakeline.shown import logger
from wakeline.store import attachments, declarations, ticks
from wakeline.store.awaited import AsyncStore
from wakeline.store.calls import Program, once
from wakeline.store.watching import end_all
from wakeline.telemetry.phases import Phase
from wakeline.telemetry.seen import TickedSeen
from wakeline.verbs import triggers

from wakeline_workers.signals import ignore_ending_on, on_ending
from wakeline_workers.streams import keep_output

log = logger("wakeline.clock")
TICK_MS = 1000
"""The longest time between two ticks, in ms; a known timer shortens it. A worker that is later is replaced."""
OWN_TICK_MS = 900
"""The same for the one that ticks, so that it comes before those that would replace it."""
SWEEP_MS = 60_000
"""The time between two sweeps of attachments by one worker. A sweep is one look if nothing is due."""


class Ticker:
    """Ticks until cancelled; sleeps until the next due time, at most `TICK_MS`. While another one ticks, it fires only
    timers that it was told of.

    ``by`` says what ticks: `worker`, `clock` or `stock`, and an owner id. With ``spare_ms`` it ticks only if nothing
    else ticked in that time.
    """

    def __init__(
        self,
        app: App,
        store: AsyncStore,
        *,
        by: str,
        ticked: Callable[[], None] = lambda: None,
        spare_ms: int | None = None,
    ) -> None:
        self._app = app
        self._store = store
        self._settings = app.settings
        self._ticked = ticked
        self._by = by
        self._spare_ms = spare_ms
        self._sooner = asyncio.Event()
        self._next_ms = 0
        self._told_ms: int | None = None
        """When the next timer is due that it was told of, and that the one that ticks may not know of yet."""
        self._swept_ms = _monotonic_ms()
        self._sweeping: asyncio.Task[None] | None = None
        self._pruning: asyncio.Task[None] | None = None
        # The server's time minus this process' monotonic clock. Due times are the server's, and machines disagree about
        # the time of day.
        self._server_offset_ms: int | None = None

    def sooner(self, due_ms: int) -> None:
        """Says that a timer is due (server ms): it is fired no later. The next tick, of any worker, comes to know of
        one that is due after that."""
        if self._server_offset_ms is None or self._left_ms(due_ms) >= TICK_MS:
            return
        self._told_ms = due_ms if self._told_ms is None else min(due_ms, self._told_ms)
        if due_ms < self._next_ms:
            self._next_ms = due_ms
            self._sooner.set()

    def begin_at(self, due_ms: int, *, now_ms: int) -> None:
        """Sets when the first tick of `run` is due (server ms)."""
        self._next_ms, self._server_offset_ms = due_ms, now_ms - _monotonic_ms()

    async def run(self) -> None:
        """Ticks without an end. It logs a tick that failed, and tries again."""
        try:
            while True:
                await self._until_next()
                if not await self.tick():
                    await asyncio.sleep(TICK_MS / 1000)
        finally:
            for beside in (self._sweeping, self._pruning):
                if beside is not None:
                    beside.cancel()

    async def tick(self) -> bool:
        """One tick, and the work that it found. Returns whether the store did it."""
        s = self._settings
        if self._store.instruments.points:
            self._store.instruments.point(Phase.tick, "")
        lengths = {
            "beat_ms": s.beat_ms,
            "lease_ms": s.lease_ms,
            "stale_ms": s.stale_ms,
            "retention_ms": s.retention_ms,
            "tombstone_ms": s.tombstone_ms,
        }
        told = self._told_ms is not None and self._left_ms(self._told_ms) <= 0
        if told:
            self._told_ms = None
        ticking = ticks.tick(
            **lengths,
            by=self._by,
            spare_ms=self._spare_ms,
            every_ms=None if self._spare_ms else TICK_MS,
            told=told,
            patience_ms=s.bug_patience_ms,
        )
        began_s = time.monotonic()
        try:
            report = await self._store.execute(ticking)
        except StoreError as error:
            log_failure(log, error, "a tick failed; the next one follows")
            return False
        if self._store.instruments.ticks:
            self._store.instruments.ticked(_seen(report, time.monotonic() - began_s))
        if report.spared and self._spare_ms:
            self.begin_at(report.spared_until_ms or report.now_ms + TICK_MS, now_ms=report.now_ms)
            return True
        self._ticked()
        fired = await self._tend(report)
        self._plan(report, at_once=report.more or fired > 0)
        return True

    def _plan(self, report: ticks.TickReport, *, at_once: bool) -> None:
        """Sets when the next tick is due."""
        if at_once:
            self._told_ms = self._told_ms if report.spared_until_ms is None else report.now_ms
            return self.begin_at(report.now_ms, now_ms=report.now_ms)
        dues = [due for due in (report.next_due_ms, self._told_ms) if due is not None]
        if report.spared_until_ms is not None:
            # Another one's tick knows what is due later.
            self._told_ms = min((due for due in dues if due < report.spared_until_ms), default=None)
        until = report.spared_until_ms or report.now_ms + OWN_TICK_MS
        return self.begin_at(min([until, *dues]), now_ms=report.now_ms)

    async def _tend(self, report: ticks.TickReport) -> int:
        """Does what a tick found and only code can do: schedules that are due, and deliveries that their emitter did
        not finish. Returns how many schedules fired."""
        fired = 0
        if report.unwritten and (self._app.declared.app, self._app.declared.id) in report.unwritten:
            await self.declare("same")
        for schedule, due_ms in report.schedules:
            fired += await self._served(
                f"schedule {schedule.name}", triggers.fire(self._app.caller, schedule, due_ms, report.now_ms)
            )
        if _monotonic_ms() - self._swept_ms >= SWEEP_MS and (self._sweeping is None or self._sweeping.done()):
            self._swept_ms = _monotonic_ms()
            # Beside the ticks, because the backend of the bytes may be slow or away, and timers must not wait for it.
            self._sweeping = asyncio.create_task(self._sweep())
        if report.prune_in_ms is not None and (self._pruning is None or self._pruning.done()):
            # Beside the ticks too, because much may be over, and it is not urgent.
            self._pruning = asyncio.create_task(self._prune(report.prune_in_ms))
        if report.undelivered:
            await self._served(
                "what triggers left to deliver", triggers.redrive(self._app.caller, older_ms=self._settings.beat_ms)
            )
        return fired

    async def declare(self, how: declarations.How) -> None:
        """Writes what this release declares of limits, agents and schedules, if it is in force or this puts it in
        force."""
        await self._served("what this release declares", triggers.declare_all(self._app.declared, how))

    async def _sweep(self) -> None:
        """Sweeps again at once while there is more than one sweep looks at."""
        reports: list[attachments.SweepReport] = []
        while (
            await self._served("attachments without an owner", attachments.sweep(self._store.blobs), reports.append)
            and reports.pop().more
        ):
            pass

    async def _prune(self, in_ms: int | None) -> None:
        """Goes on until nothing is over; the store sets the pace."""
        s = self._settings
        slice_of = ticks.prune(retention_ms=s.retention_ms, tombstone_ms=s.tombstone_ms)
        reports: list[ticks.PruneReport] = []
        while in_ms is not None:
            await asyncio.sleep(in_ms / 1000)
            served = await self._served("what is over", once(slice_of), reports.append)
            in_ms = reports.pop().next_in_ms if served else None

    async def _served(
        self, what: str, program: Program[Any], heard: Callable[[Any], None] = lambda result: None
    ) -> bool:
        """Returns whether it went well.

        Stored data of another release, a missing time zone or code of the user must not end the ticks of a worker, nor
        keep it from the rest. The error is logged, and the next tick of any worker tries again."""
        try:
            heard(await self._store.run(program))
        except Exception as error:
            log_failure(log, error, "%s could not be served; the next tick tries again", what)
            return False
        return True

    def _left_ms(self, at_ms: int) -> int:
        """How long until a moment of the server's clock."""
        return at_ms - (self._server_offset_ms or 0) - _monotonic_ms()

    async def _until_next(self) -> None:
        if self._server_offset_ms is None:
            return  # the first tick
        while (left := self._left_ms(self._next_ms)) > 0:
            self._sooner.clear()
            try:
                await asyncio.wait_for(self._sooner.wait(), left / 1000)
            except TimeoutError:
                break
        # A virtual or skewed clock must not make a loop without a pause.
        await asyncio.sleep(0.001)


def _seen(report: ticks.TickReport, seconds: float) -> TickedSeen:
    return TickedSeen(seconds, report.fired, report.reaped, report.rung, report.pruned, report.spared)


def _monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000


async def _declare_and_tick(ticker: Ticker) -> None:
    # If only stock workers run, nothing else would make schedules known before the first job.
    await ticker.declare("patient")
    await ticker.run()


async def _tick(app: App) -> None:
    loop = asyncio.get_running_loop()
    store = app.new_async_store(patient=True)
    stopping = asyncio.Event()
    ticking = asyncio.create_task(_declare_and_tick(Ticker(app, store, by=f"clock {new_owner_id()}")))
    stopped = loop.create_task(stopping.wait())
    on_ending(loop, stopping.set)
    await asyncio.wait([ticking, stopped], return_when=asyncio.FIRST_COMPLETED)
    ignore_ending_on(loop)
    await end_all([stopped, *([] if ticking.done() else [ticking])])
    await store.close()
    if not ticking.cancelled():
        await ticking


def run(app: App) -> int:
    """Only ticks, until SIGTERM or SIGINT; returns the exit code."""
    keep_output()
    asyncio.run(_tick(app))
    return 0
