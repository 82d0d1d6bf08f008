"""Between a sync body's thread and the worker's event loop.

Invariant: while the body's thread waits for the loop, it runs what the loop hands it (its own steps). So a sync body
needs only one thread.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
from collections.abc import Callable, Coroutine
from queue import SimpleQueue
from typing import Any, TypeVar

from wakeline.errors import ProcessExecutionUnavailable, WrongVerb
from wakeline.run.fitting import handled_by_body

T = TypeVar("T")


class Bridge:
    """One per sync body. `block` is called in the body's thread, `call` on the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.is_used_up: Callable[[], bool] = loop.is_closed
        """Whether the body has ended for which it is; the run says it, once that exists."""
        self._lock = threading.Lock()
        self._inside: int | None = None
        self._inbox: SimpleQueue[tuple[Callable[[], Any], asyncio.Future[Any] | None, contextvars.Context | None]] = (
            SimpleQueue()
        )

    def block(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine on the loop and returns its result to the body's thread; raises what it raises, control flow
        included.

        Raises `ProcessExecutionUnavailable` once the body has ended, and `WrongVerb` while another thread is in here,
        because each would take results meant for the other.
        """
        if self._loop.is_closed() or self.is_used_up():
            coroutine.close()
            raise ProcessExecutionUnavailable(verb=verb_of(coroutine))
        me = threading.get_ident()
        with self._lock:
            outer, self._inside = self._inside, self._inside or me
        if outer not in (None, me):
            coroutine.close()
            raise WrongVerb(
                verb="A context in two threads at once",
                use="children (start and gather) or an `async def` body for what runs side by side",
            )
        try:
            return self._block(coroutine)
        finally:
            self._inside = outer

    def _block(self, coroutine: Coroutine[Any, Any, T]) -> T:
        mark = handled_by_body.set(sys.exc_info()[1])
        try:
            context = contextvars.copy_context()
            future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        finally:
            handled_by_body.reset(mark)
        future.add_done_callback(lambda _: self._inbox.put((lambda: None, None, None)))
        while not future.done():
            code, reply, where = self._inbox.get()
            if reply is None:
                continue
            try:
                result = (where or context).run(code)
            except BaseException as error:  # noqa: BLE001 - user code; its awaiter gets the error
                self._answer(reply, None, error)
            else:
                self._answer(reply, result, None)
        return future.result()

    def _answer(self, reply: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
        def settle() -> None:
            if reply.done():
                return
            if error is not None:
                reply.set_exception(error)
            else:
                reply.set_result(result)

        self._loop.call_soon_threadsafe(settle)

    async def call(self, code: Callable[[], T]) -> T:
        """Runs a function in the body's thread, which is inside `block`."""
        reply: asyncio.Future[T] = self._loop.create_future()
        self._inbox.put((code, reply, contextvars.copy_context()))
        return await reply


def verb_of(coroutine: Coroutine[Any, Any, Any]) -> str:
    """How a body writes the call that made a coroutine."""
    owner, _, name = str(getattr(coroutine, "__qualname__", "a context")).rpartition(".")
    return f"{'ctx.' if owner in ('AsyncCtx', 'AsyncTurn') else ''}{name}"
