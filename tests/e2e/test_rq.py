"""RQ's own tools beside our workers: what they show is true, and every mix of workers runs the same doorbells."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.worker import BaseWorker
from wakeline.app import App
from wakeline.embedded import PrivateServer
from wakeline.errors import ProcessFailed

QUEUE = "rqapp"


@pytest.fixture
def app(server: PrivateServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    """The app on an empty server, also for every process that is started."""
    Redis.from_url(server.url).flushall()
    monkeypatch.setenv("WAKELINE_REDIS_URL", server.url)
    monkeypatch.setenv("WAKELINE_APP", "tests.e2e.apps.rq_app:app")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    made = App(QUEUE)
    yield made
    made.close()


@contextmanager
def process(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A python process that is told to end afterwards, and does."""
    child = subprocess.Popen([sys.executable, *arguments], env=os.environ)
    try:
        yield child
    finally:
        child.terminate()
        assert child.wait(30) == 0


def ours(n: int = 1) -> Any:
    return process("-m", "wakeline_workers.cli", "worker", "-n", str(n))


def rq_worker(server: PrivateServer, *more: str) -> Any:
    return process("-m", "rq.cli", "worker", "--url", server.url, "--quiet", *more, QUEUE)


def until(look: Callable[[], Any], seconds: float = 15) -> Any:
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.02)
    return found


def start(app: App, name: str, **arguments: Any) -> Any:
    import tests.e2e.apps.rq_app as bodies

    return app.start(getattr(bodies, name), **arguments)


def workers(server: PrivateServer) -> list[BaseWorker]:
    from wakeline_workers.worker import WakelineWorker

    return WakelineWorker.all(connection=Redis.from_url(server.url))


