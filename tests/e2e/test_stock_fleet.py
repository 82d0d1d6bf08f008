"""A fleet of stock RQ workers alone: no clock runs, so their jobs tick, and doctor says what comes of that."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from wakeline.app import App
from wakeline.embedded import PrivateServer

from tests.e2e.test_rq import app, process, rq_worker, start, until

__all__ = ["app"]

LEASE_S = 1


@pytest.fixture
def stock(app: App, server: PrivateServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    """The app, under a lease of a second, served by one stock worker."""
    monkeypatch.setenv("WAKELINE_LEASE", f"{LEASE_S}s")
    monkeypatch.setenv("WAKELINE_BEAT", "300ms")
    with rq_worker(server, "-S", "json"):
        yield app


def doctor(code: int) -> dict[str, tuple[str, str]]:
    asked = subprocess.run(
        [sys.executable, "-m", "wakeline_workers.cli", "--json", "doctor"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
    )
    assert asked.returncode == code, asked.stdout + asked.stderr
    return {one["code"]: (one["level"], one["message"]) for one in json.loads(asked.stdout)["findings"]}


def test_a_sleeping_engine_is_woken_by_the_next_job_of_a_stock_worker(stock: App) -> None:
    nap = start(stock, "naps", seconds=0.5)
    until(lambda: nap.status().status == "waiting")
    time.sleep(2 * LEASE_S + 0.2)
    assert nap.status().status == "waiting"  # nothing came, so nothing ticked
    assert start(stock, "add", a=1, b=2).result(timeout=10) == 3
    assert nap.result(timeout=10) == "rested"


def test_a_stock_job_ticks_for_as_long_as_it_runs(stock: App, server: PrivateServer) -> None:
    with rq_worker(server, "-S", "json"):
        long = start(stock, "slow", seconds=10.0)
        until(lambda: long.status().status == "running")
        assert start(stock, "naps", seconds=1.0).result(timeout=10) == "rested"
        assert long.status().status == "running"
        assert long.result(timeout=20) == 10.0


def test_doctor_names_timers_that_only_another_job_would_fire(stock: App) -> None:
    nap = start(stock, "naps", seconds=0.5)
    until(lambda: nap.status().status == "waiting")
    time.sleep(2)
    level, message = doctor(1)["ticks"]
    assert (level, message.split(",")[0], message.split(": ")[1][:15]) == (
        "problem",
        "only jobs of stock workers tick",
        "1 timer overdue",
    )
    with process("-m", "wakeline_workers.cli", "clock"):
        assert nap.result(timeout=10) == "rested"
        assert doctor(0)["ticks"] == ("ok", "a clock ticks: timers, schedules and lost work are looked after")


def test_doctor_names_a_queued_process_whose_doorbell_is_gone_where_nothing_ticks(
    app: App, server: PrivateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAKELINE_STALE", "1s")
    import tests.e2e.apps.rq_app as bodies

    lost = app.using(id="lost").start(bodies.add, 1, 2)
    app.store.client.delete("rq:queue:rqapp")
    with rq_worker(server, "-S", "json"):
        time.sleep(1.1)
        found = doctor(1)
        assert found["no_doorbell"][1].startswith("no doorbell is there for lost, and nothing ticks")
        assert lost.status().status == "queued"
