"""kill -9 between two calls of a batch: what was recorded never runs again, the rest runs, and the results keep their
order."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from wakeline.embedded import PrivateServer

from tests.e2e.shop import APPS
from tests.e2e.test_races import ROOT, Site, leave


@pytest.fixture
def site(server: PrivateServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    settings = {
        "WAKELINE_REDIS_URL": server.url,
        "WAKELINE_APP": "batch_app:app",
        "WAKELINE_LEASE": "1500ms",
        "WAKELINE_BEAT": "300ms",
        "WAKES_FOLDER": str(tmp_path),
        "WAKELINE_INSTRUMENT": "killing:killer",
        "PYTHONPATH": f"{APPS}{os.pathsep}{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(str(APPS))
    for name in ("batch_app", "killing"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    notes = tmp_path / "notes"
    notes.touch()
    import batch_app

    yield Site(batch_app, notes)
    batch_app.app.close()


@pytest.mark.parametrize(
    ("point", "again"),
    [(f"job effect_recorded {n}", 0) for n in (1, 2, 3)] + [(f"job effect_after_run {n}", 1) for n in (1, 3, 4)],
)
def test_a_worker_killed_between_the_calls_of_a_batch_repeats_none_that_was_recorded(
    site: Site, point: str, again: int
) -> None:
    handle = site.app.start(site.bodies.calls)
    command = [sys.executable, "-m", "wakeline_workers.cli", "worker", "-n", "1"]
    running = subprocess.Popen(command, env=os.environ | {"WAKES_KILL": point, "WAKES_WORKER": "1"})
    try:
        site.until(lambda: handle.status().status == "completed", "the batch ends")
    finally:
        leave(running)
    assert (site.notes.parent / "killed").exists(), f"nobody was killed at {point}"
    assert handle.result() == [1, 2, 3, 4]
    ran = Counter(site.notes.read_text().splitlines())
    assert set(ran) == {"work 1", "alone 2", "work 3", "alone 4"}
    # The two that run side by side may both be under way when one of them is recorded.
    assert again <= sum(ran.values()) - 4 <= again + 1
    assert list(ran) and (ran["alone 2"], ran["alone 4"]) in ((1, 1), (1 + again, 1), (1, 1 + again))
