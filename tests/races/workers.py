"""Workers in this process: they run bodies with the real runner, under the virtual clock, and can be killed at a named
moment.

Invariant: a killed worker sends nothing more, as after SIGKILL; the fleet learns of it by its silence alone.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from wakeline.app import App
from wakeline.run.host import RunState
from wakeline.run.run import Run
from wakeline.runner import Runner
from wakeline.settings import Settings
from wakeline.store import owners
from wakeline.store.awaited import AsyncStore
from wakeline.store.calls import Call
from wakeline.telemetry.instrument import Instrument
from wakeline.telemetry.instruments import Instruments
from wakeline.telemetry.phases import Phase

from tests.lua.world import LEASE_MS, World

T = TypeVar("T")
MOST_TAKES = 50
PATIENCE_S = 20
"""Long, as it is waited for where a test fails, and the machine may be busy."""


def app_of(world: World) -> App:
    """An app in the world's namespace, under its clock, whose bodies park as soon as they only wait."""
    return App(
        world.ns,
        backend=world.backend,
        clock=world.clock,
        settings=Settings(rq_prefix=world.rq("").removesuffix(":"), hold_ms=0, shutdown_ms=100),
    )


@dataclass(frozen=True)
class Host:
    """A worker with room for everything."""

    hold_ms: int = 0
    full: bool = False
    grace_ms: int = 10_000
    isolation: None = None

    def timer(self, due_ms: int) -> None:
        """Ticks are the test's."""

    def leaving(self, claim_id: str) -> None:
        """Takes are the test's."""


class _Cord(AsyncStore):
    """A connection that is cut when its worker is killed: what is sent then never arrives."""

    def cut(self) -> None:
        self.is_cut.set()

    async def execute(self, call: Call[T]) -> T:
        if self.is_cut.is_set():
            await asyncio.Event().wait()
        return await super().execute(call)

    async def open(self) -> None:
        self.is_cut = asyncio.Event()
        await super().open()


@dataclass
class _Killer(Instrument):
    """Kills a worker when a phase is reached for the n-th time."""

    kill: Callable[[], None]
    phase: Phase | None
    left: int

    def point(self, phase: Phase, process_id: str) -> None:
        if phase is self.phase:
            self.left -= 1
            if self.left == 0:
                self.kill()


def work(world: World, app: App, owner: str = "w1", *, killed_at: Phase | None = None, nth: int = 1) -> list[str]:
    """A worker runs all there is to run and leaves; or is killed at a phase. What became of its runs ('killed'
    last)."""
    return asyncio.run(_work(world, app, owner, killed_at, nth))


async def _work(world: World, app: App, owner: str, killed_at: Phase | None, nth: int) -> list[str]:
    store = _Cord(app.backend, app.address)
    await store.open()
    ended: list[str] = []
    takes = itertools.count(1)
    threads = ThreadPoolExecutor(4)
    try:
        app.registry.instruments = Instruments([_Killer(store.cut, killed_at, nth)])
        runner = Runner(store, app.registry, Host(), clock=app.clock, threads=threads)
        await store.execute(owners.register_owner(owner, app.queues, lease_ms=LEASE_MS, agents=app.registry.policies))
        while claims := (await store.execute(world.taking(owner))).claims:
            assert next(takes) < MOST_TAKES, f"a hot loop: {ended[-3:]}"
            runs = asyncio.gather(*(runner.run(claim) for claim in claims))
            cut = asyncio.ensure_future(store.is_cut.wait())
            done, _ = await asyncio.wait([runs, cut], timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
            cut.cancel()
            if runs not in done:
                store.cut()
                await _bury(runs, list(runner.runs.values()))
                assert done, f"a run of {[claim.process_id for claim in claims]} neither ends nor parks"
                return [*ended, "killed"]
            ended += runs.result()
    finally:
        # Beside the loop: a body that still runs in its thread may have something to ask of it.
        await asyncio.to_thread(threads.shutdown)
    await store.execute(owners.reap(owner, "shutdown"))
    await store.close()
    return ended


async def _bury(runs: asyncio.Future[list[str]], left: Sequence[Run]) -> None:
    """What a dead worker leaves in this process does nothing more."""
    for run in left:
        run.life.end(RunState.LOST)
    runs.cancel()
    await asyncio.gather(runs, return_exceptions=True)
