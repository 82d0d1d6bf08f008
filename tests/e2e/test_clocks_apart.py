"""A deploy over machines whose clocks are an hour off, one ahead and one behind, with real workers: the server's clock
decides, for every client."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from wakeline import App, Handle
from wakeline.embedded import PrivateServer
from wakeline.store import processes, triggers
from wakeline.triggers.schedule import following

from tests.e2e.sentinels import until
from tests.e2e.test_races import ROOT, leave

HOUR_MS = 3_600_000
CLOCK = """
# The clock of a machine that is off: every Python process that is started there reads it, Wakeline's children too.
import datetime, os, time
OFF_S = int(os.environ["OFF_S"])
real, real_ns, right = time.time, time.time_ns, datetime.datetime
time.time = lambda: real() + OFF_S
time.time_ns = lambda: real_ns() + OFF_S * 1_000_000_000


class Shown(type):
    def __instancecheck__(cls, one):
        return isinstance(one, right)


class Off(right, metaclass=Shown):
    @classmethod
    def now(cls, tz=None):
        return right.now(tz) + datetime.timedelta(seconds=OFF_S)

    @classmethod
    def utcnow(cls):
        return right.utcnow() + datetime.timedelta(seconds=OFF_S)


datetime.datetime = Off
"""
SHOP = """
import os, time
from wakeline import App, AsyncCtx, Ctx, Limit
app = App(os.environ["SHOP"])
N = int(os.environ["N"])


def note(what: str) -> None:
    with open(os.environ["NOTES"], "a") as notes:
        notes.write(f"{what} {os.environ['WAKELINE_RELEASE']} {int(time.time())}\\n")


@app.engine(limit=Limit(concurrency=N))
def nightly(ctx: Ctx) -> None: ...


app.cron(f"0 {N} * * *", nightly)


@app.engine
async def naps(ctx: AsyncCtx, n: int) -> int:
    await ctx.step("before", note, f"before-{n}")
    await ctx.sleep("2s")
    await ctx.step("after", note, f"after-{n}")
    return int(ctx.now().timestamp() * 1000)


@app.engine(signals={"go": bool})
async def asks(ctx: AsyncCtx, n: int) -> bool:
    return await ctx.wait("go", bool, timeout="2s", default=False)


@app.tool(retries=2, backoff="1s")
def works(n: int) -> int:
    note(f"works-{n}")
    time.sleep(4)  # longer than a lease
    return n
"""


class Machines:
    """Machines with a clock each, on which workers of releases of a shop run."""

    def __init__(self, server: PrivateServer, folder: Path, exits: ExitStack) -> None:
        (folder / "sitecustomize.py").write_text(CLOCK)
        (folder / "clocks_shop.py").write_text(SHOP)
        self.notes = folder / "notes"
        self.notes.touch()
        self.name = f"clocks{os.getpid()}x{time.monotonic_ns()}"
        self.env = os.environ | {
            "WAKELINE_REDIS_URL": server.url,
            "SHOP": self.name,
            "NOTES": str(self.notes),
            "WAKELINE_APP": "clocks_shop:app",
            "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
            "WAKELINE_LEASE": "1s",
            "WAKELINE_BEAT": "300ms",
            "WAKELINE_HOLD": "0",
        }
        with pytest.MonkeyPatch.context() as here:
            for name, value in (self.env | {"N": "1", "WAKELINE_RELEASE": "v1"}).items():
                here.setenv(name, value)
            self.shop: Any = _loaded(folder / "clocks_shop.py")
        self.app: App = self.shop.app
        self._exits = exits
        exits.callback(self.app.close)

    @property
    def redis(self) -> Any:
        return self.app.store.client

    def servers_ms(self) -> int:
        seconds, micros = self.redis.time()
        return int(seconds) * 1000 + int(micros) // 1000

    def worker(self, release: int, *, off_ms: int) -> subprocess.Popen[bytes]:
        """A worker of a release that serves, on a machine whose clock is that far off."""
        before = self.redis.hlen(f"{{{self.name}}}:serves")
        env = self.env | {"N": str(release), "WAKELINE_RELEASE": f"v{release}", "OFF_S": str(off_ms // 1000)}
        running = subprocess.Popen([sys.executable, "-m", "wakeline_workers.cli", "worker"], env=env)
        self._exits.callback(lambda: leave(running) if running.poll() is None else None)
        until(lambda: self.redis.hlen(f"{{{self.name}}}:serves") == before + 1, "a worker")
        return running

    def start(self, body: str, n: int) -> Handle[Any]:
        handle: Handle[Any] = self.app.using(id=f"{body}-{n}").start(getattr(self.shop, body), n)
        return handle

    def in_force(self) -> str:
        """The release whose limit and whose schedule are in force."""
        found = self.app.store.execute(triggers.list_all())[1]
        limit = str(self.redis.hget(f"{{{self.name}}}:limits", "b:nightly"))
        return " ".join(
            f"v{n}" for n in (1, 2) if f'"c":{n}' in limit and found and found[0].schedule.expression == f"0 {n} * * *"
        )

    def took_ms(self, pid: str) -> int:
        """By the log of a process, whose dates are the server's: how long it was until its time came."""
        events = {event.type: event.at_ms for event in self.app.store.execute(processes.read(pid, count=100)).events}
        return events["process.resumed"] - events["process.started"]

    def noted(self) -> list[str]:
        return sorted(line.split()[0] for line in self.notes.read_text().splitlines())


