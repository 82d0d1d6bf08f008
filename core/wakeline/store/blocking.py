"""The client of a blocking caller: it sends calls and drives programs in the calling thread.

Invariant: a call whose reply is lost is sent again with the same arguments, and every script gives its first answer
again.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar, cast

import redis
from redis import exceptions as rex

from wakeline.attachments.backend import Blobs
from wakeline.errors import WakelineError
from wakeline.store import keyring as rings
from wakeline.store import stand_ins, tails
from wakeline.store.address import Address, argv, opening
from wakeline.store.calls import Call, Change, Outside, Pause, Program, Step, Together
from wakeline.store.connection import Backend, check_server, first_contact, told_by, translate, typed_errors
from wakeline.store.driver import LOOK_AGAIN_MS, Drive
from wakeline.store.places import exchange
from wakeline.store.tailer import Tailers
from wakeline.store.tails import TOLD_AT_ONCE, Subject, ToldEnd, told_after
from wakeline.store.together import Command, Exchange, Prepared
from wakeline.store.waiters import BlockingWaiter
from wakeline.store.watching import Watching
from wakeline.waits.keys import Keyring

T = TypeVar("T")


class SyncStore(Watching):
    """Executes calls over a blocking client; threads may share it."""

    def __init__(
        self, backend: Backend, address: Address, blobs: Blobs | None = None, *, tailers: Tailers | None = None
    ) -> None:
        super().__init__(backend, address, blobs)
        self._client: redis.Redis | None = None
        self._pid = 0
        self._asked_s = 0.0
        self._opening: dict[int, threading.RLock] = {}
        """By OS process, because a thread that exists only in the parent may hold that of the parent. A signal handler
        may come to it while its thread has it."""
        self.tailers = tailers or Tailers(lambda: SyncStore(backend, replace(address, beat_ms=None)))
        """What tells waiters of changes."""

    @property
    def client(self) -> redis.Redis:
        """The redis-py client of this OS process; a forked child gets its own."""
        pid = os.getpid()
        if self._pid == pid and (client := self._client) is not None:
            return client
        with self._opening.get(pid) or self._opening.setdefault(pid, threading.RLock()):
            if self._client is None or self._pid != pid:
                client = self.backend.sync()
                self._begin()
                # It is kept only after its check succeeded; after a failure the next use checks again.
                self._keyring = self._open(client)
                self._client, self._pid = client, pid
                self._watch()
            return self._client

    def _open(self, client: redis.Redis) -> Keyring:
        try:
            with first_contact(self.backend), typed_errors("namespace_open"):
                if self.backend.real:
                    check_server(told_by(client), allow_eviction=self.address.allow_eviction or self.address.only_looks)
                return self._send(client, [opening(self.address)])[0]
        except BaseException:
            client.close()
            raise

    @property
    def keyring(self) -> Keyring:
        """The namespace's secrets, as of the last read."""
        _ = self.client
        assert self._keyring is not None
        return self._keyring

    @property
    def secret(self) -> bytes:
        """The HMAC secret that makes keys and tokens now."""
        return self.keyring.current

    def keyring_for(self, token: str) -> Keyring:
        """The secrets to read a token with. They are read again, at most once a second, if the token names an unknown
        one."""
        if not self.keyring.knows(token) and time.monotonic() - self._asked_s >= rings.ASK_AGAIN_S:
            self._asked_s = time.monotonic()
            self._keyring = self.execute(opening(self.address))
        return self.keyring

    def info(self) -> dict[str, Any]:
        """What the server says about itself: INFO, and ``appendfsync`` if CONFIG may be read; empty if it answers
        neither (fakeredis)."""
        client = cast("Any", self.client)
        found: dict[str, Any] = {}
        with typed_errors("INFO"):
            try:
                found |= client.info()
                found |= client.config_get("appendfsync")
            except rex.ResponseError:
                # The server lacks this command, or the user may not run it, so the fact stays unknown.
                pass
        return found

    def execute(self, call: Call[T]) -> T:
        """One call, one round trip; raises the call's typed errors and `StoreError`."""
        return self.execute_together([call])[0]

    def execute_together(self, calls: Sequence[Call[T]]) -> list[T]:
        """Calls that leave in one write; results in order. Raises what the first that was refused raises, once all were
        sent."""
        client = self.client
        self._watch()
        if not self.instruments.scripts:
            return self._send(client, calls)
        began_s = time.monotonic()
        try:
            replies = self._replies(client, calls)
        except WakelineError:
            with self._seen(calls, began_s):
                raise
        found: list[T] = []
        for call, reply in replies:
            with self._seen([call], began_s):
                found.append(self._read(call, reply))
        return found

    def _execute_each(self, calls: Sequence[Call[T]]) -> list[T | Exception]:
        """As `execute_together`; the error of a call stands in its place. Raises that of a server that is away."""
        client = self.client
        self._watch()
        began_s = time.monotonic()
        found: list[T | Exception] = []
        for call, reply in self._replies(client, calls):
            try:
                with self._seen([call], began_s):
                    found.append(self._read(call, reply))
            except Exception as error:  # noqa: BLE001 - handed to the program that asked, in the place of the result
                found.append(error)
        return found

    def _send(self, client: redis.Redis, calls: Sequence[Call[T]]) -> list[T]:
        return [self._read(call, reply) for call, reply in self._replies(client, calls)]

    def _replies(self, client: redis.Redis, calls: Sequence[Call[T]]) -> list[tuple[Call[T], Any]]:
        batch = [self._prepared(call) for call in calls]
        with typed_errors(batch[0].call.script if len(batch) == 1 else "pipeline"):
            replies = self._exchanged(client, batch) if batch else []
        self._heed()
        return [(one.call, reply) for one, reply in zip(batch, replies, strict=True)]

    def _exchanged(self, client: redis.Redis, batch: Sequence[Prepared]) -> list[Any]:
        told: dict[int, Any] = {}

        def tell(one: Prepared, reply: Any) -> None:
            told[id(one)] = reply

        exchange = Exchange(batch, partial(argv, self.address), self._server, self.sent, tell, self._writes)
        while commands := exchange.commands():
            for answer in self._answers(client, commands):
                exchange.answered(answer)
        return [told[id(one)] for one in batch]

    @staticmethod
    def _answers(client: redis.Redis, commands: Sequence[Command]) -> list[Any]:
        untyped: Any = client
        return exchange(untyped.connection_pool, commands)

    def _prepared(self, call: Call[T]) -> Prepared:
        prepared = Prepared.of(call)
        if call.payloads and stand_ins.is_large(prepared.args):
            return Prepared.of(self.run(stand_ins.replaced(call, self.blobs)))
        return prepared

    def _read(self, call: Call[T], reply: Any) -> T:
        if isinstance(reply, Exception):
            raise translate(call.script, reply) from reply
        if call.brings and stand_ins.stands_in(reply):
            reply = self.run(call.brings(self.blobs, reply))
        return call.decode(reply)

    def run(self, program: Program[T]) -> T:
        """Drives a program to its end."""
        drive = Drive(program)
        while drive.goes_on():
            try:
                drive.done(self._do(drive.step))
            except Exception as error:  # noqa: BLE001 - handed to the program, which catches what it knows
                drive.failed(error)
        return drive.result

    def _do(self, step: Step) -> Any:
        match step:
            case Pause(ms):
                time.sleep(ms / 1000)
            case Change():
                return self._await_change(step)
            case Outside(function):
                return function()
            case Together(calls, each):
                return self._execute_each(calls) if each else self.execute_together(calls)
            case Call():
                return self.execute(step)
        return None

    def _await_change(self, step: Change) -> ToldEnd | None:
        subject, waiter = Subject(step.of, step.id), BlockingWaiter(step.after)
        with self.tailers.here.waiting(subject, waiter) as name:
            if name is None:
                time.sleep(min(LOOK_AGAIN_MS, step.ms or LOOK_AGAIN_MS) / 1000)
            elif not self.execute(tails.watch(name, [(subject, step.after)])):
                waiter.wait(step.ms)
        return waiter.end

    def read_told(self, tailer: str, after: str, ms: int) -> tuple[str, list[dict[str, str]]]:
        """What a tailer is told after an item of its stream, at most ``ms`` from now. Returns the last item, to go on
        after, and the fields of all."""
        key = f"{self.address.prefix}told:{tailer}"
        with typed_errors("XREAD"):
            command = ("XREAD", "COUNT", TOLD_AT_ONCE, "BLOCK", ms, "STREAMS", key, after)
            [reply] = self._answers(self.client, [command])
            if isinstance(reply, Exception):
                raise reply
        return told_after(after, reply)

    def close(self) -> None:
        self.blobs.close()
        self._end_watch()
        self.tailers.end()
        if self._client is not None:
            self._client.close()
            self._client = None
