"""The Procfile as a platform runs it: `honcho start`, a job in the middle of SIGTERM, and two releases that overlap."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from wakeline.embedded import PrivateServer

from tests.e2e.shop import APPS, BIN
from tests.e2e.test_races import ROOT, Site


@pytest.fixture
def site(server: PrivateServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    settings = {
        "REDIS_URL": server.url,
        "WAKELINE_APP": "isolated_app:app",
        "WAKELINE_PROCESSES": "2",
        "WAKELINE_SHUTDOWN": "3s",  # honcho kills after five
        "ISOLATED_FOLDER": str(tmp_path),
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{APPS}{os.pathsep}{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("WAKELINE_REDIS_URL", raising=False)
    monkeypatch.syspath_prepend(str(APPS))
    monkeypatch.delitem(sys.modules, "isolated_app", raising=False)
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    import isolated_app

    notes = tmp_path / "notes"
    notes.touch()
    yield Site(isolated_app, notes)
    isolated_app.app.close()


def started() -> subprocess.Popen[bytes]:
    """The worker and the clock of the Procfile; the release line is a platform's to run before."""
    return subprocess.Popen(
        [str(BIN / "honcho"), "-d", str(ROOT), "-f", "Procfile", "start", "worker", "clock"], start_new_session=True
    )


def test_the_release_line_and_then_its_processes_do_the_work_until_they_are_told_to_leave(site: Site) -> None:
    release = subprocess.run(
        [str(BIN / "honcho"), "-d", str(ROOT), "-f", "Procfile", "run", "wakeline", "doctor", "--release"],
        timeout=60,
        check=False,
    )
    assert release.returncode == 0
    running = started()
    try:
        assert site.app.start(site.bodies.calls, 5).result(timeout=30) == [5, 5]
    finally:
        os.killpg(running.pid, signal.SIGTERM)
        code = running.wait(40)
    assert code in (0, 128 + signal.SIGTERM, -signal.SIGTERM, signal.SIGTERM)


def test_a_deploy_with_overlapping_dynos_hands_long_work_from_the_old_release_to_the_new_one(site: Site) -> None:
    old = started()
    handle = site.app.start(site.bodies.waits_politely)
    mark = site.notes.parent / "started"
    site.until(mark.exists, "the old release runs it", 30)
    new = started()
    try:
        mark.unlink()
        # To every process of the dyno, and twice, as some platforms do.
        for _ in range(2):
            os.killpg(old.pid, signal.SIGTERM)
        site.until(mark.exists, "the new release runs it", 40)
        old.wait(40)
        handle.cancel("asked")
        assert handle.result(timeout=30) == "left when asked"
        assert handle.status().status == "completed"
    finally:
        os.killpg(new.pid, signal.SIGTERM)
        new.wait(40)
