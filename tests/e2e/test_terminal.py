"""A worker in a terminal: what bodies print is its output and nothing else, Ctrl-C twice ends it now, and what ends its
loop ends neither it nor the others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from wakeline.embedded import PrivateServer
from wakeline.store import processes

from tests.e2e.shop import APPS, until
from tests.e2e.test_races import ROOT, leave


@pytest.fixture
def talking(server: PrivateServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    settings = {
        "WAKELINE_REDIS_URL": server.url,
        "WAKELINE_APP": "talking_app:app",
        "TALKING_NOTES": str(tmp_path / "notes"),
        "PYTHONPATH": f"{APPS}{os.pathsep}{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(str(APPS))
    monkeypatch.delitem(sys.modules, "talking_app", raising=False)
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    import talking_app

    yield talking_app
    talking_app.app.close()


def worker(tmp_path: Path) -> subprocess.Popen[bytes]:
    with (tmp_path / "output").open("wb") as output, (tmp_path / "problems").open("wb") as problems:
        return subprocess.Popen(
            [sys.executable, "-m", "wakeline_workers.cli", "worker", "-n", "1"], stdout=output, stderr=problems
        )


def test_what_bodies_print_is_the_workers_output_and_disturbs_no_heartbeat(talking: Any, tmp_path: Path) -> None:
    running = worker(tmp_path)
    try:
        talks, apart = talking.app.start(talking.talks), talking.app.start(talking.apart)
        assert talks.result(timeout=20) == ""  # nothing is on its standard input, and it does not wait
        assert apart.result(timeout=20) == "done"
        # While the worker runs: a file is no terminal, and what was printed is still there.
        said = (tmp_path / "output").read_bytes()
    finally:
        leave(running)
    assert (tmp_path / "notes").read_text() == "began\n", "it was taken for lost, and ran again"
    for line in (
        b"line 29 of the body\n",
        b"caf\xe9\n",
        b"below Python\n",
        b"of a process that it started\n",
        b"of an isolated tool\n",
    ):
        assert line in said


def test_ctrl_c_waits_for_what_runs_and_says_so_and_a_second_one_ends_it_now_with_nothing_lost(
    talking: Any, tmp_path: Path
) -> None:
    running = worker(tmp_path)
    try:
        handle = talking.app.start(talking.sits)
        until(lambda: (tmp_path / "notes").exists())
        running.send_signal(signal.SIGINT)
        time.sleep(0.1)
        running.send_signal(signal.SIGINT)  # passed on by its parent: still one Ctrl-C
        until(lambda: b"stopping: " in (tmp_path / "problems").read_bytes())
        assert running.poll() is None
        at = time.monotonic()
        running.send_signal(signal.SIGINT)
        assert running.wait(10) == 0
        assert time.monotonic() - at < 3
    finally:
        leave(running)
    *_, stopping, killed = (tmp_path / "problems").read_text().splitlines()
    assert (
        stopping
        == "wakeline: stopping: what runs has 25 s to end, to park or to be handed back; Ctrl-C again ends it now"
    )
    assert killed.endswith(f" was killed; 1 process handed on: {handle.id}")
    losses = talking.app.store.client.hget(f"{talking.app.store.address.prefix}proc:{handle.id}", "ls")
    assert (handle.status().status, losses) == ("queued", None)


def losses_of(app: Any, process_id: str) -> int:
    """How many workers ended under it."""
    return int(app.store.execute(processes.read(process_id, count=0)).fields.get("ls", "0"))


def test_a_body_that_ends_the_loop_is_a_loss_each_time_offered_later_each_time_and_nobody_else_suffers(
    talking: Any, tmp_path: Path
) -> None:
    running = worker(tmp_path)
    try:
        deadly = talking.app.start(talking.ends_the_loop)
        end = time.monotonic() + 40
        while losses_of(talking.app, deadly.id) < 4:
            assert time.monotonic() < end
            time.sleep(0.1)
        assert talking.app.start(talking.apart).result(timeout=20) == "done"
        assert running.poll() is None
    finally:
        leave(running)
    assert "ValueError: alarm" in (tmp_path / "problems").read_text()


def test_under_a_stock_worker_too(talking: Any) -> None:
    deadly, apart = talking.app.start(talking.ends_the_loop), talking.app.start(talking.apart)
    command = [
        sys.executable,
        "-m",
        "rq.cli",
        "worker",
        "-S",
        "json",
        "--url",
        os.environ["WAKELINE_REDIS_URL"],
        "--burst",
        "--quiet",
        "talking",
    ]
    subprocess.run(command, timeout=60, check=True, capture_output=True)
    assert (deadly.status().status, apart.status().status) == ("queued", "completed")
    # It is offered again a second after its third loss, then after two: a slow machine sees some of these as well.
    assert 3 <= losses_of(talking.app, deadly.id) <= 6


def test_a_worker_without_standard_streams_serves(talking: Any, tmp_path: Path) -> None:
    handle = talking.app.start(talking.apart)
    command = f"exec {sys.executable} -m wakeline_workers.cli worker -n 1 --burst <&- >&- 2>&-"
    assert subprocess.run(["sh", "-c", command], timeout=60, check=False).returncode == 0
    assert handle.status().status == "completed"
