"""A real server comes back without its last moments, or empty: clients and workers that ran find out within a beat, and
doctor says what is gone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import redis
from click.testing import CliRunner
from wakeline import App
from wakeline.embedded import PrivateServer, find_server
from wakeline.store import fleet
from wakeline.store.blocking import SyncStore
from wakeline_workers.cli import cli

pytestmark = pytest.mark.real
BEAT_S = 1.0
NOTICED_S = 1.5 * BEAT_S
"""A beat, and what a busy machine adds to it."""
BODIES = """
import os, time
from wakeline import App, AsyncCtx

app = App("back")

@app.engine(signals={"go": int})
async def waits(ctx: AsyncCtx) -> int:
    return await ctx.wait("go", int)

def write(text: str, seconds: float = 0.0) -> bool:
    with open(os.environ["BACK_TOKEN"], "w") as token:
        token.write(text)
    time.sleep(seconds)
    return True

@app.engine
async def naps(ctx: AsyncCtx) -> bool:
    return await ctx.step("nap", write, "naps", 0.5)

@app.engine
async def records(ctx: AsyncCtx, steps: int) -> bool:
    for n in range(steps):
        await ctx.step(f"s{n}", note, n)
    return True

def note(n: int) -> int:
    time.sleep(0.1)
    with open(os.environ["BACK_TOKEN"], "a") as token:
        token.write(f"{n}\\n")
    return n

@app.engine(signals={"go": int})
async def goes(ctx: AsyncCtx) -> list[int]:
    done = [await ctx.step("s0", note, 0)]
    done.append(await ctx.wait("go", int))
    done += [await ctx.step("s1", note, 1), await ctx.step("s2", note, 2)]
    await ctx.sleep(4)
    return [*done, await ctx.step("s3", note, 3)]

@app.engine
async def asks(ctx: AsyncCtx) -> bool:
    question = await ctx.approval("deploy", bool)
    await ctx.step("tell", write, question.token)
    return await question.wait()
