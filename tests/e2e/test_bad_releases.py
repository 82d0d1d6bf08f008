"""Releases that are bad, with real workers: they cannot start, they end their workers, they lack what is stored. The
good ones beside them go on."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from wakeline import App, Handle
from wakeline.observe import Reason
from wakeline.processes.misfit import Misfit

from tests.e2e.shop import until
from tests.e2e.test_races import ROOT, leave
from tests.e2e.test_tools_redeclared import Site, site

__all__ = ["site"]

BODY = """
import signal, sys, threading
IN_WORKER = "wakeline_workers.child" in sys.orig_argv


def told(what):
    with open(os.environ["SHOP_NOTES"], "a") as notes:
        notes.write(f"{what} {os.getpid()}\\n")


@app.engine(name="order")
def order(ctx: Ctx, n: int) -> int:
    return n
"""
ENDS_ITS_WORKER = """

@app.engine(name="order")
def order(ctx: Ctx, n: int) -> int:
    import signal
    with open(os.environ["SHOP_NOTES"], "a") as notes:
        notes.write(f"died {os.getpid()}\\n")
    os.kill(os.getpid(), signal.SIGKILL)
"""
WAITS = """

@app.tool
def pay(n: int) -> int:
    told("paid")
    return n


@app.engine(name="waits", signals={"go": int})
def waits(ctx: Ctx, n: int) -> int:
    return ctx.call(pay, n) + ctx.wait("go", int)
"""
EXITS = """

@app.engine(name="order")
def order(ctx: Ctx, n: int) -> int:
    told("died")
    os._exit(3)


@app.engine(name="waits", signals={"go": int})
def waits(ctx: Ctx, n: int) -> int:
    told("died")
    os._exit(3)
"""
HOLDS = """

@app.engine(name="holds")
def holds(ctx: Ctx, n: int) -> int:
    told("began")
    while not (HERE / "go").exists():
        time.sleep(0.05)
    return n
"""
WAITS_APART = Reason(
    "apart",
    "a worker without other work: it was lost with its worker 2 times in a row, and may be why, so it runs with at"
    " most 3 others like it",
    "the log of the worker says how it died",
)
ROOM_FOR_ONE = """

def find_room():
    try:
        os.open(HERE / "room", os.O_CREAT | os.O_EXCL)
    except FileExistsError:
        told("failed")
        raise RuntimeError("no room for two") from None
    told("fits")


if IN_WORKER and not (HERE / "go").exists():
    find_room()
"""
SLOWLY_FAILS = """
if IN_WORKER:
    time.sleep(1.2)
    told("failed")
    raise RuntimeError("the disk is not there")
"""
DIES_BESIDE = """
if IN_WORKER:
    told("failed")
    threading.Timer(0, os.abort).start()
    time.sleep(0.5)
"""
KILLED_AT_FIRST = """
if IN_WORKER:
    with (HERE / "killed").open("a+") as killed:
        if killed.tell() < 6:
            killed.write("x")
            killed.flush()
            os.kill(os.getpid(), signal.SIGKILL)
"""


class Log:
    """A worker command of a release, with what it says in a file."""

    def __init__(self, site: Site, name: str, *words: str, **env: str) -> None:
        paths = os.pathsep.join(map(str, (site.folder / name, ROOT)))
        self.file = site.folder / f"{name}.{time.monotonic_ns()}.log"
        command = [sys.executable, "-m", "wakeline_workers.cli", "-A", "shop:app", "worker", *words]
        with self.file.open("w") as log:
            self.process = subprocess.Popen(
                command,
                env=os.environ | {"PYTHONPATH": paths, "WAKELINE_RELEASE": name} | env,
                stderr=log,
                cwd=site.folder / name,
            )

    @property
    def text(self) -> str:
        return self.file.read_text()


@contextmanager
def worker(site: Site, name: str, *words: str, **env: str) -> Iterator[Log]:
    log = Log(site, name, *words, **env)
    try:
        yield log
    finally:
        if log.process.poll() is None:
            leave(log.process)


def noted(site: Site, what: str) -> int:
    return sum(line.split()[0] == what for line in site.notes.read_text().splitlines())


def losses(app: App, pid: str) -> str | None:
    client: Any = app.store.client
    found: str | None = client.hget(f"{{shop}}:proc:{pid}", "ls")
    return found


def crashed(app: App, pid: str) -> int:
    """How often in a row a process lost its worker by the deploy's fault."""
    client: Any = app.store.client
    found = Misfit.from_json(client.hget(f"{{shop}}:proc:{pid}", "mf"))
    return 0 if found is None else found.looks


