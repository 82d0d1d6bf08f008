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
from wakeline.embedded import PrivateServer

from tests.e2e.killed import killed_site
from tests.e2e.test_races import Site, leave


@pytest.fixture
def site(server: PrivateServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with killed_site("batch_app", server, tmp_path, monkeypatch) as site:
        yield site


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
