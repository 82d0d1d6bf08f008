"""Where a namespace is, and what its clients have in common: how they introduce themselves, and what every script is
told first.

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
"""Version of the key layout; raised when an older release could no longer read what a newer one writes."""


@dataclass(frozen=True, slots=True)
class Address:
    """Which namespace on which server, and what its clients share."""

    namespace: str
    rq_prefix: str = "rq"
    clock: Clock = ServerClock()
    allow_eviction: bool = False
    only_looks: bool = False
    """Doctor's: what everybody else refuses is a finding there."""
    beat_ms: int | None = None
    """How often its clients look whether the store still has what it answered; None: they do not count their writes."""

    @property
    def prefix(self) -> str:
        return keys.prefix(self.namespace)

    @property
    def look_s(self) -> float | None:
        """How often a client looks, in seconds; None where it does not."""
        return None if self.beat_ms is None or self.only_looks else self.beat_ms / 1000


def redis_blobs(backend: Backend, address: Address) -> Blobs:
    """Where attachments lie unless an app says otherwise."""
    return Blobs.of(address.namespace, RedisBlobs(backend, address.prefix))


def argv(address: Address, args: str) -> list[str]:
    """Key and arguments of a script for the text of a call's own."""
    return [f"{address.prefix}meta", address.clock.script_time(), address.prefix, address.rq_prefix, args]


def opening(address: Address) -> Call[Keyring]:
    """The first call of a client; it may be sent again, for what it brings may have changed."""
    return rings.introduce(address.namespace, address.rq_prefix, FORMAT, only_looks=address.only_looks)
