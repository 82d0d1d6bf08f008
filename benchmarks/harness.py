"""A private server with AOF, worker processes under their supervisor, and figures with their spread."""

from __future__ import annotations

import asyncio
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from wakeline import App
from wakeline.embedded import PrivateServer, find_server
from wakeline.store.calls import Call


@dataclass(frozen=True, slots=True)
class Figure:
    """One row: what, its unit, and every value it had."""

    name: str
    unit: str
    values: Sequence[float]

    def row(self) -> str:
        """Name, median and spread: from least to most, of many values p99 instead of the most."""
        middle, low, high = statistics.median(self.values), min(self.values), max(self.values)
        digits, most = 0 if middle >= 100 else 2, "to"
        if len(self.values) >= 100:
            high, most = statistics.quantiles(self.values, n=100, method="inclusive")[-1], "to p99"
        return f"| {self.name} | {middle:,.{digits}f} | {low:,.{digits}f} {most} {high:,.{digits}f} | {self.unit} |"


@contextmanager
def measured_server() -> Generator[PrivateServer]:
    """A private server that `benchmarks.app` lives on; machine and head of the table are printed. Exits with 1 where no
    server is found."""
    binary = find_server()
    if binary is None:
        print("no valkey-server or redis-server found: nothing to measure on", file=sys.stderr)
        raise SystemExit(1)
    with PrivateServer(binary) as server:
        os.environ["WAKELINE_REDIS_URL"] = server.url
        from benchmarks.app import app

        version = cast("Any", app.store.client).info("server")
        where = (
            f"{version.get('server_name', 'redis')} {version.get('valkey_version', version['redis_version'])}, AOF"
            " everysec"
        )
        print(f"machine: {os.cpu_count()} cores, python {platform.python_version()}; {where}")
        print("two worker processes, one supervisor, clients and server on the same machine\n")
        print("| figure | median | spread | unit |\n|---|---|---|---|")
        yield server


@contextmanager
def workers(server: PrivateServer, target: str, processes: int) -> Generator[None]:
    """Worker processes that serve the app; they have taken their places when the block begins."""
    env = os.environ | {"WAKELINE_REDIS_URL": server.url, "WAKELINE_LOG": "WARNING"}
    code = f"import sys; from wakeline_workers.supervisor import run; sys.exit(run({target!r}, {processes}))"
    child = subprocess.Popen([sys.executable, "-c", code], env=env)
    try:
        yield
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


def signalled(app: App, body: Any, n: int) -> float:
    """Signals per second to parked processes of a body that ends with its signal ``go``, from the first signal to the
    last end."""
    parked = count(app, "waiting")
    ids = [handle.id for handle in app.start_many(body, [{}] * n)]
    until(lambda: count(app, "waiting") >= parked + n)
    before, at = count(app, "completed"), time.monotonic()
    asyncio.run(many(n, lambda i: app.aio.handle(ids[i]).signal("go", time.time())))
    until(lambda: count(app, "completed") >= before + n)
    return n / (time.monotonic() - at)


__all__ = ["Call", "Figure", "count", "many", "rate_of", "signalled", "until", "workers"]
