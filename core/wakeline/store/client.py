"""Runs store calls and programs: `SyncStore` in a blocking caller, `AsyncStore` on an event loop.

Invariant: a reply lost on the way is asked for again with the same arguments; every script gives its first answer to a resend.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import redis
import redis.asyncio
from redis import exceptions as rex

from wakeline.clock import Clock, ServerClock
from wakeline.errors import EvictionPolicyRefused, RedisUnavailable
from wakeline.store import keys, scripts
from wakeline.store.calls import Call, Change, Pause, Program
from wakeline.store.connection import BLOCK_MS, Backend, translate, typed_errors
from wakeline.values import to_json

T = TypeVar("T")
FORMAT = "1"
"""Version of the key layout; raised when an older release could no longer read what a newer one writes."""
LOOK_AGAIN_MS = 200
"""Longest pause of an awaited `Change`: the price of a hint that nobody sends to an event loop."""


@dataclass(frozen=True, slots=True)
class Address:
    """Which namespace on which server, and what its clients share."""

    namespace: str
    rq_prefix: str = "rq"
    clock: Clock = ServerClock()
    allow_eviction: bool = False

    @property
    def prefix(self) -> str:
        return keys.prefix(self.namespace)


@dataclass(frozen=True, slots=True)
class Counter:
    """What a client sent since it was made; benchmarks and count tests read it."""

    counts: dict[str, int]

    def add(self, name: str, n: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + n


def _argv(address: Address, call: Call[Any]) -> list[str]:
    args: Mapping[str, Any] = {k: v for k, v in call.args.items() if v is not None}
    return [f"{address.prefix}meta", address.clock.script_time(), address.prefix, address.rq_prefix, to_json(args)]


def _open_call(address: Address) -> Call[tuple[bytes, str, str]]:
    args = {"secret": secrets.token_hex(32), "format": FORMAT, "rq": address.rq_prefix}
    return Call("namespace_open", args, lambda reply: (bytes.fromhex(reply[0]), reply[1], reply[2]))


def _check_eviction(info: Mapping[str, Any], allow: bool) -> None:
    policy = info.get("maxmemory_policy")
    if policy and policy != "noeviction" and not allow:
        raise EvictionPolicyRefused(policy=policy)


class SyncStore:
    """Executes calls over a blocking client; threads may share it."""

    def __init__(self, backend: Backend, address: Address) -> None:
        self.backend = backend
        self.address = address
        self.sent = Counter({})
        self._client: redis.Redis | None = None
        self._pid = 0
        self._secret: bytes | None = None
        self._lock = threading.Lock()

    @property
    def client(self) -> redis.Redis:
        """The redis-py client of this OS process: a forked child gets its own."""
        with self._lock:
            if self._client is None or self._pid != os.getpid():
                self._client, self._pid = self.backend.sync(), os.getpid()
                self._open(self._client)
            return self._client

    def _open(self, client: redis.Redis) -> None:
        with typed_errors("namespace_open"):
            if self.backend.real:
                _check_eviction(cast("Any", client).info("memory"), self.address.allow_eviction)
            self._secret = self._send(client, _open_call(self.address))[0]

    @property
    def secret(self) -> bytes:
        """The namespace's HMAC secret."""
        _ = self.client
        assert self._secret is not None
        return self._secret

    def info(self) -> dict[str, Any]:
        """What the server says about itself: INFO, and ``appendfsync`` where CONFIG may be read; empty where neither is answered (fakeredis)."""
        client = cast("Any", self.client)
        found: dict[str, Any] = {}
        with typed_errors("INFO"):
            try:
                found |= client.info()
                found |= client.config_get("appendfsync")
            except rex.ResponseError:
                # Not a command here, or not for this user: what is missing is not known.
                pass
        return found

    def _send(self, client: redis.Redis, call: Call[T]) -> T:
        script = scripts.load(call.script)
        argv = _argv(self.address, call)
        send: Callable[..., Any] = cast("Any", client).execute_command
        with typed_errors(call.script):
            self.sent.add(call.script)
            try:
                reply = send("EVALSHA", script.sha, 1, *argv)
            except rex.NoScriptError:
                reply = send("EVAL", script.text, 1, *argv)
        return call.decode(reply)

    def execute(self, call: Call[T]) -> T:
        """One call, one round trip; raises the call's typed errors and `StoreError`."""
        return self._send(self.client, call)

    def run(self, program: Program[T]) -> T:
        """Drives a program to its end."""
        value: Any = None
        failure: Exception | None = None
        while True:
            try:
                step = program.throw(failure) if failure else program.send(value)
            except StopIteration as done:
                return cast("T", done.value)
            value = failure = None
            try:
                if isinstance(step, Pause):
                    time.sleep(step.ms / 1000)
                elif isinstance(step, Change):
                    self._await_change(step)
                else:
                    value = self.execute(step)
            except Exception as error:  # noqa: BLE001 - handed to the program, which catches what it knows
                failure = error

    def _await_change(self, step: Change) -> None:
        stream = f"{self.address.prefix}events:{step.process_id}"
        with typed_errors("XREAD"):
            # One entry is enough: the program re-reads. BLOCK 0 would wait for ever.
            self.client.xread({stream: f"{step.sequence}-0"}, count=1, block=max(1, min(step.ms, BLOCK_MS)))

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


