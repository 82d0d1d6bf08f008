"""The metrics of a fleet: which there are, and what a worker counts of them.

Invariant: a series is named as a scraper reads it (``wakeline_runs_total{kind="tool",…}``), here, in the store and in
the output, and it counts in whole numbers. The names and the bounds of histograms stay, because totals are kept without
an end.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from time import perf_counter
from types import TracebackType
from typing import Literal

from wakeline.telemetry.instrument import Instrument
from wakeline.telemetry.seen import EffectSeen, RunSeen

BOUNDS = (0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0, 600.0)
"""The upper bounds of every histogram, in seconds; a last one has no bound."""
NAMES = 200
"""How many names of bodies and effects one worker tells apart. What comes later is counted as `OTHER`."""
OTHER = "other"
AT_ONCE = 64
"""How many series one write brings to the store."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A row of the table of metrics."""

    name: str
    """Without the ``_total`` of a counter."""
    type: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    meaning: str

    @property
    def unit(self) -> str | None:
        """The unit that ends its name, as OpenMetrics wants it; None for a number of things."""
        return next((unit for unit in ("seconds", "bytes") if self.name.endswith(f"_{unit}")), None)


METRICS: tuple[Metric, ...] = (
    Metric(
        "wakeline_build",
        "gauge",
        ("format", "version"),
        "Always 1: the release of Wakeline that answers, and the format of the keys.",
    ),
    Metric("wakeline_processes", "gauge", ("status",), "Processes in the store by status."),
    Metric(
        "wakeline_started", "counter", (), "Processes that were ever started: those that live, and those that ended."
    ),
    Metric("wakeline_ended", "counter", ("status",), "Processes that ended, also those that retention removed since."),
    Metric("wakeline_runs", "counter", ("kind", "name", "outcome"), "Runs of bodies by what became of the process."),
    Metric("wakeline_run_duration_seconds", "histogram", ("kind", "name"), "How long runs held their worker."),
    Metric(
        "wakeline_effects",
        "counter",
        ("kind", "name", "outcome"),
        "Tries of effects whose code ran; no replay is counted.",
    ),
    Metric("wakeline_effect_duration_seconds", "histogram", ("kind", "name"), "How long such tries took."),
    Metric(
        "wakeline_replay_mismatches",
        "counter",
        ("name",),
        "Runs whose body asked for other effects than it had recorded.",
    ),
    Metric("wakeline_losses", "counter", (), "Runs that were lost with their worker."),
    Metric(
        "wakeline_reaped_owners",
        "counter",
        (),
        "Workers whose work was given away because they died or stopped beating.",
    ),
    Metric("wakeline_workers", "gauge", ("release", "stock"), "Workers that live; `stock` are those of RQ."),
    Metric("wakeline_worker_processes", "gauge", (), "Processes that live workers run."),
    Metric(
        "wakeline_queue_depth",
        "gauge",
        ("queue",),
        "Processes that wait for a worker, or for a place under the queue's limit.",
    ),
    Metric("wakeline_queue_running", "gauge", ("queue",), "Processes of a queue that run."),
    Metric("wakeline_queue_workers", "gauge", ("queue",), "Live workers that take from a queue."),
    Metric("wakeline_queue_paused", "gauge", ("queue",), "1 while a queue is paused."),
    Metric(
        "wakeline_queue_oldest_seconds",
        "gauge",
        ("queue",),
        "For how long the process at the head of a queue is offered.",
    ),
    Metric(
        "wakeline_limit_running",
        "gauge",
        ("limit",),
        "Processes that run under a limit of a body, or of one of its keys.",
    ),
    Metric("wakeline_limit_waiting", "gauge", ("limit",), "Processes that wait for a place under it."),
    Metric("wakeline_timers", "gauge", (), "Moments that the clock waits for."),
    Metric(
        "wakeline_timers_overdue_seconds",
        "gauge",
        (),
        "For how long the first timer is due that no tick has fired; 0 while no timer is late.",
    ),
    Metric(
        "wakeline_wakes_undeliverable", "gauge", (), "Entries of inboxes that are undeliverable, failed or blocked."
    ),
    Metric("wakeline_deliveries_pending", "gauge", (), "Deliveries of triggers that are reserved and not settled."),
    Metric("wakeline_misfits", "gauge", (), "Processes that wait for code that fits."),
    Metric("wakeline_instrument_failures", "counter", ("instrument", "method"), "How often an instrument raised."),
    Metric("wakeline_metrics_dropped", "counter", (), "Counts of new series that the store had no room for."),
)
"""All of them, in the order of the output."""


