"""`examples/trigger_to_wake` does what its README says: run as written."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.e2e.test_races import ROOT


def test_each_push_builds_once_and_wakes_the_agent_once() -> None:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "examples.trigger_to_wake"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "keeper:  watching shop"
    pushes = [line.split() for line in lines if line.startswith("push:")]
    assert [(commit, what) for _, commit, what, *_ in pushes] == [
        ("a1", "started"),
        ("a2-bug", "started"),
        ("a2-bug", "replayed"),
        ("a3", "started"),
    ]
    assert pushes[1][3] == pushes[2][3]
    wakes = [line for line in lines if line.startswith("wake:")]
    assert sorted(line.split(" completed: ")[1] for line in wakes) == ['"1 tests failed"', '"passed"', '"passed"']
    assert len([line for line in lines if line.startswith("agent:") and "to fix: shop@a2-bug" in line]) == 1
    assert lines[-1] == "state:   {'broken': 1}"
