"""A Redis Cluster: a namespace lies in one slot, and its clients are connected to the node that owns that slot, also
after a move.

Invariant: only the owner is written to. If a node says that the slot is elsewhere, or has no owner now, a client asks
again. RQ cannot run on redis-py's cluster client (it needs pipelines and blocking reads on one connection), so all
clients here are plain ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import redis
import redis.asyncio
import redis.asyncio.connection as awaited
import redis.connection as blocking
from redis import exceptions as rex
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.crc import key_slot
from redis.retry import Retry

from wakeline.errors import RedisRefused, RedisUrlInvalid
from wakeline.store.places import Places
from wakeline.store.sentinel import ASKING, RESENDS, TIMES
from wakeline.store.urls import several

SCHEME = "cluster"
PORT = 6379
ELSEWHERE = (rex.AskError, rex.ClusterDownError, rex.TryAgainError, rex.ReadOnlyError)
"""The answers of a node that does not own the slot, or not yet, or no longer. In redis-py MOVED is a kind of ASK, and
MASTERDOWN one of CLUSTERDOWN."""
ON_ITS_WAY = "non local key"
"""The error of a script in a slot that is moving key by key. Our scripts get it before they write (lib/base.lua)."""


class Topology:
    """The owner of one slot, according to the known nodes."""

    def __init__(self, seeds: list[tuple[str, int]], slot: int, asking: dict[str, Any]) -> None:
        self._seeds = seeds
        self._known: list[tuple[str, int]] = []
        self._slot = slot
        self._asking = asking

    def owner(self) -> tuple[str, int]:
        """Asks node by node; raises redis-py's ConnectionError if none knows an owner.

        A node that refuses to answer counts as the owner: the password may be wrong, or the server is no cluster and so
        owns every slot. A client that connects there gets the reason, or is served.
        """
        last: Exception | None = None
        for host, port in self._candidates():
            try:
                with cast("Any", redis.Redis)(
                    host=host, port=port, retry=Retry(NoBackoff(), 0), **self._asking
                ) as node:
                    if found := self._read(node.execute_command("CLUSTER SLOTS"), host):
                        return found
            except (rex.AuthenticationError, rex.ResponseError):
                return host, port
            except (rex.ConnectionError, rex.TimeoutError, OSError) as error:
                last = error
        raise rex.ConnectionError(f"{self._nobody}: {last}")

    async def owner_awaited(self) -> tuple[str, int]:
        """`owner`, on an event loop."""
        last: Exception | None = None
        for host, port in self._candidates():
            try:
                async with cast("Any", redis.asyncio.Redis)(
                    host=host, port=port, retry=AsyncRetry(NoBackoff(), 0), **self._asking
                ) as node:
                    if found := self._read(await node.execute_command("CLUSTER SLOTS"), host):
                        return found
            except (rex.AuthenticationError, rex.ResponseError):
                return host, port
            except (rex.ConnectionError, rex.TimeoutError, OSError) as error:
                last = error
        raise rex.ConnectionError(f"{self._nobody}: {last}")

    @property
    def _nobody(self) -> str:
        return f"no node of the cluster that was asked knows who owns slot {self._slot}"

    def _candidates(self) -> Iterator[tuple[str, int]]:
        yield from dict.fromkeys([*self._known, *self._seeds])

    def _read(self, reply: Any, asked: str) -> tuple[str, int] | None:
        """The owner in a reply: rows of first slot, last slot, master, replicas, each node as host, port, …"""
        rows = (
            cast("list[list[Any]]", reply)
            if isinstance(reply, list)
            else [[*span, *nodes.values()] for span, nodes in reply.items()]
        )
        nodes: list[tuple[str, int]] = []
        owner: tuple[str, int] | None = None
        for first, last, *served in rows:
            # A node that does not know its own name leaves the name out.
            there = [(_text(node[0]) or asked, int(node[1])) for node in served]
            nodes += there
            if int(first) <= self._slot <= int(last):
                owner = there[0]
        self._known = list(dict.fromkeys(nodes))
        return owner


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else value or ""


def _is_elsewhere(error: rex.ResponseError) -> bool:
    return isinstance(error, ELSEWHERE) or ON_ITS_WAY in str(error)


class _ToOwner(blocking.Connection):
    def __init__(self, *, topology: Topology, **options: Any) -> None:
        cast("Any", super()).__init__(**options)
        self._topology = topology

    def _connect(self) -> Any:
        self.host, self.port = self._topology.owner()
        return cast("Any", super())._connect()

    def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return cast("Any", super()).read_response(*args, **options)
        except rex.ResponseError as error:
            if not _is_elsewhere(error):
                raise
            cast("Any", self).disconnect()
            raise rex.ConnectionError(f"the slot's owner may be another node now: {error}") from error


class _ToOwnerByTls(_ToOwner, blocking.SSLConnection):
    pass


class _ToOwnerAwaited(awaited.Connection):
    def __init__(self, *, topology: Topology, **options: Any) -> None:
        cast("Any", super()).__init__(**options)
        self._topology = topology

    async def _connect(self) -> None:
        self.host, self.port = await self._topology.owner_awaited()
        await cast("Any", super())._connect()

    async def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return await cast("Any", super()).read_response(*args, **options)
        except rex.ResponseError as error:
            if not _is_elsewhere(error):
                raise
            await cast("Any", self).disconnect()
            raise rex.ConnectionError(f"the slot's owner may be another node now: {error}") from error


class _ToOwnerByTlsAwaited(_ToOwnerAwaited, awaited.SSLConnection):
    pass


class ClusterBackend:
    """``cluster://[user:password@]host[:port],host[:port],…[?tls=1]``; raises `RedisUrlInvalid` for what cannot be one.

    One node is enough: it is asked for the others.
    """

    real = True

    def __init__(
        self, url: str, *, namespace: str, options: dict[str, Any] | None = None, connections: int = 4
    ) -> None:
        given = several(url, PORT, f"{SCHEME}://host:6379,other:6379")
        if given.path:
            raise RedisUrlInvalid(
                reason=(
                    "a cluster has one database; a cluster URL is cluster://host:6379,other:6379 and nothing behind it"
                )
            )
        self._seeds = given.hosts
        login, asked = given.login, given.options
        if asked.keys() - {"tls"} or not set(asked.get("tls", ["0"])) <= {"0", "1"}:
            # It does not show the option, because the URL of another client may have a password there.
            raise RedisUrlInvalid(reason="a cluster URL takes ?tls=1 (or 0) and no other option")
        self._tls = asked.get("tls") == ["1"]
        security = {"ssl": True, **(options or {})} if self._tls else {}
        self._topology = Topology(self._seeds, key_slot(namespace.encode()), login | ASKING | security)
        checked = {name: value for name, value in security.items() if name != "ssl"}
        self._options: dict[str, Any] = {"topology": self._topology, **TIMES, **login, **checked}
        self._connections = connections

    def sync(self) -> redis.Redis:
        retry = {
            "retry_on_error": [rex.ConnectionError, rex.TimeoutError],
            "retry": Retry(ExponentialWithJitterBackoff(base=0.02, cap=0.5), RESENDS),
        }
        return self._blocking(decode_responses=True, **retry)

    def aio(self) -> redis.asyncio.Redis:
        retry = {
            "retry_on_error": [rex.ConnectionError, rex.TimeoutError],
            "retry": AsyncRetry(ExponentialWithJitterBackoff(base=0.02, cap=0.5), RESENDS),
        }
        pool = cast("Any", redis.asyncio.BlockingConnectionPool)(
            connection_class=_ToOwnerByTlsAwaited if self._tls else _ToOwnerAwaited,
            max_connections=self._connections,
            timeout=30,
            decode_responses=True,
            **retry,
            **self._options,
        )
        return redis.asyncio.Redis(connection_pool=pool)

    def for_rq(self) -> redis.Redis:
        """A separate client for RQ and for bytes: its replies are bytes."""
        return self._blocking()

    def describe(self) -> str:
        return f"{SCHEME}://{','.join(f'{host}:{port}' for host, port in self._seeds)}"

    def _blocking(self, **more: Any) -> redis.Redis:
        pool = cast("Any", Places)(
            connection_class=_ToOwnerByTls if self._tls else _ToOwner,
            max_connections=self._connections,
            timeout=30,
            **more,
            **self._options,
        )
        return redis.Redis(connection_pool=pool)


def check_prefix(namespace: str, rq_prefix: str) -> None:
    """Raises `RedisRefused` if RQ's keys would lie in another slot than the namespace, because no script could touch
    both."""
    if not rq_prefix.startswith(f"{{{namespace}}}"):
        raise RedisRefused(
            reason=(
                f"on a cluster RQ's keys have to lie in the slot of the namespace; set RQ_KEY_PREFIX={{{namespace}}}:rq"
                " everywhere, also for RQ's commands"
            )
        )