def test_rq_sees_our_workers_their_state_and_their_counts(
    app: App, server: PrivateServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # RQ sees the execution of a run from a heartbeat on.
    monkeypatch.setenv("WAKELINE_BEAT", "200ms")
    with ours():
        # Of one that was born a moment ago RQ itself says "?".
        (worker,) = until(lambda: [one for one in workers(server) if one.get_state() != "?"])
        assert (worker.name[:2], worker.get_state(), worker.queue_names()) == ("o_", "idle", [QUEUE])
        assert worker.pid is not None
        os.kill(worker.pid, 0)  # the process RQ names exists
        assert start(app, "add", a=1, b=2).result(timeout=10) == 3
        with pytest.raises(Exception, match="no"):
            start(app, "breaks").result(timeout=10)
        worker.refresh()
        assert (worker.successful_job_count, worker.failed_job_count) == (1, 1)
        handle = start(app, "held", path=str(tmp_path / "seen"))
        until(lambda: workers(server)[0].get_state() == "busy")
        (execution,) = until(lambda: workers(server)[0].get_current_executions())
        assert execution.job_id == f"wl-{QUEUE}-{handle.id.replace('_', '_5f')}-1"
        job = Job.fetch(execution.job_id, connection=Redis.from_url(server.url), serializer=JSONSerializer)
        assert [(one.id, one.worker_name) for one in job.get_executions()] == [(execution.id, worker.name)]
        info = subprocess.run(
            [sys.executable, "-m", "rq.cli", "info", "--url", server.url],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ,
        ).stdout
        assert "1 workers, 1 queues" in info
        assert f"{QUEUE}" in info and "busy" in info
        (tmp_path / "seen").touch()
        assert handle.result(timeout=10) is True
    assert workers(server) == []


def test_a_parked_process_is_no_job_and_its_resume_is_one(app: App, server: PrivateServer) -> None:
    queue = Queue(QUEUE, connection=Redis.from_url(server.url), serializer=JSONSerializer)
    with ours():
        handle = start(app, "waits")
        until(lambda: handle.status().status == "waiting")
        assert (queue.count, queue.started_job_registry.count, queue.failed_job_registry.count) == (0, 0, 0)
    handle.signal("go", True)
    assert queue.count == 1  # what an autoscaler counts
    assert queue.fetch_job(queue.job_ids[0]).description == handle.id  # type: ignore[union-attr]
    with ours():
        assert handle.result(timeout=10) is True
    assert (queue.count, queue.started_job_registry.count, queue.failed_job_registry.count) == (0, 0, 0)


def test_a_stock_worker_of_another_app_fails_a_doorbell_and_says_what_to_do(
    app: App, server: PrivateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = start(app, "add", a=1, b=2)
    monkeypatch.setenv("WAKELINE_NAMESPACE", "bank")
    command = [sys.executable, "-m", "rq.cli", "worker", "--url", server.url, "-S", "json", "--burst", QUEUE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=os.environ)
    assert (
        "This worker runs the app of namespace 'bank', and the job is a doorbell of namespace 'rqapp'. Set WAKELINE_APP"
        " to that app" in done.stderr
    )
    assert handle.status().status == "queued"
    monkeypatch.delenv("WAKELINE_NAMESPACE")
    with ours():  # it is rung again
        assert handle.result(timeout=30) == 3


def test_our_worker_class_runs_under_rqs_own_command(app: App, server: PrivateServer) -> None:
    with rq_worker(server, "-w", "wakeline_workers.worker.WakelineWorker"):
        assert start(app, "add", a=20, b=22).result(timeout=10) == 42
        handle = start(app, "waits")
        until(lambda: handle.status().status == "waiting")
        handle.signal("go", False)
        assert handle.result(timeout=10) is False


def test_a_name_given_to_rq_is_never_an_owner(app: App, server: PrivateServer) -> None:
    with rq_worker(server, "-w", "wakeline_workers.worker.WakelineWorker", "--name", "web.1"):
        (worker,) = until(lambda: workers(server))
        assert worker.name.startswith("o_")


def test_options_that_cannot_work_are_refused_by_name(app: App, server: PrivateServer) -> None:
    command = [
        sys.executable,
        "-m",
        "rq.cli",
        "worker",
        "--url",
        server.url,
        "-w",
        "wakeline_workers.worker.WakelineWorker",
        "--with-scheduler",
        QUEUE,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=os.environ)
    assert done.returncode != 0
    assert "--with-scheduler" in done.stderr and "timers are part of every worker here" in done.stderr


def test_rq_suspend_stops_the_taking_and_rq_resume_goes_on(app: App, server: PrivateServer) -> None:
    rq = [sys.executable, "-m", "rq.cli"]
    with ours():
        until(lambda: workers(server))
        subprocess.run([*rq, "suspend", "--url", server.url], check=True, capture_output=True, env=os.environ)
        handle = start(app, "add", a=1, b=1)
        time.sleep(1.5)  # longer than an idle worker's longest pause
        assert handle.status().status == "queued"
        subprocess.run([*rq, "resume", "--url", server.url], check=True, capture_output=True, env=os.environ)
        assert handle.result(timeout=10) == 2


def test_stock_workers_and_ours_share_a_queue(app: App, server: PrivateServer) -> None:
    with rq_worker(server, "-S", "json"), ours():
        until(lambda: len(workers(server)) == 2)
        handles = [start(app, "slow", seconds=0.05) for _ in range(12)] + [start(app, "double", n=4)]
        assert [handle.result(timeout=30) for handle in handles] == [0.05] * 12 + [8]
    queue = Queue(QUEUE, connection=Redis.from_url(server.url), serializer=JSONSerializer)
    assert (queue.count, queue.started_job_registry.count, queue.failed_job_registry.count) == (0, 0, 0)


def test_sigterm_to_the_tree_hands_long_work_back_at_once_and_counts_no_loss(
    app: App, server: PrivateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAKELINE_SHUTDOWN", "2s")
    with ours() as supervisor:
        handle = start(app, "slow", seconds=30.0)
        until(lambda: handle.status().status == "running")
        began = time.monotonic()
        supervisor.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        supervisor.send_signal(signal.SIGTERM)
        assert supervisor.wait(10) == 0
        assert time.monotonic() - began < 5
    assert handle.status().status == "queued"
    assert app.store.client.hget(f"{{{QUEUE}}}:proc:{handle.id}", "ls") is None


@pytest.mark.parametrize("body", ["never_gives_in", "blocks"])
def test_a_tool_that_is_over_its_time_holds_no_stock_worker(app: App, server: PrivateServer, body: str) -> None:
    handle, after = start(app, body), start(app, "add", a=1, b=2)
    with rq_worker(server, "-S", "json"):
        with pytest.raises(ProcessFailed) as failed:
            handle.result(timeout=20)
        assert (failed.value.fields["failure_class"], failed.value.fields["failure_code"]) == (
            "timeout",
            "tool_timeout",
        )
        assert after.result(timeout=20) == 3
