"""How to reach the server: one `Backend` makes the sync and async redis-py clients, and says in typed errors what went wrong.

Invariant: clients are made per OS process, on first use, and never shared with RQ (it mutates the pool it is given).
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

import redis
import redis.asyncio
from redis import exceptions as rex
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

from wakeline.errors import RedisRefused, RedisUnavailable, ScriptFailed, StoreOutOfMemory, TlsFailed

BLOCK_MS = 1000
"""Longest blocking read, well below the socket timeout: redis-py would resend a blocked command that timed out."""


class Backend(Protocol):
    """Where a namespace lives; ``real`` is False for the in-process fake, which other processes cannot see."""

    real: bool

    def sync(self) -> redis.Redis: ...
    def aio(self) -> redis.asyncio.Redis: ...
    def for_rq(self) -> redis.Redis: ...
    def describe(self) -> str: ...


class UrlBackend:
    """A server behind a URL (redis://, rediss://, unix://); `connections` bounds what one OS process opens."""

    real = True

    def __init__(self, url: str, *, options: dict[str, Any] | None = None, connections: int = 4) -> None:
        if urlsplit(url).scheme not in ("redis", "rediss", "unix"):
            raise RedisRefused(reason=f"the URL must begin with redis://, rediss:// or unix://, not {url.split(':', 1)[0]!r}")
        self.url = url
        self._options: dict[str, Any] = {"socket_timeout": 5, "socket_connect_timeout": 5, "health_check_interval": 25, **(options or {})}
        self._connections = connections

    def _retry(self) -> dict[str, Any]:
        # Every script may be sent twice, so redis-py may resend; RQ's own commands keep RQ's defaults.
        return {"retry_on_error": [rex.ConnectionError, rex.TimeoutError], "retry": Retry(ExponentialWithJitterBackoff(base=0.01, cap=0.5), 3)}

    def sync(self) -> redis.Redis:
        pool = cast("Any", redis.BlockingConnectionPool).from_url(
            self.url, decode_responses=True, max_connections=self._connections, timeout=30, **self._retry(), **self._options
        )
        return redis.Redis(connection_pool=pool)

    def aio(self) -> redis.asyncio.Redis:
        from redis.asyncio.retry import Retry as AsyncRetry

        retry = {"retry_on_error": [rex.ConnectionError, rex.TimeoutError], "retry": AsyncRetry(ExponentialWithJitterBackoff(base=0.01, cap=0.5), 3)}
        pool = cast("Any", redis.asyncio.BlockingConnectionPool).from_url(
            self.url, decode_responses=True, max_connections=self._connections, timeout=30, **retry, **self._options
        )
        return redis.asyncio.Redis(connection_pool=pool)

    def for_rq(self) -> redis.Redis:
        """A client of its own for RQ: bytes replies, RQ's timeouts."""
        return cast("redis.Redis", cast("Any", redis.Redis).from_url(self.url, **{k: v for k, v in self._options.items() if k.startswith("ssl")}))

    def describe(self) -> str:
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.hostname or parts.path}" + (f":{parts.port}" if parts.port else "")


class FakeBackend:
    """fakeredis in this process: for demo, dev and tests where no server can be had. Shared by the threads of one process only."""

    real = False

    def __init__(self) -> None:
        import fakeredis

        self._server = fakeredis.FakeServer()

    def sync(self) -> redis.Redis:
        import fakeredis

        return fakeredis.FakeRedis(server=self._server, decode_responses=True)

    def aio(self) -> redis.asyncio.Redis:
        import fakeredis

        return fakeredis.FakeAsyncRedis(server=self._server, decode_responses=True)

    def for_rq(self) -> redis.Redis:
        import fakeredis

        return fakeredis.FakeRedis(server=self._server)

    def describe(self) -> str:
        return "in-process fakeredis"


@contextmanager
def typed_errors(script: str) -> Generator[None]:
    """Turns redis-py's exceptions into the errors of `wakeline.errors`."""
    try:
        yield
    except rex.RedisError as error:
        raise translate(script, error) from error
    except OSError as error:
        raise RedisUnavailable(reason=_reason(error)) from error


def translate(script: str, error: BaseException) -> Exception:
    """The typed error for what redis-py raised, or for an error reply of a script."""
    text = _reason(error)
    if isinstance(error, rex.AuthenticationError | rex.AuthorizationError | rex.NoPermissionError):
        return RedisRefused(reason=text)
    if isinstance(error, rex.ConnectionError | rex.TimeoutError | rex.BusyLoadingError):
        if "SSL" in text or "certificate" in text.lower():
            return TlsFailed(reason=text)
        return RedisUnavailable(reason=text)
    if text.startswith("OOM") or "OOM command not allowed" in text:
        return StoreOutOfMemory()
    if text.startswith(("READONLY", "MASTERDOWN", "LOADING", "CLUSTERDOWN")):
        return RedisUnavailable(reason=text)
    return ScriptFailed(script=script, reason=text)


def _reason(error: BaseException) -> str:
    """What it says, to be put into a sentence: some servers and clients end theirs with a full stop."""
    return str(error).rstrip(".")