def told(site: Site, *words: str) -> tuple[int, str]:
    """What a command says, with the code of the bad release, and its exit code."""
    paths = os.pathsep.join(map(str, (site.folder / "v2", ROOT)))
    command = [sys.executable, "-m", "wakeline_workers.cli", "-A", "shop:app", *words]
    said = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True, check=False, timeout=60
    )
    return said.returncode, said.stdout


def done(handle: Handle[Any]) -> bool:
    return handle.status().status == "completed"


# -- what cannot start


def test_of_two_workers_one_cannot_start_and_the_other_goes_on_and_the_error_is_told_once(site: Site) -> None:
    good = site.release("v1", BODY, ROOM_FOR_ONE)
    with worker(site, "v1", "-n", "2") as log:
        until(lambda: noted(site, "failed") >= 6, 60)  # more often than what ends a supervisor of which nothing serves
        assert good.app.using(id="a").start(good.order, 1).result(timeout=20) == 1
        assert log.process.poll() is None
        assert noted(site, "fits") == 1
        assert losses(good.app, "a") is None
        site.go()
        until(lambda: good.app.store.client.zcard("{shop}:owners") == 2, 60)
        leave(log.process)
    assert log.process.returncode == 0
    assert log.text.count("Traceback") == 1
    assert log.text.count('raise RuntimeError("no room for two")') == 1
    assert log.text.count("raised RuntimeError at shop.py:") >= 6
    assert "could not start, one after the other; the next one starts in" in log.text


def test_a_slow_import_that_fails_ends_the_supervisor_after_five_starts_with_an_exit_code(site: Site) -> None:
    site.release("v1", BODY, SLOWLY_FAILS)
    with worker(site, "v1", "-n", "1") as log:
        assert log.process.wait(90) == 1
    assert noted(site, "failed") == 5
    assert log.text.count("Traceback") == 1
    assert "wakeline: 5 workers in a row could not start; the lines above say why" in log.text


def test_a_module_that_fails_in_one_of_two_commands_costs_the_other_nothing(site: Site) -> None:
    good = site.release("v1", BODY)
    (site.folder / "v2").mkdir()
    (site.folder / "v2" / "shop.py").write_text("from wakeline import App\napp = App('shop')\nundefined\n")
    with worker(site, "v1", "-n", "1"), worker(site, "v2", "-n", "1") as bad:
        assert bad.process.wait(30) == 2
        assert good.app.using(id="a").start(good.order, 1).result(timeout=20) == 1
        assert losses(good.app, "a") is None
    assert bad.text.count("importing it raised NameError at shop.py:3: name 'undefined' is not defined") == 1


def test_a_thread_of_a_module_that_ends_the_process_spends_nothing(site: Site) -> None:
    good = site.release("v1", BODY)
    bad = site.release("v2", BODY, DIES_BESIDE)
    handle = bad.app.using(id="a").start(bad.order, 1)
    with worker(site, "v2", "-n", "1") as log:
        assert log.process.wait(60) == 1
    assert (noted(site, "failed"), losses(good.app, "a"), handle.status().status) == (5, None, "queued")
    with worker(site, "v1", "-n", "1"):
        assert handle.result(timeout=30) == 1


def test_starts_that_are_killed_end_no_supervisor_and_the_first_that_is_not_serves(site: Site) -> None:
    good = site.release("v1", BODY, KILLED_AT_FIRST)
    handle = good.app.using(id="a").start(good.order, 1)
    with worker(site, "v1", "-n", "1") as log:
        assert handle.result(timeout=60) == 1
        assert log.process.poll() is None
    assert (site.folder / "killed").read_text() == "x" * 6
    assert log.text.count("died (signal SIGKILL)") == 6
    assert "could not start" not in log.text


