"""Runs one claim to its park, hand-back or end.

Invariant: a body's outcome becomes an event only through a fenced script; what is not the body's fault (unknown code, Redis away) never ends a process.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace
from functools import partial
from typing import Any, cast

from wakeline.arguments import dump
from wakeline.attachments.attachment import MARK, owner_of_session
from wakeline.body.blocking import Ctx, Turn
from wakeline.body.calls import call_tool
from wakeline.body.children import await_children
from wakeline.body.context import AsyncCtx, ContinueAsNew
from wakeline.body.turn import AsyncTurn
from wakeline.clock import Clock
from wakeline.engines.registry import Registry
from wakeline.errors import (
    AttachmentBackendMissing,
    AttachmentCorrupt,
    AttachmentNotFound,
    AttachmentStoreFailed,
    ControlFlow,
    FailureClass,
    HeadConflict,
    InvalidArguments,
    InvalidEnvironment,
    InvalidId,
    InvalidPayload,
    IsolationUnavailable,
    JournalCorrupt,
    LeaseLost,
    MissingExecutionEnvironment,
    Parked,
    ParkSwallowed,
    PayloadTooLarge,
    ReplayMismatch,
    StepFailed,
    Stopped,
    StoreError,
    ToolFailed,
    UnknownAgent,
    UnknownName,
    WakelineError,
)
from wakeline.names import split_session_id
from wakeline.phases import Phase, Probe
from wakeline.processes.failures import described
from wakeline.processes.inputs import EngineInput, SessionTurn, ToolCall
from wakeline.processes.misfit import PATIENCE_MS, MisfitKind
from wakeline.processes.outputs import AwaitOutput, CancelledOutput, Failure, Success
from wakeline.processes.outputs import to_json as output_json
from wakeline.run.bridge import Bridge
from wakeline.run.containing import contained, contained_on_loop, current_run
from wakeline.run.dispatch import ToolDispatch
from wakeline.run.environments import Environments
from wakeline.run.groups import deciding, follows_cancel
from wakeline.run.host import Host, RunState
from wakeline.run.letting_go import let_go
from wakeline.run.misfits import Misfits
from wakeline.run.passing import pass_on
from wakeline.run.run import Run
from wakeline.run.traces import trace_of
from wakeline.sessions.activity import TurnStarted
from wakeline.shown import Lines, logger
from wakeline.store import processes, runs, sessions
from wakeline.store.claims import is_large
from wakeline.store.client import AsyncStore
from wakeline.store.processes import TurnCommit
from wakeline.store.runs import Claim
from wakeline.tools.tool import outside_body
from wakeline.values import MAX_PAYLOAD, check_size, from_json, to_json

log = logger("wakeline.runner")
RETRY_BASE_MS, RETRY_MAX_MS = 1_000, 60_000
UNLOAD_S = 2.0


class Runner:
    """Turns claims into outcomes for one worker."""

    def __init__(self, store: AsyncStore, registry: Registry, host: Host, *, clock: Clock, threads: ThreadPoolExecutor, probe: Probe | None = None,
                 patience_ms: int = PATIENCE_MS) -> None:  # fmt: skip
        self._store = store
        self._registry = registry
        self._host = host
        self._clock = clock
        self._threads = threads
        self._probe = probe
        self._environments = Environments(store, registry.environment)
        self._misfits = Misfits(store, patience_ms)
        self._stopping = self._lost = False
        self.proven = False
        """Whether a body has ended or parked here: then this code does not end every worker that runs it."""
        self.runs: dict[str, Run] = {}
        """What runs, by claim: of one process there may be two for a moment, one that is over and one that follows it."""

    def stop(self) -> None:
        """Shutdown: bodies park, end, or stop at their next effect, and what is claimed and not begun is handed back. What may not move goes on."""
        self._stopping = True
        for run in self._movable():
            run.stop()

    def hand_back(self) -> set[str]:
        """The shutdown's share is over: what still runs is handed back in the middle of its code. Returns the claims; what may not move goes on."""
        movable = self._movable()
        for run in movable:
            run.hand_back()
        return {run.fence.claim_id for run in movable}

    def _movable(self) -> list[Run]:
        return [run for run in self.runs.values() if not run.claim.owner_bound]

    def lose(self) -> None:
        """All claims are somebody else's by now: bodies stop, and none begins."""
        self._lost = True
        for run in list(self.runs.values()):
            run.end(RunState.LOST)

    async def run(self, claim: Claim) -> str:
        """Runs it; returns what became of it: 'finished', 'parked', 'released', 'lost'. Never raises for what user code does."""
        run: Run | None = None
        if claim.unread is not None:
            return await self._misfits.leave_unread(claim, claim.unread)
        try:
            read = claim.held is not None or not claim.complete or not self._environments.knows(claim.registration)
            claim = await self._read(claim)
            try:
                body, blocking = self._body_of(claim)
            except (InvalidArguments, InvalidPayload) as unreadable:
                return await self._unreadable(claim, unreadable)
            environment = await self._environments.of(claim.registration)
            bridge = Bridge(asyncio.get_running_loop()) if blocking else None
            clock = self._clock.following(claim.now_ms, claim.heard_ns)
            run = Run(self._store, claim, self._host, clock=clock, probe=self._probe, bridge=bridge,
                      environment=environment, dispatch=ToolDispatch.of(self._registry))  # fmt: skip
            run.probe.reach(Phase.claimed, claim.process_id)
            self.runs[claim.fence.claim_id] = run
            if read:
                await run.look()  # what it was told meanwhile
            if self._lost or run.state is not RunState.RUNNING:
                return "lost"
            if self._stopping:
                return await self._hand_back(claim)
            outcome = await self._drive(run, body)
            self.proven = self.proven or outcome in ("finished", "parked", "continued")
            return outcome
        except LeaseLost:
            return "lost"
        except (UnknownName, UnknownAgent, IsolationUnavailable, InvalidEnvironment, AttachmentStoreFailed, AttachmentBackendMissing) as missing:
            # No code for it in this release, an environment of a later one, or what it was started with cannot be had here: it waits for a worker that can.
            return await self._misfits.hand_back(claim, "missing", missing, unrun=True)
        except (MissingExecutionEnvironment, AttachmentNotFound, AttachmentCorrupt) as missing:
            log.error("%s: %s", claim.process_id, missing)
            return await self._refuse(claim, Failure(failure_class="unavailable", code=missing.code, message=str(missing)))
        except StoreError:
            log.exception("%s: the store failed; the lease decides", claim.process_id)
            return "lost"
        except (JournalCorrupt, InvalidPayload, InvalidId, KeyError, ValueError, TypeError) as error:
            if run is not None:
                raise
            # What a body raises is an outcome by now: this is about what was stored for it.
            return await self._misfits.leave_unread(claim, str(error) if isinstance(error, WakelineError) else f"{type(error).__name__}: {error}")
        finally:
            if run is not None:
                self.runs.pop(claim.fence.claim_id, None)

    async def _read(self, claim: Claim) -> Claim:
        """The claim with all that its reply had no room for."""
        if claim.held is not None:
            claim = await self._store.run(runs.seen_through(self._store.blobs, claim))
        if not claim.complete:
            journal, slots = await self._store.execute(runs.read_journal(claim.fence))
            claim = replace(claim, journal=journal, slots=slots, complete=True)
        return claim

    async def _unreadable(self, claim: Claim, error: WakelineError) -> str:
        """What is stored of it is none that this code can begin from: it waits, up to the patience."""
        if not self._misfits.is_over(claim, "unreadable"):
            return await self._misfits.hand_back(claim, "unreadable", error, unrun=True)
        return await self._refuse(claim, Failure(failure_class="execution", code=error.code, message=str(error)))

    async def _refuse(self, claim: Claim, failure: Failure) -> str:
        """Ends a process that cannot be run as it was started."""
        try:
            await self._store.execute(processes.finish(claim.process_id, "failed", output_json(failure), fence=claim.fence))
        except LeaseLost:
            return "lost"
        return "finished"

    # -- what to run -------------------------------------------------------------------------------------------------------------

    def _body_of(self, claim: Claim) -> tuple[Callable[[Run], Awaitable[Any]], bool]:
        namespace = self._store.address.namespace
        given = cast("dict[str, Any]", from_json(claim.input) if claim.input is not None else None)
        match claim.registration.input:
            case EngineInput(kind=kind, payload=payload):
                engine = self._registry.engine(kind, claim.engine_version)
                taken = engine.signature.taken(cast("dict[str, Any]", payload) if claim.input is None else given)

                async def run_engine(run: Run) -> Any:
                    run.engine, run.signal_kinds = engine, engine.signals
                    ctx = AsyncCtx(run, namespace)
                    context = Ctx(ctx, run.bridge) if run.bridge else ctx
                    return engine.signature.dump_result(await self._call(run, taken(engine.function, context)))

                return run_engine, not engine.is_async
            case ToolCall(call=call):
                tool = self._registry.tool(call.tool_name)
                if tool.isolation is not None and self._host.isolation is None:
                    raise IsolationUnavailable(tool=tool.name)
                # Its code runs in a pool thread; no body blocks on the loop meanwhile.
                return lambda run: call_tool(run, tool, call.args, last_write=True, started=call), False
            case SessionTurn(session_id=session_id):
                agent = self._registry.agent(split_session_id(session_id)[0])

                async def run_turn(run: Run) -> Any:
                    admitting = sessions.admit(run.fence, session_id, agent.max_entries, agent.policy)
                    batch = claim.batch if claim.batch is not None else await self._store.execute(admitting)
                    turn = AsyncTurn(run, namespace, batch, most=agent.max_entries)
                    run.turn, run.activities.followed = turn, batch.followed
                    run.activities.tell(run.claim.process_id, lambda: TurnStarted(attempt=run.claim.attempt, entries=[e.n for e in batch.entries]))
                    run.probe.reach(Phase.admitted, run.claim.process_id)
                    if not batch.entries:
                        # What it was started for is undeliverable since: nothing to read, nothing to say.
                        return None
                    context = Turn(turn, run.bridge) if run.bridge else turn
                    return dump(await self._call(run, lambda: agent.function(context)), what=f"The result of {agent.name}")

                return run_turn, not agent.is_async
            case other:
                raise UnknownName(kind="input", name=type(other).__name__, known=["tool_call", "engine", "session_turn"])

    async def _call(self, run: Run, code: Callable[[], Any]) -> Any:
        if run.bridge is None:
            return await contained_on_loop(code)
        loop = asyncio.get_running_loop()
        # With this task's context: what is running here is known in the body's thread too.
        return await loop.run_in_executor(self._threads, copy_context().run, contained(code))

    # -- one run -----------------------------------------------------------------------------------------------------------------

    async def _drive(self, run: Run, body: Callable[[Run], Awaitable[Any]]) -> str:
        if run.cancelled and "fs" not in run.claim.fields:
            return await self._finish(run, CancelledOutput(message=run.cancellation.reason))
        run.probe.reach(Phase.body_started, run.claim.process_id)
        current_run.set(run)
        task = run.asides.body = run.spawn(self._body(run, body))
        try:
            await run.until_over(task)
            if run.state is RunState.RUNNING or (task.done() and run.state is RunState.PARKED):
                return await self._outcome(run, task)
            return await self._unload(run, task)
        finally:
            let_go(task)

    async def _body(self, run: Run, body: Callable[[Run], Awaitable[Any]]) -> Any:
        try:
            value = await body(run)
        except BaseException as raised:
            error = deciding(raised)
            if run.misfit is None and isinstance(error, Exception) and self._misfits.is_bug(run.claim, error):
                raise run.unfit("bug", error) from error
            if run.misfit is None and isinstance(error, ReplayMismatch):
                raise run.unfit("mismatch", error) from error
            if run.misfit is not None:
                raise Stopped from error
            if not isinstance(error, ControlFlow | asyncio.CancelledError):
                if self._is_an_end(run, error):
                    await await_children(run)
                await self._run_defers(run)
            if error is raised:
                raise
            raise error from error.__cause__  # out of its group, whose frames say nothing more
        if run.misfit is not None:
            raise Stopped  # it caught what ended it
        await await_children(run)
        await self._run_defers(run)
        return value

    def _is_an_end(self, run: Run, error: BaseException) -> bool:
        """Whether what a body raised ends its process: not what has it run again."""
        return not isinstance(error, ReplayMismatch | LeaseLost | StoreError) and not isinstance(run.registration.input, SessionTurn)

    async def _run_defers(self, run: Run) -> None:
        if run.state not in (RunState.RUNNING, RunState.ENDED) and run.misfit is None:
            return
        while run.defers:
            function, args, kwargs = run.defers.pop()
            try:
                code = partial(function, *args, **kwargs)
                with outside_body():
                    if inspect.iscoroutinefunction(function):
                        await contained_on_loop(code)
                    else:
                        await self._call_deferred(run, contained(code))
            except Exception:
                log.exception("%s: a deferred call failed; the others still run", run.claim.process_id)

    async def _call_deferred(self, run: Run, code: Callable[[], Any]) -> Any:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, code) if run.bridge else await asyncio.to_thread(code)

    async def _unload(self, run: Run, task: asyncio.Task[Any]) -> str:
        """The run is over and the body is not: its tasks are cancelled, what it returns is discarded."""
        if run.bridge is None:
            for other in [task, *run.tasks]:
                other.cancel()
        done, _ = await asyncio.wait([task], timeout=UNLOAD_S if run.bridge is None or run.state is RunState.PARKED else 0.05)
        if run.bridge is not None and run.state is RunState.PARKED and self._swallowed(run, task):
            return await self._park_swallowed(run)
        if done and not task.cancelled():
            task.exception()
        if run.state is RunState.RELEASED:
            return await self._release(run.claim, run)
        await self._run_defers(run)
        return str(run.state.value)

    def _swallowed(self, run: Run, task: asyncio.Task[Any]) -> bool:
        return run.swallowed or (task.done() and not task.cancelled() and task.exception() is None)

    async def _park_swallowed(self, run: Run) -> str:
        swallowed = ParkSwallowed(process_id=run.claim.process_id)
        output = Failure(failure_class="execution", code=swallowed.code, message=str(swallowed))
        await self._store.execute(processes.finish(run.claim.process_id, "failed", output_json(output), fence=run.fence, swallowed=True))
        return "finished"

    async def _misfit(self, run: Run, kind: MisfitKind, error: BaseException) -> str:
        """A run that does not fit: its process waits. It fails where its engine says so, or once it has waited long enough."""
        if kind == "mismatch" and run.engine is not None and run.engine.on_mismatch == "fail":
            await self._run_defers(run)
            return await self._finish(run, Failure("internal", *described(error)))
        if not self._misfits.is_over(run.claim, kind):
            return await self._misfits.hand_back(run.claim, kind, error)
        await self._run_defers(run)
        return await self._fail(run, error)

    async def _outcome(self, run: Run, task: asyncio.Task[Any]) -> str:
        for other in run.tasks:
            if other is not task:
                other.cancel()
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is None:
            try:
                return await self._finish(run, Success(value=task.result()))
            except StoreError:
                raise
            except Exception as unusable:  # noqa: BLE001 - what the body returned is no JSON, or too large: its own fault
                error = unusable
        return await self._ended(run, error)

    async def _ended(self, run: Run, error: BaseException) -> str:
        """The seam to user code: whatever it raised becomes a typed outcome."""
        match error:
            case ContinueAsNew():
                await self._continue(run, error)
                return "continued"
            case ControlFlow() | asyncio.CancelledError() if run.state is RunState.RUNNING and not run.stopping:
                # Nothing asked the body to leave. Handed back, it would only do so again, for ever.
                return await self._raised(run, error)
            case Parked():
                return "parked"
            case ControlFlow() | asyncio.CancelledError():
                return "lost" if run.state is RunState.LOST else await self._release(run.claim, run)
            case LeaseLost():
                return "lost"
            case StoreError():
                raise error
            case _:
                return await self._raised(run, error)

    async def _raised(self, run: Run, error: BaseException) -> str:
        may_be_cancelled = follows_cancel(error)
        if may_be_cancelled and not run.cancelled:
            await run.look()  # a wait may be answered by the cancel before the hint of it arrives
        if may_be_cancelled and run.cancelled:
            return await self._finish(run, CancelledOutput(message=run.cancellation.reason))
        return await self._fail(run, error)

    async def _fail(self, run: Run, error: BaseException) -> str:
        failure = self._failure(error)
        log.warning("%s failed: %s%s", run.claim.process_id, failure.message, Lines(trace_of(error)))
        log.debug("%s failed", run.claim.process_id, exc_info=error)
        if isinstance(run.registration.input, SessionTurn):
            return await self._retry(run, failure)
        return await self._finish(run, failure)

    def _failure(self, error: BaseException) -> Failure:
        code, message = described(error)
        match error:
            case ToolFailed():
                return Failure(cast("FailureClass", error.failure_class), error.failure_code, error.failure_message, error.raw)
            case StepFailed():
                return Failure(failure_class="execution", code=error.failure_code, message=message)
            case PayloadTooLarge():
                return Failure(failure_class="resource_limit", code=code, message=message)
            case _:
                return Failure(failure_class="execution", code=code, message=message)

    # -- how a run ends ----------------------------------------------------------------------------------------------------------

    async def _finish(self, run: Run, output: AwaitOutput) -> str:
        text = output_json(output)
        check_size(f"the result of {run.claim.process_id}", text, MAX_PAYLOAD)
        status = "completed" if isinstance(output, Success) else "cancelled" if isinstance(output, CancelledOutput) else "failed"
        if MARK in text and "ws" in run.claim.fields:
            await pass_on(run, text, owner_of_session(run.claim.fields["ws"]), partly=True)
        run.probe.reach(Phase.finishing, run.claim.process_id)
        commit = self._commit(run, output) if run.turn is not None and isinstance(output, Success) else None
        call = processes.finish(
            run.claim.process_id, status, text, fence=run.fence, text=self._wake_text(run, output), consumed=run.take_consumed(), turn=commit
        )
        if not is_large(text):
            # What is checked in first would be overtaken by the take that follows.
            self._host.leaving(run.fence.claim_id)
        try:
            await self._store.execute(call)
        except LeaseLost:
            return "lost"
        except HeadConflict:
            return await self._retry(run, Failure(failure_class="internal", code="head_conflict", message="another turn committed first"))
        run.probe.reach(Phase.finished, run.claim.process_id)
        return "finished"

    def _wake_text(self, run: Run, output: AwaitOutput) -> str | None:
        if "ws" not in run.claim.fields:
            return None
        identity = run.registration.identity
        name = f"{identity.label or identity.kind} ({run.claim.process_id})"
        match output:
            case Success(value=value):
                return f"{name} completed: {to_json(value)}"
            case Failure(code=code, message=message):
                return f"{name} failed: {code}: {message}"
            case _:
                return f"{name} ended: {output_json(output)}"

    def _commit(self, run: Run, output: Success) -> TurnCommit:
        turn = run.turn
        assert isinstance(turn, AsyncTurn)
        messages = [to_json({"role": item.kind, "n": item.n, "content": item.input}) for item in turn.inbox]
        if output.value is not None:
            messages.append(to_json({"role": "agent", "content": output.value}))
        what = f"the state of {turn.session_id}"
        state = to_json(dump(turn.state, what=what))
        check_size(what, state, MAX_PAYLOAD)
        return TurnCommit(turn.session_id, turn.revision, state, messages, turn.shared.switch_to, turn.shared.follow)

    async def _retry(self, run: Run, failure: Failure) -> str:
        """A failed attempt: the next one after a backoff, or the end once attempts are used up."""
        tries = int(run.claim.fields.get("at", "0"))
        delay = min(RETRY_BASE_MS * 2**tries, RETRY_MAX_MS)
        try:
            return await self._store.execute(processes.release(run.fence, delay_ms=delay, attempt=True, output=output_json(failure)))
        except LeaseLost:
            return "lost"

    async def _release(self, claim: Claim, run: Run | None) -> str:
        if run is not None:
            run.probe.reach(Phase.handing_back, claim.process_id)
            if run.misfit is not None:
                return await self._misfit(run, *run.misfit)
        consumed = run.take_consumed() if run is not None else []
        try:
            return await self._store.execute(processes.release(claim.fence, consumed=consumed))
        except LeaseLost:
            return "lost"

    async def _hand_back(self, claim: Claim) -> str:
        """Gives back what this worker did not begin to run."""
        try:
            return await self._store.execute(processes.release(claim.fence, unrun=True))
        except LeaseLost:
            return "lost"

    async def _continue(self, run: Run, again: ContinueAsNew) -> None:
        try:
            while True:
                answer = await self._store.execute(
                    processes.continue_as_new(run.fence, to_json(again.payload), run.take_consumed(), version=again.version)
                )
                if isinstance(answer, int):
                    return
                await self._store.execute(runs.close_waits(run.fence, answer))
        except LeaseLost:
            log.info("%s: continued by another worker", run.claim.process_id)
