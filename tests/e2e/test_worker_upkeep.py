"""What keeps a fleet healthy: a worker that leaks is replaced, releases are told apart, a killed parent leaves no
server behind, a faster loop is used."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import redis
from wakeline import App
from wakeline.embedded import PrivateServer
from wakeline.settings import Settings
from wakeline_workers import child

from tests.e2e.sentinels import until
from tests.e2e.test_races import ROOT, leave

APP = """
import asyncio, os, time
from wakeline import App, AsyncCtx, Ctx
app = App(os.environ["SHOP"])
KEPT = []
@app.engine
def leaks(ctx: Ctx) -> int:
    KEPT.append(b"x" * (200 << 20))
    return os.getpid()
@app.engine
async def outlives(ctx: AsyncCtx) -> list[int]:
    first = await ctx.step("first", os.getpid)
    while os.path.exists(os.environ["STAY"]):
        await asyncio.sleep(0.05)
        await ctx.step("look", os.getpid)
        if os.getpid() != first:
            break
    return [first, os.getpid()]
@app.engine
async def sticks(ctx: AsyncCtx) -> int:
    marker = os.environ["STAY"] + ".stuck"
    if not os.path.exists(marker):
        open(marker, "w").close()
        KEPT.append(b"x" * (200 << 20))
        time.sleep(60)  # on the loop: nothing of this worker goes on, so it cannot leave
    return os.getpid()
@app.engine
def where(ctx: Ctx) -> int:
    return os.getpid()
"""


UVLOOP = """
import asyncio, os
def new_event_loop():
    open(os.environ["STAY"] + ".loop", "w").close()
    return asyncio.new_event_loop()
"""


class Shop:
    """An app, its workers' environment, and commands in it."""

    def __init__(self, server: PrivateServer, folder: Path) -> None:
        (folder / "upkeep_app.py").write_text(APP)
        (folder / "stay").touch()
        path = os.pathsep.join([str(folder), str(ROOT), os.environ.get("PYTHONPATH", "")])
        self.name = f"upkeep{os.getpid()}x{time.monotonic_ns()}"
        self.env = os.environ | {
            "WAKELINE_REDIS_URL": server.url,
            "SHOP": self.name,
            "WAKELINE_APP": "upkeep_app:app",
            "PYTHONPATH": path,
            "STAY": str(folder / "stay"),
        }
        self.app = App(self.name, settings=Settings.from_env(self.env))
        self.bodies: dict[str, object] = {"given": self.app}
        exec(APP.replace('App(os.environ["SHOP"])', "given"), self.bodies)  # noqa: S102 - the very text the workers import

    def worker(self, **env: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "wakeline_workers.cli", "worker"], env=self.env | env, stderr=subprocess.PIPE
        )

    def doctor(self) -> dict[str, str]:
        asked = [sys.executable, "-m", "wakeline_workers.cli", "--json", "doctor"]
        found = json.loads(subprocess.run(asked, env=self.env, capture_output=True, check=False).stdout)
        return {one["code"]: one["message"] for one in found["findings"]}


@pytest.fixture
def shop(server: PrivateServer, tmp_path: Path) -> Shop:
    return Shop(server, tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how much memory another process has")
def test_a_worker_that_grew_too_large_hands_its_work_back_and_is_replaced(shop: Shop) -> None:
    worker = shop.worker(WAKELINE_WORKER_MEMORY="190")
    try:
        beside = shop.app.start(shop.bodies["outlives"])
        until(lambda: beside.status().sequence > 0, "it runs")
        large = shop.app.start(shop.bodies["leaks"]).result(timeout=20)
        first, second = beside.result(timeout=30)
        assert (first == large, second != large) == (True, True)
        assert shop.app.start(shop.bodies["where"]).result(timeout=20) == second
    finally:
        leave(worker)
    assert worker.stderr is not None
    said = worker.stderr.read().decode()
    assert f"wakeline: worker {large} uses " in said
    assert "MB, more than WAKELINE_WORKER_MEMORY=190; it hands its work back and is replaced" in said
    assert "died" not in said
    shop.app.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how much memory another process has")
def test_a_large_worker_in_which_something_does_not_end_is_killed(shop: Shop) -> None:
    worker = shop.worker(WAKELINE_WORKER_MEMORY="190", WAKELINE_SHUTDOWN="1s")
    try:
        handle = shop.app.start(shop.bodies["sticks"])
        assert handle.result(timeout=30) == shop.app.start(shop.bodies["where"]).result(timeout=20)
    finally:
        leave(worker)
    assert worker.stderr is not None
    assert "died (signal SIGKILL)" in worker.stderr.read().decode()
    shop.app.close()


def test_releases_side_by_side_are_told_and_kept_with_what_they_ran(shop: Shop) -> None:
    workers = [shop.worker(WAKELINE_RELEASE="v41"), shop.worker(HEROKU_RELEASE_VERSION="v42")]
    try:
        until(lambda: "releases" in shop.doctor(), "two are told")
        assert shop.doctor()["releases"].startswith("releases run side by side: v41 (1 worker), v42 (1 worker);")
        leave(workers.pop(0))
        handle = shop.app.start(shop.bodies["where"])
        handle.result(timeout=20)
        assert handle.status().release == "v42"
        until(lambda: "releases" not in shop.doctor(), "one is not")
    finally:
        for worker in workers:
            leave(worker)
        shop.app.close()


@pytest.mark.skipif(sys.platform != "linux", reason="prctl(2)")
def test_a_killed_parent_leaves_no_private_server_behind() -> None:
    code = """
        import sys, time
        from wakeline.embedded import PrivateServer, find_server
        server = PrivateServer(find_server())
        print(server.url, flush=True)
        time.sleep(60)
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    url = parent.stdout.readline().decode().strip()
    with redis.Redis.from_url(url) as client:
        assert client.ping()
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()

        def gone() -> bool:
            try:
                return not client.ping()
            except redis.ConnectionError:
                return True

        until(gone, "the server is gone")


def test_uvloop_is_used_where_it_is_installed(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "uvloop.py").write_text(UVLOOP)
    worker = shop.worker()
    try:
        shop.app.start(shop.bodies["where"]).result(timeout=20)
    finally:
        leave(worker)
        shop.app.close()
    assert (tmp_path / "stay.loop").exists()
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert child.loop_factory() is None