"""


@dataclass
class Site:
    """A server of its own with copies of its data, and an app on it."""

    server: PrivateServer
    bodies: ModuleType
    folder: Path

    @property
    def app(self) -> App:
        found: App = self.bodies.app
        return found

    @property
    def data(self) -> Path:
        return Path(self.server._folder.name)

    def copy(self) -> None:
        """What a replica has, or a backup, or a disk: all that was written so far."""
        # While a disk is slow to sync, the server keeps what it writes for up to two seconds.
        with redis.Redis.from_url(self.server.url) as client:
            until(lambda: client.info("persistence")["aof_buffer_length"] == 0, "it is in the file")
        shutil.rmtree(self.folder / "copy", ignore_errors=True)
        shutil.copytree(self.data / "appendonlydir", self.folder / "copy")

    def crash(self, *, back: bool) -> float:
        """SIGKILL, and another start, on the copy or on what is there; when it answers again."""
        self.server.kill()
        if back:
            shutil.rmtree(self.data / "appendonlydir")
            shutil.copytree(self.folder / "copy", self.data / "appendonlydir")
        self.server.start()
        return time.monotonic()

    def told(self) -> fleet.StoredRewind | None:
        """What doctor reads."""
        store = SyncStore(self.app.backend, replace(self.app.address, only_looks=True))
        try:
            return store.execute(fleet.read_fleet([])).rewind
        finally:
            store.close()

    def noticed(self, since: float) -> fleet.StoredRewind:
        """What was found, within a beat."""
        while (found := self.told()) is None:
            assert time.monotonic() < since + NOTICED_S, "not within a beat"
            time.sleep(0.02)
        return found

    def acted(self) -> int:
        """How many steps have acted, as they noted outside the store."""
        token = self.folder / "token"
        return len(token.read_text().splitlines()) if token.exists() else 0

    def doctor(self) -> str:
        return CliRunner().invoke(cli, ["doctor"]).output


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    for name in [n for n in os.environ if n.startswith("WAKELINE_") and n != "WAKELINE_LOG_FORMAT"]:
        monkeypatch.delenv(name)
    (tmp_path / "back_app.py").write_text(BODIES)
    binary = find_server()
    assert binary is not None
    with PrivateServer(binary) as server:
        settings = {
            "WAKELINE_REDIS_URL": server.url,
            "WAKELINE_APP": "back_app:app",
            "WAKELINE_BEAT": "1s",
            "WAKELINE_LEASE": "4s",
            "BACK_TOKEN": str(tmp_path / "token"),
            "PYTHONPATH": str(tmp_path),
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, "back_app", raising=False)
        import back_app  # type: ignore[import-not-found]

        yield Site(server, back_app, tmp_path)
        back_app.app.close()


@contextmanager
def working(processes: int = 1) -> Iterator[list[str]]:
    """Workers under their supervisor, and what they say."""
    with saying("-m", "wakeline_workers.cli", "worker", "-n", str(processes)) as said:
        yield said


@contextmanager
def saying(*arguments: str) -> Iterator[list[str]]:
    """A program of Python until it is told to end, and its lines on standard error."""
    command = [sys.executable, *arguments]
    workers = subprocess.Popen(command, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said: list[str] = []
    errors = workers.stderr
    assert errors is not None
    reader = threading.Thread(target=lambda: said.extend(errors), daemon=True)
    reader.start()
    try:
        yield said
    finally:
        workers.terminate()
        workers.wait(20)
        reader.join(5)


def until(look: Any, what: str, seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.02)


@pytest.mark.parametrize("tail_s", [0.05, 0.1, 1.0, 3.0])
def test_a_client_finds_a_tail_of_any_length_gone_although_it_asks_for_nothing_more_and_no_worker_runs(
    site: Site, tail_s: float
) -> None:
    site.app.using(id="kept").start(site.bodies.waits)
    time.sleep(0.05)
    site.copy()
    site.app.using(id="lost").start(site.bodies.waits)
    site.app.using(id="lost-too").start(site.bodies.waits)
    time.sleep(tail_s)
    found = site.noticed(site.crash(back=True))
    assert (found.writes, found.clients, found.emptied) == (2, 1, False)
    assert 0 <= found.last_ms - found.first_ms < 1000
    assert "gone back by a crash, a failover or a restore: 2 acknowledged writes, answered from 20" in " ".join(
        site.doctor().split()
    )
    assert site.app.using(id="lost").start(site.bodies.waits).id == "lost"  # sent again, as the advice says
    site.app.start(site.bodies.waits)
    assert site.told() == found


@pytest.mark.parametrize("tail_s", [0.05, 0.1, 1.0])
def test_a_worker_finds_it_too_where_all_of_the_tail_was_its_own(site: Site, tail_s: float) -> None:
    # Another client, which looks once an hour.
    desk = App("back", settings=replace(site.app.settings, beat_ms=3_600_000))
    with working() as said:
        handle = desk.using(id="n").start(site.bodies.naps)
        until((site.folder / "token").exists, "it naps")
        site.copy()
        until(lambda: handle.status().status == "completed", "it is done")
        time.sleep(tail_s)
        found = site.noticed(site.crash(back=True))
        assert (found.writes >= 1, found.emptied) == (True, False)
        until(lambda: any("the store has gone back" in line for line in said), "the log says so", 3)
        assert handle.result(timeout=20) is True  # done again, from what is there
    desk.close()


def test_a_crash_that_loses_nothing_is_no_rewind(site: Site) -> None:
    with working() as said:
        handles = [site.app.start(site.bodies.waits) for _ in range(5)]
        until(lambda: all(handle.status().status in ("running", "waiting") for handle in handles), "they run")
        site.crash(back=False)
        for handle in handles:
            handle.signal("go", 1)
        assert [handle.result(timeout=20) for handle in handles] == [1] * 5
        time.sleep(2 * BEAT_S)
        assert site.told() is None
        assert "rewound" not in site.doctor()
    assert not [line for line in said if "gone back" in line or "emptied" in line]


def test_an_emptied_store_is_noticed_and_everybody_goes_on_in_the_new_namespace(site: Site) -> None:
    with working() as said:
        handle = site.app.using(id="w").start(site.bodies.waits)
        until(lambda: handle.status().status in ("running", "waiting"), "it runs")
        before = site.app.store.secret
        with redis.Redis.from_url(site.server.url) as client:
            client.flushall()
        found = site.noticed(time.monotonic())
        assert found.emptied
        until(lambda: site.app.store.secret != before, "the client knows the new secret", NOTICED_S)
        until(
            lambda: any("the store was emptied, or is another one now" in line for line in said), "the log says so", 3
        )
        assert "the store was found emptied, or another one in its place" in " ".join(site.doctor().split())
        token = site.folder / "token"
        asked = site.app.start(site.bodies.asks)
        until(lambda: token.exists() and token.read_text(), "a token of the new secret", 20)
        assert site.app.resolve(token.read_text(), True) is True
        assert asked.result(timeout=20) is True


RUNS, STEPS = 8, 12
LAST_STEPS = RUNS * 2
"""Of each run one may have acted and not been recorded yet, and one was recorded with what came before."""


def lines_of(said: list[str], text: str) -> list[str]:
    return [line for line in said if text in line]


def settled(site: Site) -> fleet.StoredRewind:
    """What was found once all who lost something have said so."""
    found = site.noticed(time.monotonic() + 4)
    while True:
        time.sleep(2 * BEAT_S)
        before, found = found, site.told() or found
        if found == before:
            return found


@pytest.mark.parametrize("how", ["emptied", "older"])
def test_workers_whose_registration_is_gone_say_what_they_lost_before_they_leave(site: Site, how: str) -> None:
    # Another client, which looks once an hour: only workers find out.
    desk = App("back", settings=replace(site.app.settings, beat_ms=3_600_000))
    for n in range(RUNS):
        desk.using(id=f"r{n}").start(site.bodies.records, 600)
    site.copy()
    with working(2) as said:
        until(lambda: site.acted() >= RUNS * STEPS, "they record", 30)
        before = site.acted()
        if how == "emptied":
            with redis.Redis.from_url(site.server.url) as client:
                client.flushall()
        else:
            site.crash(back=True)
        found = settled(site)
    desk.close()
    assert found.writes >= before - LAST_STEPS
    assert (found.clients >= 3, found.emptied) == (True, how == "emptied")  # two workers and the supervisor
    assert found.last_ms - found.first_ms >= 1000
    assert len(lines_of(said, "what ran here is stopped")) == 2
    assert lines_of(said, "Traceback") == []
    assert lines_of(said, "lost its lease, so nothing of it") == []
    assert len([line for line in lines_of(said, "wakeline.store the store ") if " ERROR " in line]) == found.clients


def test_a_job_of_a_stock_worker_says_what_it_lost_before_it_leaves(site: Site) -> None:
    desk = App("back", settings=replace(site.app.settings, beat_ms=3_600_000))
    desk.using(id="r").start(site.bodies.records, 600)
    with saying("-m", "rq.cli", "worker", "-S", "json", "--url", site.server.url, "back") as said:
        until(lambda: site.acted() >= STEPS, "it records", 30)
        before = site.acted()
        with redis.Redis.from_url(site.server.url) as client:
            client.flushall()
        found = settled(site)
    desk.close()
    assert (found.writes >= before - 2, found.emptied) == (True, True)
    assert len(lines_of(said, "the store was emptied, or is another one now: ")) == found.clients
    assert len(lines_of(said, "the leases of runs here are gone; these are stopped: r")) == 1


def test_runs_whose_steps_were_lost_under_a_live_worker_go_on_from_what_is_stored(site: Site) -> None:
    with working() as said:
        handles = [site.app.using(id=f"p{n}").start(site.bodies.goes) for n in range(RUNS)]
        until(lambda: site.acted() == RUNS, "they wait", 30)
        time.sleep(0.5)  # the beat that follows is in the copy too
        site.copy()
        for n, handle in enumerate(handles):
            handle.signal("go", n, key="k")
        until(lambda: site.acted() == 3 * RUNS, "they sleep in memory", 30)
        time.sleep(0.5)
        site.crash(back=True)
        for n, handle in enumerate(handles):
            handle.signal("go", 100 + n, key="k")  # sent again; meanwhile their sender wants another thing
        assert [handle.result(timeout=40) for handle in handles] == [[0, 100 + n, 1, 2, 3] for n in range(RUNS)]
        noted = sorted((site.folder / "token").read_text().split())
    assert noted == sorted(["0"] * RUNS + ["1", "2"] * 2 * RUNS + ["3"] * RUNS)
    assert [line for line in said if "mismatch" in line or "lost its lease" in line] == []
