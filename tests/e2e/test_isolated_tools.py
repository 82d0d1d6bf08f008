"""Tools in processes of their own, under a real worker: killed where a thread could not be, and they harm no other
work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from wakeline.embedded import PrivateServer
from wakeline.errors import ProcessCancelled, ProcessFailed

from tests.e2e.shop import APPS
from tests.e2e.test_races import ROOT, Site, leave


@pytest.fixture
def site(server: PrivateServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    settings = {
        "WAKELINE_REDIS_URL": server.url,
        "WAKELINE_APP": "isolated_app:app",
        "WAKELINE_GRACE": "700ms",
        "WAKELINE_ISOLATED": "2",
        "ISOLATED_FOLDER": str(tmp_path),
        "PYTHONPATH": f"{APPS}{os.pathsep}{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(str(APPS))
    monkeypatch.delitem(sys.modules, "isolated_app", raising=False)
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    import isolated_app

    notes = tmp_path / "notes"
    notes.touch()
    yield Site(isolated_app, notes)
    isolated_app.app.close()


@pytest.fixture
def worker(site: Site) -> Iterator[subprocess.Popen[bytes]]:
    running = subprocess.Popen([sys.executable, "-m", "wakeline_workers.cli", "worker", "-n", "1"])
    yield running
    leave(running)


def state(pid: int) -> str:
    """The letter of Linux for what a process does: T for one that is stopped, Z for one that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[-1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "Z"


def gone(pid: int) -> bool:
    return state(pid) == "Z"


def written(site: Site, name: str) -> str:
    path = site.notes.parent / name
    site.until(path.exists, name)
    time.sleep(0.05)
    return path.read_text()


@pytest.mark.usefixtures("worker")
def test_its_code_runs_in_a_child_that_is_kept_warm(site: Site) -> None:
    where = site.bodies.where
    first = site.app.start(where, 7).result(timeout=20)
    assert (first["cents"], first["attempt"], first["key"]) == (7, 1, 32)
    assert first["pid"] not in (os.getpid(), first["parent"])
    again = site.app.start(where, 8).result(timeout=20)
    assert (again["pid"], again["parent"]) == (first["pid"], first["parent"])


@pytest.mark.usefixtures("worker")
def test_a_body_calls_it_as_a_process_of_its_own_and_its_types_hold(site: Site) -> None:
    assert site.app.start(site.bodies.calls, 5).result(timeout=20) == [5, 5]
    kinds = sorted((row.kind, row.label) for row in site.app.processes("any"))
    assert kinds == [("calls", None), ("tool", "priced"), ("tool", "where")]
    assert site.app.start(site.bodies.priced, 9).result(timeout=20) == site.bodies.Price(cents=9)


@pytest.mark.usefixtures("worker")
def test_what_it_says_is_checked_while_it_waits(site: Site) -> None:
    handle = site.app.start(site.bodies.says, "hello")
    assert handle.result(timeout=20) == 5
    assert [event.payload for event in handle.events() if event.type == "log"] == [{"message": "hello"}]
    with pytest.raises(ProcessFailed) as failed:
        site.app.start(site.bodies.says_nonsense).result(timeout=20)
    assert failed.value.fields["failure_code"] == "undeclared_event"


@pytest.mark.usefixtures("worker")
def test_it_has_the_attachments_of_its_process(site: Site) -> None:
    handle = site.app.start(site.bodies.stores, "bytes")
    made = handle.result(timeout=20)
    assert site.app.attachments.get(made) == b"bytes"
    assert handle.attachments.list() == [made]


@pytest.mark.parametrize(
    ("how", "code", "words", "tries"),
    [
        ("exit", "tool_process_died", "exit code 7", 3),
        ("segv", "tool_process_died", "SIGSEGV", 3),
        ("sys.exit", "SystemExit", "enough", 3),
        ("circle", "KeyboardInterrupt", "KeyboardInterrupt", 3),
        ("deep", "RecursionError", "recursion", 3),
        ("final", "non_retryable", "no use", 1),
    ],
)
def test_whatever_it_does_to_its_process_the_worker_lives(
    site: Site, worker: subprocess.Popen[bytes], how: str, code: str, words: str, tries: int
) -> None:
    with pytest.raises(ProcessFailed) as failed:
        site.app.start(site.bodies.dies, how).result(timeout=30)
    assert failed.value.fields["failure_code"] == code
    assert words in failed.value.fields["failure_message"]
    assert written(site, "died").splitlines() == [how] * tries
    assert site.app.start(site.bodies.where, 1).result(timeout=20)["cents"] == 1
    assert worker.poll() is None


@pytest.mark.usefixtures("worker")
def test_a_timeout_kills_it(site: Site) -> None:
    began = time.monotonic()
    with pytest.raises(ProcessFailed) as failed:
        site.app.start(site.bodies.sleeps_too_long).result(timeout=20)
    assert (failed.value.fields["failure_class"], failed.value.fields["failure_code"]) == ("timeout", "tool_timeout")
    assert time.monotonic() - began < 10


@pytest.mark.usefixtures("worker")
def test_a_cancel_is_heard_and_after_the_grace_it_is_killed_with_all_it_started(site: Site) -> None:
    polite = site.app.start(site.bodies.waits_politely)
    written(site, "started")
    polite.cancel("asked")
    assert polite.result(timeout=20) == "left when asked"
    (site.notes.parent / "started").unlink()
    deaf = site.app.start(site.bodies.holds_the_interpreter)
    pids = [int(pid) for pid in written(site, "started").split()]
    deaf.cancel("asked")
    with pytest.raises(ProcessCancelled):
        deaf.result(timeout=20)
    site.until(lambda: all(map(gone, pids)), "the child and what it started are gone", 5)
    assert site.app.start(site.bodies.where, 1).result(timeout=20)["cents"] == 1


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("body", ["waits_politely", "holds_the_interpreter"])
def test_a_worker_that_is_killed_takes_its_children_along_and_the_call_runs_again(site: Site, body: str) -> None:
    handle = site.app.start(getattr(site.bodies, body))
    child = int(written(site, "started").split()[0])
    parent = int(Path(f"/proc/{child}/stat").read_text().split(")")[-1].split()[1])
    (site.notes.parent / "started").unlink()
    os.kill(parent, signal.SIGKILL)
    site.until(lambda: gone(child), "the child is gone", 5)
    again = int(written(site, "started").split()[0])
    assert again != child
    handle.cancel("asked")
    site.until(lambda: handle.status().status == ("completed" if body == "waits_politely" else "cancelled"), "it ends")


def test_a_worker_that_is_told_to_leave_hands_the_call_back(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAKELINE_SHUTDOWN", "1s")
    command = [sys.executable, "-m", "wakeline_workers.cli", "worker", "-n", "1"]
    first = subprocess.Popen(command)
    handle = site.app.start(site.bodies.waits_politely)
    child = int(written(site, "started"))
    os.kill(child, signal.SIGTERM)  # the platform's, to every process of the dyno: the worker decides when it goes
    (site.notes.parent / "started").unlink()
    first.terminate()
    assert first.wait(10) == 0
    assert gone(child)
    second = subprocess.Popen(command)
    try:
        written(site, "started")
        handle.cancel("asked")
        assert handle.result(timeout=20) == "left when asked"
        assert handle.status().status == "completed"
    finally:
        leave(second)


@pytest.mark.usefixtures("worker")
def test_it_may_leave_its_completion_to_somebody_else(site: Site) -> None:
    handle = site.app.start(site.bodies.pends)
    token = written(site, "token")
    site.until(lambda: handle.status().status == "waiting", "it waits")
    assert site.app.resolve(token, {"ok": 1})
    assert handle.result(timeout=20) == {"ok": 1}


def test_a_child_that_used_too_much_is_replaced(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAKELINE_ISOLATED_MEMORY", "200")
    worker = subprocess.Popen([sys.executable, "-m", "wakeline_workers.cli", "worker", "-n", "1"])
    try:
        pids: list[Any] = [site.app.start(site.bodies.leaks, mb).result(timeout=30) for mb in (1, 250, 1)]
        assert pids[0] == pids[1] != pids[2]
        site.until(lambda: gone(pids[0]), "the first child is gone", 5)
    finally:
        leave(worker)


def test_under_a_stock_worker_too(site: Site) -> None:
    handle = site.app.start(site.bodies.where, 3)
    command = [
        sys.executable,
        "-m",
        "rq.cli",
        "worker",
        "-S",
        "json",
        "--burst",
        "--url",
        os.environ["WAKELINE_REDIS_URL"],
        "isolated",
    ]
    subprocess.run(command, timeout=60, check=True, capture_output=True)
    assert handle.result(timeout=20)["cents"] == 3


def test_a_worker_whose_app_has_no_name_leaves_it_queued(site: Site) -> None:
    from tests.scenario.conftest import served, until

    handle = site.app.start(site.bodies.where, 1)
    site.app.target = None
    with served(site.app):
        until(
            lambda: (
                handle.status().sequence > 0
                or site.app.store.client.zcard(site.app.store.address.prefix + "timers") > 0
            )
        )
        assert handle.status().status == "queued"


def test_waiting_for_a_child_is_not_the_codes_time(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAKELINE_ISOLATED", "1")
    worker = subprocess.Popen([sys.executable, "-m", "wakeline_workers.cli", "worker", "-n", "1"])
    try:
        handles = [site.app.start(site.bodies.naps, 0.5) for _ in range(5)]
        assert [handle.result(timeout=30) for handle in handles] == ["rested"] * 5
    finally:
        leave(worker)


@pytest.mark.usefixtures("worker")
def test_a_child_that_died_between_two_calls_is_not_given_another(site: Site) -> None:
    first = site.app.start(site.bodies.where, 1).result(timeout=20)
    os.kill(first["pid"], signal.SIGKILL)
    site.until(lambda: gone(first["pid"]), "it is gone", 5)
    again = site.app.start(site.bodies.where, 2).result(timeout=20)
    assert (again["cents"], again["attempt"]) == (2, 1)
    assert again["pid"] != first["pid"]


def test_a_call_that_a_dying_child_took_and_did_not_begin_is_another_childs(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAKELINE_INSTRUMENT", "isolated_app:stops")
    worker = subprocess.Popen([sys.executable, "-m", "wakeline_workers.cli", "worker", "-n", "1"])
    asked, stopped = site.notes.parent / "stop", site.notes.parent / "stopped"
    pids: list[int] = []
    try:
        for cents in (1, 2):  # the first child has run nothing before, the second one has
            asked.touch()
            handle = site.app.start(site.bodies.where, cents)
            site.until(stopped.exists, "a child has the call", 20)
            pid = int(stopped.read_text())
            site.until(lambda pid=pid: state(pid) == "T", "it is stopped", 20)
            stopped.unlink()
            os.kill(pid, signal.SIGKILL)
            again = handle.result(timeout=20)
            assert (again["cents"], again["attempt"]) == (cents, 1)
            pids += [pid, again["pid"]]
    finally:
        leave(worker)
    assert pids[1] == pids[2]
    assert len(set(pids)) == 3


@pytest.mark.usefixtures("worker")
def test_while_its_children_cannot_start_it_waits_and_says_why_and_no_attempt_is_spent(site: Site) -> None:
    broken = site.notes.parent / "broken"
    broken.write_text("raises")
    handle = site.app.start(site.bodies.where, 3)

    def waits(why: str) -> bool:
        because = handle.view().because
        return because is not None and because.code == "misfit" and why in because.what

    head = "code that fits (missing): Tool 'where' runs in its own process, and that process "
    site.until(lambda: waits(f"{head}could not load its app. No App at 'isolated_app:app': importing it raised"), "why")
    broken.write_text("killed")
    site.until(lambda: waits(f"{head}ended before it had loaded its app: its process was ended by SIGKILL."), "how")
    view = handle.view()
    assert (view.status, view.attempt, view.failed_attempts, view.losses) == ("queued", 1, 0, 0)
    broken.unlink()
    assert handle.result(timeout=30)["attempt"] == 1
    assert handle.view().misfit is None


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize(("body", "words"), [("forks_and_dies", "SIGKILL"), ("closes_everything", "exit code 70")])
def test_a_child_of_which_half_is_gone_is_noticed(site: Site, body: str, words: str) -> None:
    with pytest.raises(ProcessFailed) as failed:
        site.app.start(getattr(site.bodies, body)).result(timeout=10)
    assert words in failed.value.fields["failure_message"]
    assert site.app.start(site.bodies.where, 1).result(timeout=20)["cents"] == 1


@pytest.mark.usefixtures("worker")
def test_what_an_ended_call_still_says_is_no_other_calls(site: Site) -> None:
    ended = site.app.start(site.bodies.leaves_a_thread)
    assert ended.result(timeout=20) == "done"
    other = site.app.start(site.bodies.naps, 0.8)
    assert other.result(timeout=20) == "rested"
    assert [event.type for handle in (ended, other) for event in handle.events() if event.type == "log"] == []


@pytest.mark.usefixtures("worker")
def test_what_it_raises_means_what_it_means_elsewhere(site: Site) -> None:
    assert site.app.start(site.bodies.again_later).result(timeout=20) == 2
    with pytest.raises(ProcessFailed) as failed:
        site.app.start(site.bodies.gives_up).result(timeout=20)
    assert (failed.value.fields["failure_class"], failed.value.fields["failure_code"]) == ("timeout", "tool_timeout")


@pytest.mark.usefixtures("worker")
def test_a_worker_leaves_calls_beyond_its_children_to_another_and_goes_on_with_other_work(site: Site) -> None:
    holds, folder = site.bodies.holds, site.notes.parent
    begun = [site.app.start(holds, name) for name in "ab"]
    site.until(lambda: all((folder / f"holds-{name}").exists() for name in "ab"), "two calls hold both children")
    left = [site.app.start(holds, name) for name in "cd"]
    second: subprocess.Popen[bytes] | None = None
    try:
        assert site.app.start(site.bodies.nothing).result(timeout=20) is None
        assert [call.status().status for call in left] == ["queued", "queued"]
        second = subprocess.Popen([sys.executable, "-m", "wakeline_workers.cli", "worker", "-n", "1"])
        site.until(lambda: all((folder / f"holds-{name}").exists() for name in "cd"), "the second worker has the rest")
        (folder / "go").touch()
        first, others = ({call.result(timeout=20) for call in some} for some in (begun, left))
        assert (len(first), len(others), first & others) == (1, 1, set())
    finally:
        (folder / "go").touch()
        if second is not None:
            leave(second)
