"""Whether releases may come and go: the short form of `benchmarks.rolling`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
WAITED = ("gone: missing", "pictured: unreadable")


def test_good_bad_and_rolled_back_releases_lose_nothing_double_nothing_and_leave_nothing_waiting_without_a_reason() -> (
    None
):
    """Forty seconds of deploys under flows of every kind; then all is done under the last good release."""
    command = [sys.executable, "-m", "benchmarks.rolling", "--seconds", "40", "--see", *WAITED]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=400, check=False)
    assert done.stdout.splitlines()[-1] == "nothing was lost, nothing was doubled", done.stdout + done.stderr
    assert all(reason in done.stdout for reason in WAITED), done.stdout
    assert done.returncode == 0
