"""The program that started a worker process or a private server is killed (-9): what it started goes too, also if Redis
never comes back."""

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
from wakeline.embedded import PrivateServer, find_server

from tests.e2e.test_outage import APPS, Site, until
from tests.e2e.test_outage import site as site  # the fixture

SHUTDOWN_S = 1


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def children_of(process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True)
    return [int(pid) for pid in found.stdout.split()]


@contextmanager
def running(command: list[str], **environment: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command, text=True, env=os.environ | environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


def served_by(server: PrivateServer) -> dict[str, str]:
    return {
        "WAKELINE_REDIS_URL": server.url,
        "WAKELINE_APP": "outage_app:app",
        "PYTHONPATH": str(APPS),
        "OUTAGE_NOTES": os.devnull,
        "WAKELINE_SHUTDOWN": f"{SHUTDOWN_S}s",
    }


@pytest.fixture
def own() -> Iterator[PrivateServer]:
    binary = find_server()
    assert binary is not None
    with PrivateServer(binary) as server:
        yield server


WORKER = [sys.executable, "-m", "wakeline_workers.cli", "worker"]


def a_child_at_work(process: subprocess.Popen[str], owner_says: Callable[[], bool]) -> int:
    until(owner_says, "a worker that serves")
    [pid] = children_of(process)
    return pid


def has_an_owner(server: PrivateServer) -> bool:
    import redis

    with redis.Redis.from_url(server.url) as client:
        return client.zcard("{outage}:owners") == 1


def test_a_worker_whose_supervisor_is_killed_while_redis_is_away_leaves_within_its_shutdown_time(
    own: PrivateServer,
) -> None:
    with running(WORKER, **served_by(own)) as supervisor:
        child = a_child_at_work(supervisor, lambda: has_an_owner(own))
        own.kill()
        time.sleep(0.5)
        supervisor.kill()
        until(lambda: not alive(child), "the end of the orphan", SHUTDOWN_S + 6)


def test_a_worker_that_is_told_to_leave_while_redis_is_away_leaves_though_nobody_kills_it(own: PrivateServer) -> None:
    # Under `rq worker -w` there is no supervisor.
    command = [
        str(Path(sys.executable).parent / "rq"),
        "worker",
        "-u",
        own.url,
        "-w",
        "wakeline_workers.worker.WakelineWorker",
        "outage",
    ]
    with running(command, **served_by(own)) as worker:
        until(lambda: has_an_owner(own), "a worker that serves")
        own.kill()
        time.sleep(0.5)
        worker.send_signal(signal.SIGTERM)
        until(lambda: worker.poll() is not None, "the end of the worker", SHUTDOWN_S + 6)


STOCK = [str(Path(sys.executable).parent / "rq"), "worker", "-S", "json", "-u"]


def stock(server: PrivateServer, notes: Path) -> dict[str, str]:
    return served_by(server) | {"OUTAGE_NOTES": str(notes), "WAKELINE_LEASE": "2s", "WAKELINE_BEAT": "500ms"}


def process_of(server: PrivateServer) -> int:
    import redis

    with redis.Redis.from_url(server.url) as client:
        return int(client.info("server")["process_id"])


def a_work_horse(worker: subprocess.Popen[str], notes: Path) -> int:
    until(lambda: "begin long.1" in notes.read_text(), "a job at work")
    [pid] = children_of(worker)
    return pid


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["gone", "hung"])
def test_the_work_horse_of_a_stock_worker_that_is_killed_while_redis_is_away_leaves_once_its_lease_is_over(
    own: PrivateServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: signal.Signals
) -> None:
    notes = started(own, tmp_path, monkeypatch, seconds=1.0)
    with running([*STOCK, own.url, "outage"], **stock(own, notes)) as worker:
        horse, served = a_work_horse(worker, notes), process_of(own)
        os.kill(served, how)
        worker.kill()
        until(lambda: not alive(horse), "the end of the work-horse", 6)


