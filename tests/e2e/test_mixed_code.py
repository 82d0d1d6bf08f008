"""Two releases side by side, of which one lacks a body: real workers, a real server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from redis import Redis
from wakeline.app import App
from wakeline.embedded import PrivateServer

from tests.e2e.test_races import ROOT

pytestmark = pytest.mark.real
OLD = """
from wakeline import App, Ctx
app = App("mixed")
@app.engine
def steady(ctx: Ctx) -> int:
    return 0
"""
NEW = """
@app.engine
def fresh(ctx: Ctx) -> int:
    for _ in range(3):
        ctx.sleep("200ms")
    return 1
"""


@pytest.fixture
def app(server: PrivateServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    """The new release as a client; both releases as folders."""
    Redis.from_url(server.url).flushall()
    for name, source in (("old", OLD), ("new", OLD + NEW)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mixed_app.py").write_text(source)
    monkeypatch.setenv("WAKELINE_REDIS_URL", server.url)
    monkeypatch.setenv("WAKELINE_HOLD", "50ms")
    scope: dict[str, App] = {}
    exec(OLD + NEW, scope)  # noqa: S102 - the very source that the workers run
    yield scope["app"]
    scope["app"].close()


@contextmanager
def worker(folder: Path, release: str) -> Iterator[None]:
    env = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (folder / release, ROOT))), "WAKELINE_RELEASE": release}
    child = subprocess.Popen(
        [sys.executable, "-m", "wakeline_workers.cli", "-A", "mixed_app:app", "worker", "-n", "1"], env=env
    )
    try:
        yield
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(40)


def until_there(server: PrivateServer, count: int) -> None:
    redis = Redis.from_url(server.url)
    deadline = time.monotonic() + 30
    while redis.hlen("{mixed}:codes") < count:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_what_only_the_new_release_has_runs_beside_old_workers_and_is_never_claimed_by_one(
    app: App, server: PrivateServer, tmp_path: Path
) -> None:
    with ExitStack() as fleet:
        for release in ("old", "old", "new"):
            fleet.enter_context(worker(tmp_path, release))
        until_there(server, 3)
        handles = [app.start(app.registry.engines["fresh"]) for _ in range(12)]
        assert [handle.result(timeout=20) for handle in handles] == [1] * 12
        redis = Redis.from_url(server.url, decode_responses=True)
        # Three sleeps: four runs each, none of them by a worker that could only hand it back (which raises the epoch).
        assert [redis.hmget(f"{{mixed}}:proc:{handle.id}", "ep", "rel") for handle in handles] == [["4", "new"]] * 12


def test_a_worker_that_comes_with_missing_code_is_given_at_once_all_that_waits_for_it(
    app: App, server: PrivateServer, tmp_path: Path
) -> None:
    with worker(tmp_path, "old"):
        until_there(server, 1)
        handles = [app.start(app.registry.engines["fresh"]) for _ in range(12)]
        steady = app.start(app.registry.engines["steady"])
        assert steady.result(timeout=20) == 0
        time.sleep(1)
        with worker(tmp_path, "new"):
            until_there(server, 2)
            began = time.monotonic()
            assert [handle.result(timeout=20) for handle in handles] == [1] * 12
            assert time.monotonic() - began < 4, "a hand-back for want of code takes 5 s"
