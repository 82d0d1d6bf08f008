"""One system after the other: installed in an environment of its own, its two workers started, measured, and ended.

Invariant: a system that cannot be installed or does not do its work is left out with a line that says why; nothing it
started is left running.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import redis

from benchmarks.harness import Figure, until
from benchmarks.machine import DISTURBED, Others
from benchmarks.peers.processes import ROOT, LeftOut, installed, last_line, running
from benchmarks.peers.servers import Server, postgres, restate

ENVIRONMENTS = ROOT / ".peers"
ROUNDS = 3
PGSERVER = "pgserver>=0.1.4"
ABSURD = ["absurd-sdk>=0.5", "absurdctl>=0.5", PGSERVER]
RESTATE = ["restate-sdk>=1.0", "hypercorn>=0.17", "uvloop", "aiohttp>=3.10"]


@dataclass(frozen=True, slots=True)
class Peer:
    """A system, how it is installed, and how many tasks a round of a few seconds has."""

    name: str
    module: str
    requires: Sequence[str]
    kind: str
    survives: str
    tasks: int
    steps: int = 0
    signals: int = 0
    environment: str = ""
    server: Callable[[Path], AbstractContextManager[Server]] | None = None


PEERS = (
    Peer("RQ", "rq", ["rq>=3.0", "redis[hiredis]"], "plain queue", "failed; rerun if Retry", 250),
    Peer(
        "RQ SimpleWorker",
        "rq_simple",
        ["rq>=3.0", "redis[hiredis]"],
        "plain queue",
        "failed; rerun if Retry",
        1500,
        environment="rq",
    ),
    Peer("Celery", "celery", ["celery[redis]>=5.5", "redis[hiredis]"], "plain queue", "lost if it was running", 3000),
    Peer(
        "Dramatiq",
        "dramatiq",
        ["dramatiq[redis]>=2.0", "redis[hiredis]"],
        "plain queue",
        "rerun after missed heartbeats",
        8000,
    ),
    Peer(
        "taskiq stream",
        "taskiq",
        ["taskiq[uv]>=0.12", "taskiq-redis>=1.2", "redis[hiredis]"],
        "plain queue",
        "rerun after ten minutes",
        8000,
    ),
    Peer("arq", "arq", ["arq>=0.27", "uvloop"], "plain queue", "rerun after five minutes", 1500),
    Peer("streaQ", "streaq", ["streaq>=7.0", "uvloop"], "plain queue", "rerun after one minute", 3000),
    Peer("Docket", "docket", ["pydocket>=0.27", "redis[hiredis]"], "plain queue", "rerun after five minutes", 3000),
    Peer(
        "redflow",
        "redflow",
        ["redflow[fast]>=0.1.9"],
        "durable",
        "resumed from its last step after five seconds",
        250,
        50,
        50,
    ),
    Peer("DBOS on SQLite", "dbos", ["dbos>=2.0"], "durable", "resumed by a restarted executor", 800, 100, 100),
    Peer(
        "DBOS on Postgres",
        "dbos_postgres",
        ["dbos>=2.0", PGSERVER],
        "durable",
        "resumed by a restarted executor",
        1500,
        200,
        100,
        server=postgres,
    ),
    Peer(
        "absurd",
        "absurd",
        ABSURD,
        "durable",
        "resumed from its last step after two minutes",
        2500,
        250,
        1000,
        server=postgres,
    ),
    Peer(
        "Restate",
        "restate",
        RESTATE,
        "durable",
        "resumed from its last step by the server",
        2500,
        400,
        500,
        server=restate,
    ),
)


@dataclass(frozen=True, slots=True)
class Measured:
    """What one system did in this run."""

    name: str
    kind: str
    survives: str
    no_op: Figure
    start: Figure
    steps: Figure | None
    signals: Figure | None = None
    others: float = 0.0

    HEAD = (
        "| peers, same run | what it is | a task whose worker is killed | no-op, 1/s | start to body, idle, p50 / p99,"
        " ms | ten steps, 1/s | signals to parked, 1/s | cores of others |\n|---|---|---|---|---|---|---|---|"
    )

    def row(self) -> str:
        """One line, a system."""
        p50, p99 = percentiles(self.start.values)
        rates = [f"{middle:,.0f}" if middle else "–" for middle in map(rate, (self.no_op, self.steps, self.signals))]
        loud = f"{self.others:.1f}" if self.others > DISTURBED else ""
        cells = (self.name, self.kind, self.survives, rates[0], f"{p50:.2f} / {p99:.2f}", *rates[1:], loud)
        return f"| {' | '.join(cells)} |"


def rate(figure: Figure | None) -> float:
    """The median of a figure; 0 where there is none."""
    return statistics.median(figure.values) if figure else 0.0


def beside(ours: Measured, found: Sequence[Measured]) -> Iterator[str]:
    """How Wakeline stands beside the best of each kind that was measured, a line each."""
    for what, kind, figure, reach in (
        ("no-op", "plain queue", lambda one: one.no_op, "≥ 2"),
        ("ten steps", "durable", lambda one: one.steps, "≥ 8"),
        ("signals", "durable", lambda one: one.signals, "≥ 3"),
    ):
        rivals = [one for one in found if one.kind == kind and rate(figure(one))]
        if rivals:
            best = max(rivals, key=lambda one: rate(figure(one)))
            ratio = rate(figure(ours)) / rate(figure(best))
            yield f"{what} ÷ best {kind} ({best.name}): {ratio:.1f} (to reach: {reach})"


def percentiles(values: Sequence[float]) -> tuple[float, float]:
    """p50 and p99."""
    return statistics.median(values), statistics.quantiles(values, n=100, method="inclusive")[-1]


def python_of(peer: Peer) -> tuple[Path, str]:
    """The interpreter of its environment and its version; installs it where it is not yet. Raises `LeftOut`."""
    folder = ENVIRONMENTS / (peer.environment or peer.module)
    python, mark, asked = folder / "bin" / "python", folder / "installed.json", json.dumps(list(peer.requires))
    if not mark.exists() or mark.read_text() != asked:
        print(f"installing {' '.join(peer.requires)} …", file=sys.stderr, flush=True)
        for command in (
            [sys.executable, "-m", "venv", "--clear", str(folder)],
            [
                str(python),
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--retries",
                "1",
                *peer.requires,
            ],
        ):
            installed(command)
        mark.write_text(asked)
    package = peer.requires[0].partition(">")[0].partition("[")[0]
    ask = f"from importlib.metadata import version; print(version({package!r}))"
    return python, subprocess.run([str(python), "-c", ask], capture_output=True, text=True, check=True).stdout.strip()


def measure(peer: Peer, url: str, scale: float = 1.0) -> Measured:
    """All figures of one system; the server is empty afterwards. Raises `LeftOut`."""
    python, version = python_of(peer)
    with tempfile.TemporaryDirectory(prefix="peer-") as name, (Path(name) / "log").open("wb") as log:
        folder = Path(name)
        for file in ("done", "began", "parked"):
            (folder / file).touch()
        env = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        env |= {"PYTHONPATH": str(ROOT), "PEER_REDIS_URL": url, "PEER_FOLDER": name}
        start = [str(python), "-m", f"{__package__}.{peer.module}"]
        try:
            with peer.server(python) if peer.server else nullcontext(Server({}, "")) as server:
                own, named = (
                    env | server.env,
                    f"{peer.name} {version}" + (f", server {server.version}" if server.version else ""),
                )
                with running([*start, "client"], own, log) as client, running([*start, "workers"], own, log) as workers:
                    return _figures(peer, named, Orders(client, workers, folder), scale)
        except (TimeoutError, BrokenPipeError) as error:
            raise LeftOut(f"{error}: {last_line((folder / 'log').read_text(errors='replace'))}") from error
        finally:
            cast("Any", redis.Redis.from_url(url)).flushall()


def each(url: str, peers: Iterable[Peer], scale: float) -> Iterator[Measured]:
    """One after the other; a line on standard error for each that is left out."""
    for peer in peers:
        try:
            yield measure(peer, url, scale)
        except LeftOut as why:
            print(f"left out: {peer.name}: {why}", file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True)
class Orders:
    """What the client is told to send, and what its workers are seen to have done."""

    client: subprocess.Popen[bytes]
    workers: subprocess.Popen[bytes]
    folder: Path

    def send(self, name: str, n: int, seen: Callable[[], int]) -> float:
        """Seconds until all n were done."""
        assert self.client.stdin is not None
        before, at = seen(), time.monotonic()
        self.client.stdin.write(f"{name} {n}\n".encode())
        self.client.stdin.flush()
        until(lambda: seen() >= before + n or not self._alive(), 60)
        took = time.monotonic() - at
        if not self._alive():
            raise TimeoutError("its process ended")
        if seen() != before + n:
            raise TimeoutError(f"{seen() - before} were done, {n} were sent")
        return took

    def done(self) -> int:
        """How many no-op tasks ran."""
        return (self.folder / "done").stat().st_size

    def parked(self) -> int:
        """How many began to wait for their signal."""
        return (self.folder / "parked").stat().st_size

    def delays(self) -> list[float]:
        """Every measured delay, in seconds."""
        return [float(line) for line in (self.folder / "began").read_text().split()]

    def _alive(self) -> bool:
        return self.client.poll() is None and self.workers.poll() is None


def _figures(peer: Peer, name: str, orders: Orders, scale: float) -> Measured:
    """Warm-up, rounds, and delays with nothing else to do."""
    others = Others(os.getpid())
    n, steps = max(20, int(peer.tasks * scale)), max(10, int(peer.steps * scale))
    orders.send("many", 10, orders.done)
    time.sleep(2)  # the second worker process has started as well
    orders.send("many", n, orders.done)
    rates = [n / orders.send("many", n, orders.done) for _ in range(ROUNDS)]
    tens = [steps / orders.send("steps", steps, orders.done) for _ in range(ROUNDS)] if peer.steps else []
    signals = [_signalled(orders, max(20, int(peer.signals * scale))) for _ in range(ROUNDS)] if peer.signals else []
    pauses = random.Random(1)
    time.sleep(1)
    for _ in range(int(200 * scale)):
        orders.send("one", 1, lambda: len(orders.delays()))
        time.sleep(pauses.uniform(0.02, 0.03))  # its worker is idle again; no multiple of any timer
    return Measured(
        name,
        peer.kind,
        peer.survives,
        Figure(f"{name}: no-op tasks, started and ended", "1/s", rates),
        Figure(f"{name}: start to the body's first line, idle", "ms", [delay * 1000 for delay in orders.delays()]),
        Figure(f"{name}: ten-step workflows, started and ended", "1/s", tens) if tens else None,
        Figure(f"{name}: signals to parked workflows, all of them ended", "1/s", signals) if signals else None,
        others.cores(),
    )


def _signalled(orders: Orders, n: int) -> float:
    """Signals per second to so many workflows that wait, from the first signal to the last end."""
    orders.send("park", n, orders.parked)
    time.sleep(1)  # the last of them wait as well
    return n / orders.send("signal", n, orders.done)
