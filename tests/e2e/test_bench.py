"""Whether the command that prints the figures does its work: the short form of `python3 dev.py bench`."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = "ceiling,starts,no-ops,turns"


@pytest.mark.real
def test_the_bench_prints_every_figure_of_the_rows_that_are_asked_for() -> None:
    command = [sys.executable, "-m", "benchmarks", "--scale", "0.02", "--rounds", "1", "--rows", ROWS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    assert "left out" not in done.stderr
    [machine] = re.findall(r"^this: Wakeline \S+; (.*)$", done.stdout, re.MULTILINE)
    assert re.search(r"(valkey|redis) \d.*, (libc|jemalloc).*, AOF everysec$", machine)
    figures = dict(re.findall(r"^\| ([^|]+) \| ([\d,.]+) \|", done.stdout, re.MULTILINE))
    assert {
        "ceiling: no-op, started and ended",
        "starts, in bulk",
        "no-op: commands",
        "no-op: bytes of the append-only file",
        "no-op: server CPU",
        "no-op: worker CPU",
        "no-op: client CPU",
        "turns over 100 sessions, one wake each",
    } <= figures.keys()
    assert all(float(value.replace(",", "")) > 0 for value in figures.values())


def test_the_bench_says_which_rows_there_are() -> None:
    command = [sys.executable, "-m", "benchmarks", "--rows", "no-such-row"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "no such row: no-such-row" in done.stderr
