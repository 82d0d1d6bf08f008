"""The function that RQ stores by name: the job of a doorbell, which a stock ``rq worker -S json`` runs.

Invariant: a stale or doubled doorbell ends at once and does no harm. A doorbell of another app fails, and says what to
do. What cannot be run here, because the app or its instrument cannot be loaded, waits and says so. If only stock
workers run, their jobs tick: if nothing ticked for two lease times, a job ticks before it runs and while it runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from rq import get_current_job
from wakeline.app import App
from wakeline.engines.build import build_of
from wakeline.errors import ForeignDoorbell, InstrumentNotFound, StoreError, WakelineError
from wakeline.names import doorbell_namespace, new_claim_id, new_owner_id
from wakeline.run.boundary import contain_exits
from wakeline.run.misfits import Misfits
from wakeline.runner import Runner
from wakeline.store import claims, owners
from wakeline.store.watching import end_all

from wakeline_workers.clock import Ticker
from wakeline_workers.counted import Counted
from wakeline_workers.heartbeat import Heartbeat
from wakeline_workers.isolation import isolation_of
from wakeline_workers.loading import load_app, load_for_work
from wakeline_workers.losses import Losses
from wakeline_workers.orphans import leave_without_worker
from wakeline_workers.streams import keep_output

LEAVE_S = 5.0
"""How long tasks and threads that a body left behind may take to end with its job."""
LOOK_S = 0.2
"""How often a run looks at its waits, because a stock worker listens to no hints."""


def run(process_id: str, epoch: int) -> str:
    """Runs one process until it ends or parks. Returns what became of it; 'stale' if there was nothing to do. Raises
    `ForeignDoorbell`."""
    keep_output()
    job = get_current_job()
    other = doorbell_namespace(job.id) if job is not None else None
    app, missing = _loaded(other)
    if other is not None and other != app.namespace:
        # If the job ended quietly, the process would be rung again, again for the wrong worker, and no log would say
        # why.
        raise ForeignDoorbell(namespace=app.namespace, other=other)
    leave_without_worker(app, job)
    if missing is not None:
        return _to_its_end(_handed_back(app, process_id, epoch, missing))
    try:
        return _to_its_end(_run(app, process_id, epoch))
    finally:
        if app.instruments.leaves:
            app.instruments.leaving()  # RQ's work-horse ends without a further word of Python


def _loaded(namespace: str | None) -> tuple[App, WakelineError | None]:
    """The app, and why nothing can be run here: its instrument or the app itself cannot be loaded. Then an empty app of
    the namespace stands for it, which can say so in the store. Raises what is wrong if no namespace is known."""
    try:
        return load_for_work(), None
    except InstrumentNotFound as missing:
        return load_app(), missing
    except WakelineError as missing:
        if namespace is None:
            raise
        return App(namespace), missing


def _to_its_end(job: Coroutine[Any, Any, str]) -> str:
    """Like `asyncio.run`, but that waits for every task and thread that a body left behind, and one without an end
    would hold the job."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(job)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left, timeout=LEAVE_S))
        loop.close()


