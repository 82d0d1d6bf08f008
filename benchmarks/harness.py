"""A private server with AOF, worker processes under their supervisor, and figures with their spread."""

from __future__ import annotations

import asyncio
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from wakeline import App
from wakeline.embedded import PrivateServer, ServerBinary, find_server

CHOSEN = "BENCH_SERVER"
"""The variable that names the server program to measure on."""
FOLDERS = ("/usr/local/bin", "/usr/local/sbin", "/usr/bin", "/usr/sbin", "/opt/valkey/bin", "/opt/redis/bin")


@dataclass(frozen=True, slots=True)
class Figure:
    """One row: what, its unit, and every value it had."""

    name: str
    unit: str
    values: Sequence[float]

    def row(self) -> str:
        """Name, median and spread."""
        return f"| {self.name} | {shown(statistics.median(self.values))} | {spread(self.values)} | {self.unit} |"


def shown(value: float) -> str:
    """A value with as many digits as say something."""
    return f"{value:,.{0 if abs(value) >= 100 else 2}f}"


def spread(values: Sequence[float]) -> str:
    """From least to most, of many values p99 instead of the most."""
    low, high, most = min(values), max(values), "to"
    if len(values) >= 100:
        high, most = statistics.quantiles(values, n=100, method="inclusive")[-1], "to p99"
    digits = 0 if statistics.median(values) >= 100 else 2
    return f"{low:,.{digits}f} {most} {high:,.{digits}f}"


def find_measured() -> ServerBinary | None:
    """The server program of ``BENCH_SERVER``; else one that is linked with jemalloc, as production has it (libc's
    malloc costs a server a fifth of its speed); else the one that Wakeline itself would start. None if there is none.
    """
    if chosen := os.environ.get(CHOSEN):
        return ServerBinary(chosen, CHOSEN)
    folders = [*os.environ.get("PATH", "").split(os.pathsep), *FOLDERS]
    for path in (Path(folder) / name for folder in folders for name in ("valkey-server", "redis-server")):
        if os.access(path, os.X_OK) and allocator_of(str(path)).startswith("jemalloc"):
            return ServerBinary(str(path), "jemalloc")
    return find_server()


def allocator_of(binary: str) -> str:
    """What a server program allocates memory with, as it says itself; "" when it does not say."""
    said = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"malloc=(\S+)", said)
    return found[1] if found else ""


@contextmanager
def private_server() -> Generator[PrivateServer]:
    """A private server that `benchmarks.app` lives on. Exits with 1 where no server is found."""
    binary = find_measured()
    if binary is None:
        print("no valkey-server or redis-server found: nothing to measure on", file=sys.stderr)
        raise SystemExit(1)
    with PrivateServer(binary) as server:
        os.environ["WAKELINE_REDIS_URL"] = server.url
        yield server


def machine(app: App) -> str:
    """One line: the machine, and the server with its allocator."""
    client = cast("Any", app.store.client)
    version, allocator = client.info("server"), client.info("memory")["mem_allocator"]
    name = f"{version.get('server_name', 'redis')} {version.get('valkey_version', version['redis_version'])}"
    return f"{os.cpu_count()} cores, python {platform.python_version()}; {name}, {allocator}, AOF everysec"


@contextmanager
def measured_server() -> Generator[PrivateServer]:
    """`private_server`; machine and head of the table are printed."""
    with private_server() as server:
        from benchmarks.app import app

        print(f"machine: {machine(app)}")
        print("two worker processes, one supervisor, clients and server on the same machine\n")
        print("| figure | median | spread | unit |\n|---|---|---|---|")
        yield server


@contextmanager
def workers(server: PrivateServer, target: str, processes: int) -> Generator[int]:
    """Worker processes that serve the app, started as the block begins; the process id of their supervisor."""
    with serving(target, processes, server.url) as supervisor:
        yield supervisor


@contextmanager
def serving(target: str, processes: int, url: str | None = None) -> Generator[int]:
    """As `workers`, on the server at a URL; without one, on that of ``WAKELINE_REDIS_URL``."""
    env = os.environ | {"WAKELINE_LOG": "WARNING"} | ({"WAKELINE_REDIS_URL": url} if url else {})
    code = f"import sys; from wakeline_workers.supervisor import run; sys.exit(run({target!r}, {processes}))"
    child = subprocess.Popen([sys.executable, "-c", code], env=env)
    try:
        yield child.pid
    finally:
        child.terminate()
        child.wait(30)


def until(look: Callable[[], bool], seconds: float = 60) -> None:
    """Waits for what must come; raises TimeoutError when it does not."""
    end = time.monotonic() + seconds
    while not look():
        if time.monotonic() > end:
            raise TimeoutError("the work was not done in time")
        time.sleep(0.005)


def count(app: App, status: str) -> int:
    """How many processes have a status: one command, so that looking costs the server next to nothing."""
    return int(cast("Any", app.store.client).zcard(f"{app.store.address.prefix}idx:{status}"))


async def many(n: int, one: Callable[[int], Awaitable[object]], *, at_once: int = 256) -> None:
    """Runs ``one`` for 0 … n-1, at most ``at_once`` at a time."""
    numbers = iter(range(n))

    async def take() -> None:
        for i in numbers:
            await one(i)

    await asyncio.gather(*(take() for _ in range(at_once)))


def rate_of(app: App, body: Any, n: int) -> float:
    """Processes per second, from the first start to the last end."""
    before, at = count(app, "completed"), time.monotonic()
    asyncio.run(many(n, lambda _: app.aio.start(body)))
    until(lambda: count(app, "completed") >= before + n)
    return n / (time.monotonic() - at)


def parked(app: App, body: Any, n: int, *, seconds: float = 60) -> list[str]:
    """Ids of so many new processes of a body, all of them parked."""
    before = count(app, "waiting")
    ids = [handle.id for handle in app.start_many(body, [{}] * n)]
    until(lambda: count(app, "waiting") >= before + n, seconds)
    return ids


def signalled(app: App, ids: Sequence[str]) -> float:
    """Signals per second to parked processes that end with their signal ``go``, from the first signal to the last
    end."""
    before, at = count(app, "completed"), time.monotonic()
    asyncio.run(many(len(ids), lambda i: app.aio.handle(ids[i]).signal("go", time.time())))
    until(lambda: count(app, "completed") >= before + len(ids))
    return len(ids) / (time.monotonic() - at)