class AsyncStore:
    """Executes calls on one event loop. All calls issued in one turn of the loop leave as one pipelined write.

    ``patient`` (workers): an unreachable server is waited for, with a backoff below one heartbeat, instead of raised.
    """

    def __init__(self, backend: Backend, address: Address, *, patient: bool = False) -> None:
        self.backend = backend
        self.address = address
        self.patient = patient
        self.sent = Counter({})
        self._client: redis.asyncio.Redis | None = None
        self._queue: list[tuple[Call[Any], asyncio.Future[Any]]] = []
        self._flushing: asyncio.Task[None] | None = None
        self._opening: asyncio.Lock | None = None
        self._secret: bytes | None = None

    async def open(self) -> None:
        """Connects and checks the server; called by the first use."""
        self._opening = self._opening or asyncio.Lock()
        async with self._opening:
            if self._secret is not None:
                return
            client = self.backend.aio()
            untyped: Any = client  # redis-py leaves the types of its commands open
            call = _open_call(self.address)
            script = scripts.load(call.script)
            while True:
                try:
                    with typed_errors(call.script):
                        if self.backend.real:
                            _check_eviction(await untyped.info("memory"), self.address.allow_eviction)
                        reply = await untyped.execute_command("EVAL", script.text, 1, *_argv(self.address, call))
                    break
                except RedisUnavailable:
                    if not self.patient:
                        raise
                    await asyncio.sleep(0.5)
            self._client = client
            self._secret = call.decode(reply)[0]

    @property
    def client(self) -> redis.asyncio.Redis:
        assert self._client is not None, "open() first"
        return self._client

    @property
    def secret(self) -> bytes:
        assert self._secret is not None, "open() first"
        return self._secret

    async def execute(self, call: Call[T]) -> T:
        """One call; raises the call's typed errors and `StoreError`."""
        if self._secret is None:
            await self.open()
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._queue.append((call, future))
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush())
        return call.decode(await future)

    async def _flush(self) -> None:
        # Whatever other bodies issue in this turn of the loop joins the same write.
        await asyncio.sleep(0)
        while self._queue:
            batch, self._queue = self._queue[:512], self._queue[512:]
            await self._send(batch)

    async def _send(self, batch: list[tuple[Call[Any], asyncio.Future[Any]]]) -> None:
        delay = 0.02
        while True:
            try:
                replies = await self._pipeline([call for call, _ in batch], by_sha=True)
                break
            except (rex.RedisError, OSError) as error:
                typed = translate("pipeline", error)
                if not (self.patient and isinstance(typed, RedisUnavailable)):
                    for _, future in batch:
                        if not future.done():
                            future.set_exception(typed)
                    return
                await asyncio.sleep(delay)
                delay = min(delay * 2, 1.0)
        for (call, future), reply in zip(batch, replies, strict=True):
            if future.done():
                continue
            if isinstance(reply, Exception):
                future.set_exception(translate(call.script, reply))
            else:
                future.set_result(reply)

    async def _pipeline(self, calls: list[Call[Any]], *, by_sha: bool) -> list[Any]:
        pipeline: Any = self.client.pipeline(transaction=False)
        for call in calls:
            script = scripts.load(call.script)
            self.sent.add(call.script)
            command = ("EVALSHA", script.sha) if by_sha else ("EVAL", script.text)
            pipeline.execute_command(*command, 1, *_argv(self.address, call))
        self.sent.add("round_trips")
        replies: list[Any] = await pipeline.execute(raise_on_error=False)
        unknown = [i for i, reply in enumerate(replies) if isinstance(reply, rex.NoScriptError)]
        if unknown:
            again = await self._pipeline([calls[i] for i in unknown], by_sha=False)
            for i, reply in zip(unknown, again, strict=True):
                replies[i] = reply
        lost = [r for r in replies if isinstance(r, rex.ConnectionError | rex.TimeoutError | rex.BusyLoadingError)]
        if lost:
            raise lost[0]
        return replies

    async def run(self, program: Program[T]) -> T:
        """Drives a program to its end."""
        value: Any = None
        failure: Exception | None = None
        while True:
            try:
                step = program.throw(failure) if failure else program.send(value)
            except StopIteration as done:
                return cast("T", done.value)
            value = failure = None
            try:
                if isinstance(step, Pause | Change):
                    # Many waiters share the loop; a blocked read each would take a connection each, so they look again instead.
                    await asyncio.sleep((min(step.ms, LOOK_AGAIN_MS) if isinstance(step, Change) else step.ms) / 1000)
                else:
                    value = await self.execute(step)
            except Exception as error:  # noqa: BLE001 - handed to the program, which catches what it knows
                failure = error

    async def hints(self, owner: str, timeout_ms: int) -> list[str]:
        """Blocks on the owner's hint list; what it returns may be empty, and a hint may be lost: state decides."""
        if self._secret is None:
            await self.open()
        key = f"{self.address.prefix}notify:{owner}"
        try:
            popped = await cast("Any", self.client.blpop([key], timeout=max(timeout_ms, 10) / 1000))
            if popped is None:
                return []
            more = await cast("Any", self.client.lpop(key, 1000))
        except (rex.RedisError, OSError) as error:
            typed = translate("BLPOP", error)
            if isinstance(typed, RedisUnavailable) and self.patient:
                await asyncio.sleep(0.2)
                return []
            raise typed from error
        return [popped[1], *(more or [])]

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = self._secret = None
