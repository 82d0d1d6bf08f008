"""The function RQ stores by name: a doorbell's job, run by a stock ``rq worker -S json``.

Invariant: a stale, doubled or foreign doorbell ends at once and harms nothing.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

from wakeline.app import App
from wakeline.names import new_claim_id, new_owner_id
from wakeline.runtime.runner import Runner
from wakeline.store import fleet

from wakeline_workers.loading import load_app


def run(process_id: str, epoch: int) -> str:
    """Runs one process until it ends or parks; returns what became of it, 'stale' when there was nothing to do."""
    return asyncio.run(_run(load_app(), process_id, epoch))


async def _run(app: App, process_id: str, epoch: int) -> str:
    owner, lease = new_owner_id(), app.settings.lease_ms
    stop = threading.Event()

    def beat() -> None:
        # A thread of the same interpreter: C code that holds it stops the heartbeat, which only our own supervisor can prevent.
        while not stop.wait(app.settings.beat_ms / 1000):
            app.store.execute(fleet.beat(owner, None, lease_ms=lease))

    store = app.new_async_store(patient=True)
    host = _Host(app)
    with ThreadPoolExecutor(2) as threads:
        try:
            await store.execute(fleet.register_owner(owner, (), lease_ms=lease))
            claim = await store.execute(fleet.claim(process_id, epoch, owner, new_claim_id(), lease_ms=lease))
            if claim is None:
                return "stale"
            threading.Thread(target=beat, daemon=True).start()
            runner = Runner(store, app.registry, host, clock=app.clock, threads=threads)
            task = asyncio.create_task(runner.run(claim))
            while not task.done():
                await asyncio.wait([task], timeout=0.2)
                for held in list(runner.runs.values()):
                    await held.look()
            return task.result()
        finally:
            stop.set()
            await store.execute(fleet.reap(owner, "shutdown"))
            await store.close()


class _Host:
    """A stock worker runs one process: nothing to be kept for, so bodies park at once."""

    full = True

    def __init__(self, app: App) -> None:
        self.hold_ms = app.settings.hold_ms
        self.grace_ms = app.settings.grace_ms

    def timer(self, due_ms: int) -> None:
        """The tick is other workers' work."""
