"""A worker that starts before its server, and the app of the platform's button, with nothing set that the button does
not set."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from wakeline.embedded import PrivateServer, find_server

ROOT = Path(__file__).parents[2]
MODULE = [sys.executable, "-m", "wakeline_workers.cli"]
USE = """
from wakeline_workers.demo_app import app, charge, refund, report
desk = app.session("clerk", "desk-1")
print(app.start(charge, 7, 100).result(timeout=40))
first = app.using(id="r", wake=desk).start(refund, 7)
first.signal("decision", True)
print(first.result(timeout=40))
print(app.start(report).result(timeout=40) > 0)
print(desk.ask("well?", timeout=40))
"""


@pytest.fixture
def away() -> Iterator[PrivateServer]:
    """A server that is not there yet; its place is known."""
    binary = find_server()
    assert binary is not None
    with PrivateServer(binary) as server:
        server.kill()
        yield server


def environment(server: PrivateServer, **more: str) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("WAKELINE", "REDIS", "RQ")) and name != "DYNO"
    }
    own = {"REDIS_URL": server.url, "WAKELINE_APP": "wakeline_workers.demo_app:app", "WAKELINE_LOG_FORMAT": "text"}
    return kept | own | more


def serving(server: PrivateServer, *words: str, **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*MODULE, *words], env=environment(server, **more), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def next_line(process: subprocess.Popen[str], wanted: str) -> str:
    assert process.stderr is not None
    while line := process.stderr.readline():
        if wanted in line:
            return line
    raise AssertionError(f"it ended before it said {wanted!r}: {process.wait(10)}")


@pytest.mark.parametrize(
    ("words", "more"),
    [
        (["worker", "--wait"], {}),
        (["clock", "--wait"], {}),
        (["worker"], {"WAKELINE_WAIT": "1"}),
        (["worker"], {"DYNO": "worker.1"}),
        (["clock"], {"DYNO": "c.1"}),
    ],  # fmt: skip
    ids=lambda value: " ".join(value),
)
def test_what_starts_before_its_server_waits_for_it(
    away: PrivateServer, words: list[str], more: dict[str, str]
) -> None:
    process = serving(away, *words, **more)
    try:
        said = next_line(process, "waiting for")
        assert said.startswith(f"wakeline: waiting for redis://127.0.0.1:{away.port}: Redis does not answer: ")
        time.sleep(1.2)
        assert process.poll() is None
        away.start()
        assert next_line(process, "is there") == f"wakeline: redis://127.0.0.1:{away.port} is there\n"
        next_line(process, "of demo on")
        if words[0] == "worker":
            command = [*MODULE, "start", "charge", "[7, 100]", "--wait", "30s"]
            done = subprocess.run(
                command, env=environment(away), capture_output=True, text=True, timeout=60, check=False
            )
            assert done.stdout == '"order 7: 100 cents"\n'
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    # A clock says where it is before it listens to signals.
    assert process.returncode == 0 or words[0] == "clock"


@pytest.mark.parametrize(
    ("words", "more"),
    [(["worker"], {}), (["clock"], {}), (["worker", "--no-wait"], {"DYNO": "worker.1"})],
    ids=lambda value: " ".join(value),
)
def test_without_that_it_ends_with_the_code_of_an_unreachable_server(
    away: PrivateServer, words: list[str], more: dict[str, str]
) -> None:
    process = serving(away, *words, **more)
    assert process.communicate(timeout=60)[0] == ""
    assert process.returncode == 69


def test_a_server_that_refuses_is_not_waited_for(away: PrivateServer) -> None:
    away.start()
    process = serving(away, "worker", "--wait", WAKELINE_REDIS_URL=f"redis://:wrong@127.0.0.1:{away.port}/0")
    assert "Redis refused" in process.communicate(timeout=60)[1]
    assert process.returncode == 2


def test_a_stop_ends_the_waiting(away: PrivateServer) -> None:
    process = serving(away, "worker", "--wait")
    next_line(process, "waiting for")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)
    assert process.returncode == -signal.SIGTERM


def test_every_body_of_the_buttons_app_runs_with_what_the_button_sets(away: PrivateServer, tmp_path: Path) -> None:
    away.start()
    sets = {
        name: one["value"] for name, one in json.loads((ROOT / "app.json").read_text(encoding="utf-8"))["env"].items()
    }
    worker = subprocess.Popen([*MODULE, "worker"], env=environment(away, **sets), stdout=subprocess.PIPE, text=True)
    try:
        command = [sys.executable, "-c", USE]
        done = subprocess.run(
            command,
            env=environment(away, **sets),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    finally:
        worker.terminate()
        output, _ = worker.communicate(timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[:3] == ["order 7: 100 cents", "order 7: -500 cents, approved", "True"]
    assert "I was told: well?" in lines[3]
    assert {line.split()[0] for line in output.splitlines()} == {"charge", "slow", "fast"}
