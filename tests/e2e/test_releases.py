"""What releases declare, by real workers: a restarted old one changes nothing, a rollback does, and `wakeline release`
says it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from wakeline import App, Ctx
from wakeline.embedded import PrivateServer
from wakeline.settings import Settings
from wakeline.store import triggers

from tests.e2e.sentinels import until
from tests.e2e.test_races import ROOT, leave

APP = """
import os
from wakeline import App, Ctx, Limit, Turn
app = App(os.environ["SHOP"])
N = int(os.environ["N"])
@app.engine(limit=Limit(concurrency=N))
def nightly(ctx: Ctx) -> None: ...
@app.agent("clerk", debounce=f"{N}s")
def clerk(turn: Turn) -> None: ...
app.cron(f"0 {N} * * *", nightly)
"""


class Deployment:
    """An app whose release is a number: its workers, and what is in force."""

    def __init__(self, server: PrivateServer, folder: Path) -> None:
        (folder / "releases_app.py").write_text(APP)
        path = os.pathsep.join([str(folder), str(ROOT), os.environ.get("PYTHONPATH", "")])
        self.name = f"rel{os.getpid()}x{time.monotonic_ns()}"
        self.env = os.environ | {
            "WAKELINE_REDIS_URL": server.url, "SHOP": self.name, "WAKELINE_APP": "releases_app:app", "PYTHONPATH": path,
            "WAKELINE_LEASE": "1s", "WAKELINE_BEAT": "300ms", "N": "1",
        }  # fmt: skip
        self.app = App(self.name, settings=Settings.from_env(self.env))
        self.running: list[subprocess.Popen[bytes]] = []

    def release(self, n: int) -> dict[str, str]:
        return self.env | {"N": str(n), "WAKELINE_RELEASE": f"v{n}"}

    def worker(self, n: int) -> subprocess.Popen[bytes]:
        """A worker of a release that has come: it runs."""
        before = len(self.serving())
        worker = subprocess.Popen([sys.executable, "-m", "wakeline_workers.cli", "worker"], env=self.release(n))
        self.running.append(worker)
        until(lambda: len(self.serving()) == before + 1, "a worker")
        time.sleep(0.3)  # its declarations follow its registration
        return worker

    def serving(self) -> dict[str, str]:
        found: dict[str, str] = self.redis.hgetall(f"{{{self.name}}}:serves")
        return found

    @property
    def redis(self) -> Any:
        return self.app.store.client

    def command(self, n: int, *words: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-m", "wakeline_workers.cli", "--json", *words],
            env=self.release(n),
            capture_output=True,
            text=True,
            timeout=60,
        )
        return json.loads(done.stdout)

    def in_force(self) -> tuple[int, int, str]:
        """The limit, the seconds of the agent's debounce, the expression of the schedule."""
        limit, agent = (
            self.redis.hget(f"{{{self.name}}}:limits", "b:nightly"),
            self.redis.hget(f"{{{self.name}}}:agents", "clerk"),
        )
        [schedule] = self.app.store.execute(triggers.list_all())[1]
        return json.loads(limit)["c"], json.loads(agent)["d"] // 1000, schedule.schedule.expression


@pytest.fixture
def deployment(server: PrivateServer, tmp_path: Path) -> Iterator[Deployment]:
    made = Deployment(server, tmp_path)
    yield made
    for worker in made.running:
        if worker.poll() is None:
            leave(worker)
    made.app.close()


FIRST, SECOND = (1, 1, "0 1 * * *"), (2, 2, "0 2 * * *")


def test_a_restarted_worker_of_the_old_release_leaves_the_new_ones_declarations_and_a_rollback_does_not(
    deployment: Deployment,
) -> None:
    old = deployment.worker(1)
    assert deployment.in_force() == FIRST
    new = deployment.worker(2)
    assert deployment.in_force() == SECOND
    leave(old)
    old = deployment.worker(1)
    assert deployment.in_force() == SECOND
    found = {one["code"]: (one["level"], one["message"]) for one in deployment.command(2, "doctor")["findings"]}
    assert found["declarations"] == (
        "warning",
        (
            "releases side by side declare different schedules, limits or agents: v1 (1 worker), v2 (1 worker); those"
            " of release v2 are in force, the others' once it has left, or by `wakeline release`"
        ),
    )
    leave(new)
    leave(old)
    deployment.worker(1)
    assert deployment.in_force() == FIRST
    assert "declarations" not in {one["code"] for one in deployment.command(1, "doctor")["findings"]}


def test_a_release_that_says_so_is_in_force_before_its_workers_come_and_back_again(deployment: Deployment) -> None:
    old = deployment.worker(1)
    said = deployment.command(2, "release")
    assert said == {"app": deployment.name, "release": "v2", "limits": 1, "schedules": 1, "agents": 1}
    assert deployment.in_force() == SECOND
    leave(old)
    deployment.worker(1)
    assert deployment.in_force() == SECOND
    new = deployment.worker(2)
    deployment.command(1, "release")
    assert deployment.in_force() == FIRST
    leave(new)
    deployment.worker(2)
    assert deployment.in_force() == FIRST


def test_a_worker_that_serves_on_writes_what_it_declares_once_the_newer_release_has_left(
    deployment: Deployment,
) -> None:
    deployment.worker(1)
    new = deployment.worker(2)
    leave(new)
    until(lambda: deployment.redis.hexists(f"{{{deployment.name}}}:inforce", f"{deployment.name}:l"), "it left")
    assert deployment.in_force() == SECOND
    deployment.redis.hincrby(f"{{{deployment.name}}}:inforce", f"{deployment.name}:l", -60_000)  # a minute passes
    until(lambda: deployment.in_force() == FIRST, "the one that serves is in force")


def test_a_clock_makes_schedules_known_where_only_stock_workers_run(deployment: Deployment) -> None:
    clock = subprocess.Popen([sys.executable, "-m", "wakeline_workers.cli", "clock"], env=deployment.release(1))
    deployment.running.append(clock)
    until(lambda: deployment.redis.exists(f"{{{deployment.name}}}:schedule:nightly"), "a schedule")
    assert deployment.in_force() == FIRST


def test_a_job_of_a_stock_worker_makes_limits_and_schedules_known(deployment: Deployment) -> None:
    deployment.app.start(deployment.app.engine(name="nightly")(_nightly))
    command = [
        sys.executable,
        "-m",
        "rq.cli",
        "worker",
        "--url",
        deployment.env["WAKELINE_REDIS_URL"],
        "-S",
        "json",
        "--burst",
        deployment.name,
    ]
    subprocess.run(command, env=deployment.release(1), check=True, capture_output=True, timeout=60)
    assert deployment.in_force() == FIRST


def _nightly(ctx: Ctx) -> None: ...
