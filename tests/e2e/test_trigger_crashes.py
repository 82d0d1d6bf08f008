"""kill -9 between an occurrence, its record, and the starts it means: one process per subscription, whichever process
is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from wakeline.embedded import PrivateServer

from tests.e2e.shop import APPS
from tests.e2e.test_races import ROOT, Site, leave

EMITTER = """
import os, signal
from triggers_app import app
app.connect(app.backend)
execute, left = app.store.execute, {calls}
def counting(call):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    return execute(call)
app.store.execute = counting
app.trigger("order.paid").emit({{"repo": "shop"}}, key="k1")
"""


@pytest.fixture
def site(server: PrivateServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    settings = {
        "WAKELINE_REDIS_URL": server.url,
        "WAKELINE_APP": "triggers_app:app",
        "WAKELINE_LEASE": "1500ms",
        "WAKELINE_BEAT": "300ms",
        "WAKES_FOLDER": str(tmp_path),
        "WAKELINE_INSTRUMENT": "killing:killer",
        "PYTHONPATH": f"{APPS}{os.pathsep}{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(str(APPS))
    for name in ("triggers_app", "killing"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    notes = tmp_path / "notes"
    notes.touch()
    import triggers_app

    yield Site(triggers_app, notes)
    triggers_app.app.close()


def working(**env: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "wakeline_workers.cli", "-A", "triggers_app:app", "worker", "-n", "1"]
    return subprocess.Popen(command, env=os.environ | env)


@pytest.mark.parametrize(
    "point", ["job claimed", "job effect_before_run", "job effect_after_run", "job effect_recorded", "job finishing"]
)
def test_a_body_whose_worker_is_killed_around_its_emit_starts_one_process(site: Site, point: str) -> None:
    app, bodies = site.app, site.bodies
    app.trigger("order.paid").subscribe(bodies.build)
    handle = app.start(bodies.pays)
    running = working(WAKES_KILL=point, WAKES_WORKER="1")
    try:
        site.until(lambda: handle.status().status == "completed", "the body ends")
        site.until(lambda: len(app.processes("completed")) == 2, "what it started ends")
    finally:
        leave(running)
    assert (site.notes.parent / "killed").exists(), f"nobody was killed at {point}"
    assert len([row for row in app.processes("any") if row.kind == "build"]) == 1
    assert set(site.notes.read_text().splitlines()) == {"emitted 1", "built shop"}


@pytest.mark.parametrize("calls", [0, 1, 2])
def test_an_emitter_killed_between_its_calls_leaves_all_or_nothing(site: Site, calls: int) -> None:
    app, bodies = site.app, site.bodies
    for name in ("first", "second"):
        app.trigger("order.paid").subscribe(bodies.build, name=name)
    killed = subprocess.run([sys.executable, "-c", EMITTER.format(calls=calls)], timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(app.processes("any")) == max(0, calls - 1)
    running = working()
    try:
        if calls:
            site.until(lambda: len(app.processes("completed")) == 2, "a worker delivers what is reserved")
        else:
            time.sleep(1)
    finally:
        leave(running)
    assert len(app.processes("any")) == (2 if calls else 0)
    receipt = app.trigger("order.paid").emit({"repo": "shop"}, key="k1")
    assert (receipt.replayed, len(receipt.started)) == (calls > 0, 2)
