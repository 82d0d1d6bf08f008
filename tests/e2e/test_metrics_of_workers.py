"""Metrics of real workers: exact where they leave in order, never twice, and at a port for a scraper."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import redis
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from wakeline import App
from wakeline.embedded import PrivateServer
from wakeline.settings import Settings
from wakeline_workers.scrape import serve_metrics

from tests.e2e.shop import BIN, MODULE, Shop, until

APP = """
import os
import time
from pathlib import Path
from wakeline import App, AsyncCtx, current

app = App("counts")

@app.tool
def charge(order: int) -> int:
    if order < 0:
        raise ValueError("no such order")
    return order

@app.tool
def hang(folder: str) -> None:
    mark = Path(folder) / "pid"
    if not mark.exists():
        mark.write_text(str(os.getpid()))
        time.sleep(60)

@app.engine
async def pack(ctx: AsyncCtx) -> str:
    for i in range(3):
        await ctx.step(f"weigh {i}", lambda: 1)
    await ctx.sleep("10ms")
    return "packed"
"""


@pytest.fixture
def counted(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    (tmp_path / "counts_app.py").write_text(APP)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("WAKELINE_APP", "counts_app:app")
    monkeypatch.setenv("WAKELINE_BEAT", "200ms")
    monkeypatch.setenv("WAKELINE_LEASE", "2s")
    yield shop
    if "counts_app" in sys.modules:
        sys.modules.pop("counts_app").app.close()


def samples(shop: Shop) -> dict[str, float]:
    found: dict[str, float] = shop.json("metrics")
    return found


def command(kind: str, server: PrivateServer) -> list[str]:
    if kind == "wakeline worker":
        return [*MODULE, "worker", "-n", "2", "--burst"]
    of = ["-w", "wakeline_workers.worker.WakelineWorker"] if kind == "rq worker -w" else []
    return [str(BIN / "rq"), "worker", "-S", "json", *of, "--burst", "--url", server.url, "counts"]


@pytest.mark.parametrize(("kind", "n"), [("wakeline worker", 200), ("rq worker -w", 200), ("rq worker", 4)])
def test_workers_that_leave_in_order_leave_no_count_out(
    counted: Shop, server: PrivateServer, kind: str, n: int
) -> None:
    for i in range(n):
        counted.text("start", "charge", f"[{i}]")
    counted.text("start", "charge", "[-1]")
    subprocess.run(command(kind, server), check=True, timeout=60, capture_output=True)
    found = samples(counted)
    assert {name: value for name, value in found.items() if name.startswith(("wakeline_runs", "wakeline_ended"))} == {
        'wakeline_ended_total{status="completed"}': n,
        'wakeline_ended_total{status="failed"}': 1,
        'wakeline_ended_total{status="cancelled"}': 0,
        'wakeline_ended_total{status="abandoned"}': 0,
        'wakeline_runs_total{kind="tool",name="charge",outcome="completed"}': n,
        'wakeline_runs_total{kind="tool",name="charge",outcome="failed"}': 1,
    }
    assert found["wakeline_started_total"] == n + 1
    assert found['wakeline_run_duration_seconds_count{kind="tool",name="charge"}'] == n + 1
    assert found["wakeline_reaped_owners_total"] == found["wakeline_losses_total"] == 0


def test_the_totals_of_ten_thousand_processes_are_exact(counted: Shop, server: PrivateServer) -> None:
    counts_app = import_module("counts_app")
    for _ in range(10):
        counts_app.app.start_many(counts_app.charge, [{"order": n} for n in range(-10, 990)])
    subprocess.run(command("wakeline worker", server), check=True, timeout=120, capture_output=True)
    found = samples(counted)
    assert {name: n for name, n in found.items() if "_bucket" not in name and "_sum" not in name and n >= 100} == {
        "wakeline_started_total": 10_000,
        'wakeline_ended_total{status="completed"}': 9_900,
        'wakeline_ended_total{status="failed"}': 100,
        'wakeline_processes{status="completed"}': 9_900,
        'wakeline_processes{status="failed"}': 100,
        'wakeline_runs_total{kind="tool",name="charge",outcome="completed"}': 9_900,
        'wakeline_runs_total{kind="tool",name="charge",outcome="failed"}': 100,
        'wakeline_run_duration_seconds_count{kind="tool",name="charge"}': 10_000,
        'wakeline_process_duration_seconds_count{kind="tool",name="charge",status="completed"}': 9_900,
        'wakeline_process_duration_seconds_count{kind="tool",name="charge",status="failed"}': 100,
        'wakeline_effects_total{kind="tool_call",name="call:charge",outcome="completed"}': 9_900,
        'wakeline_effects_total{kind="tool_call",name="call:charge",outcome="failed"}': 100,
        'wakeline_effect_duration_seconds_count{kind="tool_call",name="call:charge"}': 10_000,
    }


def test_a_replay_counts_no_effect(counted: Shop) -> None:
    serving = counted.spawn("worker")
    assert counted.run("start", "pack", "--id", "pack-1", "--wait", "30s").exit_code == 0
    serving.send_signal(signal.SIGTERM)
    serving.communicate(timeout=30)
    found = samples(counted)
    effects = {name: n for name, n in found.items() if name.startswith("wakeline_effects") and "weigh" in name}
    assert effects == {
        f'wakeline_effects_total{{kind="step",name="weigh {i}",outcome="completed"}}': 1 for i in range(3)
    }
    assert found['wakeline_runs_total{kind="engine",name="pack",outcome="parked"}'] == 1
    assert found['wakeline_runs_total{kind="engine",name="pack",outcome="completed"}'] == 1
    assert found['wakeline_waits_over_total{kind="timer",outcome="resolved"}'] == 1
    assert found['wakeline_wait_seconds_count{kind="timer"}'] == 1
    assert found['wakeline_process_duration_seconds_count{kind="engine",name="pack",status="completed"}'] == 1


def test_a_killed_worker_counts_its_beats_once_and_is_a_loss(counted: Shop, tmp_path: Path) -> None:
    serving = counted.spawn("worker")
    try:
        for i in range(50):
            counted.text("start", "charge", f"[{i}]")
        done = 'wakeline_runs_total{kind="tool",name="charge",outcome="completed"}'
        until(lambda: samples(counted).get(done) == 50)
        counted.text("start", "hang", f'["{tmp_path}"]', "--id", "hang-1")
        os.kill(int(until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())), signal.SIGKILL)
        until(lambda: counted.json("show", "hang-1")["status"] == "completed")
        found = samples(counted)
        assert (found[done], found["wakeline_losses_total"], found["wakeline_reaped_owners_total"]) == (50, 1, 1)
    finally:
        serving.send_signal(signal.SIGTERM)
        serving.communicate(timeout=30)


def test_metrics_can_be_turned_off(counted: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAKELINE_METRICS", "no")
    counted.text("start", "charge", "[1]")
    subprocess.run([*MODULE, "worker", "--burst"], check=True, timeout=60, capture_output=True)
    found = samples(counted)
    assert [name for name in found if name.startswith("wakeline_runs")] == []
    assert found['wakeline_ended_total{status="completed"}'] == 1  # the store knows


# -- for a scraper


def get(port: int, path: str = "/metrics", method: str = "GET") -> tuple[int, str | None, str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=15)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.getheader("Content-Type"), answer.read().decode()
    finally:
        connection.close()


def names(text: str) -> set[str]:
    return {family.name for family in text_string_to_metric_families(text)}


def test_a_scraper_gets_what_the_command_prints(shop: Shop) -> None:
    app = App("counts", settings=Settings(url=shop.url, metrics_port="127.0.0.1:0"))
    served = serve_metrics(app)
    assert served is not None
    try:
        status, kind, text = get(served.server_port)
        assert (status, kind) == (200, "application/openmetrics-text; version=1.0.0; charset=utf-8")
        assert {"wakeline_processes", "wakeline_queue_depth", "wakeline_losses"} <= names(text)
        assert get(served.server_port, "/metrics?x=1")[0] == 200
        assert get(served.server_port, method="HEAD")[2] == ""
        assert get(served.server_port, "/") == (404, "text/plain; charset=utf-8", "metrics are at /metrics\n")
    finally:
        served.shutdown()
        served.server_close()
        app.close()


def test_a_scrape_while_the_server_is_away_is_told_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nothing:
        closed = nothing.getsockname()[1]
    app = App("counts", settings=Settings(url=f"redis://127.0.0.1:{closed}/0", metrics_port="127.0.0.1:0"))
    served = serve_metrics(app)
    assert served is not None
    try:
        status, _, text = get(served.server_port)
        assert (status, "Redis" in text) == (503, True)
    finally:
        served.shutdown()
        served.server_close()
        app.close()


def scraped(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> tuple[subprocess.Popen[str], int, Any]:
    """A worker that serves metrics, its port, and what it answered first. A port that something else took in between is
    given up for another."""
    for _ in range(5):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        monkeypatch.setenv("WAKELINE_METRICS_PORT", f"127.0.0.1:{port}")
        serving = shop.spawn("worker")
        first: list[Any] = []

        def answered(port: int = port, first: list[Any] = first) -> bool:
            try:
                first.append(get(port))
            except (OSError, ValueError):
                return False
            return True

        try:
            until(answered)
        except AssertionError:
            serving.kill()
            if "no metrics at" not in serving.communicate()[1]:
                raise
            continue
        return serving, port, first[0]
    raise AssertionError("no port was free")


def test_a_supervisor_serves_the_metrics_of_the_fleet_and_stops(counted: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    serving, port, first = scraped(counted, monkeypatch)
    assert first[0] == 200
    counted.text("start", "charge", "[1]")
    until(lambda: 'name="charge",outcome="completed"} 1' in get(port)[2])
    serving.send_signal(signal.SIGTERM)
    serving.communicate(timeout=30)
    assert serving.returncode == 0


def test_a_port_that_is_taken_is_said_and_work_goes_on(counted: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("WAKELINE_METRICS_PORT", f"127.0.0.1:{taken.getsockname()[1]}")
        counted.text("start", "charge", "[1]", "--id", "charge-1")
        done = subprocess.run([*MODULE, "worker", "--burst"], check=True, timeout=60, capture_output=True, text=True)
    assert "no metrics at WAKELINE_METRICS_PORT=127.0.0.1:" in done.stderr
    assert counted.json("show", "charge-1")["status"] == "completed"


def test_the_command_prints_text_that_a_scraper_reads(busy: Shop) -> None:
    text = busy.text("metrics")
    assert text.endswith("# EOF\n")
    assert "wakeline_processes" in names(text)
    assert 'wakeline_processes{status="waiting"} 5\n' in text
    with redis.Redis.from_url(busy.url) as client:
        assert client.exists("{shop}:metrics") == 0
