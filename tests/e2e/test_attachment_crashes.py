"""kill -9 around attachments and large payloads: in a client that puts, and in a worker; and the commands about
them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from wakeline.embedded import PrivateServer
from wakeline_workers.cli import cli

from tests.e2e.killed import killed_site
from tests.e2e.test_races import Site, leave

PUTTER = """
import os, signal
from attachments_app import app
execute, left = app.store.execute, {calls}
def counting(call):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    return execute(call)
app.store.execute = counting
app.attachments.put(b"bytes", "text/plain")
"""


@pytest.fixture
def site(server: PrivateServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    blobs = f"dir:{tmp_path / 'blobs'}"
    with killed_site("attachments_app", server, tmp_path, monkeypatch, WAKELINE_ATTACHMENTS=blobs) as site:
        yield site


def files(site: Site) -> list[Path]:
    return [path for path in (site.notes.parent / "blobs").rglob("*") if path.is_file()]


@pytest.mark.parametrize("calls", [0, 1])
def test_a_host_killed_while_it_puts_leaves_no_attachment_and_can_put_it_again(site: Site, calls: int) -> None:
    killed = subprocess.run([sys.executable, "-c", PUTTER.format(calls=calls)], timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(files(site)) == calls  # bytes whose intent is noted: a sweep's, an hour from now
    assert site.app.attachments.list() == []
    made = site.app.attachments.put(b"bytes", "text/plain")
    assert site.app.attachments.get(made) == b"bytes"


@pytest.mark.parametrize(
    "point",
    [
        "job body_started",
        "job effect_before_run",
        "job effect_after_run",
        "job effect_recorded",
        "job finishing",
        "job finished",
    ],
)
def test_a_worker_killed_around_large_payloads_loses_none(site: Site, point: str) -> None:
    handle = site.app.start(site.bodies.works, site.bodies.BIG)
    command = [sys.executable, "-m", "wakeline_workers.cli", "worker", "-n", "1"]
    running = subprocess.Popen(command, env=os.environ | {"WAKES_KILL": point, "WAKES_WORKER": "1"})
    try:
        site.until(lambda: handle.status().status == "completed", "the body ends")
    finally:
        leave(running)
    assert (site.notes.parent / "killed").exists(), f"nobody was killed at {point}"
    assert handle.result() == "100000 100001"
    ran = len(site.notes.read_text().splitlines())
    assert ran == (2 if point == "job effect_after_run" else 1)


def test_the_commands_put_get_list_and_sweep(site: Site, tmp_path: Path) -> None:
    run = CliRunner()
    picture = tmp_path / "picture.png"
    picture.write_bytes(b"\x89PNG")
    made = run.invoke(cli, ["attachments", "put", str(picture)]).stdout.strip()
    assert made == "sha256:0f4636c78f65d3639ece5a064b5ae753e3408614a14fb18ab4d7540d2c248543"
    assert run.invoke(cli, ["attachments", "get", made]).stdout_bytes == b"\x89PNG"
    assert run.invoke(cli, ["attachments"]).stdout == f"{made}  image/png  4\n"
    site.app.attachments.delete(made)
    assert run.invoke(cli, ["attachments", "sweep"]).stdout == "1 removed, 0 strays\n"
    assert files(site) == []
    missing = run.invoke(cli, ["attachments", "get", made])
    assert missing.exit_code == 3
    assert (
        missing.stderr
        == f"wakeline: host has no attachment {made}. Put it, or let a process or session that owns it pass it"
        " on.\n"
    )
