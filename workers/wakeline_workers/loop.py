"""The worker loop: takes doorbells in batches, runs bodies concurrently, ticks, and waits for work on its own hint
list.

Invariant: it never takes more than it has free slots. It runs what it took, hands it back, or loses it with its lease.
It does not beat; its supervisor or a thread beats, where no body can block it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from wakeline.app import App
from wakeline.engines.build import build_of
from wakeline.errors import StoreError
from wakeline.logs import log_failure
from wakeline.names import new_owner_id
from wakeline.releases import Declared
from wakeline.run.boundary import contain_exits
from wakeline.runner import Runner
from wakeline.shown import logger
from wakeline.store import declarations, owners
from wakeline.store.claims import Claim, take
from wakeline.store.watching import end_all
from wakeline.telemetry.phases import Phase
from wakeline.telemetry.seen import TakenSeen
from wakeline.verbs import triggers

from wakeline_workers.apart import Apart
from wakeline_workers.clock import TICK_MS, Ticker
from wakeline_workers.counted import Counted
from wakeline_workers.hearing import Hearing
from wakeline_workers.isolation import IsolatedClaims, isolation_of
from wakeline_workers.losses import Losses
from wakeline_workers.said import NOT_DECLARED, OTHER_CODE
from wakeline_workers.takes import Takes
from wakeline_workers.watchdog import Watchdog

log = logger("wakeline.worker")
SPARE_THREADS = 256
DRAIN_SHARE = 0.8
"""The part of the shutdown time in which running work may end by itself. In the rest it is handed back."""
HAND_BACK_S = 1.0
"""The rest is at least this long. It is within the time that a supervisor waits beyond the shutdown time."""


class WorkerLoop:
    """One worker on one event loop. Once a beat it calls ``reported`` with what runs (`running`); if it ``counts``, it
    adds to the metrics."""

    def __init__(
        self,
        app: App,
        *,
        owner: str | None = None,
        queues: Sequence[str] = (),
        concurrency: int | None = None,
        reported: Callable[[list[str]], None] | None = None,
        burst: bool = False,
        counts: bool = False,
    ) -> None:
        self.app = app
        self.owner = owner or new_owner_id()
        self.queues = tuple(queues) or app.queues
        self.concurrency = concurrency or app.settings.concurrency
        self.reaped = False
        self.ran = 0
        self.store = app.new_async_store(patient=True)
        # A lost body may keep its thread for long; later bodies get other threads.
        self._threads = ThreadPoolExecutor(
            max_workers=self.concurrency + SPARE_THREADS, thread_name_prefix="wakeline-body"
        )
        self.isolation = isolation_of(app)
        patience_ms = app.settings.bug_patience_ms
        self._runner = Runner(
            self.store,
            app.registry,
            self,
            clock=app.clock,
            threads=self._threads,
            patience_ms=patience_ms,
        )
        self._ticker = Ticker(app, self.store, by=f"worker {self.owner}", ticked=self._look_at_waits)
        self._losses = Losses(app, self.store)
        self._counted = Counted(app, self.store, self.owner, counts=counts)
        self._reported = reported
        self._burst = burst
        self._tasks: dict[asyncio.Task[Any], str] = {}
        """What runs, by claim."""
        self._leaving: set[str] = set()
        """Claims whose body is over. The write of their end needs no slot, and the next take leaves with it."""
        self._apart = Apart()
        self._isolated = IsolatedClaims.of(app)
        self._again: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._at_once = asyncio.Event()
        self._rung = asyncio.Event()
        self._agents = {name: agent.policy for name, agent in app.registry.agents.items()}
        self._takes = Takes()
        self._hearing = Hearing(self._runner, ring=self._rung.set, timer=self.timer, begin=self._begin_handed)
        self._closed = False
        self._proven = False
        """Whether the store knows that this release is proven."""
        self._release = app.settings.release

    # -- what a run asks of its host

    @property
    def hold_ms(self) -> int:
        return self.app.settings.hold_ms

    @property
    def grace_ms(self) -> int:
        return self.app.settings.grace_ms

    @property
    def full(self) -> bool:
        """Whether there is no free slot: then waiting bodies should park at once."""
        return self.free == 0

    @property
    def free(self) -> int:
        if self._apart.keeps_others_out:
            return 0
        return max(0, self.concurrency - len(self._tasks) + len(self._leaving))

    def timer(self, due_ms: int) -> None:
        """Says that a timer is due: the tick comes no later."""
        self._ticker.sooner(due_ms)

    def leaving(self, claim_id: str) -> None:
        """Says that a body is over: its slot is free."""
        self._leaving.add(claim_id)
        self._isolated.end(claim_id)
        self._rung.set()

    # -- what its owner may ask

    @property
    def running(self) -> list[str]:
        """What a beat names: the claims of this worker, from their take until their end is written, and the takes that
        may bring more. Safe to read from another thread.
        """
        takes = self._takes.named  # read before the claims that they bring: one that arrives is in one of the two
        return [*list(self._tasks.values()), *takes]

    def stop(self) -> None:
        """Stops taking; running work parks, ends or is handed back. Called on the loop."""
        self._stopping.set()
        self._rung.set()

    def hand_back(self) -> None:
        """Stops without a heartbeat, also during a shutdown: hands back at once what runs, while its lease runs. Called
        on the loop."""
        self._at_once.set()
        self.stop()

    def lose(self) -> None:
        """The fleet has reaped this owner. It may write nothing more, and takes no more. Called on the loop."""
        if not self.reaped:
            self._losses.of_owner(self.owner)
        self.reaped = True
        self._runner.lose()
        self.stop()

    # -- the loop

    async def serve(self) -> int:
        """Runs until it is stopped or reaped, or (burst) until nothing is left to take. Returns how many claims it
        ran."""
        loop = asyncio.get_running_loop()
        loop.set_default_executor(
            ThreadPoolExecutor(self.concurrency + SPARE_THREADS, thread_name_prefix="wakeline-step")
        )
        contain_exits(loop)
        await self._introduce(self.app.declared)
        self.store.rewound.append(self._went_back)
        side = [loop.create_task(part) for part in (self._ticker.run(), self._listen(), self._counted.run())]
        if self._reported is not None:
            side.append(loop.create_task(self._report(self._reported)))
        for task in side:
            task.add_done_callback(self._side_ended)
        # something ended the loop: the code that ran here may be the cause, so it counts as a loss
        ended = "owner_lost"
        try:
            with Watchdog(self._runner.runs, self.store.instruments):
                while not self._stopping.is_set():
                    more = await self._take() if self.free else False
                    if self._burst and not more and not self._tasks:
                        break
                    if not (more and self.free):
                        await self._until_something()
                await self._drain()
            ended = "shutdown"
        except StoreError:
            ended = "shutdown"  # the fault of the server and of no body
            raise
        finally:
            await end_all([*side, *([self._again] if self._again else [])])
            await self._counted.end()
            patience_ms = self.app.settings.bug_patience_ms
            await self.store.execute(
                owners.reap(self.owner, ended, patience_ms=patience_ms, proven=self._runner.proven and not self._proven)
            )
            await self._losses.say()
            if self.isolation is not None:
                await self.isolation.close()
            await self.store.close()
            self._threads.shutdown(wait=False)
        return self.ran

    def _went_back(self) -> None:
        """The store went back, or is another one. It may lack what this worker wrote when it began."""
        self._proven = False
        # A run that the store no longer knows of, or of whose work it lacks a part, is over before its next write.
        for run in list(self._runner.runs.values()):
            run.life.spawn(run.waits.look())
        # One that leaves, as its registration is gone, declares nothing: its successor does.
        if not self._stopping.is_set() and (self._again is None or self._again.done()):
            self._again = asyncio.get_running_loop().create_task(self._declare_again())

    async def _declare_again(self) -> None:
        try:
            await self.store.renew_functions()
            await self.store.run(triggers.declare_all(self.app.declared, "patient"))
        except StoreError as error:
            log_failure(log, error, NOT_DECLARED)

    async def _introduce(self, declared: Declared) -> None:
        """Registers this worker, and writes what its release declares if that is in force."""
        settings = self.app.settings
        introduction = owners.register_owner(
            self.owner,
            self.queues,
            lease_ms=settings.lease_ms,
            app=declared.app,
            release=settings.release,
            declared=declared,
            codes=self.app.registry.codes,
            build=build_of(self.app.registry),
            turns=self._agents,
        )
        heard = await self.store.execute(introduction)
        if heard.release != settings.release:
            log.warning(OTHER_CODE, settings.release, heard.release)
            self._release = heard.release
        await self.store.renew_functions()
        if not heard.declares:
            log.info(
                "another release's limits, schedules and agents' turns are in force, not this one's: `wakeline doctor`"
                " names it"
            )
            return
        await self.store.run(triggers.declare(declared.schedules, by=declared))
        if heard.unwritten:
            await self.store.execute(declarations.written(declared))

    async def _take(self) -> bool:
        # The same ids until the reply was seen: a lost reply is asked for again, and nothing is taken twice.
        (request, following), n = self._takes.begin(), self.free
        settings, proven = self.app.settings, self._runner.proven and not self._proven
        taking = take(
            self.owner,
            request,
            self.queues,
            n,
            lease_ms=settings.lease_ms,
            agents=self._agents,
            release=self._release,
            proven=proven,
            cleared=self._apart.are_all(self._tasks.values()),
            isolates=self._isolated.free,
            seen=self.store.instruments.see_runs,
            following=following if self._may_be_handed else None,
        )
        if self.store.instruments.points:
            self.store.instruments.point(Phase.taking, "")
        taken = await self.store.execute(taking)
        if self.store.instruments.points:
            self.store.instruments.point(Phase.taken, "")
        if self.store.instruments.takes:
            self.store.instruments.taken(TakenSeen(self.owner, n, len(taken.claims)))
        self._proven = self._proven or proven
        if taken.reaped:
            self.lose()
        self._begin(taken.claims)
        return taken.more or len(taken.claims) == n

    @property
    def _may_be_handed(self) -> bool:
        """Whether the store may claim a process for it: it runs no body, so none keeps it from beginning at once."""
        return not self._burst and len(self._tasks) == len(self._leaving)

    def _begin(self, claims: Sequence[Claim]) -> None:
        """Begins what a take brought."""
        for claim in filter(self._takes.is_news, claims):
            self._start(claim)
        self._takes.answered(claims)

    def _begin_handed(self, claim: Claim) -> None:
        """Begins what a hand-off brought. What comes while it drains is handed back at once (`Runner.stop`)."""
        if not self.reaped and self._takes.is_news(claim):
            self._start(claim)
            self._takes.handed(claim)

    def _start(self, claim: Claim) -> None:
        task = asyncio.create_task(self._runner.run(claim), name=claim.process_id)
        self._tasks[task] = claim.fence.claim_id
        self._isolated.begin(claim)
        if claim.alone:
            asyncio.get_running_loop().call_later(self._apart.begin(claim), self._rung.set)
        task.add_done_callback(self._ended)
        self.ran += 1

    def _ended(self, task: asyncio.Task[Any]) -> None:
        claim_id = self._tasks.pop(task)
        self._isolated.end(claim_id)
        emptied = self._apart.end(claim_id) or (self._burst and not self._tasks)
        # A take has already left with the write of its end.
        if emptied or claim_id not in self._leaving:
            self._rung.set()
        self._leaving.discard(claim_id)
        if task.cancelled():
            return
        if task.exception() is not None:
            log_failure(log, task.exception(), "a run ended unexpectedly; its lease decides")
        elif task.result() == "lost":
            self._losses.of_run(task.get_name())

    def _side_ended(self, task: asyncio.Task[Any]) -> None:
        # A worker without its tick, its hints or its reports is of no use: it leaves, and its supervisor starts
        # another.
        if not self._closed and not task.cancelled():
            log_failure(log, task.exception(), "the worker lost a part of itself and stops")
            self.stop()

    async def _until_something(self) -> None:
        later = asyncio.get_running_loop().call_later(0.05 if self._burst else TICK_MS / 1000, self._rung.set)
        await self._rung.wait()
        later.cancel()
        self._rung.clear()

    async def _listen(self) -> None:
        # Until closed: a client that swallows a cancellation in its blocking read must not hang the shutdown.
        while not self._closed:
            await self.store.hints(self.owner, TICK_MS, self._hearing.heed)

    def _look_at_waits(self) -> None:
        """A hint may be lost, so open waits are looked at again at intervals."""
        for run in list(self._runner.runs.values()):
            if run.is_waiting:
                run.life.spawn(run.waits.look())

    async def _report(self, reported: Callable[[list[str]], None]) -> None:
        while True:
            reported(self.running)
            await asyncio.sleep(self.app.settings.beat_ms / 1000)

    async def _drain(self) -> None:
        """Shutdown: within its share of the time bodies park, end, or stop at their next effect. Then, or when
        `hand_back` is called, they are handed back where they are. In that share it also waits for work that may not
        move. The caller's reap hands back what is left."""
        if not self._tasks:
            return
        # Before anything is handed back: its bell must not ring at this worker.
        side: list[asyncio.Task[Any]] = [asyncio.create_task(self._hear_no_bells())]
        self._runner.stop()
        try:
            shutdown_s = self.app.settings.shutdown_ms / 1000
            # A copy, because the last of them may end before this begins to wait.
            ended = asyncio.create_task(asyncio.wait([*self._tasks]))
            at_once = asyncio.create_task(self._at_once.wait())
            side += [ended, at_once]
            await asyncio.wait([ended, at_once], timeout=shutdown_s * DRAIN_SHARE, return_when=asyncio.FIRST_COMPLETED)
            rest_s = HAND_BACK_S if self._at_once.is_set() else max(shutdown_s * (1 - DRAIN_SHARE), HAND_BACK_S)
            claims = self._runner.hand_back()
            left = [task for task, claim_id in self._tasks.items() if claim_id in claims]
            if left:
                await asyncio.wait(left, timeout=rest_s)
        finally:
            await end_all(side)

    async def _hear_no_bells(self) -> None:
        # A bell that no worker hears costs a second; what is handed back at the end rings again.
        with suppress(StoreError):
            request, _ = self._takes.begin()
            taken = await self.store.execute(
                take(self.owner, request, self.queues, 0, lease_ms=self.app.settings.lease_ms)
            )
            self._begin(taken.claims)  # which hands back at once what was handed to it meanwhile
