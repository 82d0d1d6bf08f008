"""Whether a store stays level while a real fleet ends processes: the short form of `benchmarks.soak`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_fleet_that_ends_processes_for_a_while_keeps_only_what_its_retention_says() -> None:
    """Twenty thousand, kept for a second: at no look anything is five seconds late, and at the end no key of them is
    left."""
    command = [sys.executable, "-m", "benchmarks.soak", "--processes", "20000"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"SOAK_KEPT_MS": "1000"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert "once all is over: 0 keys of processes" in done.stdout, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "the store is level"
    assert done.returncode == 0
