"""Races 22 and 23 with real processes: C code that holds the interpreter, and work that a SIGTERM finds running."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
import redis
from wakeline.app import App
from wakeline.embedded import PrivateServer
from wakeline.errors import ProcessAbandoned
from wakeline.store import processes, ticks

from tests.races.rules import fails_without

ROOT = Path(__file__).parents[2]
APPS = ROOT / "tests" / "e2e" / "apps"
LEASE_S = 1.5


@dataclass
class Site:
    """A server, the app under test, and the notes its bodies take."""

    bodies: ModuleType
    notes: Path

    @property
    def app(self) -> App:
        found: App = self.bodies.app
        return found

    def noted(self, what: str) -> list[int]:
        """The processes that noted this."""
        return [int(line.split()[1]) for line in self.notes.read_text().splitlines() if line.split()[0] == what]

    def until(self, look: Callable[[], object], what: str, seconds: float = 20) -> None:
        """Waits, ticking as another worker of the fleet would."""
        s = self.app.settings
        end = time.monotonic() + seconds
        while not look():
            assert time.monotonic() < end, f"{what}: not within {seconds} s; notes: {self.notes.read_text()}"
            tick = ticks.tick(
                beat_ms=s.beat_ms,
                lease_ms=s.lease_ms,
                stale_ms=s.stale_ms,
                retention_ms=s.retention_ms,
                tombstone_ms=s.tombstone_ms,
            )
            self.app.store.execute(tick)
            time.sleep(0.05)


@pytest.fixture
def site(server: PrivateServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    notes = tmp_path / "notes"
    notes.touch()
    settings = {
        "WAKELINE_REDIS_URL": server.url,
        "WAKELINE_APP": "races_app:app",
        "WAKELINE_LEASE": f"{LEASE_S}s",
        "WAKELINE_BEAT": "300ms",
        "WAKELINE_SHUTDOWN": "1s",
        "RACES_NOTES": str(notes),
        "PYTHONPATH": os.pathsep.join(map(str, (APPS, ROOT, ROOT / "core", ROOT / "workers"))),
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(str(APPS))
    monkeypatch.delitem(sys.modules, "races_app", raising=False)
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    import races_app

    yield Site(races_app, notes)
    races_app.app.close()


def worker_command(url: str) -> list[str]:
    """How one worker is started."""
    return [sys.executable, "-m", "wakeline_workers.cli", "-A", "races_app:app", "worker", "-n", "1"]


@contextmanager
def a_worker(site: Site) -> Iterator[subprocess.Popen[bytes]]:
    """A worker, told to leave at the end and then made to."""
    running = subprocess.Popen(worker_command(str(site.app.settings.url)))
    try:
        yield running
    finally:
        leave(running)


def leave(running: subprocess.Popen[bytes]) -> None:
    """SIGTERM, as often as it takes (a stock worker waits for its job at the first), and SIGKILL to one that stays."""
    for _ in range(3):
        running.terminate()
        with suppress(subprocess.TimeoutExpired):
            running.wait(4)
            return
    running.kill()
    running.wait()


# -- 22: C code that holds the interpreter stops a heartbeat thread


@fails_without(
    "the supervisor beats, a process in which no body runs",
    f"{__name__}:worker_command",
    '"-m", "wakeline_workers.cli", "-A", "races_app:app", "worker", "-n", "1"',
    '"-m", "rq.cli", "worker", "-S", "json", "--url", url, "races"',
)
def test_race_22_c_code_that_holds_the_interpreter_beyond_a_lease_loses_nothing(site: Site) -> None:
    with a_worker(site):
        handle = site.app.start(site.bodies.hold)
        site.until(lambda: site.noted("held"), "the interpreter is free again")
        assert "ls" not in site.app.store.execute(processes.read(handle.id)).fields  # no loss is counted
        silence = handle.result(timeout=10)
    assert len(site.noted("hold")) == 1
    assert silence > 2 * LEASE_S  # a thread of that process would have beaten too late


# -- 23: work that is running at a SIGTERM


@fails_without(
    "owner-bound work whose owner is gone is abandoned",
    "lib/reap.lua",
    "if p.rc == 'b' then return abandon(pid, p, writer) end",
)
def test_race_23_owner_bound_work_that_outlasts_a_shutdown_is_abandoned_and_never_repeated(site: Site) -> None:
    with a_worker(site) as first:
        handle = site.app.start(site.bodies.charge)
        site.until(lambda: site.noted("charge"), "the charge is under way")
        leave(first)
    with a_worker(site):
        assert site.app.start(site.bodies.ping).result(timeout=10) == "pong"
    assert handle.status().status == "abandoned"
    with pytest.raises(ProcessAbandoned, match="shutdown"):
        handle.result(timeout=1)
    assert len(site.noted("charge")) == 1


@fails_without(
    "a hand-back is no failed attempt",
    "wakeline.run.commits:commit",
    "ends.release(run.fence, consumed=run.journal.unwritten.take())",
    "ends.release(run.fence, consumed=run.journal.unwritten.take(), attempt=True)",
    raises=ProcessAbandoned,
)
def test_race_23_a_body_whose_thread_sleeps_on_is_handed_to_the_next_worker(site: Site) -> None:
    with a_worker(site) as first:
        handle = site.app.using(max_attempts=1).start(site.bodies.compute)
        site.until(lambda: site.noted("compute"), "the body is in its thread")
        asked = time.monotonic()
        leave(first)
        assert time.monotonic() - asked < 5  # it does not wait for the thread
    with a_worker(site):
        assert handle.result(timeout=10) == "computed"
    [old, new] = site.noted("compute")
    assert (old != new, site.noted("report")) == (True, [new])
