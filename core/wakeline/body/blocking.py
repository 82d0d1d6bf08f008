"""`Ctx` and `Turn`: the verbs of `AsyncCtx` for ``def`` bodies. They block the body's thread until the loop has the
outcome.

Invariant: there is no logic here. Every verb is the async one, awaited on the worker's loop.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, NoReturn, ParamSpec, TypeVar, Unpack, overload

from wakeline.body.approvals import AsyncApproval
from wakeline.body.attachments import blocking_attachments_of
from wakeline.body.awaited import AsyncChild, check_awaited
from wakeline.body.context import AsyncCtx
from wakeline.body.execution import BlockingExecutionContext
from wakeline.body.triggers import BodyTrigger
from wakeline.body.turn import AsyncTurn, Inbox, InboxItem
from wakeline.engines.engine import Engine
from wakeline.run.bridge import Bridge
from wakeline.tools.outcome import ToolOutcome
from wakeline.tools.tool import Duration, Tool
from wakeline.verbs.attachments import Attachments
from wakeline.verbs.options import MISSING, StartOptions, WakeTarget

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
D = TypeVar("D")


@dataclass(frozen=True, slots=True)
class Child(Generic[R]):
    """A process that this body started."""

    inner: AsyncChild[R]
    bridge: Bridge

    @property
    def id(self) -> str:
        """The id of the child's process."""
        return self.inner.id

    @overload
    def result(self, timeout: Duration | None = None) -> R: ...
    @overload
    def result(self, timeout: Duration | None = None, *, default: D) -> R | D: ...
    def result(self, timeout: Duration | None = None, *, default: Any = MISSING) -> Any:
        """Waits for its end, parked if need be, and returns its result. Raises `ProcessFailed`, `ProcessCancelled`,
        `ProcessAbandoned`, `WaitTimeout` (unless ``default`` is given)."""
        return self.bridge.block(self.inner.result(timeout, default=default))

    def signal(self, name: str, payload: Any = None, *, key: str | None = None) -> int:
        """Send it a signal, once, even after a crash. Returns the sequence of the event there."""
        return self.bridge.block(self.inner.signal(name, payload, key=key))

    def cancel(self, reason: str = "requested by its parent") -> str:
        """Ask it to end. Returns its status."""
        return self.bridge.block(self.inner.cancel(reason))


@dataclass(frozen=True, slots=True)
class Approval(Generic[T]):
    """A question to a person or a program outside. The holder of `token` answers it, once."""

    inner: AsyncApproval[T]
    bridge: Bridge

    @property
    def token(self) -> str:
        """The bearer token that answers it."""
        return self.inner.token

    @overload
    def wait(self) -> T: ...
    @overload
    def wait(self, *, default: D) -> T | D: ...
    def wait(self, *, default: Any = MISSING) -> Any:
        """The answer; raises `WaitTimeout` at the timeout (unless ``default`` is given), `WaitCancelled`."""
        return self.bridge.block(self.inner.wait(default=default))


def _inner_of(target: Child[Any] | str) -> AsyncChild[Any] | str:
    return target.inner if isinstance(target, Child) else target


