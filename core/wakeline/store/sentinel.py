"""A primary that Sentinels watch. Clients ask the Sentinels for it each time they connect, so they follow a failover.

Invariant: writes go only to the primary. A server that is no longer the primary makes a client ask again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, cast

import redis
import redis.asyncio
from redis import exceptions as rex
from redis.asyncio.retry import Retry as AsyncRetry
from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from wakeline.errors import RedisUrlInvalid
from wakeline.store.places import PLACE_S, Places, SentinelPlaces
from wakeline.store.urls import several

SCHEME = "sentinel"
PORT = 26379
TIMES = {"socket_timeout": 5, "socket_connect_timeout": 2}
ASKING = {"socket_timeout": 1, "socket_connect_timeout": 1}
"""How long a client waits for one Sentinel before it asks the next, in seconds."""
RESENDS = 3


class SentinelBackend:
    """``sentinel://[user:password@]host[:port],host[:port],…/<service>[/<db>][?sentinel_password=…]``; raises
    `RedisUrlInvalid` for what cannot be one."""

    real = True

    def __init__(self, url: str) -> None:
        given = several(url, PORT, f"{SCHEME}://host:26379,other:26379/mymaster")
        self._sentinels = given.hosts
        service, _, database = given.path.partition("/")
        if not service or not re.fullmatch("[0-9]*", database):
            raise RedisUrlInvalid(
                reason="a sentinel URL ends with the name of the service, and maybe the number of a database: sentinel://host:26379/mymaster/0"
            )
        self._service = service
        self._options: dict[str, Any] = {"db": int(database or 0), **TIMES, **given.login}
        secret = given.options.get("sentinel_password", [""])[0]
        self._asking: dict[str, Any] = ASKING | ({"password": secret} if secret else {})

    def sync(self) -> redis.Redis:
        retry = {
            "retry_on_error": self._moves(),
            "retry": Retry(ExponentialWithJitterBackoff(base=0.02, cap=0.5), RESENDS),
        }
        return self._primary(decode_responses=True, **retry)

    def aio(self) -> redis.asyncio.Redis:
        retry = {
            "retry_on_error": self._moves(),
            "retry": AsyncRetry(ExponentialWithJitterBackoff(base=0.02, cap=0.5), RESENDS),
        }
        made: Any = AsyncSentinel
        watching: Any = made(self._sentinels, sentinel_kwargs=self._asking)
        return cast(
            "redis.asyncio.Redis", watching.master_for(self._service, decode_responses=True, **retry, **self._options)
        )

    def for_rq(self) -> redis.Redis:
        """A separate client for RQ and for bytes: its replies are bytes."""
        return self._primary()

    def describe(self) -> str:
        return f"{SCHEME}://{','.join(f'{host}:{port}' for host, port in self._sentinels)}/{self._service}"

    def _primary(self, **more: Any) -> redis.Redis:
        made: Any = Sentinel  # redis-py ships it without types
        watching: Any = made([], sentinel_kwargs=self._asking)
        asking: Any = Places
        watching.sentinels = [
            redis.Redis.from_pool(asking(host=host, port=port, timeout=PLACE_S, **self._asking))
            for host, port in self._sentinels
        ]
        found = watching.master_for(
            self._service, connection_pool_class=SentinelPlaces, timeout=PLACE_S, **more, **self._options
        )
        return cast("redis.Redis", found)

    @staticmethod
    def _moves() -> Sequence[type[Exception]]:
        # A primary that became a replica answers READONLY; then the client closes its connection and asks again.
        return [rex.ConnectionError, rex.TimeoutError, rex.ReadOnlyError]
