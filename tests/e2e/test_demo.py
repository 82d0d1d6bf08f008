"""The demo is a test: real server, real workers, a real SIGKILL; and the same doorbells run under a stock rq worker."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from wakeline.embedded import PrivateServer


def test_the_demo_shows_its_kill_and_keeps_every_promise() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "wakeline_workers.demo"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | {"WAKELINE_REQUIRE_KILL": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "kill: SIGKILL" in done.stdout
    assert done.stdout.count("  ok  ") == 7


def test_a_stock_rq_worker_runs_a_doorbell(
    server: PrivateServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "notes").touch()
    env = {
        "WAKELINE_REDIS_URL": server.url,
        "WAKELINE_DEMO_NOTES": str(tmp_path / "notes"),
        "WAKELINE_APP": "wakeline_workers.demo_app:app",
    }
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    code = (
        "from wakeline_workers.demo_app import app, charge\nimport subprocess, sys\nhandle = app.start(charge, 1,"
        " 2)\nsubprocess.run([sys.executable, '-m', 'rq.cli', 'worker', '--burst', '-S', 'json', '--url',"
        " app.settings.url, 'demo'], check=True)\nprint('result:', handle.result(timeout=5))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False, env=os.environ
    )
    assert "result: order 1: 2 cents" in done.stdout, done.stdout + done.stderr
