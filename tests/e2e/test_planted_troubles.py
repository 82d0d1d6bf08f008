"""Ten troubles, each planted in a real fleet. `doctor`, `why` and `show` say what is wrong and what to type, each on
one screen."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import redis
from wakeline.embedded import PrivateServer, find_server

from tests.e2e.shop import APPS, MODULE, until

SCREEN = 24
"""Lines of a terminal."""


class Desk:
    """An operator of the app `desk_app` on a server of its own."""

    def __init__(self, server: PrivateServer) -> None:
        self.server = server

    def run(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*MODULE, *words], text=True, capture_output=True, env={**os.environ, **env}, check=False, timeout=60
        )

    def types(self, *words: str, **env: str) -> str:
        """What a command prints; it fits a screen."""
        done = self.run(*words, **env)
        said = done.stdout + done.stderr
        assert len(said.splitlines()) <= SCREEN, said
        assert "Traceback" not in said
        return said

    def status(self, pid: str) -> str:
        return str(json.loads(self.run("--json", "show", pid).stdout)["status"])

    def setbacks(self, pid: str) -> int:
        return len(json.loads(self.run("--json", "show", pid).stdout)["setbacks"])

    def start(self, *words: str) -> None:
        assert self.run("start", *words).returncode == 0

    def work(self) -> None:
        """A worker, until there is nothing left to do."""
        assert self.run("worker", "--burst").returncode == 0

    @contextmanager
    def worker(self, *words: str, **env: str) -> Iterator[subprocess.Popen[bytes]]:
        """A worker with its supervisor, which takes what comes."""
        child = subprocess.Popen(
            [*MODULE, "worker", *words],
            env={**os.environ, **env},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            until(lambda: self.lives(child), 30)
            yield child
        finally:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()

    def lives(self, supervisor: subprocess.Popen[bytes]) -> bool:
        assert supervisor.poll() is None
        return any(one["alive"] for one in json.loads(self.run("--json", "workers").stdout))


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    for name in [name for name in os.environ if name.startswith("WAKELINE_")]:
        monkeypatch.delenv(name)
    binary = find_server()
    assert binary is not None
    with PrivateServer(binary) as server:
        for name, value in {
            "WAKELINE_REDIS_URL": server.url,
            "WAKELINE_APP": "desk_app:app",
            "WAKELINE_HOLD": "0",
            "WAKELINE_LEASE": "3s",
            "WAKELINE_BEAT": "500ms",
            "PYTHONPATH": str(APPS),
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(APPS)
        yield Desk(server)


def test_nothing_ticks(desk: Desk) -> None:
    desk.start("naps", "--id", "nap-1")
    desk.work()
    time.sleep(7)  # it was due, and is late
    ways = "start `wakeline worker`, or `wakeline clock` where only stock workers run"
    assert ways in desk.types("doctor")
    assert "→ no process ticks: start `wakeline worker` or `wakeline clock`" in desk.types("why", "nap-1")
    assert "no process ticks: start `wakeline worker` or `wakeline clock`" in desk.types("show", "nap-1")


def test_code_is_missing(desk: Desk) -> None:
    desk.start("gone", "--id", "gone-1")
    with desk.worker(DESK="after"):
        until(lambda: "code that fits" in desk.types("why", "gone-1"))
        missing = "No engine is named 'gone'; known: naps, order."
        remedy = "Deploy a release that has it, or give the worker what it lacks."
        for words in (("doctor",), ("why", "gone-1"), ("show", "gone-1")):
            said = desk.types(*words)
            assert missing in said and remedy in said, said


def test_no_worker_takes_from_the_queue(desk: Desk) -> None:
    with desk.worker():
        desk.start("order", "[1]", "--id", "order-1", "--queue", "night")
        for words in (("doctor",), ("why", "order-1"), ("show", "order-1")):
            assert "start `wakeline worker -Q night`" in until(lambda words=words: desk.types(*words))


def test_a_limit_is_held_by_a_process_whose_worker_died(desk: Desk) -> None:
    with desk.worker(WAKELINE_LEASE="120s") as dies:
        desk.start("export", '["ann"]', "--id", "export-1")
        until(lambda: desk.status("export-1") == "running")
        os.kill(dies.pid, signal.SIGSTOP)  # the machine is gone: no supervisor tells
        [worker] = [one["id"] for one in json.loads(desk.run("--json", "workers").stdout)]
        os.killpg(dies.pid, signal.SIGSTOP)
        desk.start("export", '["ann"]', "--id", "export-2")
        until(lambda: "has a place" in desk.types("why", "export-2"))
        said = desk.types("why", "export-2")
        assert "export-1 has a place since" in said and f"in worker {worker}, whose lease runs" in said, said
        assert "if it died, its work goes to others then" in said
        assert "export-1 has a place since" in desk.types("show", "export-2")
        assert "a place under the limit of export:ann, which 1 has" in desk.types("doctor")
        assert "whose lease runs" in desk.types("why", "export-1")


def test_a_deploy_does_something_else_than_what_is_recorded(desk: Desk) -> None:
    desk.start("order", "[1]", "--id", "order-1")
    desk.work()
    desk.run("signal", "order-1", "go", "true")
    with desk.worker(DESK="after", WAKELINE_RELEASE="v2"):
        until(lambda: desk.setbacks("order-1"))
        what = "it asks for tool_call call:note, which is new, and not for what it did before: wait for signal 'go'"
        for words in (("doctor",), ("why", "order-1"), ("show", "order-1")):
            said = desk.types(*words)
            assert what in said and "Roll back, or deploy code that does what is recorded" in said, said


def test_a_tool_kills_its_worker(desk: Desk) -> None:
    with desk.worker():
        desk.start("poison", "[1]", "--id", "poison-1")
        until(lambda: desk.setbacks("poison-1") >= 4, 30)
        assert "poison-1 was lost with its worker " in desk.types("doctor")
        said = desk.types("why", "poison-1")
        assert "it was lost with its worker" in said and "the log of the worker says how it died" in said, said
        said = desk.types("show", "poison-1")
        assert "number 4 in a row" in said and "the log of the worker says how it died" in said, said


def test_a_wake_cannot_be_delivered(desk: Desk) -> None:
    with desk.worker():
        desk.run("send", "clerk/ann", "hello")
        until(lambda: "failed" in desk.types("wakes", "clerk/ann"))
        assert "`wakeline wakes --undeliverable` says why" in desk.types("doctor")
        said = desk.types("why", "clerk/ann#1")
        assert "RuntimeError" in said and "wakeline redrive" in said, said
        said = desk.types("show", "clerk/ann")
        assert "wakeline why clerk/ann" in said, said


def test_a_queue_is_paused(desk: Desk) -> None:
    with desk.worker():
        desk.run("queues", "pause", "desk")
        desk.start("order", "[1]", "--id", "order-1")
        for words in (("doctor",), ("why", "order-1"), ("show", "order-1")):
            assert "`wakeline queues resume desk` lets workers take again" in desk.types(*words)


def test_the_servers_memory_is_full(desk: Desk) -> None:
    with desk.worker(), redis.Redis.from_url(desk.server.url) as client:
        desk.start("order", "[1]", "--id", "order-1")
        until(lambda: desk.status("order-1") == "waiting")
        client.config_set("maxmemory", int(client.info("memory")["used_memory"]) - 100_000)
        assert "out of memory" in desk.types("signal", "order-1", "go", "true")
        for words in (("doctor",), ("why", "order-1"), ("show", "order-1")):
            assert "give it more (maxmemory), or shorten WAKELINE_RETENTION" in desk.types(*words)


def test_a_machine_lacks_the_zone_of_a_schedule(desk: Desk, tmp_path: Path) -> None:
    with desk.worker():
        until(lambda: "night" in desk.types("triggers"))
    (tmp_path / "tzdata").mkdir()
    (tmp_path / "tzdata" / "__init__.py").touch()  # no zones on this machine
    bare = {"DESK": "after", "PYTHONTZPATH": "", "PYTHONPATH": f"{tmp_path}{os.pathsep}{APPS}"}
    for words in (("doctor",), ("why", "night")):
        said = desk.types(*words, **bare)
        assert "'Europe/Berlin'" in said and "install the package tzdata" in said, said
