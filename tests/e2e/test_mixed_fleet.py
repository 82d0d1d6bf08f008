"""What people put beside RQ reads true numbers of us: two autoscalers and a dashboard; and every kind of worker shares
one queue."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis
from wakeline.app import App
from wakeline.embedded import PrivateServer

from tests.e2e.test_rq import QUEUE, app, ours, process, rq_worker, start, until, workers

__all__ = ["app"]


@pytest.fixture
def beside(app: App, server: PrivateServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    """The app, where others look for Redis in the platform's variable."""
    monkeypatch.setenv("REDIS_URL", server.url)
    monkeypatch.delenv("REDIS_TLS_URL", raising=False)
    yield app


def judoscale_says(server: PrivateServer) -> dict[str, int]:
    """Measurement to value of our queue: its depth, and how old its oldest job is in ms (at most)."""
    from judoscale.core.config import Config
    from judoscale.rq.collector import RQMetricsCollector

    config = Config.initialize(
        {"DYNO": "worker.1", "JUDOSCALE_URL": "https://nowhere.example", "RQ": {"TRACK_BUSY_JOBS": True}}
    )
    collector = RQMetricsCollector(config, Redis.from_url(server.url))
    return {metric.measurement: metric.value for metric in collector.collect() if metric.queue_name == QUEUE}


def dashboard(server: PrivateServer) -> Any:
    """A client of rq-dashboard."""
    import rq_dashboard
    from flask import Flask
    from rq_dashboard.web import config, setup_rq_connection

    web = Flask("dashboard")
    web.config.from_object(rq_dashboard.default_settings)
    web.config["RQ_DASHBOARD_REDIS_URL"] = server.url
    setup_rq_connection(web)
    web.register_blueprint(rq_dashboard.blueprint)
    from rq.serializers import JSONSerializer

    config.serializer = JSONSerializer
    return web.test_client()


def workers_shown(web: Any) -> list[dict[str, Any]]:
    """The dashboard's workers. It reads a running job as a pickle, with any serializer, so while one runs
    JSON jobs it has none to show."""
    page = web.get("/0/data/workers.json")
    return page.json["workers"] if page.status_code == 200 else []  # type: ignore[no-any-return]


def test_what_waits_is_what_autoscalers_count(beside: App, server: PrivateServer) -> None:
    from hirefire_resource.macro.rq import job_queue_latency, job_queue_size

    for _ in range(5):
        start(beside, "double", n=1)
    beside.using(delay="1h").start(beside.tool(later))  # nothing to scale for yet
    time.sleep(0.3)
    assert job_queue_size(QUEUE) == 5
    assert 0.3 <= job_queue_latency(QUEUE) < 10
    said = judoscale_says(server)
    assert said["qd"] == 5
    assert 300 <= said["qt"] < 10_000


def later() -> None:
    """Never run here."""


def test_what_runs_and_what_waits_parked_is_no_work_to_scale_for(beside: App, server: PrivateServer) -> None:
    from hirefire_resource.macro.rq import job_queue_size

    with ours():
        parked = [start(beside, "waits") for _ in range(3)]
        until(lambda: all(handle.status().status == "waiting" for handle in parked))
        running = start(beside, "slow", seconds=1.5)
        until(lambda: running.status().status == "running")
        until(lambda: judoscale_says(server).get("busy") == 1)
        assert job_queue_size(QUEUE) == 0
        assert judoscale_says(server)["qd"] == 0
        running.result(timeout=20)
    assert judoscale_says(server)["busy"] == 0


def test_the_dashboard_shows_queues_and_workers_as_they_are(beside: App, server: PrivateServer) -> None:
    web = dashboard(server)
    for _ in range(3):
        start(beside, "double", n=1)
    [queue] = [one for one in web.get("/0/data/queues.json").json["queues"] if one["name"] == QUEUE]
    assert queue["count"] == 3
    assert web.get("/0/view/queues", follow_redirects=True).status_code == 200
    with ours():
        until(lambda: len(workers(server)) == 1)
        until(lambda: [one["successful_job_count"] for one in workers_shown(web)] == [3])
        [worker] = until(lambda: [one for one in workers_shown(web) if one["state"] == "idle"])
        assert worker["queues"] == [QUEUE]


def test_stock_workers_a_stock_pool_and_ours_share_a_queue(beside: App, server: PrivateServer) -> None:
    pool = process("-m", "rq.cli", "worker-pool", "--url", server.url, "-q", "-n", "2", "-S", "json", QUEUE)
    with rq_worker(server, "-S", "json"), pool, ours(2):
        until(lambda: len(workers(server)) == 5, 30)
        handles = [start(beside, "slow", seconds=0.05) for _ in range(40)]
        assert [handle.result(timeout=60) for handle in handles] == [0.05] * 40
        until(lambda: judoscale_says(server).get("busy") == 0)
        assert judoscale_says(server)["qd"] == 0