def test_the_work_horse_of_a_stock_worker_that_is_killed_ends_its_job_while_redis_is_there(
    own: PrivateServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = started(own, tmp_path, monkeypatch, seconds=2.0)
    with running([*STOCK, own.url, "outage"], **stock(own, notes)) as worker:
        horse = a_work_horse(worker, notes)
        worker.kill()
        until(lambda: not alive(horse), "the end of its job", 20)
    assert notes.read_text().splitlines() == [f"{what} long.{n}" for n in (1, 2, 3) for what in ("begin", "end")]


def started(server: PrivateServer, folder: Path, monkeypatch: pytest.MonkeyPatch, seconds: float) -> Path:
    """Starts a process of three steps, the second and third of so many seconds; where they are noted."""
    notes = folder / "notes"
    notes.touch()
    for name, value in served_by(server).items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(str(APPS))
    monkeypatch.delitem(sys.modules, "outage_app", raising=False)
    import outage_app

    outage_app.app.using(id="long").start(outage_app.works, "long", seconds)
    outage_app.app.close()
    return notes


def test_a_worker_that_is_told_to_leave_and_can_leaves_before_its_last_resort(own: PrivateServer) -> None:
    with running(WORKER, **served_by(own)) as supervisor:
        until(lambda: has_an_owner(own), "a worker that serves")
        supervisor.terminate()
        assert supervisor.wait(10) == 0


def test_a_command_of_a_person_is_told_soon_that_a_server_hangs(own: PrivateServer) -> None:
    os.kill(process_of(own), signal.SIGSTOP)
    began = time.monotonic()
    asked = subprocess.run(
        [sys.executable, "-m", "wakeline_workers.cli", "ps"],
        env=os.environ | served_by(own),
        capture_output=True,
        text=True,
    )
    assert (asked.returncode, "Redis does not answer: Timeout" in asked.stderr) == (69, True)
    assert time.monotonic() - began < 9  # with a worker's patience it takes 10 s, and the start of the command


def test_a_worker_keeps_its_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    from wakeline import App
    from wakeline_workers import loading
    from wakeline_workers.cli import root

    monkeypatch.setenv("WAKELINE_REDIS_URL", "redis://localhost:1/0")
    for serves, timeout in ((True, 5), (False, 2.0)):
        monkeypatch.setattr(loading, "load_app", lambda _: App("outage"))
        console = root.Console()
        console.serves = serves
        client: Any = console.app.backend.sync()
        assert client.connection_pool.connection_kwargs["socket_timeout"] == timeout


SERVES = """
import sys, threading, time
from wakeline.embedded import PrivateServer, find_server
servers = []
starting = threading.Thread(target=lambda: servers.append(PrivateServer(find_server())))
starting.start()
starting.join()  # the thread that started it is gone, which must not matter
time.sleep(0.2)
print(servers[0]._process.pid, servers[0]._process.poll(), servers[0]._folder.name, file=sys.stderr, flush=True)
time.sleep(60)
"""


def test_a_private_server_and_its_data_go_with_whoever_started_it_also_by_sigkill() -> None:
    with running([sys.executable, "-c", SERVES]) as starter:
        assert starter.stderr is not None
        pid, ended, folder = starter.stderr.readline().split()
        assert ended == "None"
        assert alive(int(pid)) and Path(folder).is_dir()
        starter.kill()
        until(lambda: not alive(int(pid)) and not Path(folder).exists(), "the end of the server", 5)


def test_the_private_server_and_the_workers_of_dev_go_with_it_also_by_sigkill() -> None:
    environment = {
        "WAKELINE_APP": "outage_app:app",
        "PYTHONPATH": str(APPS),
        "OUTAGE_NOTES": os.devnull,
        "WAKELINE_SHUTDOWN": f"{SHUTDOWN_S}s",
    }
    for name in ("WAKELINE_REDIS_URL", "REDIS_URL"):
        assert name not in os.environ
    with running([sys.executable, "-m", "wakeline_workers.cli", "dev"], **environment) as dev:
        until(lambda: len(children_of(dev)) == 3, "a server, its watcher and a worker")
        started = children_of(dev)
        dev.kill()
        until(lambda: not any(map(alive, started)), "the end of all that dev started", SHUTDOWN_S + 8)


@pytest.mark.parametrize("site", [(1, {"WAKELINE_LEASE": "2s", "WAKELINE_BEAT": "500ms"})], ids=[""], indirect=True)
def test_a_worker_whose_output_nobody_reads_goes_on(site: Site) -> None:
    """Its own lines, what bodies print, and what the programs print that bodies start."""
    command = [*WORKER, "-c", "4"]
    loud = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | {"WAKELINE_LOG": "DEBUG"}
    )
    try:
        assert loud.stdout is not None and loud.stderr is not None
        loud.stdout.close()
        loud.stderr.close()
        until(lambda: len(site.fleet().owners) == 2, "two workers")
        os.kill(site.workers.pid, signal.SIGTERM)  # only the loud one is left
        site.workers.wait(20)
        assert site.app.using(id="prints").start(site.bodies.prints, 3).result(timeout=20) == ["ok 0", "ok 1", "ok 2"]
        [child] = children_of(loud)
        os.kill(child, signal.SIGKILL)  # the supervisor says so, without a reader
        assert site.app.using(id="again").start(site.bodies.prints, 1).result(timeout=20) == ["ok 0"]
        assert loud.poll() is None
    finally:
        loud.terminate()
        assert loud.wait(20) == 0
