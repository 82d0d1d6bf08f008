"""The client of an event loop: it gathers the calls of one turn of the loop into one write, and drives programs.

Invariant: a call whose reply is lost is sent again with the same arguments, and every script gives its first answer
again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar, cast

import redis.asyncio
from redis import exceptions as rex

from wakeline.attachments.backend import Blobs
from wakeline.errors import AttachmentStoreFailed, WakelineError
from wakeline.shown import logger
from wakeline.store import functions, stand_ins, tails
from wakeline.store import keyring as rings
from wakeline.store.address import Address, argv, opening
from wakeline.store.blocking import SyncStore
from wakeline.store.calls import Call, Change, Outside, Pause, Program, Together
from wakeline.store.connection import (
    AWAY,
    Backend,
    check_server,
    first_contact,
    is_away,
    told_awaited,
    translate,
    typed_errors,
)
from wakeline.store.driver import LOOK_AGAIN_MS, Drive
from wakeline.store.link import Link
from wakeline.store.tailer import Tailers
from wakeline.store.tails import Subject, ToldEnd
from wakeline.store.together import Counter, Exchange, Prepared
from wakeline.store.waiters import AwaitedWaiter
from wakeline.store.watching import AwaitedWatching, end_all
from wakeline.waits.keys import Keyring

log = logger("wakeline.store")
T = TypeVar("T")
FIRST_WAIT_S, LAST_WAIT_S = 0.02, 0.5
"""The pause between two tries of a patient client, in seconds. It is well below a heartbeat, so that a worker is not
reaped because it came back slowly (race 29)."""
OUTSIDE_AT_ONCE = 8
"""How many uploads, reads and removals of bytes outside of Redis an awaited client does at once."""


class AsyncStore(AwaitedWatching):
    """Executes calls on one event loop. All calls issued in one turn of the loop leave as one pipelined write, those of
    one script together.

    ``patient`` (for workers): if a server is unreachable or takes no writes, it waits, with a backoff below one
    heartbeat, and does not raise.
    """

    def __init__(
        self,
        backend: Backend,
        address: Address,
        blobs: Blobs | None = None,
        *,
        patient: bool = False,
        tailers: Tailers | None = None,
    ) -> None:
        super().__init__(backend, address, blobs)
        self.patient = patient
        self._tailers = tailers or Tailers(lambda: SyncStore(backend, replace(address, beat_ms=None)))
        self._client: redis.asyncio.Redis | None = None
        self._link: Link | None = None
        self._ear: Link | None = None
        """The connection on which it waits for hints."""
        self._away = False
        self._delay = FIRST_WAIT_S
        self._queue: list[tuple[Prepared, asyncio.Future[Any]]] = []
        """Calls that wait for the next write, with the futures for their replies."""
        self._flushing: asyncio.Task[None] | None = None
        self._opening: asyncio.Task[None] | None = None
        self._read_s = 0.0
        """When the secrets were last read."""
        self._outside = ThreadPoolExecutor(OUTSIDE_AT_ONCE, thread_name_prefix="wakeline-outside")
        """Separate threads, because all threads of the loop may be in code that waits for this."""

    async def open(self) -> None:
        """Connects and checks the server; the first use calls it.

        It runs in a task of its own. Before Python 3.12 `asyncio.wait_for`, with which redis-py connects, may swallow a
        cancel, and the caller may be a body that is cancelled.
        """
        if self._keyring is not None:
            return
        task = self._opening
        if task is None or task.done() or task.get_loop() is not asyncio.get_running_loop():
            task = self._opening = asyncio.create_task(self._open())
            task.add_done_callback(lambda over: over.cancelled() or over.exception())  # its callers may be gone
        await asyncio.shield(task)

    async def _open(self) -> None:
        client = self.backend.aio()
        untyped: Any = client  # redis-py leaves the types of its commands open
        call = opening(self.address)
        link = Link(client)
        while True:
            try:
                with first_contact(self.backend), typed_errors(call.script):
                    if self.backend.real:
                        check_server(
                            await told_awaited(untyped),
                            allow_eviction=self.address.allow_eviction or self.address.only_looks,
                        )
                    reply = await self._told(link, call)
                break
            except WakelineError as error:
                if not self._waits_for(error):
                    await client.aclose(close_connection_pool=True)
                    raise
                await asyncio.sleep(0.5)
        try:
            self._keyring, self._read_s = call.decode(reply), time.monotonic()
        except WakelineError:
            await client.aclose(close_connection_pool=True)
            raise
        self._client, self._link, self._ear = client, link, Link(client)
        await self._close_with_loop()

    async def _told(self, link: Link, call: Call[Any]) -> Any:
        """The reply to one call; raises the error that the server answered."""
        replies: list[Any] = []
        await link.carry(
            Exchange(
                [Prepared.of(call)],
                partial(argv, self.address),
                self._server,
                Counter({}),
                lambda _, one: replies.append(one),
            )
        )
        if isinstance(replies[0], Exception):
            raise replies[0]
        return replies[0]

    @property
    def client(self) -> redis.asyncio.Redis:
        assert self._client is not None, "open() first"
        return self._client

    @property
    def secret(self) -> bytes:
        assert self._keyring is not None, "open() first"
        return self._keyring.current

    async def keyring(self, *, newer_than_s: float = rings.RENEW_S) -> Keyring:
        """The namespace's secrets; they are read again if the known ones are older."""
        if self._keyring is None:
            await self.open()
        elif time.monotonic() - self._read_s >= newer_than_s:
            self._read_s = time.monotonic()
            self._keyring = await self.execute(opening(self.address))
        assert self._keyring is not None
        return self._keyring

    async def keyring_for(self, token: str) -> Keyring:
        """As `SyncStore.keyring_for`."""
        ring = await self.keyring()
        return ring if ring.knows(token) else await self.keyring(newer_than_s=rings.ASK_AGAIN_S)

    def execute(self, call: Call[T]) -> Coroutine[Any, Any, T]:
        """One call, to be awaited; raises the call's typed errors and `StoreError`."""
        return self._execute_seen(call) if self.instruments.scripts else self._execute(call)

    async def _execute_seen(self, call: Call[T]) -> T:
        with self._seen([call], time.monotonic()):
            return await self._execute(call)

    async def _execute(self, call: Call[T]) -> T:
        if self._keyring is None:
            await self.open()
        self._watch(call)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        # Encoded here, so that an error belongs to this caller alone, and not to all calls of the same write.
        prepared = Prepared.of(call)
        if call.payloads and stand_ins.is_large(prepared.args):
            prepared = Prepared.of(await self.run(stand_ins.replaced(call, self.blobs)))
        self._queue.append((prepared, future))
        if self._flushing is None or self._flushing.done():
            # No task of the body that asks: it serves all bodies.
            self._flushing = asyncio.Task(self._flush(), loop=asyncio.get_running_loop())
        reply = await future
        if call.brings and stand_ins.stands_in(reply):
            reply = await self.run(call.brings(self.blobs, reply))
        return call.decode(reply)

    async def execute_together(self, calls: Sequence[Call[T]]) -> list[T]:
        """Calls that leave in one write; results in order. Raises the error of the first refused call, after all were
        sent."""
        found = await asyncio.gather(*(self.execute(call) for call in calls), return_exceptions=True)
        for one in found:
            if isinstance(one, BaseException):
                raise one
        return cast("list[T]", found)

    async def _execute_each(self, calls: Sequence[Call[T]]) -> list[T | Exception]:
        """As `execute_together`; the error of a call stands in its place."""
        found = await asyncio.gather(*(self.execute(call) for call in calls), return_exceptions=True)
        for one in found:
            if isinstance(one, BaseException) and not isinstance(one, Exception):
                raise one
        return cast("list[T | Exception]", found)

    async def _flush(self) -> None:
        # Calls of other bodies in this turn of the loop join the same write.
        await asyncio.sleep(0)
        while self._queue:
            batch, self._queue = self._queue[:512], self._queue[512:]
            try:
                await self._send(batch)
            except asyncio.CancelledError:
                self._give_up([*batch, *self._queue])
                raise

    def _give_up(self, calls: Sequence[tuple[Prepared, asyncio.Future[Any]]]) -> None:
        """Fails the calls that were on their way when the client was closed."""
        self._queue = []
        for one, told in calls:
            if not told.done():
                closed = rex.ConnectionError("the client was closed while it waited for the reply")
                told.set_exception(translate(one.call.script, closed))

    def _waits_for(self, error: Exception) -> bool:
        """Whether this client waits until the server is back, which it logs once; False if its caller gets the
        error."""
        if not (self.patient and isinstance(error, AWAY)):
            return False
        if not self._away:
            log.warning("%s Waiting for it.", error)
        self._away = True
        return True

    def _is_back(self) -> None:
        if self._away:
            log.warning("Redis answers again")
        self._away = False
        self._delay = FIRST_WAIT_S

    async def _send(self, batch: list[tuple[Prepared, asyncio.Future[Any]]]) -> None:
        """Sends a batch and hands out the replies. Calls for which a patient client has to wait go back to the head of
        the queue, and leave with what joined it. So a tick that makes room does not stand behind a write that needs the
        room.
        """
        assert self._link is not None, "open() first"
        futures = {id(one): told for one, told in batch}
        away: Exception | None = None

        def tell(one: Prepared, reply: Any) -> None:
            nonlocal away
            told = futures[id(one)]
            if away is None and self.patient and isinstance(reply, Exception) and is_away(one.call.script, reply):
                away = translate(one.call.script, reply)
            if away is not None or told.done():
                return  # with all calls behind a refused one, to keep their order: a script may be sent twice
            if isinstance(reply, Exception):
                told.set_exception(translate(one.call.script, reply))
            else:
                told.set_result(reply)

        try:
            await self._link.carry(
                Exchange(
                    [one for one, _ in batch], partial(argv, self.address), self._server, self.sent, tell, self._writes
                )
            )
            self._heed()
            if away is not None:
                await self._link.part()  # the server that takes writes may be another one now
        except (rex.RedisError, OSError) as error:
            away = translate("pipeline", error)
        left = [(one, told) for one, told in batch if not told.done()]
        if away is None:
            self._is_back()
        elif self._waits_for(away):
            self._queue = left + self._queue
            await asyncio.sleep(self._delay)
            self._delay = min(self._delay * 2, LAST_WAIT_S)
        else:
            for _, told in left:
                told.set_exception(away)

    async def run(self, program: Program[T]) -> T:
        """Drives a program to its end."""
        drive = Drive(program)
        while drive.goes_on():
            try:
                step = drive.step
                drive.done(await (self.execute(step) if isinstance(step, Call) else self._do(step)))
            except Exception as error:  # noqa: BLE001 - handed to the program, which catches what it knows
                drive.failed(error)
        return drive.result

    async def _do(self, step: Pause | Change | Outside[Any] | Together[Any]) -> Any:
        match step:
            case Pause(ms):
                await asyncio.sleep(ms / 1000)
            case Change():
                return await self._await_change(step)
            case Outside():
                return await self._done_outside(step)
            case Together(calls, each):
                return await (self._execute_each(calls) if each else self.execute_together(calls))
        return None

    async def _await_change(self, step: Change) -> ToldEnd | None:
        subject, waiter = Subject(step.of, step.id), AwaitedWaiter(step.after)
        with self._tailers.here.waiting(subject, waiter) as name:
            if name is None:
                await asyncio.sleep(min(LOOK_AGAIN_MS, step.ms or LOOK_AGAIN_MS) / 1000)
            elif not await self.execute(tails.watch(name, [(subject, step.after)])):
                await waiter.wait(step.ms)
        return waiter.end

    async def _done_outside(self, step: Outside[T]) -> T:
        while True:
            try:
                return await asyncio.get_running_loop().run_in_executor(self._outside, step.function)
            except AttachmentStoreFailed as error:
                # Bytes in Redis wait for the server as calls do. A failure of another backend goes to its caller.
                cause = error.__cause__
                if not isinstance(cause, rex.RedisError) or not self._waits_for(translate("bytes", cause)):
                    raise
            await asyncio.sleep(LAST_WAIT_S)

    async def hints(self, owner: str, timeout_ms: int, heed: Callable[[str], None]) -> None:
        """Blocks on the owner's hint list, and calls ``heed`` with each hint. A hint may be lost, so the state
        decides."""
        if self._keyring is None:
            await self.open()
        key = f"{self.address.prefix}notify:{owner}"
        try:
            assert self._ear is not None
            # The second command follows when the first is answered: hints that came together need no second wait.
            first, more = await self._ear.ask(("BLPOP", key, max(timeout_ms, 10) / 1000), ("LPOP", key, 1000))
            hints: list[str] = [*(first or [])[1:], *(more or [])]
            for hint in hints:
                heed(hint)
            if first:
                await asyncio.sleep(0)  # calls that a hint caused leave before it waits for the next one
        except (rex.RedisError, OSError) as error:
            typed = translate("BLPOP", error)
            if self._waits_for(typed):
                await asyncio.sleep(0.2)
                return
            raise typed from error

    async def renew_functions(self) -> None:
        """Lets the server keep the functions of this release and of no other."""
        if self._keyring is None:
            await self.open()
        await functions.renew(self.client)

    async def close(self) -> None:
        """Closes the connections. A call on its way raises `RedisUnavailable`. The next call opens them again."""
        self.blobs.close()
        self._outside.shutdown(wait=False)
        self._outside = ThreadPoolExecutor(OUTSIDE_AT_ONCE, thread_name_prefix="wakeline-outside")
        await self._end_watch()
        await end_all([task for task in (self._flushing, self._opening) if task is not None])
        if self._client is not None:
            await self._client.aclose(close_connection_pool=True)
            self._client = self._link = self._ear = self._keyring = None
