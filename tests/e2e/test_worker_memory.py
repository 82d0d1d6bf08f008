"""A real worker process after thousands of runs: as large as before them, and nothing of them alive in it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, cast

import pytest
from wakeline import App
from wakeline.embedded import PrivateServer
from wakeline.settings import Settings
from wakeline_workers.supervisor import memory_mb

from tests.e2e.test_races import ROOT, leave

pytestmark = pytest.mark.real
RUNS = 5_000
AT_ONCE = 250
KINDS = ("steps", "blocks", "fails", "naps")
APP = """
import asyncio, gc, os, weakref
from wakeline import App, AsyncCtx, Ctx
app = App(os.environ["SHOP"])
class Data:
    def __init__(self): self.bytes = bytearray(100_000)
live = weakref.WeakSet()
def data():
    one = Data(); live.add(one); return one
@app.engine
async def steps(ctx: AsyncCtx, n: int) -> int:
    mine = data()
    return await ctx.step("size", lambda: len(mine.bytes))
@app.engine
def blocks(ctx: Ctx, n: int) -> int:
    mine = data()
    return ctx.step("size", lambda: len(mine.bytes))
@app.engine
async def fails(ctx: AsyncCtx, n: int) -> int:
    mine = data()
    raise ValueError(len(mine.bytes))
@app.engine
async def naps(ctx: AsyncCtx, n: int) -> int:
    mine = data()
    await ctx.sleep("1ms")
    return len(mine.bytes)
@app.tool
async def alive() -> int:
    gc.collect()
    return len(live)
@app.tool
async def pid() -> int:
    return os.getpid()
"""


class Kept:
    """The app as its worker has it, and a worker of it."""

    def __init__(self, server: PrivateServer, folder: Path) -> None:
        (folder / "kept_app.py").write_text(APP)
        name = f"kept{os.getpid()}x{time.monotonic_ns()}"
        path = os.pathsep.join([str(folder), str(ROOT), os.environ.get("PYTHONPATH", "")])
        self.env = os.environ | {
            "WAKELINE_REDIS_URL": server.url,
            "SHOP": name,
            "WAKELINE_APP": "kept_app:app",
            "PYTHONPATH": path,
            "WAKELINE_LOG": "ERROR",
        }
        self.app = App(name, settings=Settings.from_env(self.env))
        self.bodies: dict[str, Any] = {"given": self.app}
        exec(APP.replace('App(os.environ["SHOP"])', "given"), self.bodies)  # noqa: S102 - the very text the worker imports

    def worker(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-m", "wakeline_workers.cli", "worker"], env=self.env)

    def ask(self, tool: str) -> int:
        """What a tool of the worker says."""
        return int(self.app.start(self.bodies[tool]).result(timeout=30))

    def run(self, n: int) -> None:
        """So many runs, some hundreds at once, of every kind in turn."""
        client, prefix = cast("Any", self.app.store.client), self.app.store.address.prefix
        for first in range(0, n, AT_ONCE):
            self.app.start_many(self.bodies[KINDS[first // AT_ONCE % len(KINDS)]], [{"n": k} for k in range(AT_ONCE)])
            end = time.monotonic() + 60
            while sum(client.zcard(f"{prefix}idx:{status}") for status in ("queued", "running", "waiting")):
                assert time.monotonic() < end, "they did not end"
                time.sleep(0.02)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how much memory another process has")
def test_a_worker_that_ran_thousands_with_100_kb_each_is_as_large_as_before(
    server: PrivateServer, tmp_path: Path
) -> None:
    kept = Kept(server, tmp_path)
    running = kept.worker()
    try:
        worker = kept.ask("pid")
        kept.run(1_000)  # threads, pools and caches have their size then
        before = memory_mb(worker)
        kept.run(RUNS)
        after = memory_mb(worker)
        assert before is not None and after is not None
        assert (kept.ask("alive"), kept.ask("pid")) == (0, worker)
        assert after - before < 40, f"{before} MB before, {after} MB after 500 MB went through"
    finally:
        leave(running)
        kept.app.close()
