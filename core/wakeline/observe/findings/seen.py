"""What findings are concluded from: one look at a server, its fleet and their work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wakeline.store.fleet import ServerFacts, StoredFleet
from wakeline.store.queues import LimitState, QueueState
from wakeline.store.triggers import StoredSchedule

if TYPE_CHECKING:
    # A command's help reads views and runs no body: what runs them is not loaded for it.
    from wakeline.engines.registry import Registry
    from wakeline.errors import StoreError
    from wakeline.releases import Declared

UNHEARD = "the server takes no writes, so no heartbeat and no tick comes to it"


@dataclass(frozen=True, slots=True)
class Seen:
    """What doctor looked at, beside what this client is set to."""

    where: str
    server: ServerFacts
    fleet: StoredFleet
    local_ms: int
    registry: Registry
    rq_prefix: str
    format: str
    allow_eviction: bool
    states: tuple[QueueState, ...] = ()
    limits: tuple[LimitState, ...] = ()
    secret_refused: str | None = None
    lease_ms: int = 5_000
    writes_refused: StoreError | None = None
    declared: Declared | None = None
    schedules: tuple[StoredSchedule, ...] = ()

    @property
    def alive(self) -> tuple[str, ...]:
        """Owners whose lease runs."""
        return tuple(owner for owner, expiry, _ in self.fleet.owners if expiry > self.fleet.now_ms)

    @property
    def ticks(self) -> bool:
        """Whether a worker or a clock ticks: the jobs of stock workers do only while there are any."""
        last = self.fleet.ticked
        lives = last is not None and (last.kind == "clock" or (last.kind == "worker" and bool(self.alive)))
        return last is not None and lives and self.fleet.now_ms - last.at_ms <= 2 * self.lease_ms

    @property
    def unheard(self) -> bool:
        """The server takes no writes, so no heartbeat and no tick comes to it: what seems to be gone may be there."""
        return self.writes_refused is not None or self.server.role not in (None, "master")

    @property
    def workers(self) -> tuple[str, ...]:
        """All that take work, stock RQ workers included."""
        return tuple(sorted({name for queue in self.fleet.queues for name in queue.workers} | set(self.alive)))