# -- what ends its workers


def test_a_release_that_ends_its_workers_slows_down_and_abandons_nothing(site: Site) -> None:
    good = site.release("v1", BODY)
    bad = site.release("v2", ENDS_ITS_WORKER)
    handles = [bad.app.using(id=f"p{n}").start(bad.order, n) for n in range(3)]
    with worker(site, "v2", "-n", "1") as log:
        until(lambda: len(set(site.notes.read_text().split()[1::2])) >= 2, 60)
        time.sleep(10)  # at most so many die meanwhile, on a machine of any speed
        assert len(set(site.notes.read_text().split()[1::2])) <= 8
        until(lambda: "died soon after they started, one after the other; the next one starts in" in log.text, 60)
        assert log.process.poll() is None
    assert {handle.status().status for handle in handles} <= {"queued"}
    assert {losses(good.app, handle.id) for handle in handles} == {None}
    with worker(site, "v1", "-n", "1"):
        assert [handle.result(timeout=90) for handle in handles] == [0, 1, 2]
    assert {losses(good.app, f"p{n}") for n in range(3)} == {None}


def test_beside_a_release_that_ends_its_workers_the_good_one_does_all(site: Site) -> None:
    good = site.release("v1", BODY)
    site.release("v2", ENDS_ITS_WORKER)
    with worker(site, "v1", "-n", "1"), worker(site, "v2", "-n", "1"):
        until(lambda: good.app.store.client.zcard("{shop}:owners") >= 1, 30)
        handles = []
        for n in range(30):
            handles.append(good.app.using(id=f"p{n}").start(good.order, n))
            time.sleep(0.1)
        assert [handle.result(timeout=120) for handle in handles] == list(range(30))
    assert {handle.status().status for handle in handles} == {"completed"}


def test_a_release_that_crashes_at_its_first_take_spends_nothing_says_why_and_all_goes_on_with_a_good_one(
    site: Site,
) -> None:
    good = site.release("v1", BODY, WAITS)
    site.release("v2", BODY.split("@app.engine")[0], EXITS)
    fresh, parked, before = (
        good.app.using(id="fresh", max_attempts=1),
        good.app.using(id="parked", max_attempts=1),
        good.app.using(id="before"),
    )
    handles = [parked.start(good.waits, 1), before.start(good.order, 2)]
    with worker(site, "v1", "-n", "1"):
        assert handles[1].result(timeout=30) == 2
        until(lambda: handles[0].status().status == "waiting", 30)
    handles[0].signal("go", 5)
    handles.append(fresh.start(good.order, 3))
    client: Any = good.app.store.client
    with (
        worker(site, "v2", "-n", "1") as one,
        worker(site, "v2", "-n", "1") as two,
        worker(site, "v2", "-n", "1") as three,
    ):

        def often() -> bool:
            client.zadd(
                "{shop}:timers", {"d:fresh": 0, "d:parked": 0}, xx=True
            )  # what waits for its pause is offered now
            slower = any(
                "died soon after they started, one after the other; the next one starts in" in log.text
                for log in (one, two, three)
            )
            return (
                slower and noted(site, "died") >= 13 and min(crashed(good.app, pid) for pid in ("fresh", "parked")) >= 3
            )

        until(often, 120)
        assert [log.process.poll() for log in (one, two, three)] == [None, None, None]
    assert [(handle.status().status, losses(good.app, handle.id)) for handle in (handles[0], handles[2])] == [
        ("queued", None)
    ] * 2
    code, doctor = told(site, "doctor")
    assert code == 1
    assert "its worker died while release v2 ran it: worker " in doctor
    assert "code that fits (crash): worker " in told(site, "ps")[1]
    assert "its worker died while release v2 ran it: worker " in told(site, "show", "fresh")[1]
    with worker(site, "v1", "-n", "1"):
        assert [handle.result(timeout=60) for handle in handles] == [6, 2, 3]
    assert [client.hmget(f"{{shop}}:proc:{pid}", "ls", "at", "mf") for pid in ("fresh", "parked")] == [[None] * 3] * 2
    assert noted(site, "paid") == 1


