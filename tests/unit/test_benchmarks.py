"""What a table of figures says of the machine it was measured on, and of two checkouts."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.checkouts import Side, other
from benchmarks.harness import CHOSEN, Figure, find_measured
from benchmarks.machine import Others, descendants, tree_s
from benchmarks.peers.measure import Measured as Peer
from benchmarks.peers.measure import beside
from benchmarks.rounds import Found, Measured, lines


@pytest.fixture
def idle() -> Iterator[int]:
    with subprocess.Popen(["sleep", "60"]) as child:
        yield child.pid
        child.kill()


def test_what_processes_of_another_root_use_is_counted_as_that_of_others(idle: int) -> None:
    ours, theirs, at = Others(os.getpid()), Others(idle), time.monotonic()
    end = time.process_time() + 0.3
    while time.process_time() < end:
        pass
    used_s = (theirs.cores() - ours.cores()) * (time.monotonic() - at)
    assert used_s > 0.2


def test_a_tree_keeps_the_time_of_children_that_have_ended() -> None:
    busy = "import time\nwhile time.process_time() < 0.3: pass"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy!r}]); print('over'); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"over\n"
        assert descendants(child.pid) == [child.pid]
        assert tree_s(child.pid) > 0.2  # of 0.3: the system rounds the time of each process down, twice
        child.kill()


def program(folder: Path, name: str, allocator: str) -> str:
    path = folder / name
    path.write_text(f"#!/bin/sh\necho 'Server v=9.0.0 sha=0:0 malloc={allocator} bits=64'\n")
    path.chmod(0o755)
    return str(path)


def test_a_server_with_jemalloc_is_measured_before_one_that_is_found_earlier(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
    plain = program(folders[0], "valkey-server", "libc")
    monkeypatch.setenv("PATH", ":".join(map(str, folders)))
    monkeypatch.setattr("benchmarks.harness.FOLDERS", ())
    monkeypatch.delenv(CHOSEN, raising=False)
    found = find_measured()
    assert found is not None
    assert found.path == plain
    fast = program(folders[1], "redis-server", "jemalloc-5.3.0")
    found = find_measured()
    assert found is not None
    assert found.path == fast
    monkeypatch.setenv(CHOSEN, plain)
    found = find_measured()
    assert found is not None
    assert found.path == plain


def test_a_checkout_that_is_neither_a_folder_nor_a_commit_is_refused() -> None:
    with pytest.raises(SystemExit, match="neither a folder with a checkout nor a commit"):
        other("no-such-thing")


OWN, BEFORE = Side("this", "python"), Side("main~1", "python")


def table(own: list[Measured], before: list[Measured]) -> list[str]:
    found = Found("1/s", {"this": own, "main~1": before})
    return list(lines({"no-ops": found}, [OWN, BEFORE]))[2:]


def test_a_figure_stands_beside_that_of_the_other_checkout_and_divided_by_it() -> None:
    own = [Measured([200.0], 0.0), Measured([400.0], 0.1), Measured([300.0], 0.0)]
    assert table(own, [Measured([100.0], 0.0)]) == ["| no-ops | 100 | 300 | 1/s | 3.00 |  |  |"]


def test_a_disturbed_round_is_told_and_does_not_count_where_there_are_quiet_ones() -> None:
    own = [Measured([50.0], 1.4), Measured([300.0], 0.0)]
    assert table(own, [Measured([100.0], 0.0)]) == ["| no-ops | 100 | 300 | 1/s | 3.00 |  | 1 of 3, 1.4 |"]
    assert table(own[:1], [Measured([100.0], 0.3)]) == ["| no-ops | 100 | 50.00 | 1/s | 0.50 |  | 2 of 2, 1.4 |"]


def test_a_figure_that_one_checkout_lacks_has_no_ratio() -> None:
    assert table([Measured([300.0], 0.0)], []) == ["| no-ops | – | 300 | 1/s | – |  |  |"]


def test_wakeline_stands_beside_the_best_of_each_kind() -> None:
    def peer(name: str, kind: str, no_op: float, steps: float | None = None) -> Peer:
        tens = None if steps is None else Figure("steps", "1/s", [steps])
        return Peer(name, kind, "", Figure("no-op", "1/s", [no_op]), Figure("start", "ms", [1.0]), tens)

    ours = peer("Wakeline", "durable", 6000, 1000)
    found = [peer("slow", "plain queue", 100), peer("fast", "plain queue", 3000), peer("steps", "durable", 9000, 125)]
    assert list(beside(ours, found)) == [
        "no-op ÷ best plain queue (fast): 2.0 (to reach: ≥ 2)",
        "ten steps ÷ best durable (steps): 8.0 (to reach: ≥ 8)",
    ]
