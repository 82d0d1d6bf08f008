"""Starts into a fleet of idle workers that are killed, halted and sent away: each runs once, and one that is handed to
a worker that lives never waits for a lease."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from wakeline.app import App
from wakeline.embedded import PrivateServer

from tests.e2e.test_rq import app, ours, start, until, workers

__all__ = ["app"]
LEASE_S, LOOK_S = 8.0, 3.0
"""The lease of a test; how long a start may take that nothing but a lost hint delays: a look is once a second, and the
machine is slow."""


@pytest.fixture(autouse=True)
def leased(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAKELINE_LEASE", f"{LEASE_S:g}s")
    monkeypatch.setenv("WAKELINE_BEAT", "500ms")


class Fleet:
    """Idle workers, and starts of bodies that note when they ran."""

    def __init__(self, app: App, server: PrivateServer, folder: Path) -> None:
        self.app, self.server, self.folder = app, server, folder
        self.begun: dict[str, float] = {}

    def pids(self) -> list[int]:
        return [one.pid for one in workers(self.server) if one.pid is not None and one.get_state() == "idle"]

    def start(self) -> None:
        handle = start(self.app, "noted", path=str(self.folder / f"{len(self.begun)}"))
        self.begun[handle.id] = time.time()

    def delays(self, *, reruns: int) -> list[float]:
        """Seconds from each start to its body, in order of the starts; so many bodies at most ran again."""
        for pid in self.begun:
            assert self.app.handle(pid).result(timeout=30) is True
        ran = [[float(line) for line in (self.folder / str(n)).read_text().split()] for n in range(len(self.begun))]
        assert len(ran) <= sum(len(one) for one in ran) <= len(ran) + reruns
        return [times[0] - begun for begun, times in zip(self.begun.values(), ran, strict=True)]


@pytest.fixture
def fleet(app: App, server: PrivateServer, tmp_path: Path) -> Iterator[Fleet]:
    yield Fleet(app, server, tmp_path)


def killed(pid: int) -> None:
    """Its supervisor sees it, and hands on what it had."""
    os.kill(pid, signal.SIGKILL)


def sent_away(pid: int) -> None:
    os.kill(pid, signal.SIGTERM)


def halted(pid: int) -> None:
    """For a moment, shorter than its lease: it lives."""
    os.kill(pid, signal.SIGSTOP)
    time.sleep(1.0)
    os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("happens", [killed, sent_away, halted])
def test_what_is_started_while_an_idle_worker_goes_runs_once_and_waits_for_no_lease(
    fleet: Fleet, happens: Callable[[int], None]
) -> None:
    chosen = random.Random(7)
    with ExitStack() as stack:
        stack.enter_context(ours(3))
        until(lambda: len(fleet.pids()) == 3, 30)
        for _ in range(6):
            pid = chosen.choice(until(fleet.pids))
            for _ in range(3):  # one for each, also for the one that goes
                fleet.start()
            happens(pid)
            fleet.start()
            time.sleep(chosen.random() / 5)
            until(lambda: len(fleet.pids()) >= 2, 30)
        assert max(fleet.delays(reruns=6 if happens is killed else 0)) < LOOK_S
