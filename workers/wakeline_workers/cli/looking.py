"""How doctor looks at the server and the fleet, and what it reports of both as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

from wakeline.app import App
from wakeline.errors import StoreError, StoreOutOfMemory, WritesRefused
from wakeline.observe.findings import Finding, Seen, findings
from wakeline.store import fleet
from wakeline.store.address import FORMAT
from wakeline.store.blocking import SyncStore
from wakeline.store.queues import list_queues

__all__ = ["findings", "look", "report"]


def look(app: App) -> Seen:
    """What doctor concludes from, read with a client of its own."""
    # What everybody else refuses (an eviction policy, keys of a later release) is a finding here, not an end.
    store = SyncStore(app.backend, replace(app.address, only_looks=True))
    facts = fleet.server_facts(store.info())
    before = app.clock.now_ms()
    view = store.execute(fleet.read_fleet(app.queues, stale_ms=app.settings.stale_ms))
    local = (before + app.clock.now_ms()) // 2
    queues, limits = store.execute(list_queues([queue.name for queue in view.queues]))
    refused, no_writes = store.keyring.refused, _refusal_of_writes(store)
    store.close()
    own = (app.registry, app.settings.rq_prefix, FORMAT, app.settings.allow_eviction)
    return Seen(
        app.backend.describe(),
        facts,
        view,
        local,
        *own,
        tuple(queues),
        tuple(limits),
        refused,
        app.settings.lease_ms,
        no_writes,
        app.declared,
    )


def _refusal_of_writes(store: SyncStore) -> StoreError | None:
    """What the server says where it answers and takes no writes; None where it takes them."""
    try:
        store.execute(fleet.probe(FORMAT))
    except (WritesRefused, StoreOutOfMemory) as error:
        return error
    return None


def report(seen: Seen, found: Sequence[Finding], *, failed: bool) -> dict[str, object]:
    """Everything that was seen and found, as JSON data."""
    view = seen.fleet
    return {
        "ok": not failed,
        "server": {"where": seen.where, **asdict(seen.server), "clock_difference_ms": view.now_ms - seen.local_ms},
        "namespace": {"format": view.format, "rq_prefix": view.rq_prefix, "counts": view.counts, "timers": view.timers},
        "owners": [
            {"id": owner, "alive": owner in seen.alive, "expires_ms": expiry, "holds": held}
            for owner, expiry, held in view.owners
        ],
        "queues": [asdict(queue) for queue in view.queues],
        "threads_left_behind": None,
        "findings": [one.to_data() for one in found],
    }
