"""How to reach the server: one `Backend` makes the sync and async redis-py clients, and says in typed errors what went
wrong.

Invariant: clients are made per OS process, on first use, and never shared with RQ, which changes the pool it gets.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, cast

import redis
import redis.asyncio
from redis import exceptions as rex
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

from wakeline.errors import (
    EvictionPolicyRefused,
    ExtraMissing,
    RedisRefused,
    RedisUnavailable,
    RedisUrlInvalid,
    ScriptFailed,
    ServerTooOld,
    StoreOutOfMemory,
    TlsFailed,
    WakelineError,
    WritesRefused,
)
from wakeline.shown import logger
from wakeline.store import denials, urls
from wakeline.store.places import PLACE_S, Places
from wakeline.store.servers import OLDEST

log = logger("wakeline.store")
RESENDS = 1
HURRIED_S = 2.0
"""How long a person at a terminal waits for a server that accepts and does not answer, in seconds, for each of two
tries."""
NO_PASSWORD = "the server wants a password and the URL has none"
TLS_ALERT = "\\x15"
"""How redis-py's two parsers show the first byte of a TLS alert."""
AWAY = (RedisUnavailable, StoreOutOfMemory)
"""Errors that pass by themselves, or after an operator has acted; workers wait for that."""
_NOT_NOW = re.compile(
    r"\b(?:MISCONF|NOREPLICAS|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|LOADING|BUSY|UNBLOCKED)\b|max number of"
    r" clients|read[ -]only replica"
)
"""Codes of a server that takes no writes now. A code may stand anywhere in the text: behind the number of a command, or
within the error of a script."""


class Backend(Protocol):
    """The server of a namespace; ``real`` is False for the in-process fake, which other processes cannot see."""

    real: bool

    def sync(self) -> redis.Redis: ...
    def aio(self) -> redis.asyncio.Redis: ...
    def for_rq(self) -> redis.Redis: ...
    def describe(self) -> str: ...


class UrlBackend:
    """A server behind a URL (redis://, rediss://, unix://). `connections` is how many one OS process opens at most.

    Raises `RedisUrlInvalid` for a URL that cannot work, and `TlsFailed` for one that names missing files. Nothing is
    connected yet.
    """

    real = True

    def __init__(self, url: str, *, options: dict[str, Any] | None = None, connections: int = 4) -> None:
        self.url = url
        # There are no health checks. A server with a full disk refuses a PING even from readers, and a call that did
        # not arrive is sent again anyway.
        self._options: dict[str, Any] = {"socket_timeout": 5, "socket_connect_timeout": 2, **(options or {})}
        self._connections = connections
        self._check()

    def _check(self) -> None:
        scheme = self.url.split(":", 1)[0]
        if scheme not in ("redis", "rediss", "unix"):
            raise RedisUrlInvalid(reason=f"the URL must begin with {urls.SCHEMES}{urls.shown(self.url, scheme)}")
        parts = urls.split(self.url)
        if scheme != "unix" and not re.fullmatch("/?[0-9]*", parts.path):
            raise RedisUrlInvalid(
                reason=f"the path of the URL has to be the number of a database{urls.shown(self.url, parts.path)}"
            )
        try:
            made = cast("Any", redis.ConnectionPool).from_url(self.url, **self._options)
            made.make_connection()
        except (ValueError, TypeError, rex.RedisError) as error:
            raise RedisUrlInvalid(reason=f"the URL has an option that cannot be used: {_reason(error)}") from error
        for name in ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile"):
            file = made.connection_kwargs.get(name)
            if file and not Path(file).is_file():
                raise TlsFailed(reason=f"there is no file {file!r}, which {name} names")

    def hurry(self) -> None:
        """For a command of a person, who may repeat it: clients that are made from now on give up sooner on a hanging
        server."""
        self._options["socket_timeout"] = HURRIED_S

    def _retry(self) -> dict[str, Any]:
        # Every script may be sent twice, so redis-py may resend; RQ's own commands keep RQ's defaults. It resends once,
        # because this multiplies with the attempts to connect, and a server that accepts and does not answer costs a
        # whole timeout each time.
        return {
            "retry_on_error": [rex.ConnectionError, rex.TimeoutError],
            "retry": Retry(ExponentialWithJitterBackoff(base=0.01, cap=0.5), RESENDS),
        }

    def sync(self) -> redis.Redis:
        pool = cast("Any", Places).from_url(
            self.url,
            decode_responses=True,
            max_connections=self._connections,
            timeout=PLACE_S,
            **self._retry(),
            **self._options,
        )
        return redis.Redis(connection_pool=pool)

    def aio(self) -> redis.asyncio.Redis:
        from redis.asyncio.retry import Retry as AsyncRetry

        retry = {
            "retry_on_error": [rex.ConnectionError, rex.TimeoutError],
            "retry": AsyncRetry(ExponentialWithJitterBackoff(base=0.01, cap=0.5), RESENDS),
        }
        pool = cast("Any", redis.asyncio.BlockingConnectionPool).from_url(
            self.url, decode_responses=True, max_connections=self._connections, timeout=30, **retry, **self._options
        )
        return redis.asyncio.Redis(connection_pool=pool)

    def for_rq(self) -> redis.Redis:
        """A separate client for RQ, with replies as bytes and RQ's timeouts."""
        options = {k: v for k, v in self._options.items() if k.startswith("ssl")}
        return redis.Redis.from_pool(cast("Any", Places).from_url(self.url, timeout=PLACE_S, **options))

    def describe(self) -> str:
        parts = urls.split(self.url)
        if parts.scheme == "unix":
            return f"unix://{parts.path}"
        return f"{parts.scheme}://{parts.hostname or ''}" + (f":{parts.port}" if parts.port else "")


