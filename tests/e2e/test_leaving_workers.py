"""A real worker under a real SIGTERM, with bodies in the middle of their own code."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest
from wakeline import App
from wakeline.embedded import PrivateServer
from wakeline.settings import Settings
from wakeline.store import processes

from tests.e2e.sentinels import until
from tests.e2e.test_orphans import alive

APP = """
import asyncio, os, time
from pathlib import Path
from wakeline import App, AsyncCtx, AsyncTurn, Ctx
app = App(os.environ["SHOP"])
FOLDER = Path(os.environ["SHOP_FOLDER"])

def note(what: str) -> int:
    with open(FOLDER / "notes", "a") as notes:
        notes.write(f"{what} {os.getpid()}\\n")
    return os.getpid()

def told() -> bool:
    return (FOLDER / "told").exists()

@app.engine
async def returns(ctx: AsyncCtx) -> int:
    note("begun")
    while not told():
        await asyncio.sleep(0.02)
    return note("returns")

@app.engine
def returns_from_a_thread(ctx: Ctx) -> int:
    note("begun")
    while not told():
        time.sleep(0.02)
    return note("returns")

@app.engine
async def computes(ctx: AsyncCtx) -> int:
    if note("begun") and not (FOLDER / "again").exists():
        await asyncio.sleep(60)
    return os.getpid()

@app.engine
def computes_in_a_thread(ctx: Ctx) -> int:
    if note("begun") and not (FOLDER / "again").exists():
        time.sleep(60)
    return os.getpid()

@app.engine
def steps(ctx: Ctx) -> list[int]:
    return [ctx.step("first", first), ctx.step("second", note, "second")]

def first() -> int:
    note("begun")
    while not told():
        time.sleep(0.02)
    return note("first")

@app.agent("clerk")
async def clerk(turn: AsyncTurn) -> int:
    note("begun")
    while not told():
        await asyncio.sleep(0.02)
    return note("returns")
