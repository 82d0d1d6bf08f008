"""The commands that serve: worker, clock, dev, demo."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis

from tests.e2e.shop import MODULE, Shop, until

# -- processes that serve


def test_worker_runs_what_there_is_and_ends_in_burst_mode(shop: Shop) -> None:
    shop.text("start", "charge", "[1, 2]", "--id", "charge-1")
    done = subprocess.run(
        [*MODULE, "worker", "-n", "2", "--burst", "-c", "4"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.splitlines()[0].startswith("wakeline: 2 workers of shop on redis://127.0.0.1:")
    assert shop.json("show", "charge-1")["status"] == "completed"


def test_worker_takes_only_from_the_queues_it_is_given(shop: Shop) -> None:
    shop.text("start", "charge", "[1, 2]", "--id", "charge-1")
    shop.text("start", "archive", "--id", "archive-1")
    assert (
        subprocess.run(
            [*MODULE, "worker", "-Q", "slow", "--burst"], capture_output=True, timeout=60, check=False
        ).returncode
        == 0
    )
    assert [shop.json("show", pid)["status"] for pid in ("archive-1", "charge-1")] == ["completed", "queued"]
    assert shop.run("worker", "-Q", "no such queue", "--burst").exit_code == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_worker_serves_until_it_is_told_to_stop(shop: Shop, number: int) -> None:
    serving = shop.spawn("worker")
    shop.text("start", "charge", "[1, 2]", "--id", "charge-1")
    until(lambda: shop.json("show", "charge-1")["status"] == "completed")
    serving.send_signal(number)
    assert serving.wait(30) == 0


def test_a_worker_that_starts_slowly_is_no_store_that_went_back(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its supervisor beats for it before it has introduced itself: the store does not keep these beats."""
    monkeypatch.setenv("WAKELINE_BEAT", "50ms")
    monkeypatch.setenv("WAKELINE_LEASE", "2s")
    serving = shop.spawn("worker")
    shop.text("start", "charge", "[1, 2]", "--id", "charge-1")
    until(lambda: shop.json("show", "charge-1")["status"] == "completed")
    time.sleep(0.5)
    serving.send_signal(signal.SIGTERM)
    _, said = serving.communicate(timeout=30)
    assert (serving.returncode, "gone back" in said) == (0, False)
    assert "rewound" not in shop.run("doctor", "--json").stdout


def test_clock_only_ticks(shop: Shop) -> None:
    shop.text("start", "blink", "--id", "blink-1")
    shop.work()
    assert shop.json("show", "blink-1")["status"] == "waiting"
    ticking = shop.spawn("clock")
    until(lambda: shop.json("show", "blink-1")["status"] == "queued")
    ticking.send_signal(signal.SIGTERM)
    output, problems = ticking.communicate(timeout=30)
    assert (ticking.returncode, output) == (0, "")
    assert problems.startswith("wakeline: clock of shop on redis://127.0.0.1:")
    assert shop.json("show", "blink-1")["status"] == "queued"


def lines_until(process: subprocess.Popen[str], wanted: str) -> list[str]:
    """Lines of its stderr up to the one that has the text."""
    assert process.stderr is not None
    lines: list[str] = []
    while not lines or wanted not in lines[-1]:
        line = process.stderr.readline()
        assert line, lines
        lines.append(line.rstrip("\n"))
    return lines


