"""`AsyncCtx`: what an ``async def`` body can do. Every awaited verb is journaled: after a crash it gives its recorded
outcome.

Invariant: verbs hold no state of their own; what must survive is in the journal, the slots or the log.
"""

from __future__ import annotations

import logging
import random
import uuid
from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, Generic, NoReturn, ParamSpec, TypeVar, Unpack, cast, overload

from wakeline.body import signals
from wakeline.body.approvals import AsyncApproval, answer_of, wait_for
from wakeline.body.approvals import ask as ask_outside
from wakeline.body.asks import ask
from wakeline.body.attachments import attachments_of
from wakeline.body.batches import MOST_CALLS, BatchCall, call_batch
from wakeline.body.carriers import call_from_body
from wakeline.body.children import awaiting, start_body
from wakeline.body.effects import recorded
from wakeline.body.execution import ExecutionContext, execution_of
from wakeline.body.generations import end_generation
from wakeline.body.messages import append_event, emitted, request_cancel
from wakeline.body.races import first_of
from wakeline.body.steps import run_step
from wakeline.body.triggers import AsyncBodyTrigger
from wakeline.effects.envelope import Envelope
from wakeline.engines.engine import Engine
from wakeline.errors import InvalidArguments
from wakeline.names import check_key
from wakeline.processes.outputs import from_data, raise_for
from wakeline.run.run import Run
from wakeline.run.waits import WaitCall, WaitFor, moment_ms, settle
from wakeline.shown import logger, shown
from wakeline.store.events import WakeText
from wakeline.tools.outcome import ToolOutcome
from wakeline.tools.tool import Duration, Tool
from wakeline.values import check_text, parse_duration
from wakeline.verbs.attachments import AsyncAttachments
from wakeline.verbs.options import MISSING, NOTHING, Options, StartOptions, WakeTarget
from wakeline.verbs.registrations import bound
from wakeline.waits.identity import Timer
from wakeline.waits.resolutions import Resolution

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
D = TypeVar("D")


@dataclass(frozen=True, slots=True)
class AsyncChild(Generic[R]):
    """A process this body started. Await it for its result."""

    id: str
    incarnation: str
    context: AsyncCtx
    load: Callable[[Any], R]

    def __await__(self) -> Generator[Any, None, R]:
        return self.result().__await__()

    @overload
    async def result(self, timeout: Duration | None = None) -> R: ...
    @overload
    async def result(self, timeout: Duration | None = None, *, default: D) -> R | D: ...
    async def result(self, timeout: Duration | None = None, *, default: Any = MISSING) -> Any:
        """Its result; parks. Raises `ProcessFailed`, `ProcessCancelled`, `ProcessAbandoned`, `WaitTimeout` (unless
        ``default`` is given)."""
        [value] = await self.context.gather([self], timeout=timeout, default=default)
        return value

    async def signal(self, name: str, payload: Any = None, *, key: str | None = None) -> int:
        """Send it a signal, once whatever happens; its sequence there."""
        return await self.context.signal(self, name, payload, key=key)

    async def cancel(self, reason: str = "requested by its parent") -> str:
        """Ask it to end; its status."""
        return await self.context.cancel(self, reason)


Gathered = AsyncChild[R] | AsyncApproval[R]
"""What `AsyncCtx.gather` takes."""