def test_innocents_that_were_lost_twice_run_side_by_side_and_say_why_they_wait_and_keep_no_worker_for_long(
    site: Site,
) -> None:
    release = site.release("v1", BODY, HOLDS)
    with worker(site, "v1", "-n", "1"):
        assert release.app.start(release.order, 1).result(timeout=30) == 1
        client: Any = release.app.store.client
        until(lambda: client.zrange("{shop}:proven", 0, -1) == ["v1"], 10)
        handles = [release.app.using(id=f"p{n}").start(release.holds, n) for n in range(12)]
        for began in (12, 24):
            until(lambda began=began: noted(site, "began") == began, 30)
            os.kill(int(site.notes.read_text().split()[-1]), signal.SIGKILL)
        until(lambda: WAITS_APART in [handle.view().because for handle in handles], 30)
        until(lambda: noted(site, "began") >= 28, 30)
        until(lambda: noted(site, "began") == 36, 60)  # in the same worker, though none of them has ended
        assert len({line.split()[1] for line in site.notes.read_text().splitlines()[-12:]}) == 1
        fresh = release.app.start(release.order, 2)
        assert fresh.result(timeout=60) == 2  # beside them, once they have outlived their moment
        site.go()
        assert [handle.result(timeout=30) for handle in handles] == list(range(12))
    assert {losses(release.app, f"p{n}") for n in range(12)} <= {"2", None}


def test_each_death_counts_for_a_body_that_ends_its_worker_where_its_release_did_other_work(site: Site) -> None:
    release = site.release("v1", BODY.split("@app.engine")[0], WAITS, ENDS_ITS_WORKER)
    site.release("v2", BODY.split("@app.engine")[0], WAITS, ENDS_ITS_WORKER)  # what the commands know
    with worker(site, "v1", "-n", "1") as log:
        parked = release.app.using(id="parked").start(release.waits, 1)
        until(lambda: parked.status().status == "waiting", 30)
        client: Any = release.app.store.client
        until(lambda: client.zrange("{shop}:proven", 0, -1) == ["v1"], 10)
        release.app.using(id="poison").start(release.order, 1)
        until(lambda: (losses(release.app, "poison") or "0") >= "3", 60)
        until(lambda: release.app.handle("poison").status().runs_again_ms is not None, 30)
        code, doctor = told(site, "doctor")
        assert code == 1
        assert re.search(
            r"problem  poison was lost with its worker \d times in a row, and runs again apart from others"
            r" (in \d+ s|now); after the eleventh",
            doctor,
        )
        until(
            lambda: (
                re.search(
                    r"its next run, alone (in \d+ s|now): it was lost with its worker \d times", told(site, "ps")[1]
                )
                is not None
            ),
            30,
        )
        until(
            lambda: (
                re.search(
                    r"waits for +its next run, alone (in \d+ s|now): it was lost with its worker \d times in a row",
                    told(site, "show", "poison")[1],
                )
                is not None
            ),
            30,
        )
    assert re.search(r"worker \d+ died \(.*\); 1 process handed on: poison\n", log.text)
    assert (crashed(release.app, "poison"), noted(site, "died") >= 3) == (0, True)


def test_the_release_of_a_stock_worker_is_proven_by_its_job(site: Site) -> None:
    release = site.release("v1", BODY)
    handle = release.app.start(release.order, 1)
    paths = os.pathsep.join(map(str, (site.folder / "v1", ROOT)))
    env = os.environ | {"PYTHONPATH": paths, "WAKELINE_RELEASE": "v1", "WAKELINE_APP": "shop:app"}
    command = [
        sys.executable,
        "-m",
        "rq.cli",
        "worker",
        "--url",
        os.environ["WAKELINE_REDIS_URL"],
        "--burst",
        "-S",
        "json",
        "shop",
    ]
    subprocess.run(command, env=env, check=True, timeout=60)
    client: Any = release.app.store.client
    assert (handle.result(timeout=1), client.zrange("{shop}:proven", 0, -1)) == (1, ["v1"])
