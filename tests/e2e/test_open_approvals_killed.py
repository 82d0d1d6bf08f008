"""Real workers, SIGKILL and the list of open approvals: whatever dies, the list has exactly what can be answered."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from wakeline.embedded import PrivateServer
from wakeline.store import ticks

from tests.e2e.killed import killed_site
from tests.e2e.test_races import Site, leave


@pytest.fixture
def site(server: PrivateServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with killed_site("approvals_app", server, tmp_path, monkeypatch, WAKELINE_HOLD="50ms") as site:
        yield site


@contextmanager
def working(kill: str = "nobody never") -> Iterator[None]:
    """A worker that dies at the point, and is replaced by its supervisor."""
    command = [sys.executable, "-m", "wakeline_workers.cli", "worker", "-n", "1"]
    running = subprocess.Popen(command, env=os.environ | {"WAKES_KILL": kill, "WAKES_WORKER": "1"})
    try:
        yield
    finally:
        leave(running)


def index(site: Site) -> set[str]:
    """The names of what the index itself holds."""
    store = site.app.store
    slots = store.client.zrange(store.address.prefix + "idx:approvals", 0, -1)
    assert {view.id for view in site.app.approvals()} == set(slots)
    return {view.name for view in site.app.approvals()}


@pytest.mark.parametrize(
    "point",
    [
        "job effect_recorded 1",
        "job effect_recorded 2",
        "job wait_opened",
        "job parking",
        "job parked",
        "job effect_before_run",
        "job effect_after_run",
        "job effect_recorded 3",
        "job finishing",
        "job finished",
    ],
)
def test_a_worker_killed_at_any_point_leaves_the_list_exact_and_nothing_is_asked_or_charged_twice(
    site: Site, point: str
) -> None:
    handle = site.app.start(site.bodies.asks, "boat")
    with working(point):
        site.until(lambda: len(site.app.approvals()) == 2, "both are asked")
        site.until(lambda: handle.status().status == "waiting", "it waits for both")
        assert index(site) == {"ann", "bo"}
        ann, bo = site.app.approvals()
        assert (ann.question, bo.question) == ("ann: boat?", "bo: boat?")
        assert site.app.answer(ann, True)
        assert index(site) == {"bo"}
        assert site.app.answer(bo, False)
        assert index(site) == set()
        site.until(lambda: handle.status().status == "completed", "it ends")
    assert (site.notes.parent / "killed").exists(), f"no worker was killed at {point}"
    assert handle.result() == [True, False, None]
    assert index(site) == set()
    assert [event.type for event in handle.events()].count("approval.requested") == 2
    # What acted and was not recorded when its worker died is performed again.
    again = point == "job effect_after_run"
    assert site.notes.read_text().splitlines() == ["charged boat"] * (2 if again else 1)


def test_deadlines_cancels_and_pruning_leave_nothing_on_the_list(site: Site) -> None:
    hurried = site.app.start(site.bodies.hurries)
    cancelled = site.app.start(site.bodies.asks, "car")
    with working():
        site.until(lambda: cancelled.status().status == "waiting", "it waits")
        site.until(lambda: hurried.status().status == "completed", "its deadlines pass")
        assert hurried.result() == ["late", "late"]
        assert index(site) == {"ann", "bo"}
        cancelled.cancel("enough")
        site.until(lambda: cancelled.status().status == "cancelled", "it is cancelled")
        assert index(site) == set()
    settings = site.app.settings
    tick = ticks.tick(
        beat_ms=settings.beat_ms,
        lease_ms=settings.lease_ms,
        stale_ms=settings.stale_ms,
        retention_ms=0,
        tombstone_ms=settings.tombstone_ms,
    )
    site.until(lambda: site.app.store.execute(tick) and site.app.processes("any") == [], "both are pruned")
    store = site.app.store
    left = [
        key for key in store.client.scan_iter(match=store.address.prefix + "*") if ":slot:" in key or "idx:app" in key
    ]
    assert left == []
