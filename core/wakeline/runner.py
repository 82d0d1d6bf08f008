"""From a claim to its outcome: what is read, called and written, in order.

Invariant: a body's outcome becomes an event only through a fenced script. What is not the body's fault (unknown code,
Redis away) never ends a process.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace
from typing import Any

from wakeline.body.bodies import Bodies, Code
from wakeline.body.children import await_children
from wakeline.clock import Clock
from wakeline.engines.registry import Registry
from wakeline.errors import (
    AttachmentBackendMissing,
    AttachmentCorrupt,
    AttachmentNotFound,
    AttachmentStoreFailed,
    ControlFlow,
    InvalidArguments,
    InvalidEnvironment,
    InvalidId,
    InvalidPayload,
    IsolationUnavailable,
    JournalCorrupt,
    LeaseLost,
    MissingExecutionEnvironment,
    ProcessNotFound,
    ReplayMismatch,
    Stopped,
    StoreError,
    UnknownAgent,
    UnknownName,
    WakelineError,
)
from wakeline.logs import log_failure
from wakeline.processes.failures import described
from wakeline.processes.inputs import SessionTurn
from wakeline.processes.misfit import PATIENCE_MS
from wakeline.processes.outputs import Failure, Success
from wakeline.processes.outputs import to_json as output_json
from wakeline.run import commits
from wakeline.run.bridge import Bridge
from wakeline.run.dispatch import ToolDispatch
from wakeline.run.environments import Environments
from wakeline.run.groups import deciding
from wakeline.run.host import Host, RunState
from wakeline.run.identity import ended_seen, ran_seen, run_seen
from wakeline.run.letting_go import let_go
from wakeline.run.misfits import Misfits
from wakeline.run.outcomes import Ended, Outcome, Over, Swallowed, Unfit, cancelled, failed, left_over, outcome_of
from wakeline.run.records import rows_of
from wakeline.run.run import Run
from wakeline.run.seen import see_end
from wakeline.run.setbacks import about_failure
from wakeline.shown import logger
from wakeline.store import claims, ends
from wakeline.store.awaited import AsyncStore
from wakeline.store.claims import Claim
from wakeline.store.journal import read_journal
from wakeline.telemetry.phases import Phase
from wakeline.telemetry.seen import RunEnd, RunSeen
from wakeline.tools.tool import current_body, current_run

log = logger("wakeline.runner")
UNLOAD_S = 2.0
"""How long a cancelled body may take to unwind before the worker goes on without it, in seconds."""
LACKING = (
    UnknownName,
    UnknownAgent,
    IsolationUnavailable,
    InvalidEnvironment,
    AttachmentStoreFailed,
    AttachmentBackendMissing,
)
"""Errors for which a process waits: no code for it in this release, an environment of a later one, or an input that
this worker cannot get."""
INPUT_LOST = (MissingExecutionEnvironment, AttachmentNotFound, AttachmentCorrupt)
"""Errors for which a process fails: its input is lost."""
NOT_UNDERSTOOD = (JournalCorrupt, InvalidPayload, InvalidId, KeyError, ValueError, TypeError)
"""The errors of reading a record that this release does not understand."""


class Runner:
    """Runs the claims of one worker."""

    def __init__(
        self,
        store: AsyncStore,
        registry: Registry,
        host: Host,
        *,
        clock: Clock,
        threads: ThreadPoolExecutor,
        patience_ms: int = PATIENCE_MS,
    ) -> None:
        self._store = store
        self._registry = registry
        self._host = host
        self._clock = clock
        self._threads = threads
        self._bodies = Bodies(registry, host, threads)
        self._environments = Environments(store, registry.environment)
        self._misfits = Misfits(store, patience_ms)
        self._stopping = self._lost = False
        self.proven = False
        """Whether a body has ended or parked here, which shows that this code does not end every worker."""
        self.runs: dict[str, Run] = {}
        """What runs, by claim. One process may have two for a moment: one that is over and its successor."""

    # -- what the worker says

    def stop(self) -> None:
        """Shutdown: bodies park, end, or stop at their next effect. Claims that have not begun are handed back. Work
        that may not move goes on."""
        self._stopping = True
        for run in self._movable():
            run.life.stop()

    def hand_back(self) -> set[str]:
        """The share of the shutdown is over: what still runs is handed back in the middle of its code. Returns the
        claims. Work that may not move goes on."""
        movable = self._movable()
        for run in movable:
            run.life.hand_back()
        return {run.fence.claim_id for run in movable}

    def _movable(self) -> list[Run]:
        return [run for run in self.runs.values() if not run.claim.owner_bound]

    def lose(self) -> None:
        """Other workers have all claims now: bodies stop, and none begins."""
        self._lost = True
        for run in list(self.runs.values()):
            run.life.end(RunState.LOST)

    # -- one claim

    def run(self, claim: Claim) -> Coroutine[Any, Any, str]:
        """Runs a claim. Gives what became of it: 'finished', 'parked', 'continued', 'released', 'lost'. Never raises
        for what user code does."""
        instruments = self._registry.instruments
        if not instruments.rans:
            return self._run_seen(claim) if instruments.see_runs else self._run(claim)
        return self._run_counted(claim)

    async def _run_counted(self, claim: Claim) -> str:
        end, began_s = RunEnd(), time.perf_counter()
        word = await (
            self._run_seen(claim, end) if self._registry.instruments.see_runs else self._run(claim, None, end)
        )
        see_end(end, word)
        self._registry.instruments.ran(ran_seen(claim, end, time.perf_counter() - began_s))
        return word

    async def _run_seen(self, claim: Claim, end: RunEnd | None = None) -> str:
        seen = run_seen(claim)
        with self._registry.instruments.run(seen):
            word = await self._run(claim, seen, end)
            see_end(seen, word)  # unless its body came to an outcome, which was told by then
            if self._registry.instruments.ends and (ended := ended_seen(claim, seen)) is not None:
                self._registry.instruments.ended(ended)
        return word

    async def _run(self, claim: Claim, seen: RunSeen | None = None, end: RunEnd | None = None) -> str:
        if claim.unread is not None:
            return await self._misfits.leave_unread(claim, claim.unread)
        run: Run | None = None
        try:
            was_late = self._must_read(claim)
            whole = claim if claim.complete and claim.held is None else await self._rebuilt(claim)
            if whole.unread is not None:
                return await self._misfits.leave_unread(whole, whole.unread)
            try:
                code = self._bodies.of(whole)
            except (InvalidArguments, InvalidPayload) as unreadable:
                return await self._unreadable(whole, unreadable)
            run = await self._begun(whole, code)
            run.end = end
            if seen is not None:
                run.seen, run.told_in = seen, copy_context()
            if was_late:
                await run.waits.look()  # hints that came meanwhile
            if self._lost or not run.life.is_running:
                return await commits.given_back(run)
            if self._stopping:
                return await self._store.execute(ends.release(claim.fence, unrun=True))
            word = await self._carried_out(run, code)
            self.proven = self.proven or word in ("finished", "parked", "continued")
            return word
        except LeaseLost:
            return "lost"
        except LACKING as missing:
            if run is not None and claim.owner_bound:
                # Its body has acted, and the outcome could not be stored. If it were handed back, it would run a second
                # time.
                log.error("%s: %s; it is never run twice, so its lease decides", claim.process_id, missing)
                return "lost"
            return await self._misfits.hand_back(claim, "missing", missing, unrun=True)
        except INPUT_LOST as gone:
            log.error("%s: %s", claim.process_id, gone)
            return await self._refused(claim, Failure(failure_class="unavailable", code=gone.code, message=str(gone)))
        except StoreError as error:
            log_failure(log, error, "%s: the store failed; the lease decides", claim.process_id)
            return "lost"
        except NOT_UNDERSTOOD as error:
            if run is not None:
                raise
            # An exception of a body is an outcome by now; this one is about its stored data.
            return await self._misfits.leave_unread(
                claim, str(error) if isinstance(error, WakelineError) else f"{type(error).__name__}: {error}"
            )
        finally:
            if run is not None:
                self.runs.pop(claim.fence.claim_id, None)

    # -- before its body

    def _must_read(self, claim: Claim) -> bool:
        """Whether the run needs more than its claim brought. Hints that come while it reads have to be looked up."""
        return claim.held is not None or not claim.complete or self._environments.known(claim.registration) is None

    async def _rebuilt(self, claim: Claim) -> Claim:
        """The claim with all data that its reply had no room for."""
        if claim.held is not None:
            claim = await self._store.run(claims.made_whole(self._store.blobs, claim))
        if not claim.complete:
            journal, slots = await self._store.execute(read_journal(claim.fence))
            claim = replace(claim, journal=journal, slots=slots, complete=True, unread=claims.unknown_resolution(slots))
        return claim

    async def _begun(self, claim: Claim, code: Code) -> Run:
        """The run of a claim; from here on the worker can reach it."""
        run = Run(
            self._store,
            claim,
            self._host,
            await rows_of(claim) if claim.journal else {},
            clock=self._clock.following(claim.now_ms, claim.heard_ns),
            bridge=Bridge(asyncio.get_running_loop()) if code.blocking else None,
            environment=self._environments.known(claim.registration) or await self._environments.of(claim.registration),
            dispatch=ToolDispatch.of(self._registry),
            fitting=self._misfits.fitting(claim),
        )
        if run.instruments.points:
            run.instruments.point(Phase.claimed, claim.process_id)
        self.runs[claim.fence.claim_id] = run
        return run

    async def _unreadable(self, claim: Claim, error: WakelineError) -> str:
        """For stored data that this code cannot begin from: the process waits for code that can, up to the patience."""
        if not self._misfits.fitting(claim).is_over("unreadable"):
            return await self._misfits.hand_back(claim, "unreadable", error, unrun=True)
        return await self._refused(claim, Failure(failure_class="execution", code=error.code, message=str(error)))

    async def _refused(self, claim: Claim, failure: Failure) -> str:
        """Ends a process that cannot be run as it was started."""
        try:
            await self._store.execute(ends.finish(claim.process_id, "failed", output_json(failure), fence=claim.fence))
        except LeaseLost:
            return "lost"
        return "finished"

    # -- its body, and what becomes of it

    async def _carried_out(self, run: Run, code: Code) -> str:
        """Calls the body, and writes the outcome."""
        if run.cancelled and not run.claim.has_begun:
            return await self._committed(run, cancelled(run))
        if run.instruments.points:
            run.instruments.point(Phase.body_started, run.process_id)
        current_body.set(run)
        current_run.set(run)
        body = run.life.begin(self._called(run, code))
        run.journal.belongs_to(body)
        try:
            await run.life.over(body)
            if run.life.is_running or (body.done() and run.life.state is RunState.PARKED):
                for other in run.life.tasks:
                    other.cancel()
                return await self._committed(run, await outcome_of(run, body))
            return await self._committed(run, await self._unloaded(run, body))
        finally:
            run.life.end(RunState.ENDED)
            let_go(body)

    async def _called(self, run: Run, code: Code) -> Any:
        """Runs the body, then waits for the children that its end waits for, then runs what it deferred."""
        if (own := asyncio.current_task()) is not None:
            run.journal.belongs_to(own)  # it may ask for something before its task is returned to who began it
        try:
            value = await code.perform(run)
        except BaseException as raised:
            error = deciding(raised)
            self._check_fits(run, error)
            if not isinstance(error, ControlFlow | asyncio.CancelledError):
                if _is_an_end(run, error):
                    await await_children(run)
                await self._deferred(run)
            if error is raised:
                raise
            raise error from error.__cause__  # without its group, whose frames do not help
        if run.life.misfit is not None or run.life.denied:
            raise Stopped  # it, or one of its tasks, caught the exception that ended it
        if run.awaits_children:
            await await_children(run)
        if run.has_deferred:
            await self._deferred(run)
        return value

    def _check_fits(self, run: Run, error: BaseException) -> None:
        """Raises `Stopped` if the deploy, and not the body, is at fault for the error."""
        if run.life.misfit is not None or run.life.denied:
            raise Stopped from error
        if isinstance(error, Exception) and run.fitting.is_bug(error):
            raise run.life.unfit("bug", error) from error
        if isinstance(error, ReplayMismatch):
            raise run.life.unfit("mismatch", error) from error

    async def _deferred(self, run: Run) -> None:
        if run.life.state in (RunState.RUNNING, RunState.ENDED) or run.life.misfit is not None:
            await run.defers.run(run.process_id, self._threads if run.bridge is not None else None)

    async def _unloaded(self, run: Run, body: asyncio.Task[Any]) -> Outcome:
        """The run is over and the body is not: cancels its tasks and discards its result."""
        if run.bridge is None:
            for task in [body, *run.life.tasks]:
                task.cancel()
        parked = run.life.state is RunState.PARKED
        done, _ = await asyncio.wait([body], timeout=UNLOAD_S if run.bridge is None or parked else 0.05)
        if run.bridge is not None and parked and _swallowed(run, body):
            return Swallowed()
        if done and not body.cancelled():
            body.exception()
        if run.life.state is RunState.RELEASED:
            return left_over(run)
        await self._deferred(run)
        return Over(run.life.state)

    async def _committed(self, run: Run, outcome: Outcome) -> str:
        """Writes the outcome of the run. A success that the store refuses becomes a failure of the body."""
        if isinstance(outcome, Unfit):
            outcome = await self._judged(run, outcome)
        try:
            word = await commits.commit(run, outcome, self._misfits)
        except ProcessNotFound as gone:
            log.warning("%s: %s The store lost it, and with it its run.", run.process_id, gone)
            word = "lost"
        except WakelineError as refused:
            if refused.retryable or not (isinstance(outcome, Ended) and isinstance(outcome.output, Success)):
                raise
            outcome = failed(run, refused)
            word = await commits.commit(run, outcome, self._misfits)
        for told in (run.seen, run.end):
            if told is not None:
                see_end(told, word, outcome, run.raised)
            run.raised = None
        return word

    async def _judged(self, run: Run, unfit: Unfit) -> Outcome:
        """The outcome of a run that does not fit: its process waits. It fails if its engine says so, or once it has
        waited long enough."""
        fails_at_once = unfit.kind == "mismatch" and run.engine is not None and run.engine.on_mismatch == "fail"
        if not fails_at_once and not run.fitting.is_over(unfit.kind):
            return unfit
        await self._deferred(run)
        return (
            Ended.of(run, Failure("internal", *described(unfit.error)), about_failure(unfit.error))
            if fails_at_once
            else failed(run, unfit.error)
        )


def _is_an_end(run: Run, error: BaseException) -> bool:
    """Whether the error of a body ends its process, and does not let it run again."""
    return not isinstance(error, ReplayMismatch | LeaseLost | StoreError) and not isinstance(
        run.registration.input, SessionTurn
    )


def _swallowed(run: Run, body: asyncio.Task[Any]) -> bool:
    """Whether a blocking body caught the park. A body whose ``finally`` asks for an effect did not: the effect raises
    again, and the body ends with it."""
    if body.done():
        return not body.cancelled() and body.exception() is None
    return run.life.swallowed
