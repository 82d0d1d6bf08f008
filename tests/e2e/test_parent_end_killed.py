"""A worker is killed while a process whose body has ended waits for its children, in memory and parked."""

from __future__ import annotations

import os
import signal

import pytest

from tests.e2e.test_races import Site, a_worker
from tests.e2e.test_races import site as site  # the fixture

pytestmark = pytest.mark.real


@pytest.mark.parametrize(("hold", "status"), [("60s", "running"), ("0s", "waiting")])
def test_a_kill_while_it_waits_for_its_children_loses_and_repeats_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch, hold: str, status: str
) -> None:
    monkeypatch.setenv("WAKELINE_HOLD", hold)
    with a_worker(site):
        handle = site.app.start(site.bodies.guardian)
        site.until(lambda: site.noted("ended") and handle.status().status == status, "its body has ended")
        [pid] = site.noted("started")
        os.kill(pid, signal.SIGKILL)
        if status == "running":
            site.until(lambda: len(site.noted("ended")) == 2, "another worker has run its body to the end again")
        assert handle.status().status in ("running", "waiting")
        site.app.handle("ward").signal("go", "home")
        assert handle.result(timeout=20) == "guarded"
    assert site.app.handle("ward").result(timeout=1) == "home"
    assert len(site.noted("started")) == 1