class FakeBackend:
    """fakeredis in this process, for demo, dev and tests without a server. Only threads of one process share it.

    Raises `ExtraMissing` if it is not installed.
    """

    real = False

    def __init__(self) -> None:
        # lupa runs its scripts; without it fakeredis would refuse the first one.
        if any(find_spec(name) is None for name in ("fakeredis", "lupa")):
            instead = "install redis-server or valkey-server, or set REDIS_URL"
            raise ExtraMissing(what="A server of its own", extra="embedded", instead=instead)
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


def check_server(info: Mapping[str, Any], *, allow_eviction: bool) -> None:
    """Raises `ServerTooOld` and `EvictionPolicyRefused` by the facts in INFO; missing facts are accepted."""
    product = "valkey" if "valkey_version" in info else "redis"
    found = str(info.get(f"{product}_version", ""))
    numbers = tuple(int(part) for part in re.findall("[0-9]+", found)[:2])
    if numbers and numbers < OLDEST[product]:
        raise ServerTooOld(product=product, found=found, needed=".".join(map(str, OLDEST[product])))
    policy = info.get("maxmemory_policy")
    if policy and policy != "noeviction" and not allow_eviction:
        raise EvictionPolicyRefused(policy=policy)


def told_by(client: Any) -> dict[str, Any]:
    """INFO of a server; empty for a user who may not run it. Its facts are then unknown, and the server is accepted."""
    try:
        return cast("dict[str, Any]", client.info())
    except rex.NoPermissionError:
        return _not_told()


async def told_awaited(client: Any) -> dict[str, Any]:
    """`told_by`, on an event loop."""
    try:
        return cast("dict[str, Any]", await client.info())
    except rex.NoPermissionError:
        return _not_told()


@cache
def _not_told() -> dict[str, Any]:
    # It is logged once per process.
    log.warning(
        "this user may not run INFO, so the server's version, maxmemory-policy and AOF are not known; docs/security.md"
        " names the least rights"
    )
    return {}


@contextmanager
def first_contact(backend: Backend) -> Generator[None]:
    """Surrounds the first exchange with a server. If there is no answer, the two sides may disagree about TLS."""
    try:
        yield
    except RedisUnavailable as error:
        doubt = ""
        if "imeout" in error.reason and backend.describe().startswith("rediss:"):
            doubt = "; if it does not speak TLS, use redis://"
        elif re.search("closed by server|reset by peer", error.reason) and backend.describe().startswith("redis:"):
            doubt = "; if it speaks TLS only, use rediss://"
        if not doubt:
            raise
        raise RedisUnavailable(reason=error.reason + doubt) from error


def is_away(script: str, error: Exception) -> bool:
    """Whether redis-py's error, or an error reply, says that the server is away or takes no writes now. The same call
    may succeed later."""
    return isinstance(translate(script, error), AWAY)


@contextmanager
def typed_errors(script: str) -> Generator[None]:
    """Turns redis-py's exceptions into the errors of `wakeline.errors`."""
    try:
        yield
    except (rex.RedisError, OSError) as error:
        raise translate(script, error) from error


def translate(script: str, error: BaseException) -> WakelineError:
    """The typed error for what redis-py raised, or for an error reply of a script."""
    text = _reason(error)
    match error:
        case rex.AuthenticationError() | rex.AuthorizationError() | rex.NoPermissionError():
            return RedisRefused(
                reason=NO_PASSWORD if text.startswith(("HELLO must be called", "Authentication required")) else text
            )
        case rex.InvalidResponse():
            if TLS_ALERT in text:
                return TlsFailed(reason="the server speaks TLS and the URL does not; use rediss://")
            return RedisRefused(reason=f"what answers there is not Redis ({text})")
        case rex.BusyLoadingError():
            return WritesRefused(reason=text)
        case rex.ConnectionError() | rex.TimeoutError() | OSError():
            return (
                TlsFailed(reason=text)
                if "SSL" in text or "certificate" in text.lower()
                else RedisUnavailable(reason=text)
            )
        case rex.ReadOnlyError() | rex.MasterDownError() | rex.ClusterDownError() | rex.TryAgainError():
            return WritesRefused(reason=text)
        case _:
            return _translate_reply(script, error, text)


def _translate_reply(script: str, error: BaseException, text: str) -> WakelineError:
    if (denial := denials.denied(script, text)) is not None:
        return RedisRefused(reason=denial)
    if text.lower().startswith("unknown command") and "HELLO" in text:
        # Such a server fails before it says its version.
        return ServerTooOld(product="redis", found="older than 6.0", needed=".".join(map(str, OLDEST["redis"])))
    # In an error reply of a script (Redis 6.2) the code stands somewhere in the text. If the code stands alone,
    # redis-py turns it into a class and drops it.
    if isinstance(error, rex.OutOfMemoryError) or "OOM command not allowed" in text:
        return StoreOutOfMemory()
    if _NOT_NOW.search(text):
        return WritesRefused(reason=text)
    if text.startswith(("DENIED", "NOAUTH", "DB index", "invalid DB index")):
        return RedisRefused(reason=text)
    return ScriptFailed(script=script, reason=text)


def _reason(error: BaseException) -> str:
    """Its text for the middle of a sentence: some servers and clients end theirs with a full stop."""
    return str(error).rstrip(".")
