"""kill -9 of a real worker at each point between an event and the turn that settles it: every wake has exactly one
settled turn.

The points are those of the reference's table of step orders; here event, delivery and doorbell are one step, so a crash
is before or after all of it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from wakeline.embedded import PrivateServer

from tests.e2e.killed import killed_site
from tests.e2e.test_races import Site, leave

POINTS = [
    *(
        "job claimed",
        "job body_started",
        "job effect_after_run",
        "job effect_recorded",
        "job parking",
        "job parked",
        "job finishing",
        "job finished",
    ),
    *(
        "turn claimed",
        "turn body_started",
        "turn admitted",
        "turn effect_before_run",
        "turn effect_after_run",
        "turn effect_recorded",
    ),
    *("turn wait_opened", "turn parking", "turn parked", "turn finishing", "turn finished"),
    *("any taking 2", "any taken 2", "any tick 2", "any beat 3"),
]
LEAVING = "any handing_back"
KILLED_AT = {point.split()[1] for point in (*POINTS, LEAVING)}
"""Every phase; tests/unit/test_phases.py compares."""


class Worker:
    """One worker under its supervisor, to be killed at a point; started again by hand where its supervisor dies, as a
    platform does."""

    def __init__(self, point: str, **environment: str) -> None:
        self._command = [sys.executable, "-m", "wakeline_workers.cli", "-A", "wakes_app:app", "worker", "-n", "1"]
        self._environment = os.environ | {"WAKES_KILL": point, "WAKES_WORKER": "1"} | environment
        self.running = subprocess.Popen(self._command, env=self._environment)

    def revived(self) -> bool:
        if self.running.poll() is not None:
            self.running = subprocess.Popen(self._command, env=self._environment)
        return True


@pytest.fixture
def site(server: PrivateServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with killed_site("wakes_app", server, tmp_path, monkeypatch, WAKELINE_HOLD="0") as site:
        yield site


@pytest.mark.parametrize("point", POINTS)
def test_a_worker_killed_anywhere_between_event_and_commit_costs_no_wake_and_doubles_none(
    site: Site, point: str
) -> None:
    app = site.app
    worker = Worker(point)
    try:
        desk = app.session("desk", "1")
        handle = app.using(wake=desk).start(site.bodies.job)
        site.until(lambda: worker.revived() and handle.status().status == "completed", "the job ends")
        site.until(
            lambda: worker.revived() and [entry.state for entry in desk.wakes()] == ["settled", "settled"],
            "both wakes are settled",
        )
        site.until(lambda: worker.revived() and desk.inspect().status == "idle", "the desk is idle")
        site.until(
            lambda: worker.revived() and (site.notes.parent / "killed").exists(), f"somebody is killed at {point}"
        )
    finally:
        leave(worker.running)
    assert (site.notes.parent / "killed").exists(), f"nobody was killed at {point}"
    texts = ["half", f'job ({handle.id}) completed: "done"']
    history = desk.history()
    assert [m.content for m in history if m.role == "wake"] == texts
    assert [text for m in history if m.role == "agent" for text in m.content] == texts
    turns = {entry.turn for entry in desk.wakes()}
    assert len(turns) == int(desk.inspect().revision)
    # What was recorded was not done again; what died between its effect and its record was, and the other body may have
    # been there too.
    notes = site.notes.read_text().splitlines()
    assert (1 if "effect_after_run" in point else 0) <= len(notes) - len(set(notes)) <= 1


def test_a_worker_killed_while_it_hands_a_turn_back_leaves_it_to_the_next(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAKELINE_SHUTDOWN", "1s")
    desk = site.app.session("slow", "1")
    first, second = Worker(LEAVING, WAKES_NAME="first"), None
    try:
        desk.send("hello")
        site.until(lambda: "thinks" in site.notes.read_text(), "the first worker has the turn")
        first.running.terminate()
        site.until((site.notes.parent / "killed").exists, "it is killed while it hands back")
        second = Worker(LEAVING, WAKES_NAME="second")
        site.until(lambda: desk.inspect().status == "idle", "the second worker ends the turn")
    finally:
        for worker in (first, second):
            if worker is not None:
                leave(worker.running)
    assert [m.content for m in desk.history() if m.role == "agent"] == ["thought in second"]
    assert [entry.state for entry in desk.wakes()] == ["settled"]


def test_a_worker_that_was_stopped_and_goes_on_later_ends_no_turn_that_another_one_has(site: Site) -> None:
    """SIGSTOP to a worker and its supervisor for longer than a lease, then SIGCONT. Two fences stand here, so no single
    rule's removal shows; each has its own test (W4, W7)."""
    command = [sys.executable, "-m", "wakeline_workers.cli", "-A", "wakes_app:app", "worker", "-n", "1"]

    def worker(name: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, env=os.environ | {"WAKES_NAME": name})

    def thinking() -> list[int]:
        return [int(line.split()[1]) for line in site.notes.read_text().splitlines() if line.startswith("thinks")]

    def tell(what: signal.Signals) -> None:
        for pid in (first.pid, *thinking()[:1]):
            with suppress(ProcessLookupError):
                os.kill(pid, what)

    desk = site.app.session("slow", "1")
    first = worker("first")
    second = None
    try:
        desk.send("hello")
        site.until(thinking, "the first worker has the turn")
        tell(signal.SIGSTOP)
        second = worker("second")
        site.until(lambda: desk.inspect().status == "idle", "the second worker ends the turn")
        tell(signal.SIGCONT)
        time.sleep(5)  # the first one's step ends now, if it ever does: real time, as it is a real process that goes on
    finally:
        tell(signal.SIGCONT)
        for running in (first, second):
            if running is not None:
                leave(running)
    assert [m.content for m in desk.history() if m.role == "agent"] == ["thought in second"]
    assert [(entry.state, desk.inspect().revision) for entry in desk.wakes()] == [("settled", 1)]
    assert len(set(thinking())) == 2