"""


class Shop:
    """An app, what its bodies noted, and the workers that run them."""

    def __init__(self, server: PrivateServer, folder: Path) -> None:
        (folder / "leaving_app.py").write_text(APP)
        self.folder = folder
        (folder / "notes").touch()
        name = f"leaving{os.getpid()}x{time.monotonic_ns()}"
        path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
        self.env = os.environ | {
            "WAKELINE_REDIS_URL": server.url,
            "WAKELINE_APP": "leaving_app:app",
            "SHOP": name,
            "SHOP_FOLDER": str(folder),
            "PYTHONPATH": path,
        }
        self.bodies: dict[str, Any] = {"given": App(name, settings=Settings.from_env(self.env))}
        exec(
            APP.replace('App(os.environ["SHOP"])', "given").replace('os.environ["SHOP_FOLDER"]', repr(str(folder))),
            self.bodies,
        )  # noqa: S102 - what workers import
        self.app: App = self.bodies["app"]

    def worker(self, shutdown: str, stderr: IO[bytes] | None = None) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "wakeline_workers.cli", "worker"],
            env=self.env | {"WAKELINE_SHUTDOWN": shutdown},
            stderr=stderr,
        )

    def noted(self, what: str) -> list[int]:
        """The processes that noted this."""
        return [
            int(line.split()[1]) for line in (self.folder / "notes").read_text().splitlines() if line.split()[0] == what
        ]

    def leaves_while_it_runs(self, start: Callable[[], Any], *, shutdown: str = "20s", tells: bool = True) -> Any:
        """Starts, sends SIGTERM to the worker in the middle of the body, tells the body to go on, and gives what was
        started once the worker is gone."""
        running = self.worker(shutdown)
        try:
            handle = start()
            until(lambda: self.noted("begun"), "the body is in the middle of its code")
            running.terminate()
            time.sleep(0.3)
            if tells:
                (self.folder / "told").touch()
            assert running.wait(30) == 0
        finally:
            running.kill()
            running.wait()
        return handle


@pytest.fixture
def leaving(server: PrivateServer, tmp_path: Path) -> Iterator[Shop]:
    made = Shop(server, tmp_path)
    yield made
    made.app.close()


@pytest.mark.parametrize("body", ["returns", "returns_from_a_thread"])
def test_an_engine_that_is_about_to_return_at_sigterm_ends_in_the_worker_that_runs_it(leaving: Shop, body: str) -> None:
    handle = leaving.leaves_while_it_runs(lambda: leaving.app.start(leaving.bodies[body]))
    assert (handle.status().status, [handle.result(timeout=1)]) == ("completed", leaving.noted("begun"))


def test_a_turn_that_is_about_to_return_at_sigterm_commits_in_the_worker_that_runs_it(leaving: Shop) -> None:
    session = leaving.app.session("clerk", "1")
    leaving.leaves_while_it_runs(lambda: session.send("hello"))
    assert [entry.state for entry in session.wakes()] == ["settled"]
    assert leaving.noted("begun") == leaving.noted("returns")


@pytest.mark.parametrize("body", ["computes", "computes_in_a_thread"])
def test_a_long_computation_is_handed_back_within_the_shutdown_time_and_spends_no_attempt(
    leaving: Shop, body: str
) -> None:
    told = time.monotonic()
    handle = leaving.leaves_while_it_runs(
        lambda: leaving.app.using(max_attempts=1).start(leaving.bodies[body]), shutdown="2s", tells=False
    )
    assert time.monotonic() - told < 15  # not for as long as it computes
    fields = leaving.app.store.execute(processes.read(handle.id)).fields
    assert (fields["st"], fields.get("at"), fields.get("ls")) == ("queued", None, None)
    (leaving.folder / "again").touch()
    running = leaving.worker("1s")
    try:
        [first, second] = [*leaving.noted("begun"), handle.result(timeout=15)]
    finally:
        running.terminate()
        running.wait(15)
    assert first != second


def test_a_step_that_is_in_flight_at_sigterm_ends_and_never_runs_again(leaving: Shop) -> None:
    handle = leaving.leaves_while_it_runs(lambda: leaving.app.start(leaving.bodies["steps"]))
    assert (handle.status().status, leaving.noted("second")) == ("queued", [])
    running = leaving.worker("1s")
    try:
        first, second = handle.result(timeout=15)
    finally:
        running.terminate()
        running.wait(15)
    assert ([first], [second]) == (leaving.noted("first"), leaving.noted("second"))
    assert first != second


@pytest.mark.parametrize("told_before", [False, True], ids=["while_it_serves", "while_it_leaves"])
@pytest.mark.parametrize("body", ["computes", "computes_in_a_thread"])
def test_a_worker_whose_supervisor_is_killed_hands_back_at_once_and_spends_neither_attempt_nor_loss(
    leaving: Shop, body: str, told_before: bool
) -> None:
    log = leaving.folder / "log"
    leaving.env["WAKELINE_BEAT"] = "100ms"
    with log.open("wb") as stderr:
        supervisor = leaving.worker("20s", stderr=stderr)
    try:
        handle = leaving.app.start(leaving.bodies[body])
        until(lambda: leaving.noted("begun"), "the body is in the middle of its code")
        [child] = leaving.noted("begun")
        if told_before:
            supervisor.terminate()
            time.sleep(0.5)
    finally:
        supervisor.kill()
        supervisor.wait()
    killed = time.monotonic()
    until(lambda: not alive(child), "the end of the orphan", 10)
    assert time.monotonic() - killed < 3
    fields = leaving.app.store.execute(processes.read(handle.id)).fields
    assert (fields["st"], fields.get("at"), fields.get("ls")) == ("queued", None, None)
    assert [
        line.partition("WARNING ")[2].split(":")[0] for line in log.read_text().splitlines() if "WARNING" in line
    ] == ["wakeline.worker the supervisor of this worker is gone, and with it its heartbeat"]
