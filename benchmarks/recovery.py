"""Recovery times: ``python -m benchmarks.recovery [--quick]``. Kills what it must and prints how long the work was
nowhere.

A time is from the signal to the first line of the same work in another process. Asserts that the work went on every
time; a time is never a verdict.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wakeline.embedded import PrivateServer
from wakeline.store import fleet

from benchmarks.harness import Figure, measured_server, until


class Tree:
    """A supervisor and its worker processes."""

    def __init__(self, server: PrivateServer, processes: int) -> None:
        env = os.environ | {"WAKELINE_REDIS_URL": server.url, "WAKELINE_LOG": "ERROR"}
        code = (
            f"import sys; from wakeline_workers.supervisor import run; sys.exit(run('benchmarks.app:app', {processes}))"
        )
        self.supervisor = subprocess.Popen([sys.executable, "-c", code], env=env)

    def runs(self, pid: int) -> bool:
        """Whether a worker process is of this tree."""
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) == self.supervisor.pid

    def end(self, pid: int, number: signal.Signals) -> None:
        """A signal to all of it at once: SIGKILL as when a machine is gone, SIGTERM as a platform does."""
        os.kill(self.supervisor.pid, number)
        os.kill(pid, number)

    def leave(self) -> None:
        """Ends it after the measurement."""
        if self.supervisor.poll() is None:
            self.supervisor.terminate()
        self.supervisor.wait(40)


class Notes:
    """Where the measured body says that it runs: a line with the time and the process."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "notes"
        self.file.touch()
        os.environ["BENCH_NOTES"] = str(self.file)

    def lines(self) -> list[tuple[float, int]]:
        """(seconds since 1970, OS process id) of every beginning."""
        rows = [line.split() for line in self.file.read_text().splitlines()]
        return [(float(at), int(pid)) for at, pid in rows]


@contextmanager
def _staying(notes: Notes) -> Generator[int]:
    """Work that stays where it is until it is told to end; its OS process."""
    from benchmarks.app import app, stays

    before = len(notes.lines())
    handle = app.start(stays)
    until(lambda: len(notes.lines()) > before)
    yield notes.lines()[-1][1]
    (notes.file.parent / "over").touch()
    handle.result(timeout=30)
    (notes.file.parent / "over").unlink()


def _somebody_else_is_there() -> bool:
    """Two workers that live, one of them idle: what is measured is not how long a process takes to start."""
    from benchmarks.app import app

    view = app.store.execute(fleet.read_fleet([app.namespace]))
    alive = [held for _, expires_ms, held in view.owners if expires_ms > view.now_ms]
    return len(alive) >= 2 and 0 in alive and sum(queue.idle for queue in view.queues) >= 1


def _away(notes: Notes, end: Callable[[int], Any]) -> float:
    """How long the work was nowhere, in seconds, when its process was ended in this way."""
    with _staying(notes) as pid:
        until(_somebody_else_is_there)
        before, at = len(notes.lines()), time.time()
        end(pid)
        until(lambda: len(notes.lines()) > before, 60)
        again, other = notes.lines()[-1]
        assert other != pid
        return again - at


def supervised(server: PrivateServer, notes: Notes, rounds: int) -> Figure:
    """A busy worker process is killed; its supervisor and another process are there."""
    tree = Tree(server, 2)
    try:
        values = [_away(notes, lambda pid: os.kill(pid, signal.SIGKILL)) for _ in range(rounds)]
        return Figure("kill -9 of a busy worker process, to running elsewhere", "s", values)
    finally:
        tree.leave()


def whole_tree(server: PrivateServer, notes: Notes, rounds: int) -> Figure:
    """A supervisor and all of its workers are killed at once; another tree is there."""
    values: list[float] = []
    trees = [Tree(server, 1), Tree(server, 1)]
    try:
        for _ in range(rounds):

            def gone(pid: int) -> None:
                [hit] = [tree for tree in trees if tree.runs(pid)]
                trees.remove(hit)
                hit.end(pid, signal.SIGKILL)
                hit.supervisor.wait(10)

            values.append(_away(notes, gone))
            trees.append(Tree(server, 1))
    finally:
        for tree in trees:
            tree.leave()
    return Figure("kill -9 of a supervisor with its workers, to running elsewhere", "s", values)


def told_to_leave(server: PrivateServer, notes: Notes, rounds: int) -> Figure:
    """A tree is told to leave, as at a deploy; the new release is there."""
    values: list[float] = []
    trees = [Tree(server, 1), Tree(server, 1)]
    left: list[Tree] = []
    try:
        for _ in range(rounds):

            def leaves(pid: int) -> None:
                [hit] = [tree for tree in trees if tree.runs(pid)]
                trees.remove(hit)
                hit.end(pid, signal.SIGTERM)
                left.append(hit)

            values.append(_away(notes, leaves))
            # Gone before the next round: on its way out it would look like the other worker that is there.
            left[-1].leave()
            trees.append(Tree(server, 1))
    finally:
        for tree in [*trees, *left]:
            tree.leave()
    return Figure("SIGTERM to a whole tree, to running elsewhere (work that does not end by itself)", "s", values)


def main() -> int:
    """Runs every figure on a private server; 1 when no server is found."""
    rounds = 2 if "--quick" in sys.argv else 5
    with measured_server() as server, tempfile.TemporaryDirectory() as folder:
        notes = Notes(Path(folder))
        for figure in (supervised, told_to_leave, whole_tree):
            print(figure(server, notes, rounds).row(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
