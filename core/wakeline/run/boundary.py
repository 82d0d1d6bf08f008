"""The boundary to user code. An exception of a body, a step or a tool ends only that, never the worker, and can always
be recorded.

Invariant: control flow and a requested cancel pass through as they are. All else leaves as an `Exception`.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine, Generator
from concurrent.futures import CancelledError
from functools import partial
from types import FunctionType
from typing import Any, TypeVar, cast

from wakeline.errors import ControlFlow
from wakeline.processes.failures import Escaped
from wakeline.run.bridge import Bridge
from wakeline.run.pacing import AT_ONCE, Pacing
from wakeline.shown import logger
from wakeline.tools.tool import current_body, outside_body

T = TypeVar("T")
log = logger("wakeline.runner")
CAME_BACK = 70
"""Exit status of a forked child that did not end by itself (EX_SOFTWARE of sysexits.h)."""


def contained(code: Callable[[], T]) -> Callable[[], T]:
    """User code in a form that a thread may call. It raises `Escaped` for three kinds of exceptions: one that is no
    `Exception`, a `StopIteration`, which a future would lose, and the `CancelledError` of another future, which would
    look like a cancel of this one.
    """
    here = os.getpid()

    def call() -> T:
        try:
            return code()
        except ControlFlow:
            raise
        except BaseException as error:
            if isinstance(error, Exception) and not isinstance(error, StopIteration | CancelledError):
                raise
            raise Escaped(error) from error
        finally:
            _stay(here)

    return call


_is_forked = False
"""Whether this process was forked by Python. In any other nothing can have come back, and asking for its id at each
step of a body costs 3 % of a step."""


def _note_fork() -> None:
    global _is_forked
    _is_forked = True


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_note_fork)


def _stay(here: int) -> None:
    """Ends a child that user code forked when it comes back here. It holds the worker's connections, and would use them
    as if it were the worker."""
    if _is_forked and os.getpid() != here:
        log.error(
            "a child that a body forked came back into its worker and ends here; let it end with os._exit, or use"
            " subprocess"
        )
        os._exit(CAME_BACK)


async def contained_on_loop(code: Callable[[], Awaitable[T]]) -> T:
    """Awaits user code. Raises `Escaped` for what is no `Exception`, also for a `CancelledError` that was not
    requested."""
    try:
        return await code()
    except (Exception, ControlFlow, GeneratorExit):
        raise  # the last one closes a coroutine that is no longer awaited
    except BaseException as error:
        task = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
            raise
        raise Escaped(error) from error


class CarriedCode(Coroutine[Any, Any, Any]):
    """A coroutine of a run's task. What would end the event loop leaves it as `Escaped`, and a forked child never
    leaves it. Beside very many others it waits for its turn. ``_thrown`` is the error that it gets in its turn."""

    __slots__ = ("_code", "_here", "_is_placed", "_pacing", "_thrown")

    def __init__(self, code: Coroutine[Any, Any, Any], pacing: Pacing) -> None:
        self._code = code
        self._pacing = pacing
        pacing.tasks += 1
        self._is_placed = False
        self._thrown: tuple[Any, ...] | None = None
        self._here = os.getpid()

    def __getattr__(self, name: str) -> Any:
        """For readers of tasks: the name of its code, and where that is."""
        if name in CarriedCode.__slots__:
            raise AttributeError(name)
        return getattr(self._code, name)

    def send(self, value: Any) -> Any:
        if self._is_placed:
            self._is_placed = False
            self._pacing.took_place()
            if self._thrown is not None:
                return self._throw()
        elif (self._pacing.tasks > AT_ONCE or self._pacing.behind) and (place := self._pacing.place()) is not None:
            return self._wait(place)
        try:
            return self._code.send(value)
        except BaseException as error:
            self._pacing.tasks -= 1
            if isinstance(error, SystemExit | KeyboardInterrupt):
                raise Escaped(error) from error
            raise
        finally:
            _stay(self._here)

    def throw(self, *error: Any) -> Any:
        self._thrown = error
        # A cancel does not wait, and there is no other error while it waits.
        waits = not isinstance(error[0], asyncio.CancelledError)
        if waits and (self._pacing.tasks > AT_ONCE or self._pacing.behind) and (place := self._pacing.place()):
            return self._wait(place)
        if self._is_placed:
            self._is_placed = False
            self._pacing.took_place()
        return self._throw()

    def _wait(self, place: asyncio.Future[None]) -> Any:
        self._is_placed = True
        return place.__await__().send(None)  # as if the code awaited it

    def _throw(self) -> Any:
        error, self._thrown = self._thrown or (), None
        try:
            return self._code.throw(*error)
        except BaseException as escaped:
            self._pacing.tasks -= 1
            if isinstance(escaped, SystemExit | KeyboardInterrupt):
                raise Escaped(escaped) from escaped
            raise
        finally:
            del error  # it holds this frame
            _stay(self._here)

    def close(self) -> None:
        self._code.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._code.__await__()


def contain_exits(loop: asyncio.AbstractEventLoop) -> None:
    """Makes tasks of bodies on this loop carry a ``sys.exit`` to their awaiter. asyncio would end the loop, and with it
    the worker."""

    def make(loop: asyncio.AbstractEventLoop, code: Any, **options: Any) -> asyncio.Task[Any]:
        body = current_body.get()
        made: Any = body.carried(code) if body is not None and asyncio.iscoroutine(code) else code
        return asyncio.Task(made, loop=loop, **options)

    loop.set_task_factory(make)


class _Body(CarriedCode):
    """The coroutine of a body, which says when it is over: a callback of its task would need two turns of the loop for
    that, which is 4 % of a no-op."""

    __slots__ = ("_over",)

    def __init__(self, code: Coroutine[Any, Any, Any], pacing: Pacing, over: Callable[[], None]) -> None:
        super().__init__(code, pacing)
        self._over = over

    def send(self, value: Any) -> Any:
        try:
            return super().send(value)
        except BaseException:
            self._over()
            raise

    def throw(self, *error: Any) -> Any:
        try:
            return super().throw(*error)
        except BaseException:
            self._over()
            raise


def begun(
    code: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop, pacing: Pacing, over: Callable[[], None]
) -> asyncio.Task[T]:
    """The task of a body. ``over`` is called when its code is over, in the same turn of the loop as the task is done.

    From Python 3.12 on it runs at once, up to its first wait, as a task of its own: a body that does not wait needs no
    turn of the loop. Before 3.12 a task cannot begin so.
    """
    made = cast("Coroutine[Any, Any, T]", _Body(code, pacing, over))
    if sys.version_info >= (3, 12):
        return asyncio.Task(made, loop=loop, eager_start=True)
    return asyncio.Task(made, loop=loop)


def _is_async(function: Callable[..., Any]) -> bool:
    """`inspect.iscoroutinefunction`, at once for a plain `async def`."""
    return (type(function) is FunctionType and bool(function.__code__.co_flags & inspect.CO_COROUTINE)) or (
        inspect.iscoroutinefunction(function)
    )


async def invoked(code: partial[Any], bridge: Bridge | None) -> Any:
    """The result of user code. A coroutine runs on the loop, and a plain function in the body's own thread (sync body)
    or in a thread of the pool."""
    with outside_body():
        if _is_async(code.func):
            return await contained_on_loop(code)
        if bridge is not None:
            return await bridge.call(contained(code))
        return await asyncio.to_thread(contained(code))