def series(name: str, labels: Mapping[str, str] | None = None) -> str:
    """The name of a series with its labels, as OpenMetrics writes it."""
    if not labels:
        return name
    told = ",".join(f'{label}="{_escaped(value)}"' for label, value in labels.items())
    return f"{name}{{{told}}}"


def _escaped(value: str) -> str:
    """A label's value. A lone half of a surrogate pair has no bytes, so a mark stands for it."""
    safe = value.encode("utf-8", "replace").decode("utf-8")
    return safe.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


class Counting(Instrument):
    """Counts what one worker does, until `take` is asked for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, ...], int] = {}
        self._spans: dict[tuple[str, str, str], list[int]] = {}
        self._names: set[str] = set()
        self._told: dict[tuple[str, ...], int] = {}

    def run(self, run: RunSeen, /) -> AbstractContextManager[object]:
        """Counts a run by its outcome, and how long it took."""
        return _Timed(self, run)

    def effect(self, effect: EffectSeen, /) -> AbstractContextManager[object]:
        """Counts a try of an effect by its outcome, and how long it took."""
        return _Timed(self, effect)

    def over(self, seen: RunSeen | EffectSeen, took_s: float) -> None:
        """A stretch is over. Times are measured by this machine's steady clock, so they are never negative."""
        what, outcome = ("run" if type(seen) is RunSeen else "effect"), seen.outcome or ""
        with self._lock:
            name = self._name(seen.name)
            self._count((f"wakeline_{what}s_total", seen.kind, name, outcome))
            if seen.code == "replay_mismatch" and what == "run":
                self._count(("wakeline_replay_mismatches_total", name))
            span = self._spans.setdefault(
                (f"wakeline_{what}_duration_seconds", seen.kind, name), [0] * (len(BOUNDS) + 2)
            )
            span[bisect_left(BOUNDS, took_s)] += 1
            span[-1] += int(took_s * 1_000_000)

    def failed(self, failures: Mapping[tuple[str, str], int]) -> None:
        """How often instruments of this worker raised by now, by instrument and method."""
        with self._lock:
            for (instrument, method), n in failures.items():
                key = ("wakeline_instrument_failures_total", instrument, method)
                if n > self._told.get(key, 0):
                    self._counts[key] = self._counts.get(key, 0) + n - self._told.get(key, 0)
                    self._told[key] = n

    def _count(self, key: tuple[str, ...]) -> None:
        self._counts[key] = self._counts.get(key, 0) + 1

    def _name(self, name: str) -> str:
        """A name that is told apart. They are bounded, because a body may name its steps as it likes."""
        if name in self._names:
            return name
        if len(self._names) >= NAMES:
            return OTHER
        self._names.add(name)
        return name

    def take(self) -> dict[str, int]:
        """What was counted since the last time, by series: of a histogram how many fell under each bound (not those
        below it too) and the sum in µs."""
        with self._lock:
            counts, self._counts = self._counts, {}
            spans, self._spans = self._spans, {}
        taken = {_counter(key): n for key, n in counts.items()}
        for (name, kind, of), span in spans.items():
            labels = {"kind": kind, "name": of}
            for bound, n in zip((*BOUNDS, "+Inf"), span, strict=False):
                if n:
                    taken[series(f"{name}_bucket", labels | {"le": str(bound)})] = n
            taken[series(f"{name}_sum", labels)] = span[-1]
        return taken


_LABELS = {f"{metric.name}_total": metric.labels for metric in METRICS if metric.type == "counter"}


def _counter(key: tuple[str, ...]) -> str:
    name, *values = key
    return series(name, dict(zip(_LABELS[name], values, strict=True)))


class _Timed(AbstractContextManager[None]):
    """Around a run or an effect."""

    __slots__ = ("_began", "_counting", "_seen")

    def __init__(self, counting: Counting, seen: RunSeen | EffectSeen) -> None:
        self._counting, self._seen = counting, seen

    def __enter__(self) -> None:
        self._began = perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._counting.over(self._seen, perf_counter() - self._began)
