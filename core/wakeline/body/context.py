"""`AsyncCtx`: what an ``async def`` body can do. Every awaited verb is recorded: after a crash it gives its recorded
outcome.

Invariant: verbs hold no state. What must survive is in the journal, the slots or the log.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, NoReturn, ParamSpec, TypeVar, Unpack, cast, overload

from wakeline.body import signals
from wakeline.body.approvals import AsyncApproval
from wakeline.body.approvals import ask as ask_outside
from wakeline.body.asks import ask
from wakeline.body.attachments import attachments_of
from wakeline.body.awaited import AsyncChild, Gathered, gather, process_named
from wakeline.body.batches import BatchCall, call_batch, check_batch
from wakeline.body.carriers import call_from_body
from wakeline.body.children import start_body
from wakeline.body.effects import recorded
from wakeline.body.execution import ExecutionContext, execution_of
from wakeline.body.facts import BodyFacts
from wakeline.body.generations import end_generation
from wakeline.body.messages import append_event, emitted, request_cancel
from wakeline.body.races import first_of
from wakeline.body.steps import run_step
from wakeline.body.timers import sleep_for, sleep_until
from wakeline.body.triggers import AsyncBodyTrigger
from wakeline.engines.engine import Engine
from wakeline.errors import InvalidArguments
from wakeline.names import check_key, check_source
from wakeline.run.run import Run
from wakeline.run.waits import moment_ms
from wakeline.store.events import WakeText
from wakeline.tools.outcome import ToolOutcome
from wakeline.tools.tool import Duration, Tool
from wakeline.typed import check_kind
from wakeline.values import check_text, parse_duration
from wakeline.verbs.attachments import AsyncAttachments
from wakeline.verbs.options import MISSING, NOTHING, Options, StartOptions, WakeTarget
from wakeline.verbs.registrations import bound

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
D = TypeVar("D")


class AsyncCtx(BodyFacts):
    """The context of an ``async def`` body."""

    def __init__(self, run: Run, options: Options = NOTHING) -> None:
        super().__init__(run)
        self._options = options

    @property
    def execution(self) -> ExecutionContext:
        """The low-level context of this run: facts about it, and verbs under keys of the caller's own."""
        return execution_of(self.run)

    @property
    def attachments(self) -> AsyncAttachments:
        """The attachments of this process; for a turn, those of its session."""
        return attachments_of(self.run)

    def using(self, **options: Unpack[StartOptions]) -> AsyncCtx:
        """This context with options for the next start or call: ``id queue delay at wake deadline attempt_timeout
        max_attempts recovery on_parent_end key``."""
        return AsyncCtx(self.run, self._options.over(**options))

    # -- work

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
        """Run a function once and record what it returns. Once recorded it never runs again. Raises `StepFailed` if the
        function raised.

        ``was`` are the former names of the step, oldest first. It is no argument of the function.
        """
        return await run_step(self._for("step"), name, function, args, kwargs, was=was, key=self._options.key)

    async def effect(self, name: str, perform: Callable[[], Any], *, args: Any = None, key: str | None = None) -> Any:
        """Record the result of ``perform()`` as JSON, under a ``key`` of the caller's. Once recorded it never runs
        again.

        ``args`` tell one effect from another: a replay with other ones is a mismatch. Without a key, effects of one
        name and the same ``args`` are numbered. What ``perform`` raises passes unchanged and is not recorded, so a
        later run of the body performs again. Raises `EffectRepeated` for a key that this run used before, `InvalidId`,
        `InvalidPayload`, `PayloadTooLarge`, and `ProcessExecutionUnavailable` once the run is over.
        """
        return await recorded(self._for("effect"), name, perform, args, key if key is not None else self._options.key)

    async def call(self, tool: Tool[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a tool inside this process, with its retries. A tool with a queue, a limit or isolation runs in a
        separate process, which is awaited. A recorded call is followed where it ran, even if the tool is declared
        otherwise now."""
        run = self._for("call")
        async with run.journal.asking():
            given = bound(tool, *args, **kwargs)
            if not isinstance(tool, Tool):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise InvalidArguments(
                    name="call", reason=f"it takes a tool, not {tool!r}; start() an engine and await its result"
                )
        found = await call_from_body(run, tool, given, self._options, wake_end=self._child_ends_wake())
        with run.journal.reading(of_a_child=tool.is_apart or bool(self._options.queue)):
            return cast("R", tool.signature.load_result(found))

    async def call_batch(self, calls: Sequence[tuple[Tool[..., Any], dict[str, Any]]]) -> list[ToolOutcome]:
        """Call tools side by side, with arguments by name. Those declared ``scheduling="serial"`` run one by one after
        the others. Returns the outcome of each, in order; a failure is an outcome and no error. Raises
        `InvalidArguments` before anything runs."""
        check_batch(calls)
        run = self._for("call_batch")
        async with run.journal.asking():
            for tool, given in calls:
                bound(tool, **given)
        return await call_batch(run, [BatchCall(tool.name, partial(self.call, tool, **given)) for tool, given in calls])

    async def start(self, body: Engine[P, R] | Tool[P, R], /, *args: P.args, **kwargs: P.kwargs) -> AsyncChild[R]:
        """Start a child process. Its id follows from this call, so a crash does not start it twice."""
        run = self._for("start")
        async with run.journal.asking():
            given = bound(body, *args, **kwargs)
        started = await start_body(run, body, given, self._options, wake_end=self._child_ends_wake())
        return AsyncChild(*started, run, body.signature.load_result)

    def _child_ends_wake(self) -> bool:
        """Whether the ends of children wake. An inherited target gets only explicit wakes, or 1,000 children would wake
        it 1,001 times. Starts of a turn wake its session."""
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
        """The results of all children and the answers to all approvals, in order, with one resume for all of them. The
        timeout is for all, besides that of each approval. The default is for each that is late."""
        return await gather(self._for("gather"), awaited, timeout=timeout, default=default)

    async def race(self, *contenders: Awaitable[Any], cancel_losers: bool = False) -> tuple[int, Any]:
        """The index and the value of the first one. The others are given up: an abandoned wait swallows no signal, and
        a child goes on unless ``cancel_losers`` is set."""
        winner, first = await first_of(self._for("race"), contenders)
        if cancel_losers:
            for i, contender in enumerate(contenders):
                if i != winner and isinstance(contender, AsyncChild):
                    await self.cancel(contender, "lost a race")
        return winner, first.result()

    # -- waiting

    async def sleep(self, duration: Duration) -> None:
        """Sleep durably. The due time is fixed once, so after a crash only the rest is waited for."""
        await sleep_for(self._for("sleep"), parse_duration(duration))

    async def sleep_until(self, when: datetime) -> None:
        """Sleep until a moment (naive times are local)."""
        await sleep_until(self._for("sleep_until"), moment_ms(when))

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
        """The next signal of that name: the oldest kept one, or the next one that is sent.

        ``kind`` checks it at the sender. A signal of another type that was sent before the process waited is dropped,
        and the log names it. ``was`` are former names of the signal, oldest first, besides those in `Signal` of the
        engine. A process that knows the signal by one of them waits for that one, and senders may use any.

        Raises `WaitTimeout` unless ``default`` is given, `WaitCancelled`, `UndeclaredEvent` for a signal that no sender
        can serve.
        """
        return await signals.wait_for_signal(self._for("wait"), name, kind, timeout=timeout, default=default, was=was)

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
        """Ask a person or a program outside: hand out ``.token``, then ``await .wait()``, or `gather` several. The
        timeout runs from here, and from here on an answer has to be a ``kind``.

        ``question`` is a text or any other JSON of at most 16 KB. ``app.approvals()`` and the event
        ``approval.requested`` show it, and neither has the token. Raises `PayloadTooLarge`, `InvalidPayload`.
        """
        limit = parse_duration(timeout) if timeout is not None else None
        return await ask_outside(self._for("approval"), name, kind, limit, question)

    # -- telling others

    async def emit(self, event_type: str, payload: Any = None) -> int:
        """Append an event to this process, with the wake of its type; returns its sequence. Raises `UndeclaredEvent`,
        `PayloadSchemaMismatch`."""
        run = self._for("emit")
        async with run.journal.asking():
            event = emitted(run, event_type, payload)
        return (await append_event(run, event)).sequence

    def trigger(self, source: str, kind: Any = Any) -> AsyncBodyTrigger:
        """A source: ``await ctx.trigger("github.push").emit(payload)``, or ``.subscribe(body)``. ``kind``: the type of
        its payloads."""
        run = self._for("trigger")
        check_kind(f"trigger {check_source(source)}", kind)
        return AsyncBodyTrigger(run, source, kind, self.execution.trigger_registrar)

    async def wake(self, text: str, key: str | None = None) -> int:
        """Wake the session of this chain with a text. Wakes with the same ``key`` coalesce while they are pending."""
        run = self._for("wake")
        async with run.journal.asking():
            event = emitted(run, "wake", {"text": check_text("the text", text)})
        told = await append_event(
            run, replace(event, wake=WakeText(text, check_key(key, "key of a wake") if key is not None else None))
        )
        return told.sequence

    async def signal(
        self, target: AsyncChild[Any] | str, name: str, payload: Any = None, *, key: str | None = None
    ) -> int:
        """Send a signal to another process, once, even after a crash; returns the sequence of the event there."""
        return (await signals.send_signal(self._for("signal"), process_named(target), name, payload, key)).sequence

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
        """Send input to another session, and await the return value of the turn that takes it, as ``output``. The
        process parks meanwhile.

        Raises `ProcessFailed`, `ProcessCancelled`, `OutputMismatch`, `WaitFailed` if it is undeliverable,
        `WaitTimeout` unless ``default`` is given.
        """
        limit = parse_duration(timeout) if timeout is not None else None
        return await ask(self._for("ask"), session, text, output=output, key=key, timeout_ms=limit, default=default)

    async def cancel(self, target: AsyncChild[Any] | str, reason: str = "requested by another process") -> str:
        """Ask another process to end; returns its status."""
        return await request_cancel(self._for("cancel"), process_named(target), reason)

    async def continue_as_new(self, *args: Any, **kwargs: Any) -> NoReturn:
        """End this generation, and begin the next with new arguments and a fresh journal. Signals that were not taken
        are kept.

        The next generation moves to the engine version that is started now, if that takes the arguments and declares no
        other signals and events.
        """
        await end_generation(self._for("continue_as_new"), args, kwargs)
