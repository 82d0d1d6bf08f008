"""How every client notices that the store went back: it looks once a beat, and renews what it knows when something is
gone.

Invariant: a look is a call like any other, and no writer waits for it. If one could not be sent, the next one follows.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from abc import abstractmethod
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar
from weakref import WeakMethod, ref

from wakeline.attachments.backend import Blobs
from wakeline.errors import WakelineError
from wakeline.shown import logger
from wakeline.store.address import Address, opening, redis_blobs
from wakeline.store.calls import Call, Program
from wakeline.store.connection import Backend
from wakeline.store.flags import Flag
from wakeline.store.rewinds import LOOK, Answered, Rewind, renewing
from wakeline.store.together import Counter, Server
from wakeline.telemetry.instruments import Instruments
from wakeline.telemetry.seen import ScriptSeen
from wakeline.waits.keys import Keyring

log = logger("wakeline.store")
T = TypeVar("T")
IDLE_S = 3600
"""After how many seconds without a request a client stops looking, until its next request."""


class Client:
    """What a blocking and an awaited client share."""

    def __init__(self, backend: Backend, address: Address, blobs: Blobs | None = None) -> None:
        self.backend = backend
        self.address = address
        self.blobs = blobs or redis_blobs(backend, address)
        self.sent = Counter({})
        self.instruments = Instruments()
        """Told of its scripts."""
        self.rewound: list[Callable[[], object]] = []
        """Called if the store went back, or is another one, so known facts may be wrong."""
        self._server = Server()
        self._keyring: Keyring | None = None
        self._writes: Answered | None = None
        self._used_s = time.monotonic()
        self._begin()

    def _begin(self) -> None:
        self._writes = Answered() if self.address.look_s is not None else None

    @contextmanager
    def _seen(self, calls: Sequence[Call[Any]], began_s: float) -> Generator[None]:
        """Tells instruments of calls whose replies are awaited or read meanwhile. Not told under a lock: an instrument
        may use this client."""
        code: str | None = None
        try:
            yield
        except WakelineError as error:
            code = error.code
            raise
        finally:
            for call in calls:
                self.instruments.script(ScriptSeen(call.script, time.monotonic() - began_s, code))

    @property
    def _is_idle(self) -> bool:
        return time.monotonic() - self._used_s > IDLE_S

    def _renewing(self, found: Rewind | None) -> Program[Keyring]:
        assert self._keyring is not None, "a client that looks has opened the namespace"
        self._server.functions = True  # as far as known of this server
        return renewing(opening(self.address), self._keyring, found, self._forget)

    def _forget(self) -> None:
        for told in self.rewound:
            told()

    def _could_not(self, found: Rewind | None, error: WakelineError) -> None:
        log.warning("what is known of the namespace could not be renewed: %s", error)
        assert self._writes is not None
        self._writes.put_back(found)  # the next look tries again


class Lookout(threading.Thread):
    """Calls ``look`` once a beat, until it returns False or its client is gone."""

    def __init__(self, look: Callable[[], bool], every_s: float) -> None:
        super().__init__(name="wakeline-lookout", daemon=True)
        self._look = WeakMethod(look)
        self._every_s = every_s
        self._end = Flag()
        self.is_over = False
        """Whether it looks no more. `is_alive` says so of a living thread, too, if a signal handler raised in it."""

    def run(self) -> None:
        try:
            while not self._end.wait(self._every_s):
                look = self._look()
                if look is None or not look():
                    return
                del look
        finally:
            self.is_over = True

    def end(self) -> None:
        """Ends the looks."""
        self._end.up()


class Watching(Client):
    """A blocking client that looks, in a thread that ends with the client."""

    def __init__(self, backend: Backend, address: Address, blobs: Blobs | None = None) -> None:
        super().__init__(backend, address, blobs)
        self._client: Any = None
        self._pid = 0
        self._lookout: Lookout | None = None

    def _begin(self) -> None:
        super()._begin()
        # A forked child gets new ones, because a thread that exists only in the parent may hold the old ones.
        # A signal handler may come to either while its thread has it.
        self._starting, self._renewal = threading.RLock(), threading.RLock()

    @abstractmethod
    def run(self, program: Program[T]) -> T: ...
    @abstractmethod
    def _send(self, client: Any, calls: Sequence[Call[T]]) -> list[T]: ...

    def _watch(self) -> None:
        self._used_s = time.monotonic()
        if self.address.look_s is None:
            return
        with self._starting:
            if self._lookout is None or self._lookout.is_over:
                lookout = self._lookout = Lookout(self._look, self.address.look_s)
                try:
                    lookout.start()
                except BaseException as error:
                    if lookout.ident is None:
                        self._lookout = None
                    # An ending interpreter, or a system without room, starts no thread. Answers to writes are still
                    # compared.
                    if not isinstance(error, RuntimeError):
                        raise

    def _look(self) -> bool:
        """Looks; returns False if it need not look again."""
        client, writes = self._client, self._writes
        if client is None or writes is None or self._pid != os.getpid():
            return False
        if self._is_idle:
            writes.begin()
            return False
        with suppress(WakelineError):  # the server is away: the next look comes a beat later
            [look] = self._send(client, [writes.look()])
            writes.looked(look)
            if writes.noticed or (self._keyring is not None and look.secret_id != self._keyring.id):
                self._renew(writes)
        return True

    def compare(self) -> None:
        """Looks now, not a beat later, and tells what it found: for one that is about to leave. One that was not used
        looks at nothing."""
        self._look()

    def _heed(self) -> None:
        """Renews what is known if an answer showed a rewind."""
        if self._writes is not None and self._writes.noticed:
            self._renew(self._writes)

    def _renew(self, writes: Answered) -> None:
        with self._renewal:  # two threads that notice it report one rewind
            found = writes.found()
            try:
                self._keyring = self.run(self._renewing(found))
            except WakelineError as error:
                self._could_not(found, error)

    def _end_watch(self) -> None:
        if self._lookout is not None:
            self._lookout.end()
        self._lookout = None


class AwaitedWatching(Client):
    """A client on an event loop that looks, by a timer of the loop.

    If it is not closed, its loop closes it: `asyncio.run` ends what was begun before it closes the loop."""

    def __init__(self, backend: Backend, address: Address, blobs: Blobs | None = None) -> None:
        super().__init__(backend, address, blobs)
        self._next_look: asyncio.TimerHandle | None = None
        self._looking: asyncio.Task[None] | None = None
        self._last_words: AsyncGenerator[None] | None = None

    @abstractmethod
    def execute(self, call: Call[T]) -> Coroutine[Any, Any, T]: ...
    @abstractmethod
    async def run(self, program: Program[T]) -> T: ...
    @abstractmethod
    async def close(self) -> None: ...

    async def _close_with_loop(self) -> None:
        """From here on the end of the loop closes this client, unless it is closed before."""
        self._last_words = _last_words(ref(self))
        await anext(self._last_words)

    async def loop_ends(self) -> None:
        """Called when the loop ends and this client is not closed."""
        if self._last_words is not None:
            self._last_words = None
            await self.close()

    def _watch(self, call: Call[Any]) -> None:
        if call.script == LOOK:
            return
        self._used_s = time.monotonic()
        if self._next_look is None and self.address.look_s is not None and not self._is_looking:
            self._look_later(self.address.look_s)

    @property
    def _is_looking(self) -> bool:
        return self._looking is not None and not self._looking.done()

    def _look_later(self, in_s: float) -> None:
        if self._next_look is not None:
            self._next_look.cancel()
        self._next_look = asyncio.get_running_loop().call_later(in_s, self._start_look)

    def _start_look(self) -> None:
        self._next_look = None
        if self._writes is None or self._is_looking:
            return
        if self._is_idle:
            self._writes.begin()
        else:
            self._looking = asyncio.create_task(self._look(self._writes))

    async def _look(self, writes: Answered) -> None:
        with suppress(WakelineError):
            look = await self.execute(writes.look())
            writes.looked(look)
            if writes.noticed or (self._keyring is not None and look.secret_id != self._keyring.id):
                await self._renew(writes)
        self._look_later(self.address.look_s or 0)

    async def compare(self) -> None:
        """Looks now, not a beat later, and tells what it found: for one that is about to leave. One that was not used
        looks at nothing."""
        if self._writes is None or self._keyring is None:
            return
        if self._looking is not None and not self._looking.done():
            await asyncio.wait([self._looking])  # it may have been answered before the loss
        self._looking = asyncio.create_task(self._look(self._writes))
        await asyncio.wait([self._looking])

    def _heed(self) -> None:
        """Makes it look at once if an answer showed a rewind."""
        if self._writes is not None and self._writes.noticed and not self._is_looking:
            self._look_later(0)

    async def _renew(self, writes: Answered) -> None:
        found = writes.found()
        try:
            self._keyring = await self.run(self._renewing(found))
        except WakelineError as error:
            self._could_not(found, error)

    async def _end_watch(self) -> None:
        if self._next_look is not None:
            self._next_look.cancel()
        looking, last_words = self._looking, self._last_words
        self._next_look = self._looking = self._last_words = None
        await end_all([] if looking is None else [looking])
        if last_words is not None:
            await last_words.aclose()


async def _last_words(client: ref[AwaitedWatching]) -> AsyncGenerator[None]:
    """Closes a client at the end of its loop. `asyncio.run` closes started generators after it has cancelled all tasks,
    so a timer of the client may have started another one by then."""
    try:
        yield
    finally:
        left = client()
        if left is not None:
            await left.loop_ends()


async def end_all(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancels until all are over, because in Python 3.11 a cancel is lost when it meets the end of a `wait_for`, and
    redis-py sends inside one."""
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=0.1)
