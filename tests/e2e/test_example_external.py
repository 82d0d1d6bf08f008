"""`examples/external` does what its README says, also when the encoder dies between two reports and starts again."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
from wakeline.embedded import PrivateServer

from tests.e2e.transcripts import ROOT, environment, follow, opened, until, worker

APP = "examples.external.app:app"
DIES = """
import os, signal
from examples.external.app import encoding
encoding("tide").emit("chapter", {"number": 1, "of": 2}, key="chapter-1")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_commands_of_the_readme_show_what_it_says(server: PrivateServer) -> None:
    follow(ROOT / "examples/external/README.md", server)


def test_an_encoder_that_died_and_reports_again_reports_each_thing_once(
    server: PrivateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened("external", server, monkeypatch) as example:
        first = subprocess.run([sys.executable, "-c", DIES], cwd=ROOT, env=environment(server), timeout=60, check=False)
        assert first.returncode == -signal.SIGKILL
        again = subprocess.run(
            [sys.executable, "-m", "examples.external.encoder", "tide"],
            cwd=ROOT,
            env=environment(server),
            timeout=60,
            check=False,
        )
        assert again.returncode == 0
        assert [event.type for event in example.encoding("tide").events()] == [
            "chapter",
            "chapter",
            "process.completed",
        ]
        editor = example.app.session("editor", "tide")
        with worker(server, APP):
            until(lambda: [entry.state for entry in editor.wakes()] == ["settled"] * 3, "the editor read all of it")
        said = " / ".join(str(message.content) for message in editor.history() if message.role == "agent")
        assert said.count("noted: chapter 1 of 2 is ready") == 1
        assert said.count("noted: Process encoding-tide completed") == 1
