"""Connections of a blocking client, for threads. A place comes back after any break of a call. A signal handler may
raise between any two steps of the main thread. So places are not counted up and down: a place is taken while its
connection is alive.

Invariant: a connection that may still get a reply to an earlier call is never used again.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from threading import RLock
from typing import Any, TypeVar, cast
from weakref import ref

import redis
from redis import exceptions as rex
from redis.connection import PythonRespSerializer
from redis.sentinel import SentinelConnectionPool

from wakeline.store.flags import Flag

T = TypeVar("T")
PLACE_S = 30
"""How long a thread waits for a place, in seconds."""
LOOK_S = 0.05
"""How often a thread that waits for a place looks by itself, in seconds."""
PATIENCE_S = 1.0
"""After how many seconds without a place garbage in cycles is collected, because a broken call may have left its
connection there."""


class Alive:
    """At most ``most`` things at once. A thing that is gone, for any reason, leaves its place to another."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = RLock()  # a signal handler may enter here in the thread that holds it
        self._known: list[ref[Any]] = []

    def add(self, make: Callable[[], T]) -> T | None:
        """Makes one that has a place; None if there is none."""
        with self._lock:
            self._known = [one for one in self._known if one() is not None]
            if len(self._known) >= self._most:
                return None
            made = make()
            self._known.append(ref(made))
            return made

    def dismiss(self, thing: object) -> None:
        """Frees its place, although it may live on."""
        with self._lock:
            self._known = [one for one in self._known if one() is not thing]

    def all(self) -> list[Any]:
        """The things that are alive."""
        return [thing for thing in (one() for one in self._known) if thing is not None]


class _Owing:
    """A connection that counts the replies that it may still get. It may count too many, and then it is dropped without
    need. It never counts too few."""

    owed = 0
    lent = False

    def __init__(self, **options: Any) -> None:
        cast("Any", super()).__init__(**options)
        # The parser of hiredis crashes the interpreter if a signal handler raises while it turns a number into a text.
        cast("Any", self)._command_packer = PythonRespSerializer(
            cast("Any", self)._buffer_cutoff, cast("Any", self).encoder.encode
        )

    def send_command(self, *args: Any, **options: Any) -> Any:
        self.owed += 1
        return cast("Any", super()).send_command(*args, **options)

    def pack_commands(self, commands: Sequence[Any]) -> Any:
        self.owed += len(commands)
        return cast("Any", super()).pack_commands(commands)

    def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            reply = cast("Any", super()).read_response(*args, **options)
        except rex.ResponseError:
            self.owed -= 1
            raise
        self.owed -= 1
        return reply


@cache
def _owing(kind: Any) -> Any:
    return type(kind.__name__, (_Owing, kind), {})


@cache
def _quiet() -> dict[str, Any]:
    """Options that stop two acts of redis-py at each connection. It logs, and an exception of a signal handler may
    leave the lock of `logging` locked. It also looks for its own version, and swallows such an exception. Earlier
    releases do neither."""
    options: dict[str, Any] = {}
    if find_spec("redis.maint_notifications"):
        options["maint_notifications_config"] = import_module("redis.maint_notifications").MaintNotificationsConfig(
            enabled=False
        )
    if find_spec("redis.driver_info"):
        options["driver_info"] = import_module("redis.driver_info").DriverInfo()
    return options


class Places(redis.ConnectionPool):
    """At most ``max_connections``. A caller that finds none free waits, at most ``timeout`` seconds, and then gets
    redis-py's ConnectionError."""

    _available_connections: list[Any]

    def __init__(self, *, timeout: float, connection_class: Any = redis.Connection, **options: Any) -> None:
        self.timeout = timeout
        cast("Any", super()).__init__(connection_class=_owing(connection_class), **_quiet() | options)

    def reset(self) -> None:
        """Forgets all connections in a new process, because they belong to the parent."""
        self._lock = RLock()  # a thread of the parent may have held the last one
        self._alive = Alive(self.max_connections)
        self._told = Flag()
        cast("Any", super()).reset()

    def get_connection(self, *_: Any, **__: Any) -> Any:
        """A connection that is ready for commands."""
        connection = self._free()
        try:
            connection.connect()
            if _unusable(connection):
                connection.disconnect()
                connection.connect()
                if _unusable(connection):
                    raise rex.ConnectionError("Connection not ready")
        except BaseException:
            self.drop(connection)
            raise
        return connection

    def make_connection(self) -> Any:
        """A new connection that has a place; raises redis-py's MaxConnectionsError if there is none."""
        made = self._alive.add(lambda: self.connection_class(**self.connection_kwargs))
        if made is None:
            raise rex.MaxConnectionsError("Too many connections")
        return made

    def _free(self) -> Any:
        began, swept = time.monotonic(), False
        while True:
            self._checkpid()
            try:
                with self._lock:
                    connection = (
                        self._available_connections.pop() if self._available_connections else self.make_connection()
                    )
                    connection.lent = True
                    if self._available_connections:
                        self._tell()  # the flag says once what two releases said
                    return connection
            except rex.MaxConnectionsError:
                waited = time.monotonic() - began
            if waited >= self.timeout:
                raise rex.ConnectionError("No connection available.")
            if waited >= PATIENCE_S and not swept:
                swept = True
                gc.collect()
                continue
            self._told.wait(min(LOOK_S, self.timeout - waited))

    def release(self, connection: Any) -> None:
        """Gives it back; a connection that may still get a reply is dropped."""
        self._checkpid()
        if connection.owed or not self.owns_connection(connection):
            return self.drop(connection)
        with self._lock:
            if not connection.lent:
                return None  # it was given back before
            connection.lent = False
            self._available_connections.append(connection)
        return self._tell()

    def drop(self, connection: Any) -> None:
        """Drops a connection and frees its place."""
        with self._lock:
            connection.lent = False
            self._alive.dismiss(connection)
        self._tell()
        connection.disconnect()
        # Its parser is part of a cycle. It would be collected in the middle of another call, and its __del__ swallows
        # what a signal handler raises.
        cast("dict[str, Any]", vars(connection._parser)).clear()

    def disconnect(self, inuse_connections: bool = True) -> None:
        """Disconnects the free ones, or all."""
        self._checkpid()
        with self._lock:
            found = self._alive.all() if inuse_connections else list(self._available_connections)
        for connection in found:
            connection.disconnect()

    def _tell(self) -> None:
        self._told.up()


class SentinelPlaces(SentinelConnectionPool, Places):
    """Connections to the primary that Sentinels name."""


def _unusable(connection: Any) -> bool:
    """Whether it was closed, or has data that no call asked for."""
    try:
        return bool(connection.can_read())
    except (rex.ConnectionError, rex.TimeoutError, OSError):
        return True


def exchange(pool: Any, commands: Sequence[Sequence[Any]]) -> list[Any]:
    """Sends commands in one write; returns the answer to each, error replies too. The connection's retry policy decides
    on a resend. Raises redis-py's errors."""
    connection = pool.get_connection()

    def once() -> list[Any]:
        connection.send_packed_command(connection.pack_commands(commands))
        return [_answer(connection) for _ in commands]

    def part(_: Exception) -> None:
        connection.disconnect()

    try:
        answers = connection.retry.call_with_retry(once, part)
        connection.owed = 0  # it also counted replies of an earlier try, which are gone with their connection
        return cast("list[Any]", answers)
    except BaseException:
        connection.owed += 1
        raise
    finally:
        pool.release(connection)


def _answer(connection: Any) -> Any:
    try:
        return connection.read_response()
    except rex.ResponseError as refused:
        return refused