class Ctx:
    """The context of a ``def`` body."""

    def __init__(self, inner: AsyncCtx, bridge: Bridge) -> None:
        self._inner = inner
        self._bridge = bridge

    def _block(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._bridge.block(coroutine)

    @property
    def execution(self) -> BlockingExecutionContext:
        """The low-level context of this run, with blocking verbs."""
        return BlockingExecutionContext(self._inner.execution, self._bridge)

    @property
    def attachments(self) -> Attachments:
        """The attachments of this process; for a turn, those of its session."""
        return blocking_attachments_of(self._inner.run, self._bridge.block)

    @property
    def id(self) -> str:
        """The id of this process."""
        return self._inner.id

    @property
    def cancelled(self) -> bool:
        """True once a cancel was requested."""
        return self._inner.cancelled

    @property
    def stopping(self) -> bool:
        """True once this worker is shutting down."""
        return self._inner.stopping

    @property
    def attempt(self) -> int:
        """Which attempt this is."""
        return self._inner.attempt

    @property
    def idempotency_key(self) -> str:
        """A key that is the same over attempts and hand-backs."""
        return self._inner.idempotency_key

    @property
    def log(self) -> logging.Logger:
        """A logger that is silent while the body replays."""
        return self._inner.log

    def now(self) -> datetime:
        """The time of the latest recorded outcome: the same after a crash."""
        return self._inner.now()

    def uuid(self) -> uuid.UUID:
        """A fresh UUID, the same after a crash."""
        return self._inner.uuid()

    def random(self) -> float:
        """A number in [0, 1), the same after a crash."""
        return self._inner.random()

    def patched(self, change: str) -> bool:
        """True in processes that reach this point for the first time with the new code."""
        return self._inner.patched(change)

    def deprecated_patch(self, change: str) -> None:
        """Replaces ``patched`` once the old path is gone from the code. Raises `ReplayMismatch` in a process that is
        past this point on the old path."""
        self._inner.deprecated_patch(change)

    def using(self, **options: Unpack[StartOptions]) -> Ctx:
        """This context with options for the next start or call."""
        return Ctx(self._inner.using(**options), self._bridge)

    def defer(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Run a function when the process ends (not when it parks). The last deferred one runs first."""
        self._inner.defer(function, *args, **kwargs)

    def step(
        self, name: str, function: Callable[..., R], *args: Any, was: Sequence[str] | str = (), **kwargs: Any
    ) -> R:
        """Run a function once and record what it returns. ``was`` are the former names of the step, oldest first."""
        return self._block(self._inner.step(name, function, *args, was=was, **kwargs))

    def effect(self, name: str, perform: Callable[[], Any], *, args: Any = None, key: str | None = None) -> Any:
        """Record the result of ``perform()`` as JSON, under a key of the caller's. What it raises is not recorded."""
        return self._block(self._inner.effect(name, perform, args=args, key=key))

    def call(self, tool: Tool[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a tool inside this process, with its retries."""
        return self._block(self._inner.call(tool, *args, **kwargs))

    def call_batch(self, calls: Sequence[tuple[Tool[..., Any], dict[str, Any]]]) -> list[ToolOutcome]:
        """Call several tools; returns the outcome of each, in order."""
        return self._block(self._inner.call_batch(calls))

    def start(self, body: Engine[P, R] | Tool[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Child[R]:
        """Start a child process, once, even after a crash."""
        return Child(self._block(self._inner.start(body, *args, **kwargs)), self._bridge)

    @overload
    def gather(self, awaited: Sequence[Child[R] | Approval[R]], *, timeout: Duration | None = None) -> list[R]: ...
    @overload
    def gather(
        self, awaited: Sequence[Child[R] | Approval[R]], *, timeout: Duration | None = None, default: D
    ) -> list[R | D]: ...
    def gather(
        self,
        awaited: Sequence[Child[Any] | Approval[Any]],
        *,
        timeout: Duration | None = None,
        default: Any = MISSING,
    ) -> list[Any]:
        """The results of all children and the answers to all approvals, in order; one resume for all of them. The
        timeout is for all, the default for each that is late."""
        check_awaited("gather", awaited, (Child, Approval))
        return self._block(self._inner.gather([one.inner for one in awaited], timeout=timeout, default=default))

    def race(self, *contenders: Child[Any], cancel_losers: bool = False) -> tuple[int, Any]:
        """The index and the result of the child that ends first."""
        check_awaited("race", contenders, (Child,))
        return self._block(self._inner.race(*[child.inner for child in contenders], cancel_losers=cancel_losers))

    def sleep(self, duration: Duration) -> None:
        """Sleep durably; no worker is held."""
        self._block(self._inner.sleep(duration))

    def sleep_until(self, when: datetime) -> None:
        """Sleep until a moment (naive times are local)."""
        self._block(self._inner.sleep_until(when))

    @overload
    def wait(
        self,
        name: str,
        kind: None = None,
        *,
        timeout: Duration | None = None,
        default: Any = ...,
        was: Sequence[str] | str = ...,
    ) -> Any: ...
    @overload
    def wait(
        self, name: str, kind: type[T], *, timeout: Duration | None = None, was: Sequence[str] | str = ...
    ) -> T: ...
    @overload
    def wait(
        self, name: str, kind: type[T], *, timeout: Duration | None = None, default: D, was: Sequence[str] | str = ...
    ) -> T | D: ...
    @overload
    def wait(
        self,
        name: str,
        kind: Any,
        *,
        timeout: Duration | None = None,
        default: Any = ...,
        was: Sequence[str] | str = ...,
    ) -> Any: ...
    def wait(
        self,
        name: str,
        kind: Any = None,
        *,
        timeout: Duration | None = None,
        default: Any = MISSING,
        was: Sequence[str] | str = (),
    ) -> Any:
        """The next signal of that name; raises `WaitTimeout` unless ``default`` is given, `WaitCancelled`."""
        return self._block(self._inner.wait(name, kind, timeout=timeout, default=default, was=was))

    @overload
    def approval(
        self, name: str, kind: type[T], *, timeout: Duration | None = None, question: Any = None
    ) -> Approval[T]: ...
    @overload
    def approval(
        self, name: str, kind: Any = None, *, timeout: Duration | None = None, question: Any = None
    ) -> Approval[Any]: ...
    def approval(
        self, name: str, kind: Any = None, *, timeout: Duration | None = None, question: Any = None
    ) -> Approval[Any]:
        """Ask someone outside: hand out ``.token``, then ``.wait()``, or `gather` several. ``question``: a text or any
        other JSON of at most 16 KB."""
        made: AsyncApproval[Any] = self._block(self._inner.approval(name, kind, timeout=timeout, question=question))
        return Approval(made, self._bridge)

    def emit(self, event_type: str, payload: Any = None) -> int:
        """Append an event to this process, and the wake its type means."""
        return self._block(self._inner.emit(event_type, payload))

    def wake(self, text: str, key: str | None = None) -> int:
        """Wake the session of this chain."""
        return self._block(self._inner.wake(text, key))

    def trigger(self, source: str, kind: Any = Any) -> BodyTrigger:
        """A source: ``ctx.trigger("github.push").emit(payload)``, or ``.subscribe(body)``. ``kind``: the type of its
        payloads."""
        return BodyTrigger(self._inner.trigger(source, kind), self._bridge)

    def signal(self, target: Child[Any] | str, name: str, payload: Any = None, *, key: str | None = None) -> int:
        """Send a signal to another process, once, even after a crash."""
        return self._block(self._inner.signal(_inner_of(target), name, payload, key=key))

    @overload
    def ask(
        self,
        session: WakeTarget | str,
        text: Any,
        *,
        key: str | None = None,
        timeout: Duration | None = None,
        default: Any = ...,
    ) -> Any: ...
    @overload
    def ask(
        self,
        session: WakeTarget | str,
        text: Any,
        *,
        output: type[T],
        key: str | None = None,
        timeout: Duration | None = None,
    ) -> T: ...
    @overload
    def ask(
        self,
        session: WakeTarget | str,
        text: Any,
        *,
        output: type[T],
        key: str | None = None,
        timeout: Duration | None = None,
        default: D,
    ) -> T | D: ...
    def ask(
        self,
        session: WakeTarget | str,
        text: Any,
        *,
        output: Any = Any,
        key: str | None = None,
        timeout: Duration | None = None,
        default: Any = MISSING,
    ) -> Any:
        """Send input to another session, and await the return value of the turn that takes it, as ``output``."""
        return self._block(self._inner.ask(session, text, output=output, key=key, timeout=timeout, default=default))

    def cancel(self, target: Child[Any] | str, reason: str = "requested by another process") -> str:
        """Ask another process to end. Returns its status."""
        return self._block(self._inner.cancel(_inner_of(target), reason))

    def continue_as_new(self, *args: Any, **kwargs: Any) -> NoReturn:
        """End this generation and begin the next with new arguments and a fresh journal."""
        self._block(self._inner.continue_as_new(*args, **kwargs))
        raise AssertionError("unreachable")


class Turn(Ctx):
    """The context of a ``def`` agent."""

    def __init__(self, inner: AsyncTurn, bridge: Bridge) -> None:
        super().__init__(inner, bridge)
        self._turn = inner

    def using(self, **options: Unpack[StartOptions]) -> Turn:
        """This turn with options for the next start or call."""
        return Turn(self._turn.using(**options), self._bridge)

    @property
    def inbox(self) -> Inbox:
        """The batch of this turn, in order."""
        return self._turn.inbox

    @property
    def state(self) -> dict[str, Any]:
        """The agent's state as JSON; it is committed when the turn ends."""
        return self._turn.state

    @state.setter
    def state(self, value: dict[str, Any]) -> None:
        self._turn.state = value

    @property
    def session_id(self) -> str:
        """The session of this turn."""
        return self._turn.session_id

    @property
    def revision(self) -> str:
        """The revision of the head that this turn read."""
        return self._turn.revision

    @property
    def frame(self) -> str | None:
        """The agent frame of this turn; None before any frame was opened."""
        return self._turn.frame

    def arrivals(self) -> list[InboxItem]:
        """The entries that arrived since this turn began or last asked, for an agent with ``on_arrival="early"``. They
        join the inbox."""
        return self._block(self._turn.arrivals())

    def switch_frame(self, frame: str, text: str = "") -> None:
        """End this turn in another agent frame. The first turn of that frame follows, with ``text`` as a wake."""
        self._turn.switch_frame(frame, text)
