"""Verbs that look at a namespace as a whole: its fleet, and what doctor finds.

Invariant: they change nothing; doctor looks also where every other client is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version as installed

from wakeline.clock import Clock
from wakeline.engines.registry import Registry
from wakeline.errors import StoreError, StoreOutOfMemory, WritesRefused
from wakeline.observe.doctor import Diagnosis, diagnosis
from wakeline.observe.findings import Seen
from wakeline.observe.fleet import FleetView, fleet_of
from wakeline.observe.health import HealthView, health_of
from wakeline.observe.metrics import MetricsView, metrics_of
from wakeline.releases import Declared
from wakeline.settings import Settings
from wakeline.store import fleet
from wakeline.store.address import FORMAT
from wakeline.store.blocking import SyncStore
from wakeline.store.calls import Program, Together
from wakeline.store.metrics import read_metrics
from wakeline.store.queues import list_queues
from wakeline.store.triggers import list_all


@dataclass(frozen=True, slots=True)
class FleetVerbs:
    """What an app knows of itself and of the way to its server; it is asked when a verb runs."""

    settings: Settings
    registry: Registry
    clock: Clock
    queues: Callable[[], tuple[str, ...]]
    declared: Callable[[], Declared]
    known_queues: Callable[[], frozenset[str]]
    connect: Callable[[], SyncStore]
    """A client of its own that only looks: what every other client refuses is a finding, not an end."""

    def look(self) -> Program[FleetView]:
        """The fleet at one moment, and its queues and limits right after it."""
        stored: fleet.StoredFleet = yield fleet.read_fleet(self.queues(), stale_ms=self.settings.stale_ms)
        states, limits = yield list_queues([queue.name for queue in stored.queues])
        return fleet_of(stored, states, limits)

    def metrics(self) -> Program[MetricsView]:
        """The metrics of the namespace: totals, and gauges of the moment."""
        stored: fleet.StoredFleet = yield fleet.read_fleet(self.queues(), stale_ms=self.settings.stale_ms)
        named = [queue.name for queue in stored.queues]
        (states, limits), totals = yield Together([list_queues(named), read_metrics(named)])
        return metrics_of(totals, stored, states, limits, version=installed("wakeline"))

    def doctor(self, *, release: bool) -> Diagnosis:
        """What is wrong with the server and the fleet; blocks. ``release``: whether only what has to stop a release
        counts."""
        store = self.connect()
        try:
            return diagnosis(self._seen(store), release=release)
        finally:
            store.close()

    def _seen(self, store: SyncStore) -> Seen:
        facts = fleet.server_facts(store.info())
        before = self.clock.now_ms()
        stored = store.execute(fleet.read_fleet(self.queues(), stale_ms=self.settings.stale_ms))
        local_ms = (before + self.clock.now_ms()) // 2
        states, limits = store.execute(list_queues([queue.name for queue in stored.queues]))
        _, schedules = store.execute(list_all(None))
        return Seen(
            where=store.backend.describe(),
            server=facts,
            fleet=stored,
            local_ms=local_ms,
            registry=self.registry,
            rq_prefix=self.settings.rq_prefix,
            format=FORMAT,
            allow_eviction=self.settings.allow_eviction,
            states=tuple(states),
            limits=tuple(limits),
            secret_refused=store.keyring.refused,
            lease_ms=self.settings.lease_ms,
            writes_refused=_refusal_of_writes(store),
            declared=self.declared(),
            schedules=tuple(schedules),
        )


def health(queues: Sequence[str], where: str, *, lease_ms: int, workers: bool) -> Program[HealthView]:
    """Whether the server takes writes and something ticks; ``workers``: whether each of the queues has a worker, too.
    Raises what a server that takes no writes says."""
    probed, (states, _) = yield Together([fleet.probe(FORMAT), list_queues(queues)])
    return health_of(probed, states, where=where, lease_ms=lease_ms, workers=workers)


def _refusal_of_writes(store: SyncStore) -> StoreError | None:
    """What the server says where it answers and takes no writes; None if it takes them."""
    try:
        store.execute(fleet.probe(FORMAT))
    except (WritesRefused, StoreOutOfMemory) as error:
        return error
    return None
