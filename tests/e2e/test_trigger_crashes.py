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
from wakeline.embedded import PrivateServer

from tests.e2e.killed import killed_site
from tests.e2e.test_races import Site, leave

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
    with killed_site("triggers_app", server, tmp_path, monkeypatch) as site:
        yield site


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