def test_dev_brings_a_server_and_says_how_to_reach_it(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WAKELINE_REDIS_URL")
    serving = shop.spawn("dev", "-n", "2", start_new_session=True)
    which, how = lines_until(serving, "export ")
    assert which.startswith("wakeline: embedded: ")
    words = dict(word.split("=", 1) for word in how.removeprefix("export ").split())
    assert words["WAKELINE_APP"] == "cli_app:app"
    with redis.Redis.from_url(words["WAKELINE_REDIS_URL"]) as client:
        outside = subprocess.run(
            [*MODULE, "start", "charge", "[1, 2]", "--wait", "20s"],
            env=os.environ | words,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (outside.returncode, outside.stdout) == (0, '"order 1: 2"\n')
        # Ctrl-C in a terminal reaches every process of the group at once: the server has to outlive the workers.
        os.killpg(serving.pid, signal.SIGINT)
        output, problems = serving.communicate(timeout=60)
        assert (serving.returncode, output) == (0, "")
        assert "Traceback" not in problems and "no heartbeat" not in problems and "does not answer" not in problems
        with pytest.raises(redis.ConnectionError):
            client.ping()


def test_dev_starts_its_server_again_on_the_same_data_if_something_ends_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WAKELINE_REDIS_URL")
    serving = shop.spawn("dev")
    how = lines_until(serving, "export ")[-1]
    words = dict(word.split("=", 1) for word in how.removeprefix("export ").split())
    monkeypatch.setenv("WAKELINE_REDIS_URL", words["WAKELINE_REDIS_URL"])
    with redis.Redis.from_url(words["WAKELINE_REDIS_URL"]) as client:
        client.config_set("appendfsync", "always")
        assert shop.run("start", "charge", "[1, 2]", "--id", "before", "--wait", "20s").exit_code == 0
        os.kill(client.info("server")["process_id"], signal.SIGKILL)
    [*_, said] = lines_until(serving, "wakeline: the private server ended")
    assert said == "wakeline: the private server ended (signal 9); it was started again on the same data"
    assert shop.json("show", "before")["status"] == "completed"
    assert shop.run("start", "charge", "[3, 4]", "--wait", "20s").exit_code == 0
    serving.send_signal(signal.SIGTERM)
    serving.communicate(timeout=60)
    assert serving.returncode == 0


def test_dev_ends_with_a_code_if_its_server_cannot_be_started_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WAKELINE_REDIS_URL")
    serving = shop.spawn("dev")
    how = lines_until(serving, "export ")[-1]
    words = dict(word.split("=", 1) for word in how.removeprefix("export ").split())
    with redis.Redis.from_url(words["WAKELINE_REDIS_URL"]) as client:
        until(lambda: client.keys("*owners"))  # workers serve
        facts = client.info("server")
        folder = client.config_get("dir")["dir"]
        (Path(folder) / "appendonlydir").rename(Path(folder) / "gone")
        (Path(folder) / "appendonlydir").touch()  # no server starts on this
        os.kill(facts["process_id"], signal.SIGKILL)
    said = serving.communicate(timeout=90)[1]
    assert "and was not started again: " in said
    assert serving.returncode == 69


def test_dev_uses_the_server_that_is_set(shop: Shop) -> None:
    serving = shop.spawn("dev")
    [which, _] = lines_until(serving, "export ")
    assert which.startswith("wakeline: the server that is set: redis://127.0.0.1:")
    shop.text("start", "charge", "[1, 2]", "--id", "charge-1")
    until(lambda: shop.json("show", "charge-1")["status"] == "completed")
    serving.send_signal(signal.SIGTERM)
    assert serving.wait(30) == 0


VISITED = """
import threading, time
from wakeline import App
from wakeline.errors import RedisNotConfigured

app = App("visited")

@app.tool
def greet(name: str) -> str:
    return f"hello {name}"

def visit() -> None:
    while True:
        try:
            return print(app.start(greet, "dev").result(timeout=20), flush=True)
        except RedisNotConfigured:
            time.sleep(0.02)

threading.Thread(target=visit, daemon=True).start()
"""


def test_dev_without_any_server_runs_a_worker_on_a_thread(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WAKELINE_REDIS_URL")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "visited.py").write_text(VISITED)
    code = "import wakeline.embedded as e; e.find_server = lambda: None; from wakeline_workers.cli import main; main()"
    serving = subprocess.Popen(
        [sys.executable, "-c", code, "-A", "visited:app", "dev"],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    [which] = lines_until(serving, "embedded: ")
    assert (
        which
        == "wakeline: embedded: in-process fakeredis, workers are threads (no valkey-server or redis-server found)"
    )
    assert serving.stdout is not None
    assert serving.stdout.readline() == "hello dev\n"
    serving.send_signal(signal.SIGINT)
    output, problems = serving.communicate(timeout=60)
    assert (serving.returncode, output) == (0, "")
    assert "Traceback" not in problems


def test_demo_runs_and_answers_in_json(shop: Shop) -> None:
    done = subprocess.run([*MODULE, "--json", "demo"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"ok": True}
    assert "kill: SIGKILL" in done.stderr