class AsyncCtx:
    """The context of an ``async def`` body."""

    def __init__(self, run: Run, options: Options = NOTHING) -> None:
        self.run = run
        self._options = options

    @property
    def execution(self) -> ExecutionContext:
        """The low-level context of this run: facts about it, and verbs under keys of the caller's own."""
        return execution_of(self.run)

    @property
    def attachments(self) -> AsyncAttachments:
        """The attachments of this process; a turn's are its session's."""
        return attachments_of(self.run)

    # -- never awaited
    # -----------------------------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """The id of this process."""
        return self.run.process_id

    @property
    def cancelled(self) -> bool:
        """True once a cancel was requested; waits opened from then on raise `WaitCancelled`, except for the end of a
        child of its own."""
        return self.run.cancelled

    @property
    def stopping(self) -> bool:
        """True once this worker is shutting down: the body is handed to another one at its next effect."""
        return self.run.life.stopping

    @property
    def attempt(self) -> int:
        """Which attempt this is."""
        return self.run.claim.attempt

    @property
    def idempotency_key(self) -> str:
        """Stable over attempts and hand-backs; differs between generations."""
        return self.run.idempotency_key

    @property
    def log(self) -> logging.Logger:
        """Silent while the body replays, so that a line is logged once."""
        return logger(
            "wakeline.replayed"
            if self.run.journal.is_replaying
            else f"wakeline.body.{shown(self.run.registration.identity.kind)}"
        )

    def _seed(self, what: str) -> str:
        return f"{self.idempotency_key}:{what}:{self.run.journal.repetition(what)}"

    def now(self) -> datetime:
        """The time of the latest recorded outcome: the same after a crash."""
        ms = self.run.journal.last_at_ms or self.run.claim.created_ms
        return datetime.fromtimestamp(ms / 1000).astimezone()

    def uuid(self) -> uuid.UUID:
        """A fresh UUID, the same after a crash."""
        return uuid.uuid5(uuid.NAMESPACE_URL, self._seed("uuid"))

    def random(self) -> float:
        """A number in [0, 1), the same after a crash."""
        return random.Random(self._seed("random")).random()  # noqa: S311 - reproducible on purpose

    def patched(self, change: str) -> bool:
        """True for processes that reach this point for the first time with the new code; old runs keep the old path.

        One answer per process and change, in loops and in tasks side by side too. A process that waits just behind this
        point is past it.
        """
        return self.run.patches.is_taken(change)

    def deprecated_patch(self, change: str) -> None:
        """In place of ``patched`` once the old path is gone from the code. Raises `ReplayMismatch` in a process that is
        past this point on the old path."""
        self.run.patches.deprecate(change)

    def using(self, **options: Unpack[StartOptions]) -> AsyncCtx:
        """This context with options for the next start or call: ``id queue delay wake deadline attempt_timeout
        max_attempts recovery on_parent_end key``."""
        return AsyncCtx(self.run, self._options.over(**options))

    def defer(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Run this when the process ends (not when it parks), last deferred first: compensation belongs here."""
        self.run.defers.add(function, args, kwargs)

    # -- work
    # ----------------------------------------------------------------------------------------------

    @overload
    async def step(
        self, name: str, function: Callable[..., Awaitable[R]], *args: Any, was: Sequence[str] | str = (), **kwargs: Any
    ) -> R: ...
    @overload
    async def step(
        self, name: str, function: Callable[..., R], *args: Any, was: Sequence[str] | str = (), **kwargs: Any
    ) -> R: ...
    async def step(
        self, name: str, function: Callable[..., Any], *args: Any, was: Sequence[str] | str = (), **kwargs: Any
    ) -> Any:
        """Run a function once and record what it returns; recorded, it never runs again. Raises `StepFailed` where the
        function raised.

        ``was``: the names that the step had before, oldest first; it is no argument of the function.
        """
        return await run_step(self.run, name, function, args, kwargs, was=was, key=self._options.key)

    async def effect(self, name: str, perform: Callable[[], Any], *, args: Any = None, key: str | None = None) -> Any:
        """Record what ``perform()`` gives, as JSON, under a ``key`` of the caller's; recorded, it never runs again.
        ``args`` tell one effect from another: a replay with others is a mismatch. Without a key, effects of one name
        and the same ``args`` are numbered.

        What ``perform`` raises passes as it is, and is not recorded: a later run of the body performs again. Raises
        `EffectRepeated` for a key that this run used before, `InvalidId`, `InvalidPayload`, `PayloadTooLarge`, and
        `ProcessExecutionUnavailable` once the run is over.
        """
        return await recorded(self.run, name, perform, args, key if key is not None else self._options.key)

    async def call(self, tool: Tool[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a tool inside this process, with its retries; one with a queue, a limit or isolation in a process of its
        own, which is awaited. A recorded
        call is followed where it ran, whatever the tool is declared as now."""
        async with self.run.journal.asking():
            given = bound(tool, *args, **kwargs)
            if not isinstance(tool, Tool):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise InvalidArguments(
                    name="call", reason=f"it takes a tool, not {tool!r}; start() an engine and await its result"
                )
        found = await call_from_body(self.run, tool, given, self._options, wake_end=self._child_ends_wake())
        with self.run.journal.reading(of_a_child=tool.is_apart or bool(self._options.queue)):
            return cast("R", tool.signature.load_result(found))

    async def call_batch(self, calls: Sequence[tuple[Tool[..., Any], dict[str, Any]]]) -> list[ToolOutcome]:
        """Call tools side by side, those declared ``scheduling="serial"`` one by one after the others; arguments by
        name. What became of each,
        in order: a failure is an outcome here, no error. Raises `InvalidArguments` before anything runs."""
        if len(calls) > MOST_CALLS:
            raise InvalidArguments(
                name="call_batch",
                reason=f"it has {len(calls)} calls, at most {MOST_CALLS} go into one batch; make several",
            )
        async with self.run.journal.asking():
            for tool, given in calls:
                bound(tool, **given)
        return await call_batch(
            self.run, [BatchCall(tool.name, partial(self.call, tool, **given)) for tool, given in calls]
        )

    async def start(self, body: Engine[P, R] | Tool[P, R], /, *args: P.args, **kwargs: P.kwargs) -> AsyncChild[R]:
        """Start a child process; its id is derived from this call, so a crash starts it once."""
        async with self.run.journal.asking():
            given = bound(body, *args, **kwargs)
        started = await start_body(self.run, body, given, self._options, wake_end=self._child_ends_wake())
        return AsyncChild(*started, self, body.signature.load_result)

    def _child_ends_wake(self) -> bool:
        """An inherited target gets explicit wakes only, or 1,000 children would wake 1,001 times; a turn's own starts
        wake its session."""
        return False

    @overload
    async def gather(self, awaited: Sequence[Gathered[R]], *, timeout: Duration | None = None) -> list[R]: ...
    @overload
    async def gather(
        self, awaited: Sequence[Gathered[R]], *, timeout: Duration | None = None, default: D
    ) -> list[R | D]: ...
    async def gather(
        self, awaited: Sequence[Gathered[Any]], *, timeout: Duration | None = None, default: Any = MISSING
    ) -> list[Any]:
        """The results of all children and the answers to all approvals, in order; one resume for all of them. The
        timeout is for all, beside that of each approval; the default for each that is late."""
        limit = parse_duration(timeout) if timeout is not None else None
        calls = [_wait_for(one, limit) for one in awaited]
        resolutions = await self.run.waits.for_all(calls) if calls else []
        return [_answer_of(one, resolution, default) for one, resolution in zip(awaited, resolutions, strict=True)]

    async def race(self, *contenders: Awaitable[Any], cancel_losers: bool = False) -> tuple[int, Any]:
        """(index, value) of whichever is first. Losers are given up: an abandoned wait swallows no signal, a child goes
        on unless told to be cancelled."""
        winner, first = await first_of(self.run, contenders)
        if cancel_losers:
            for i, contender in enumerate(contenders):
                if i != winner and isinstance(contender, AsyncChild):
                    await self.cancel(contender, "lost a race")
        return winner, first.result()

    # -- waiting
    # -----------------------------------------------------------------------------------------------------------------

    async def sleep(self, duration: Duration) -> None:
        """Sleep durably; the due time is fixed once, a crash waits only the remainder."""
        ms = parse_duration(duration)
        await self._timer("sleep", {"for_ms": ms}, for_ms=ms)

    async def sleep_until(self, when: datetime) -> None:
        """Sleep until a moment (naive times are local)."""
        ms = moment_ms(when)
        await self._timer("sleep_until", {"due_ms": ms}, due_ms=ms)

    async def _timer(self, name: str, args: Any, *, for_ms: int | None = None, due_ms: int | None = None) -> None:
        run = self.run
        key = run.journal.key_of(Envelope(kind="wait", name=name, args=args))
        target = WaitFor(Timer(f"{self.idempotency_key}:{key}"), "t:", for_ms=for_ms, due_ms=due_ms)
        [resolution] = await run.waits.for_all([run.waits.call("wait", name, args, target, key=key)])
        settle(name, resolution, Any)

    @overload
    async def wait(
        self,
        name: str,
        kind: None = None,
        *,
        timeout: Duration | None = None,
        default: Any = ...,
        was: Sequence[str] | str = ...,
    ) -> Any: ...
    @overload
    async def wait(
        self, name: str, kind: type[T], *, timeout: Duration | None = None, was: Sequence[str] | str = ...
    ) -> T: ...
    @overload
    async def wait(
        self, name: str, kind: type[T], *, timeout: Duration | None = None, default: D, was: Sequence[str] | str = ...
    ) -> T | D: ...
    @overload
    async def wait(
        self,
        name: str,
        kind: Any,
        *,
        timeout: Duration | None = None,
        default: Any = ...,
        was: Sequence[str] | str = ...,
    ) -> Any: ...
    async def wait(
        self,
        name: str,
        kind: Any = None,
        *,
        timeout: Duration | None = None,
        default: Any = MISSING,
        was: Sequence[str] | str = (),
    ) -> Any:
        """The next signal of that name: the oldest one kept, or the next one sent. ``kind`` checks it at the sender;
        one that was sent before anything
        waited and is of another type is dropped, and named in the log.

        ``was``: the names the signal had before, oldest first, beside those that `Signal` of its engine says: a process
        that knows it by one of them waits
        for that one, and is sent it by any.

        Raises `WaitTimeout` unless ``default`` is given, `WaitCancelled`, `UndeclaredEvent` for a signal that no sender
        can serve.
        """
        return await signals.wait_for_signal(self.run, name, kind, timeout=timeout, default=default, was=was)

    @overload
    async def approval(
        self, name: str, kind: type[T], *, timeout: Duration | None = None, question: Any = None
    ) -> AsyncApproval[T]: ...
    @overload
    async def approval(
        self, name: str, kind: Any = None, *, timeout: Duration | None = None, question: Any = None
    ) -> AsyncApproval[Any]: ...
    async def approval(
        self, name: str, kind: Any = None, *, timeout: Duration | None = None, question: Any = None
    ) -> AsyncApproval[Any]:
        """Ask someone outside: hand out ``.token``, then ``await .wait()``, or `gather` several. The timeout runs from
        here, and from here on an answer has to be a ``kind``.

        ``question``: a text or any other JSON of at most 16 KB, for those who see it in ``app.approvals()`` and in the
        event ``approval.requested``, neither of which has the token. Raises `PayloadTooLarge`, `InvalidPayload`.
        """
        limit = parse_duration(timeout) if timeout is not None else None
        return await ask_outside(self.run, name, kind, limit, question)

    # -- telling others
    # ----------------------------------------------------------------------------------------------------------

    async def emit(self, event_type: str, payload: Any = None) -> int:
        """Append an event to this process, and the wake its type means; returns its sequence. Raises `UndeclaredEvent`,
        `PayloadSchemaMismatch`."""
        async with self.run.journal.asking():
            event = emitted(self.run, event_type, payload)
        return (await append_event(self.run, event)).sequence

    def trigger(self, source: str, kind: Any = Any) -> AsyncBodyTrigger:
        """A source: ``await ctx.trigger("github.push").emit(payload)``, or ``.subscribe(body)``. ``kind``: the type of
        its payloads."""
        return AsyncBodyTrigger(self.run, source, kind, self.execution.trigger_registrar)

    async def wake(self, text: str, key: str | None = None) -> int:
        """Wake the session this chain belongs to with a text; the same ``key`` coalesces while pending."""
        async with self.run.journal.asking():
            event = emitted(self.run, "wake", {"text": check_text("the text", text)})
        told = await append_event(
            self.run, replace(event, wake=WakeText(text, check_key(key, "key of a wake") if key is not None else None))
        )
        return told.sequence

    async def signal(
        self, target: AsyncChild[Any] | str, name: str, payload: Any = None, *, key: str | None = None
    ) -> int:
        """Send a signal to another process, once whatever happens; returns its sequence there."""
        return (
            await signals.send_signal(self.run, target if isinstance(target, str) else target.id, name, payload, key)
        ).sequence

    @overload
    async def ask(
        self,
        session: WakeTarget | str,
        text: Any,
        *,
        key: str | None = None,
        timeout: Duration | None = None,
        default: Any = ...,
    ) -> Any: ...
    @overload
    async def ask(
        self,
        session: WakeTarget | str,
        text: Any,
        *,
        output: type[T],
        key: str | None = None,
        timeout: Duration | None = None,
    ) -> T: ...
    @overload
    async def ask(
        self,
        session: WakeTarget | str,
        text: Any,
        *,
        output: type[T],
        key: str | None = None,
        timeout: Duration | None = None,
        default: D,
    ) -> T | D: ...
    async def ask(
        self,
        session: WakeTarget | str,
        text: Any,
        *,
        output: Any = Any,
        key: str | None = None,
        timeout: Duration | None = None,
        default: Any = MISSING,
    ) -> Any:
        """Put input into another session, and await what the turn that takes it returns, as ``output``; parks
        meanwhile.

        Raises `ProcessFailed`, `ProcessCancelled`, `OutputMismatch`, `WaitFailed` where it is undeliverable,
        `WaitTimeout` unless ``default`` is given.
        """
        limit = parse_duration(timeout) if timeout is not None else None
        return await ask(self.run, session, text, output=output, key=key, timeout_ms=limit, default=default)

    async def cancel(self, target: AsyncChild[Any] | str, reason: str = "requested by another process") -> str:
        """Ask another process to end; returns its status."""
        return await request_cancel(self.run, target if isinstance(target, str) else target.id, reason)

    async def continue_as_new(self, *args: Any, **kwargs: Any) -> NoReturn:
        """End this generation and begin the next with new arguments and a fresh journal; unconsumed signals are kept.

        The next one moves to the version of the engine that is started now, where that takes the arguments and declares
        no other signals and events.
        """
        await end_generation(self.run, args, kwargs)


def _wait_for(one: Gathered[Any], limit_ms: int | None) -> WaitCall:
    if isinstance(one, AsyncApproval):
        return wait_for(one, limit_ms)
    return awaiting(one.context.run, one.id, one.incarnation, limit_ms)


def _answer_of(one: Gathered[Any], resolution: Resolution, default: Any) -> Any:
    if isinstance(one, AsyncApproval):
        return answer_of(one, resolution, default)
    data = settle(f"process {one.id}", resolution, Any, default)
    with one.context.run.journal.reading(of_a_child=True):
        return data if data is default else one.load(raise_for(one.id, from_data(data)))


__all__ = ["AsyncApproval", "AsyncChild", "AsyncCtx"]
