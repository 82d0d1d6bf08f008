"""The commands that serve: worker, clock, dev, demo."""

from __future__ import annotations

import json
import signal
import subprocess

import pytest

from tests.e2e.shop import MODULE, Shop, until

# -- processes that serve ------------------------------------------------------------------------------------------------------------


def test_worker_runs_what_there_is_and_ends_in_burst_mode(shop: Shop) -> None:
    shop.text("start", "charge", "[1, 2]", "--id", "charge-1")
    done = subprocess.run([*MODULE, "worker", "-n", "2", "--burst", "-c", "4"], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.splitlines()[0].startswith("wakeline: 2 workers of shop on redis://127.0.0.1:")
    assert shop.json("show", "charge-1")["status"] == "completed"


def test_worker_takes_only_from_the_queues_it_is_given(shop: Shop) -> None:
    shop.text("start", "charge", "[1, 2]", "--id", "charge-1")
    shop.text("start", "archive", "--id", "archive-1")
    assert subprocess.run([*MODULE, "worker", "-Q", "slow", "--burst"], capture_output=True, timeout=60, check=False).returncode == 0
    assert [shop.json("show", pid)["status"] for pid in ("archive-1", "charge-1")] == ["completed", "queued"]
    assert shop.run("worker", "-Q", "no such queue", "--burst").exit_code == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_worker_serves_until_it_is_told_to_stop(shop: Shop, number: int) -> None:
    serving = shop.spawn("worker")
    shop.text("start", "charge", "[1, 2]", "--id", "charge-1")
    until(lambda: shop.json("show", "charge-1")["status"] == "completed")
    serving.send_signal(number)
    assert serving.wait(30) == 0


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


def test_demo_runs_and_answers_in_json(shop: Shop) -> None:
    done = subprocess.run([*MODULE, "--json", "demo"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"ok": True}
    assert "kill: SIGKILL" in done.stderr
