"""Redis dies in the middle of work and comes back on its data 12 s later, longer than any lease: work goes on by
itself, once."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from wakeline import App, Handle
from wakeline.embedded import PrivateServer, find_server
from wakeline.errors import RedisUnavailable
from wakeline.store import fleet, processes

APPS = Path(__file__).parent / "apps"
AWAY_S = 12
SOON_S = 4.5
"""How soon all is done after the return: half of it is what the bodies themselves still have to do."""
GIVES_UP_S = 6
"""By then a supervisor whose worker cannot start has seen five of them die in a row."""
BOUND_S = 3
"""Longest that a client call takes to say that no server answers."""


@dataclass
class Site:
    """A server of its own, worker processes, the app as a client sees it, and the notes of the bodies."""

    server: PrivateServer
    workers: subprocess.Popen[str]
    bodies: ModuleType
    notes: Path
    said: list[str]

    @property
    def app(self) -> App:
        found: App = self.bodies.app
        return found

    def noted(self) -> Counter[str]:
        return Counter(self.notes.read_text().splitlines())

    def fleet(self) -> fleet.StoredFleet:
        view: fleet.StoredFleet = self.app.store.execute(fleet.read_fleet(self.app.queues))
        return view

    def losses(self, handle: Handle[Any]) -> str | None:
        """Owners this process lost, as stored."""
        lost: str | None = self.app.store.execute(processes.read(handle.id)).fields.get("ls")
        return lost


def until(look: Callable[[], bool], what: str, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.02)


@pytest.fixture
def site(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    for name in [n for n in os.environ if n.startswith("WAKELINE_") and n != "WAKELINE_LOG_FORMAT"]:
        monkeypatch.delenv(name)
    notes = tmp_path / "notes"
    notes.touch()
    binary = find_server()
    assert binary is not None
    with PrivateServer(binary) as server:
        settings = {
            "WAKELINE_REDIS_URL": server.url,
            "WAKELINE_APP": "outage_app:app",
            "OUTAGE_NOTES": str(notes),
            "PYTHONPATH": str(APPS),
        }
        processes, quick = getattr(request, "param", (2, {}))
        for name, value in (settings | quick).items():
            monkeypatch.setenv(name, value)
        monkeypatch.syspath_prepend(str(APPS))
        monkeypatch.delitem(sys.modules, "outage_app", raising=False)
        import outage_app

        with working(processes) as (workers, said):
            yield Site(server, workers, outage_app, notes, said)
        outage_app.app.close()


@contextmanager
def working(processes: int) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """Worker processes under their supervisor, and what they say."""
    command = [sys.executable, "-m", "wakeline_workers.cli", "worker", "-n", str(processes), "-c", "16"]
    workers = subprocess.Popen(command, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said: list[str] = []
    errors = workers.stderr
    assert errors is not None
    reader = threading.Thread(target=lambda: said.extend(errors), daemon=True)
    reader.start()
    try:
        yield workers, said
    finally:
        workers.terminate()
        code = workers.wait(20)
        reader.join(5)
    assert code == 0, "".join(said)


def refused(call: Callable[[], Any]) -> None:
    """The call says within its bound that Redis does not answer."""
    began = time.monotonic()
    with pytest.raises(
        RedisUnavailable,
        match=r"Redis does not answer: .*Check that it runs and is reachable; the call may be repeated\.",
    ):
        call()
    assert time.monotonic() - began < BOUND_S


def test_work_goes_on_by_itself_after_redis_was_away_for_longer_than_a_lease(site: Site) -> None:
    app, bodies = site.app, site.bodies
    until(lambda: len(site.fleet().owners) == 2, "two workers")
    owners = {owner for owner, _, _ in site.fleet().owners}

    parked = app.using(id="parked", wake=app.session("clerk", "1")).start(bodies.waits, "parked")
    until(lambda: parked.status().status == "waiting", "a parked process")
    works = app.using(id="works").start(bodies.works, "works")
    works_async = app.using(id="works-async").start(bodies.works_async, "async")
    sleeps = app.using(id="sleeps").start(bodies.sleeps, "sleeps", 4)
    held = app.using(id="held").start(bodies.waits, "held")
    until(
        lambda: {"begin works.2", "begin async.2", "begin sleeps.before", "end held.before"} <= set(site.noted()),
        "steps under way",
    )
    gathers = app.using(id="gathers").start(bodies.gathers, 8)
    handles = [parked, works, works_async, sleeps, held, gathers]
    outcome: list[BaseException] = []

    def await_result() -> None:
        try:
            works.result(timeout=60)
        except BaseException as error:
            outcome.append(error)

    awaiting = threading.Thread(target=await_result)
    awaiting.start()
    until(lambda: "begin charge 0" in site.noted(), "a child under way")

    site.server.kill()
    gone = time.monotonic()

    # What clients ask for meanwhile is refused in time, and nothing of it happens.
    refused(lambda: app.using(id="late").start(bodies.waits, "late"))
    refused(lambda: parked.signal("go", 1, key="k1"))
    refused(lambda: works.result(timeout=60))
    refused(lambda: parked.status())
    refused(lambda: app.session("clerk", "1").send("hello", key="hello"))
    refused(lambda: next(iter(works.events(follow=True))))
    refused(lambda: asyncio.run(app.aio.handle("parked").signal("go", 1, key="k1")))
    awaiting.join(BOUND_S)
    assert [type(error) for error in outcome] == [RedisUnavailable]
    assert site.workers.poll() is None

    time.sleep(max(0.0, gone + AWAY_S - time.monotonic()))
    site.server.start()
    back = time.monotonic()

    # The same calls again, with the same ids and keys.
    late = app.using(id="late").start(bodies.waits, "late")
    assert app.using(id="late").start(bodies.waits, "late").id == late.id
    assert parked.signal("go", 1, key="k1") == parked.signal("go", 1, key="k1")
    held.signal("go", 2, key="k1")
    late.signal("go", 3, key="k1")
    assert app.session("clerk", "1").send("hello", key="hello") == app.session("clerk", "1").send("hello", key="hello")

    assert [handle.result(timeout=20) for handle in [*handles, late]] == [
        1, ["works.1", "works.2", "works.3"], ["async.1", "async.2", "async.3"], "sleeps.after", 2, sum(range(8)), 3
    ]  # fmt: skip
    assert time.monotonic() - back < SOON_S
    until(
        lambda: {m.role for m in app.session("clerk", "1").history()} == {"input", "wake", "agent"},
        "the session's turn",
    )
    time.sleep(0.5)  # a second, wrong, run would begin by now

    # Nothing ran twice, also not what was under way.
    steps = [f"{name}.{n}" for name in ("works", "async") for n in (1, 2, 3)]
    steps += [f"{name}.{part}" for name in ("parked", "held", "sleeps", "late") for part in ("before", "after")]
    noted = site.noted()
    assert {line: n for line, n in noted.items() if n > 1} == {}
    assert {line for line in noted if line.startswith("end ")} == {f"end {step}" for step in steps} | {
        f"end charge {n}" for n in range(8)
    }
    assert len([line for line in noted if line.startswith("key ")]) == 8

    # No owner was reaped, no work was lost, and nothing is left behind.
    view = site.fleet()
    assert {owner for owner, _, _ in view.owners} == owners
    assert {held for _, _, held in view.owners} == {0}
    assert [site.losses(handle) for handle in handles] == [None] * len(handles)
    assert not [line for line in site.said if "reaped" in line or "died" in line]
    assert {status: n for status, n in view.counts.items() if n} == {"completed": 15 + turns(noted)}
    assert [(queue.name, queue.length) for queue in view.queues] == [("outage", 0)]
    assert (view.timers, view.todo, view.queued) == (0, 0, ())
    assert leftovers(app) == []


@pytest.mark.parametrize("site", [(1, {"WAKELINE_LEASE": "1s", "WAKELINE_BEAT": "300ms"})], ids=[""], indirect=True)
def test_a_worker_that_dies_while_redis_is_away_is_replaced_and_its_work_goes_on(site: Site) -> None:
    handle = site.app.using(id="works").start(site.bodies.works, "works", 0.5)
    until(lambda: "begin works.2" in site.noted(), "a step under way")
    site.server.kill()
    [pid] = children_of(site.workers)
    os.kill(pid, signal.SIGKILL)
    time.sleep(GIVES_UP_S)
    assert site.workers.poll() is None, "".join(site.said)
    site.server.start()
    assert handle.result(timeout=20) == ["works.1", "works.2", "works.3"]
    noted = site.noted()
    assert (noted["end works.1"], noted["begin works.2"], noted["end works.2"], noted["end works.3"]) == (1, 2, 1, 1)


def children_of(process: subprocess.Popen[str]) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True)
    return [int(pid) for pid in found.stdout.split()]


def turns(noted: Counter[str]) -> int:
    return sum(n for line, n in noted.items() if line.startswith("turn "))


def leftovers(app: App) -> list[str]:
    """Keys that belong to work under way: RQ's jobs and executions, slots, mailboxes, hints to owners."""
    client: Any = app.store.client
    patterns = [
        "rq:job:*",
        "rq:execution*",
        "rq:wip:*",
        *(app.address.prefix + kind + ":*" for kind in ("slot", "waits", "mail", "owned")),
    ]
    return sorted(key for pattern in patterns for key in client.scan_iter(match=pattern, count=1000))