def _loaded(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("clocks_shop", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def machines(server: PrivateServer, tmp_path: Path) -> Iterator[Machines]:
    with ExitStack() as exits:
        yield Machines(server, tmp_path, exits)


@pytest.mark.parametrize(
    ("old_ms", "new_ms"), [(HOUR_MS, -HOUR_MS), (-HOUR_MS, HOUR_MS)], ids=["the old one ahead", "the new one ahead"]
)
def test_a_deploy_over_machines_an_hour_apart_loses_nothing_and_the_servers_clock_decides(
    machines: Machines, old_ms: int, new_ms: int
) -> None:
    old = machines.worker(1, off_ms=old_ms)
    until(lambda: machines.in_force() == "v1", "the old release")
    long = machines.start("works", 1)
    parked = [machines.start("naps", 1), machines.start("asks", 1)]
    until(lambda: len(machines.noted()) == 2, "both run")
    new = machines.worker(2, off_ms=new_ms)
    until(lambda: machines.in_force() == "v2", "the newer release, by its first appearance")
    parked += [machines.start("naps", 2), machines.start("asks", 2)]
    owners = sorted(machines.redis.hkeys(f"{{{machines.name}}}:serves"))

    # No worker is taken for dead by the other one's clock: a body that is longer than a lease runs once. No timer is
    # early, and none an hour late.
    assert long.result(timeout=30) == 1
    moments = [handle.result(timeout=30) for handle in parked]
    assert moments[1::2] == [False, False]
    assert all(2_000 <= machines.took_ms(handle.id) < 12_000 for handle in parked)
    assert all(abs(machines.servers_ms() - moment) < 60_000 for moment in moments[::2])
    assert sorted(machines.redis.hkeys(f"{{{machines.name}}}:serves")) == owners
    assert machines.noted() == ["after-1", "after-2", "before-1", "before-2", "works-1"]
    assert all("ls" not in machines.app.store.execute(processes.read(handle.id)).fields for handle in (long, *parked))

    # A restart of the old release changes nothing, and a rollback does.
    leave(old)
    old = machines.worker(1, off_ms=old_ms)
    assert machines.in_force() == "v2"
    [schedule] = machines.app.store.execute(triggers.list_all())[1]
    assert schedule.due_ms == following(schedule.schedule, machines.servers_ms())
    leave(new)
    leave(old)
    machines.worker(1, off_ms=old_ms)
    until(lambda: machines.in_force() == "v1", "the rollback, by its return")


def test_the_clocks_of_the_machines_are_an_hour_off(machines: Machines) -> None:
    machines.worker(1, off_ms=-HOUR_MS)
    machines.start("naps", 1)
    until(lambda: len(machines.noted()) == 1, "a body there")
    [line] = machines.notes.read_text().splitlines()
    assert abs(int(line.split()[2]) * 1000 - (machines.servers_ms() - HOUR_MS)) < 60_000
