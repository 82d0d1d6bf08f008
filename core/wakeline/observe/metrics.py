"""The metrics of a namespace at one moment, as OpenMetrics text.

Invariant: totals come from the store and gauges from one look at the fleet, so every program of the fleet says the
same. The form is that of https://prometheus.io/docs/specs/om/open_metrics_spec/.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import ClassVar

from wakeline.observe.view import View
from wakeline.store.fleet import StoredFleet
from wakeline.store.metrics import StoredMetrics
from wakeline.store.queues import LimitState, QueueState
from wakeline.telemetry.metrics import BOUNDS, METRICS, Metric, series

ENDED = ("completed", "failed", "cancelled", "abandoned")
_BUCKET = re.compile(r'^([a-z_]+)_bucket\{(.*),le="([^"]*)"\}$')
_KNOWN = {metric.name: i for i, metric in enumerate(METRICS)}


@dataclass(frozen=True, slots=True)
class MetricsView(View):
    """The metrics of a namespace."""

    content_type: ClassVar[str] = "application/openmetrics-text; version=1.0.0; charset=utf-8"
    """The media type of `text`."""
    samples: Mapping[str, float]
    """Each sample by its series, in the order of the table of metrics."""

    def text(self) -> str:
        """As OpenMetrics text, for a scraper."""
        by_family: defaultdict[str, list[str]] = defaultdict(list)
        for name, value in self.samples.items():
            by_family[_family(name)].append(f"{name} {_number(value)}\n")
        told = (line for metric in METRICS if metric.name in by_family for line in _lines(metric, by_family))
        return "".join([*told, "# EOF\n"])


def _lines(metric: Metric, by_family: Mapping[str, list[str]]) -> Iterator[str]:
    yield f"# TYPE {metric.name} {metric.type}\n"
    if metric.unit is not None:
        yield f"# UNIT {metric.name} {metric.unit}\n"
    yield f"# HELP {metric.name} {metric.meaning}\n"
    yield from by_family[metric.name]


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def _family(name: str) -> str:
    bare = name.partition("{")[0]
    return next((bare.removesuffix(end) for end in ("_total", "_bucket", "_count", "_sum") if bare.endswith(end)), bare)


def metrics_of(
    stored: StoredMetrics,
    fleet: StoredFleet,
    queues: Iterable[QueueState],
    limits: Iterable[LimitState],
    *,
    version: str,
) -> MetricsView:
    """The metrics, of what the store has."""
    samples = (
        *_of_fleet(fleet, version),
        *_of_workers(fleet),
        *_of_queues(fleet, queues, stored.oldest_ms),
        *_of_limits(limits),
        *_of_ends(fleet, stored.totals),
        *_of_counters(stored.totals),
        *_of_histograms(stored.totals),
    )
    return MetricsView(dict(sorted(samples, key=lambda one: _KNOWN[_family(one[0])])))


def _of_fleet(fleet: StoredFleet, version: str) -> Iterator[tuple[str, float]]:
    yield series("wakeline_build", {"format": fleet.format or "", "version": version}), 1
    for status, n in fleet.counts.items():
        yield series("wakeline_processes", {"status": status}), n
    yield "wakeline_timers", fleet.timers
    since_ms = fleet.timers_due.since_ms
    yield "wakeline_timers_overdue_seconds", 0 if since_ms is None else _seconds(fleet.now_ms - since_ms)
    yield "wakeline_wakes_undeliverable", fleet.undeliverable
    yield "wakeline_deliveries_pending", fleet.undelivered
    yield "wakeline_misfits", fleet.misfit_count


def _of_workers(fleet: StoredFleet) -> Iterator[tuple[str, float]]:
    live = [(owner, held) for owner, expires_ms, held in fleet.owners if expires_ms > fleet.now_ms]
    ours = {owner for owner, *_ in fleet.owners}
    stock = {name for queue in fleet.queues for name in queue.workers} - ours
    by_release = Counter(fleet.releases.get(owner, "") for owner, _ in live)
    for release, n in sorted(by_release.items()):
        yield series("wakeline_workers", {"release": release, "stock": "false"}), n
    if stock:
        yield series("wakeline_workers", {"release": "", "stock": "true"}), len(stock)
    yield "wakeline_worker_processes", sum(held for _, held in live)


def _of_queues(
    fleet: StoredFleet, queues: Iterable[QueueState], oldest_ms: Mapping[str, int]
) -> Iterator[tuple[str, float]]:
    for queue in queues:
        labels = {"queue": queue.name}
        yield series("wakeline_queue_depth", labels), queue.waiting
        yield series("wakeline_queue_running", labels), queue.running
        yield series("wakeline_queue_workers", labels), len(queue.workers)
        yield series("wakeline_queue_paused", labels), int(queue.paused)
        since_ms = oldest_ms.get(queue.name)
        yield (
            series("wakeline_queue_oldest_seconds", labels),
            (0 if since_ms is None else _seconds(fleet.now_ms - since_ms)),
        )


def _of_limits(limits: Iterable[LimitState]) -> Iterator[tuple[str, float]]:
    for limit in limits:
        yield series("wakeline_limit_running", {"limit": limit.name}), limit.running
        yield series("wakeline_limit_waiting", {"limit": limit.name}), limit.waiting


def _of_ends(fleet: StoredFleet, totals: Mapping[str, int]) -> Iterator[tuple[str, float]]:
    """What ended is what the store still has, and what retention counted when it removed it."""
    ended = {status: series("wakeline_ended_total", {"status": status}) for status in ENDED}
    by_status = {status: fleet.counts.get(status, 0) + totals.get(name, 0) for status, name in ended.items()}
    alive = sum(n for status, n in fleet.counts.items() if status not in ENDED)
    yield "wakeline_started_total", alive + sum(by_status.values())
    for status, n in by_status.items():
        yield ended[status], n


def _of_counters(totals: Mapping[str, int]) -> Iterator[tuple[str, float]]:
    for name in ("wakeline_losses_total", "wakeline_reaped_owners_total", "wakeline_metrics_dropped_total"):
        yield name, totals.get(name, 0)
    for name, n in sorted(totals.items()):
        family = _family(name)
        labelled = "{" in name and family != "wakeline_ended"
        if labelled and family in _KNOWN and METRICS[_KNOWN[family]].type == "counter":
            yield name, n


def _of_histograms(totals: Mapping[str, int]) -> Iterator[tuple[str, float]]:
    """The store has how many fell under each bound; a scraper wants those below it too."""
    spans: defaultdict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for name, n in sorted(totals.items()):
        if (found := _BUCKET.match(name)) is not None and found[1] in _KNOWN:
            spans[found[1], found[2]][found[3]] = n
    for (family, labels), span in spans.items():
        bounds = (*map(str, BOUNDS), "+Inf")
        n = 0
        for bound, n in zip(bounds, accumulate(span.get(bound, 0) for bound in bounds), strict=True):
            yield f'{family}_bucket{{{labels},le="{bound}"}}', n
        yield f"{family}_count{{{labels}}}", n
        yield f"{family}_sum{{{labels}}}", totals.get(f"{family}_sum{{{labels}}}", 0) / 1_000_000


def _seconds(ms: int) -> float:
    return max(0, ms) / 1000
