"""What a namespace does at one moment, and how fast between two of them: for a view that lives.

Invariant: pure. Rates come from counters of the store, so they are those of the whole fleet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from wakeline.observe.effects import effects_of
from wakeline.observe.fleet import FleetView
from wakeline.observe.metrics import ENDED, MetricsView
from wakeline.observe.view import View
from wakeline.store.journal import RecordedKey
from wakeline.store.processes import StoredProcess
from wakeline.telemetry.metrics import series


@dataclass(frozen=True, slots=True)
class NowView(View):
    """A process that runs now."""

    id: str
    since_ms: int
    """Since when it runs (server ms)."""
    kind: str | None = None
    """An engine's name, or tool, session_turn; None if it is gone again."""
    label: str | None = None
    """What it runs, if the kind does not say."""
    worker: str | None = None
    last_effect: str | None = None
    """The replay key of the effect that it recorded last. None if there is none, or if they are hundreds."""


@dataclass(frozen=True, slots=True)
class TopView(View):
    """A fleet at one moment, with the runs that last longest."""

    fleet: FleetView
    oldest_ms: Mapping[str, int]
    """For how long the process at the head of each queue is offered (RQ's names; ms)."""
    totals: Mapping[str, int]
    """How many processes were ever ``started``, how many ended with each status, and how many ``effects`` were tried,
    which workers add once a beat."""
    running: tuple[NowView, ...]
    """Processes that run, those that run longest first."""

    def rates_since(self, before: TopView) -> Mapping[str, float] | None:
        """How much of each total came a second since an earlier look; None if no time went by. In a store that went
        back nothing happened."""
        took_s = (self.fleet.now_ms - before.fleet.now_ms) / 1000
        if took_s <= 0:
            return None
        return {name: max(0, n - before.totals.get(name, 0)) / took_s for name, n in self.totals.items()}


def now_of(stored: StoredProcess, since_ms: int, keys: Iterable[RecordedKey], *, whole: bool) -> NowView:
    """A run, and what it recorded: all of it, or a part."""
    identity = stored.registration.identity
    recorded = effects_of(list(keys)) if whole else []
    last = recorded[-1].key if recorded else None
    return NowView(stored.process_id, since_ms, identity.kind, identity.label, stored.owner, last)


def top_of(fleet: FleetView, metrics: MetricsView, running: Sequence[NowView]) -> TopView:
    """A look, of what was read together."""
    samples = metrics.samples
    oldest_ms = {
        queue.name: round(1000 * samples.get(series("wakeline_queue_oldest_seconds", {"queue": queue.name}), 0))
        for queue in fleet.queues
    }
    totals = {"started": int(samples["wakeline_started_total"])}
    totals |= {status: int(samples[series("wakeline_ended_total", {"status": status})]) for status in ENDED}
    totals["effects"] = int(sum(n for name, n in samples.items() if name.startswith("wakeline_effects_total{")))
    return TopView(fleet, oldest_ms, totals, tuple(running))
