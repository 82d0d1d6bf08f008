"""What bodies print is output of the worker, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import redis
from wakeline.embedded import PrivateServer

from tests.e2e.shop import APPS
from tests.e2e.test_races import ROOT, leave


def test_what_bodies_print_is_the_workers_output_and_disturbs_no_heartbeat(server: PrivateServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {
        "WAKELINE_REDIS_URL": server.url,
        "WAKELINE_APP": "talking_app:app",
        "TALKING_NOTES": str(tmp_path / "notes"),
        "PYTHONPATH": f"{APPS}{os.pathsep}{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(str(APPS))
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    import talking_app

    with (tmp_path / "output").open("wb") as output:
        worker = subprocess.Popen([sys.executable, "-m", "wakeline_workers.cli", "worker", "-n", "1"], stdout=output)
    try:
        talks, apart = talking_app.app.start(talking_app.talks), talking_app.app.start(talking_app.apart)
        assert talks.result(timeout=20) == ""  # nothing is on its standard input, and nobody waits for it
        assert apart.result(timeout=20) == "done"
        # While the worker runs: a file is no terminal, and what was printed is there all the same.
        said = (tmp_path / "output").read_bytes()
    finally:
        leave(worker)
        talking_app.app.close()
    assert (tmp_path / "notes").read_text() == "began\n", "it was taken for lost, and ran again"
    for line in (b"line 29 of the body\n", b"caf\xe9\n", b"below Python\n", b"of a process that it started\n", b"of an isolated tool\n"):
        assert line in said
