"""Where a namespace is, and what its clients share: their first call, and the first arguments of every script.

Invariant: two clients of one address mean the same namespace.
"""

from __future__ import annotations

from dataclasses import dataclass

from wakeline.attachments.backend import Blobs
from wakeline.clock import Clock, ServerClock
from wakeline.store import keyring as rings
from wakeline.store import keys
from wakeline.store.blobs import RedisBlobs
from wakeline.store.calls import Call
from wakeline.store.connection import Backend
from wakeline.waits.keys import Keyring

FORMAT = "1"
"""The version of the key layout. It rises when an older release could no longer read what a newer one writes."""


@dataclass(frozen=True, slots=True)
class Address:
    """A namespace on a server, and what its clients share."""

    namespace: str
    rq_prefix: str = "rq"
    clock: Clock = ServerClock()
    allow_eviction: bool = False
    only_looks: bool = False
    """Whether it is doctor's: what other clients refuse is a finding there."""
    beat_ms: int | None = None
    """How often (ms) its clients look whether the store still has the writes that it answered; None: they do not count
    their writes."""

    @property
    def prefix(self) -> str:
        return keys.prefix(self.namespace)

    @property
    def look_s(self) -> float | None:
        """How often a client looks, in seconds; None if it does not."""
        return None if self.beat_ms is None or self.only_looks else self.beat_ms / 1000


def redis_blobs(backend: Backend, address: Address) -> Blobs:
    """The backend of attachments unless an app names another one."""
    return Blobs.of(address.namespace, RedisBlobs(backend, address.prefix))


def argv(address: Address, args: str) -> list[str]:
    """Key and arguments of a script, for the text of a call's own arguments."""
    return [f"{address.prefix}meta", address.clock.script_time(), address.prefix, address.rq_prefix, args]


def opening(address: Address) -> Call[Keyring]:
    """The first call of a client. It may be sent again, because its answer may have changed."""
    return rings.introduce(address.namespace, address.rq_prefix, FORMAT, only_looks=address.only_looks)
