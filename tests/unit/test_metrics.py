"""Metrics: what a worker counts, how it is written for a scraper, and that the tools that read it can."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from wakeline.observe.metrics import MetricsView, metrics_of
from wakeline.store.fleet import Due, StoredFleet, StoredQueue
from wakeline.store.metrics import StoredMetrics
from wakeline.store.queues import LimitState, QueueState
from wakeline.telemetry import metrics_document
from wakeline.telemetry.counting import AT_ONCE, NAMES, Counting
from wakeline.telemetry.metrics import METRICS, series
from wakeline.telemetry.seen import RanSeen, TickedSeen, TriedSeen, WaitedSeen

DOCS = Path(__file__).parents[2] / "docs"
NAMED = """
wakeline_build wakeline_processes wakeline_started wakeline_ended wakeline_runs wakeline_run_duration_seconds
wakeline_process_duration_seconds wakeline_turn_entries wakeline_effects wakeline_effect_duration_seconds
wakeline_waits_over wakeline_wait_seconds wakeline_replay_mismatches wakeline_losses wakeline_reaped_owners
wakeline_workers wakeline_worker_processes wakeline_queue_depth wakeline_queue_running wakeline_queue_workers
wakeline_queue_paused wakeline_queue_oldest_seconds wakeline_limit_running wakeline_limit_waiting wakeline_timers
wakeline_timers_overdue_seconds wakeline_tick_seconds wakeline_wakes_undeliverable wakeline_deliveries_pending
wakeline_misfits
wakeline_instrument_failures wakeline_metrics_dropped
"""
HOSTILE = 'say "hi"\\\n to {them}, le="1" \ud800'


def run_of(name: str = "charge", outcome: Any = "completed", code: str | None = None, took_s: float = 0.1) -> RanSeen:
    return RanSeen("tool", name, "shop", outcome, code, took_s)


def effect_of(name: str) -> TriedSeen:
    return TriedSeen("step", name, "completed", None, 0.1)


def fleet(**over: Any) -> StoredFleet:
    facts: dict[str, Any] = {
        "counts": {
            "queued": 3,
            "running": 2,
            "waiting": 1,
            "completed": 10,
            "failed": 4,
            "cancelled": 0,
            "abandoned": 0,
        },
        "owners": (("o1", 9_000, 2), ("gone", 1_000, 5)),
        "timers": 6,
        "todo": 0,
        "queues": (StoredQueue("shop", 3, 0, ("o1", "stock-1")),),
        "queued": (),
        "format": "1",
        "rq_prefix": "rq",
        "now_ms": 5_000,
        "releases": {"o1": "v7"},
        "timers_due": Due(1, 3_500),
    }
    return StoredFleet(**(facts | over))


def view(totals: Mapping[str, int], **over: Any) -> MetricsView:
    queues = [QueueState("shop", 3, 2, True, None, workers=("o1", "stock-1"))]
    limits = [LimitState("charge", None, 1, 2)]
    stored = StoredMetrics(totals, {"shop": 4_250})
    return metrics_of(stored, fleet(**over), queues, limits, version="9.9")


def parsed(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def at(name: str, /, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


# -- what a worker counts


def test_a_run_counts_by_its_outcome_and_falls_under_the_first_bound_that_it_keeps() -> None:
    counting = Counting()
    for took_s in (0.005, 0.0051, 700.0):
        counting.ran(run_of(took_s=took_s))
    counting.ran(run_of(outcome="failed", took_s=0.001))
    of = 'kind="tool",name="charge"'
    assert counting.take() == {
        f'wakeline_runs_total{{{of},outcome="completed"}}': 3,
        f'wakeline_runs_total{{{of},outcome="failed"}}': 1,
        f'wakeline_run_duration_seconds_bucket{{{of},le="0.005"}}': 2,
        f'wakeline_run_duration_seconds_bucket{{{of},le="0.025"}}': 1,
        f'wakeline_run_duration_seconds_bucket{{{of},le="+Inf"}}': 1,
        f"wakeline_run_duration_seconds_sum{{{of}}}": 700_011_100,
    }
    assert counting.take() == {}


def test_a_process_that_ends_counts_how_long_it_lived_and_one_that_parks_does_not() -> None:
    counting = Counting()
    counting.ran(RanSeen("engine", "refund", "shop", "parked", None, 0.1))
    counting.ran(RanSeen("engine", "refund", "shop", "failed", "boom", 0.1, 90.0))
    of = 'kind="engine",name="refund",status="failed"'
    assert {name: n for name, n in counting.take().items() if "process" in name} == {
        f'wakeline_process_duration_seconds_bucket{{{of},le="600.0"}}': 1,
        f"wakeline_process_duration_seconds_sum{{{of}}}": 90_000_000,
    }


def test_entries_that_a_turn_reads_are_counted_by_its_agent() -> None:
    counting = Counting()
    counting.ran(RanSeen("turn", "clerk", "shop", "completed", None, 0.1, 0.2, 3))
    counting.ran(RanSeen("turn", "clerk", "shop", "completed", None, 0.1, 0.2, 4))
    assert counting.take()['wakeline_turn_entries_total{name="clerk"}'] == 7


def test_a_wait_counts_by_its_kind_and_outcome_and_falls_under_a_bound() -> None:
    counting = Counting()
    counting.waited(WaitedSeen("signal", "go", "resolved", 30.0))
    counting.waited(WaitedSeen("signal", "other", "timed_out", 86_400.0))
    found = counting.take()
    assert found == {
        'wakeline_waits_over_total{kind="signal",outcome="resolved"}': 1,
        'wakeline_waits_over_total{kind="signal",outcome="timed_out"}': 1,
        'wakeline_wait_seconds_bucket{kind="signal",le="60.0"}': 1,
        'wakeline_wait_seconds_bucket{kind="signal",le="+Inf"}': 1,
        'wakeline_wait_seconds_sum{kind="signal"}': 86_430_000_000,
    }
    assert parsed(view(found).text())[at("wakeline_wait_seconds_count", kind="signal")] == 2


def test_a_tick_counts_how_long_it_took() -> None:
    counting = Counting()
    counting.ticked(TickedSeen(0.01, 0, 0, 0, 0, False))
    counting.ticked(TickedSeen(0.001, 0, 0, 0, 0, True))
    assert counting.take() == {
        'wakeline_tick_seconds_bucket{spared="false",le="0.025"}': 1,
        'wakeline_tick_seconds_sum{spared="false"}': 10_000,
        'wakeline_tick_seconds_bucket{spared="true",le="0.005"}': 1,
        'wakeline_tick_seconds_sum{spared="true"}': 1_000,
    }


def test_a_mismatch_is_counted_by_its_body() -> None:
    counting = Counting()
    counting.ran(run_of(outcome="released", code="replay_mismatch"))
    assert counting.take()['wakeline_replay_mismatches_total{name="charge"}'] == 1


def test_names_beyond_the_bound_are_counted_as_other() -> None:
    counting = Counting()
    for i in range(NAMES + 7):
        counting.tried(effect_of(f"step {i}"))
    counting.tried(effect_of("step 3"))
    found = counting.take()
    assert found['wakeline_effects_total{kind="step",name="other",outcome="completed"}'] == 7
    assert found['wakeline_effects_total{kind="step",name="step 3",outcome="completed"}'] == 2


def test_failures_of_instruments_are_counted_once_each() -> None:
    counting, failures = Counting(), {("shop.Spans", "run"): 2}
    counting.failed(failures)
    counting.failed(failures)
    failures["shop.Spans", "run"] = 5
    counting.failed(failures)
    assert counting.take() == {'wakeline_instrument_failures_total{instrument="shop.Spans",method="run"}': 5}


# -- the text


def test_a_scraper_reads_every_gauge_of_the_moment() -> None:
    found = parsed(view({}).text())
    assert {
        at("wakeline_build", format="1", version="9.9"): 1,
        at("wakeline_processes", status="waiting"): 1,
        at("wakeline_workers", release="v7", stock="false"): 1,
        at("wakeline_workers", release="", stock="true"): 1,
        at("wakeline_worker_processes"): 2,
        at("wakeline_queue_depth", queue="shop"): 3,
        at("wakeline_queue_running", queue="shop"): 2,
        at("wakeline_queue_workers", queue="shop"): 2,
        at("wakeline_queue_paused", queue="shop"): 1,
        at("wakeline_queue_oldest_seconds", queue="shop"): 0.75,
        at("wakeline_limit_running", limit="charge"): 1,
        at("wakeline_limit_waiting", limit="charge"): 2,
        at("wakeline_timers"): 6,
        at("wakeline_timers_overdue_seconds"): 1.5,
    }.items() <= found.items()


def test_ended_processes_are_those_that_are_kept_and_those_that_retention_counted() -> None:
    found = parsed(view({'wakeline_ended_total{status="completed"}': 90}).text())
    assert found[at("wakeline_ended_total", status="completed")] == 100
    assert found[at("wakeline_ended_total", status="failed")] == 4
    assert found[at("wakeline_started_total")] == 110


def test_a_histogram_has_every_bound_and_counts_what_is_below_it() -> None:
    counting = Counting()
    for took_s in (0.001, 0.3, 0.4, 1_000.0):
        counting.ran(run_of(took_s=took_s))
    found = parsed(view(counting.take()).text())
    counts = {
        dict(labels)["le"]: value
        for (name, labels), value in found.items()
        if name == "wakeline_run_duration_seconds_bucket"
    }
    assert counts == {
        "0.005": 1, "0.025": 1, "0.1": 1, "0.5": 3, "2.5": 3, "10.0": 3, "60.0": 3, "600.0": 3, "+Inf": 4,
    }  # fmt: skip
    assert found[at("wakeline_run_duration_seconds_count", kind="tool", name="charge")] == 4
    assert found[at("wakeline_run_duration_seconds_sum", kind="tool", name="charge")] == 1000.701


def test_a_name_may_hold_what_the_text_is_written_with() -> None:
    counting = Counting()
    counting.ran(run_of(HOSTILE))
    shown = HOSTILE.replace("\ud800", "?")
    found = parsed(view(counting.take()).text())
    assert found[at("wakeline_runs_total", kind="tool", name=shown, outcome="completed")] == 1
    assert found[at("wakeline_run_duration_seconds_bucket", kind="tool", name=shown, le="+Inf")] == 1


def test_what_a_later_release_counts_is_left_out() -> None:
    assert "_new" not in view({'wakeline_new_total{a="1"}': 1, "wakeline_new_total": 1, 'new_bucket{le="1"}': 1}).text()


def test_the_time_of_a_head_is_never_negative() -> None:
    """Of two looks the later one may see the clock of a server that was set back."""
    assert parsed(view({}, now_ms=4_000).text())[at("wakeline_queue_oldest_seconds", queue="shop")] == 0


def test_the_data_of_the_view_has_the_samples_by_name() -> None:
    assert view({"wakeline_losses_total": 3}).to_data()["samples"]["wakeline_losses_total"] == 3


# -- the documents


def test_names_stay() -> None:
    """Dashboards of others hold them."""
    assert [metric.name for metric in METRICS] == NAMED.split()
    assert series("a", {}) == "a"
    assert AT_ONCE == 64


def test_the_page_of_metrics_is_written_by_their_table() -> None:
    assert (DOCS / "metrics.md").read_text(encoding="utf-8") == metrics_document.markdown()


def rules() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((DOCS / "alerts.yml").read_text(encoding="utf-8"))["groups"][0][
        "rules"
    ]
    return found


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((DOCS / "grafana.json").read_text(encoding="utf-8"))["panels"]
    return found


EXPRESSIONS = [
    *(pytest.param(rule["expr"], id=rule["alert"]) for rule in rules()),
    *(
        pytest.param(target["expr"], id=f"{panel['title']} {target['refId']}")
        for panel in panels()
        for target in panel["targets"]
    ),
]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_each_query_parses_and_asks_for_metrics_and_labels_that_exist(expression: str) -> None:
    promql_parser.parse(expression.replace("$__rate_interval", "5m"))
    known = {
        name: metric
        for metric in METRICS
        for name in {
            "counter": [f"{metric.name}_total"],
            "gauge": [metric.name],
            "histogram": [f"{metric.name}_bucket", f"{metric.name}_sum", f"{metric.name}_count"],
        }[metric.type]
    }
    asked = re.findall(r"wakeline_\w+", expression)
    assert asked
    assert [name for name in asked if name not in known] == []
    labels = {label for name in asked for label in (*known[name].labels, "le")}
    by = {label.strip() for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.split(",")}
    assert by <= labels


def test_each_alert_says_what_to_type_and_a_panel_of_each_kind_has_room() -> None:
    assert [rule["alert"] for rule in rules() if "`" not in rule["annotations"]["description"]] == []
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels()]
    assert len(set(places)) == len(places) == 15