async def _run(app: App, process_id: str, epoch: int) -> str:
    owner, settings = new_owner_id(), app.settings
    store = app.new_async_store(patient=True)
    loop, losses = asyncio.get_running_loop(), Losses(app, store)
    host = _Host(app)
    contain_exits(loop)
    threads = ThreadPoolExecutor(2)
    runner = Runner(store, app.registry, host, clock=app.clock, threads=threads, patience_ms=settings.bug_patience_ms)

    counted = Counted(app, store, owner, counts=settings.metrics)
    ticker = Ticker(app, store, by=f"stock {owner}", spare_ms=2 * settings.lease_ms)
    ticking: list[asyncio.Task[None]] = []
    ended = "owner_lost"  # something ended the loop: this counts as a loss, or it would be tried again without an end
    try:
        introduction = owners.register_owner(
            owner,
            (),
            lease_ms=settings.lease_ms,
            app=app.name,
            release=settings.release,
            declared=app.declared,
            patient=True,
            build=build_of(app.registry),
        )
        heard = await store.execute(introduction)
        if heard.unwritten:
            await ticker.declare("same")
        await _first_tick(ticker, heard, 2 * settings.lease_ms)
        ticking.append(asyncio.create_task(ticker.run()))
        claiming = claims.claim(
            process_id,
            epoch,
            owner,
            new_claim_id(),
            lease_ms=settings.lease_ms,
            release=heard.release,
            seen=app.instruments.see_runs,
        )
        claim = await store.execute(claiming)
        if claim is None:
            ended = "shutdown"
            return "stale"

        def lose() -> None:
            losses.of_owner(owner)
            runner.lose()

        with Heartbeat(
            app.store, owner, settings, running=lambda: None, reaped=lambda: loop.call_soon_threadsafe(lose)
        ):
            counted.begin()
            task = asyncio.create_task(runner.run(claim))
            while not task.done():
                await asyncio.wait([task], timeout=LOOK_S)
                for held in list(runner.runs.values()):
                    await held.waits.look()
            outcome = task.result()
            if outcome == "lost":
                losses.of_run(process_id)
            ended = "shutdown"
            return outcome
    except StoreError:
        ended = "shutdown"  # the fault of the server and of no body
        raise
    finally:
        await end_all(ticking)
        await counted.end()
        await store.execute(owners.reap(owner, ended, patience_ms=settings.bug_patience_ms, proven=runner.proven))
        await losses.say()
        if host.isolation is not None:
            await host.isolation.close()
        await store.close()
        # This does not wait: a body that keeps its thread may ask this loop for more, and would get no answer.
        threads.shutdown(wait=False)


async def _handed_back(app: App, process_id: str, epoch: int, missing: WakelineError) -> str:
    """Gives a process back to wait for a worker that can load what runs it, as one that has no code for it does."""
    owner, settings = new_owner_id(), app.settings
    store = app.new_async_store(patient=True)
    try:
        introduction = owners.register_owner(
            owner, (), lease_ms=settings.lease_ms, release=settings.release, patient=True
        )
        heard = await store.execute(introduction)
        if isinstance(missing, InstrumentNotFound):  # only with the app do schedules that are due find their bodies
            await _first_tick(
                Ticker(app, store, by=f"stock {owner}", spare_ms=2 * settings.lease_ms), heard, 2 * settings.lease_ms
            )
        claiming = claims.claim(
            process_id, epoch, owner, new_claim_id(), lease_ms=settings.lease_ms, release=heard.release
        )
        claim = await store.execute(claiming)
        if claim is None:
            return "stale"
        return await Misfits(store, settings.bug_patience_ms).hand_back(claim, "missing", missing, unrun=True)
    finally:
        await store.execute(owners.reap(owner, "shutdown", patience_ms=settings.bug_patience_ms))
        await store.close()


async def _first_tick(ticker: Ticker, heard: owners.Introduced, spare_ms: int) -> None:
    """Ticks before the run, which may be short, if nothing else ticked for ``spare_ms``."""
    due_ms = heard.now_ms if heard.ticked_ms is None else heard.ticked_ms + spare_ms
    ticker.begin_at(due_ms, now_ms=heard.now_ms)
    if due_ms <= heard.now_ms:
        await ticker.tick()


class _Host:
    """A stock worker runs one process, so it keeps no body in memory: bodies park at once."""

    full = True

    def __init__(self, app: App) -> None:
        self.hold_ms = app.settings.hold_ms
        self.grace_ms = app.settings.grace_ms
        self.isolation = isolation_of(app)

    def timer(self, due_ms: int) -> None:
        """Nothing: other workers tick."""

    def leaving(self, claim_id: str) -> None:
        """Nothing: no other run waits for the slot."""
