"""The metrics of a fleet: which there are, and how their series are named.

Invariant: a series is named as a scraper reads it (``wakeline_runs_total{kind="tool",…}``), here, in the store and in
the output, and it counts in whole numbers. The names and the bounds of histograms stay, because totals are kept without
an end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

BOUNDS = (0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0, 600.0)
"""The upper bounds of every histogram, in seconds; a last one has no bound."""


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
        "wakeline_process_duration_seconds",
        "histogram",
        ("kind", "name", "status"),
        "How long processes took from their start to an end that a worker wrote, with all their waits.",
    ),
    Metric("wakeline_turn_entries", "counter", ("name",), "Entries of inboxes that turns of an agent read."),
    Metric(
        "wakeline_effects",
        "counter",
        ("kind", "name", "outcome"),
        "Tries of effects whose code ran; no replay is counted.",
    ),
    Metric("wakeline_effect_duration_seconds", "histogram", ("kind", "name"), "How long such tries took."),
    Metric(
        "wakeline_waits_over",
        "counter",
        ("kind", "outcome"),
        "Waits of bodies that are over: signals, timers, children, questions; no replay is counted.",
    ),
    Metric("wakeline_wait_seconds", "histogram", ("kind",), "How long bodies waited, parked or not."),
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
        "wakeline_tick_seconds",
        "histogram",
        ("spared",),
        "How long ticks of the clock took; `spared` are those that left the work to another one.",
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
