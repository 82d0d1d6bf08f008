"""Instruments in real workers, which find them by WAKELINE_INSTRUMENT: all that runs work tells them, and nothing that
they do changes the work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from wakeline.embedded import PrivateServer

from tests.e2e.shop import APPS, BIN
from tests.e2e.test_races import ROOT, Site, leave

RESULT = [1, 5, 10, 15, 9]


@pytest.fixture
def site(server: PrivateServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    settings = {
        "WAKELINE_REDIS_URL": server.url,
        "WAKELINE_APP": "told_app:app",
        "WAKELINE_LEASE": "1500ms",
        "WAKELINE_BEAT": "300ms",
        "WAKELINE_HOLD": "0",
        "TOLD_FOLDER": str(tmp_path),
        "PYTHONPATH": f"{APPS}{os.pathsep}{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(str(APPS))
    monkeypatch.delitem(sys.modules, "told_app", raising=False)
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    (tmp_path / "told").touch()
    import told_app

    yield Site(told_app, tmp_path / "told")
    told_app.app.close()


def command(kind: str, server: PrivateServer) -> list[str]:
    match kind:
        case "wakeline worker":
            return [sys.executable, "-m", "wakeline_workers.cli", "worker", "-n", "1"]
        case "rq worker":
            return [str(BIN / "rq"), "worker", "-S", "json", "--url", server.url, "told"]
        case _:
            return [
                *(str(BIN / "rq"), "worker", "-w", "wakeline_workers.worker.WakelineWorker"),
                *("--url", server.url, "told"),
            ]


KINDS = ["wakeline worker", "rq worker", "rq worker -w"]


def story(site: Site, kind: str, server: PrivateServer, instrument: str | None, last: str = "") -> list[dict[str, Any]]:
    """An order to its end and a turn, by a worker of this kind: what its instrument has written. ``last`` is the span
    that is exported before the worker is told to leave."""
    environment = os.environ | ({} if instrument is None else {"WAKELINE_INSTRUMENT": instrument})
    handle = site.app.start(site.bodies.order, 5)
    handle.signal("go", 9)
    site.app.session("clerk", "1").send("hello")
    running = subprocess.Popen(command(kind, server), env=environment)
    try:
        assert handle.result(timeout=60) == RESULT
        site.until(
            lambda: [entry.state for entry in site.app.session("clerk", "1").wakes()] == ["settled"], "the turn ends"
        )
        assert [message.content for message in site.app.session("clerk", "1").history()][-1] == ["hello"]
        spans = site.notes.parent / "spans"
        site.until(lambda: not last or (spans.exists() and last in spans.read_text()), "the child exports")
    finally:
        leave(running)
    return [json.loads(line) for line in site.notes.read_text().splitlines()]


@pytest.mark.parametrize("kind", KINDS)
def test_an_instrument_that_writes_a_file_is_told_by_all_that_runs_work(
    site: Site, server: PrivateServer, kind: str
) -> None:
    told = story(site, kind, server, "traced:both", "inside apart")
    of = {method: [one for one in told if one["told"] == method] for method in {one["told"] for one in told}}
    assert of.keys() == {"point", "script", "run", "effect", "stretch", "isolated"}
    outcomes = {(one["name"], one["outcome"]) for one in of["run"]}
    assert {("order", "completed"), ("helper", "completed"), ("order", "parked")} <= outcomes
    assert {one["outcome"] for one in of["run"]} <= {"completed", "parked"}
    effects = [one["name"] for one in of["effect"] if one["outcome"] == "completed"]
    assert sorted(name for name in effects if name in ("count", "triple", "call:charge")) == [
        "call:charge",
        "count",
        "triple",
    ], "each once, whatever was replayed"
    assert [(one["name"], one["outcome"]) for one in of["isolated"]] == [("apart", "completed")]
    workers = {one["pid"] for one in of["run"]}
    assert not {one["pid"] for one in of["isolated"]} & workers, "told in the child"
    assert {"claimed", "body_started", "finished", "beat", "tick"} <= {one["name"] for one in of["point"]}
    rows = [json.loads(line) for line in (site.notes.parent / "spans").read_text().splitlines()]
    spans, ids = Counter(name for name, _, _ in rows), {name: own for name, own, _ in rows}
    assert spans["process order"] == sum(one["name"] == "order" for one in of["run"]), "none is left in a batch"
    assert (spans["step count"], spans["execute_tool charge"], spans["process helper"] > 0) == (1, 1, True)
    assert [parent for name, _, parent in rows if name == "inside apart"] == [ids["execute_tool apart"]]


@pytest.mark.parametrize("kind", KINDS)
def test_with_an_instrument_that_raises_everywhere_work_comes_to_the_same(
    site: Site, server: PrivateServer, kind: str
) -> None:
    told = story(site, kind, server, "told_app:raises")
    assert {one["told"] for one in told} == {"point", "script", "run", "effect", "stretch", "isolated"}
    rows = site.app.processes("any")
    assert {row.status for row in rows} <= {"completed"}
    losses = [site.app.store.client.hget(f"{site.app.store.address.prefix}proc:{row.id}", "ls") for row in rows]
    assert set(losses) <= {None}, "no worker was lost"


def test_a_kill_point_kills_each_worker_and_the_process_goes_on(site: Site, server: PrivateServer) -> None:
    handle = site.app.start(site.bodies.helper, 5)
    environment = os.environ | {"WAKELINE_INSTRUMENT": "told_app:killed"}
    running = subprocess.Popen(command("wakeline worker", server), env=environment)
    try:
        assert handle.result(timeout=60) == 15
        losses = site.app.store.client.hget(f"{site.app.store.address.prefix}proc:{handle.id}", "ls")
    finally:
        leave(running)
    assert losses == "1"


WRONG = [
    ("nowhere:it", "No module named 'nowhere'", "Set WAKELINE_INSTRUMENT to module:attribute"),
    ("told_app:nothing", "has no attribute 'nothing'", "Set WAKELINE_INSTRUMENT to module:attribute"),
    ("told_app:no_instrument", "no_instrument is a int, not an Instrument", "Set WAKELINE_INSTRUMENT to"),
    ("told_app:FOLDER", "FOLDER is a PosixPath, not an Instrument", "Set WAKELINE_INSTRUMENT to module:attribute"),
    ("told_app:Site", "Site is a class of something else, not an Instrument", "Set WAKELINE_INSTRUMENT to"),
    ("told_app:Fails", "Fails is a class, and making one raised ValueError: no key", "It was found; correct it"),
    ("told_app", "no module and attribute around a colon", "Set WAKELINE_INSTRUMENT to module:attribute"),
    ("broken_instrument:it", "importing it raised ZeroDivisionError", "It was found; correct it"),
]


@pytest.mark.parametrize(("name", "reason", "advice"), WRONG)
@pytest.mark.parametrize("verb", ["worker", "clock"])
def test_what_serves_does_not_start_with_an_instrument_that_cannot_be_loaded_and_says_what_to_do(
    site: Site, tmp_path: Path, verb: str, name: str, reason: str, advice: str
) -> None:
    (tmp_path / "broken_instrument.py").write_text("1 / 0\n")
    environment = os.environ | {"WAKELINE_INSTRUMENT": name, "PYTHONPATH": f"{tmp_path}:{os.environ['PYTHONPATH']}"}
    words = [sys.executable, "-m", "wakeline_workers.cli", verb]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert f"No instrument at {name!r}: " in done.stderr and reason in done.stderr and advice in done.stderr
    assert "Traceback" not in done.stderr


def test_an_isolated_tool_does_without_an_instrument_that_its_child_cannot_load(
    site: Site, server: PrivateServer, tmp_path: Path
) -> None:
    (tmp_path / "one_port.py").write_text(
        "import sys\n"
        "from told_app import writes as it\n"
        "if 'wakeline_workers.isolated' in sys.orig_argv: raise OSError('its port is taken')\n"
    )
    handle = site.app.start(site.bodies.apart, 4)
    path = f"{tmp_path}:{os.environ['PYTHONPATH']}"
    environment = os.environ | {"WAKELINE_INSTRUMENT": "one_port:it", "PYTHONPATH": path}
    running = subprocess.Popen(command("wakeline worker", server), env=environment)
    try:
        assert handle.result(timeout=60) == 8
    finally:
        leave(running)


def test_a_stock_worker_that_cannot_load_what_it_needs_hands_the_process_back_with_the_reason_and_spends_nothing(
    site: Site, server: PrivateServer
) -> None:
    handle = site.app.start(site.bodies.helper, 2)
    bursts = [*command("rq worker", server)[:-1], "--burst", command("rq worker", server)[-1]]
    reasons: list[str] = []
    for broken in ({"WAKELINE_INSTRUMENT": "nowhere:it"}, {"WAKELINE_APP": "nowhere:app"}):
        site.until(lambda: site.app.store.client.llen("rq:queue:told") == 1, "it is offered")
        subprocess.run(bursts, env=os.environ | broken, timeout=60, check=True, capture_output=True)
        view = handle.view()
        assert (view.status, view.attempt, view.failed_attempts, view.losses) == ("queued", 1, 0, 0)
        assert view.because is not None
        reasons.append(view.because.what)
    assert reasons == [
        "code that fits (missing): No instrument at 'nowhere:it': No module named 'nowhere'. Set WAKELINE_INSTRUMENT to"
        " module:attribute of an object of a class below wakeline.extending.Instrument.",
        "code that fits (missing): No App at 'nowhere:app': No module named 'nowhere'. Name it as module:attribute with"
        " -A or WAKELINE_APP.",
    ]
    site.until(lambda: site.app.store.client.llen("rq:queue:told") == 1, "it is offered")
    subprocess.run(bursts, timeout=60, check=True, capture_output=True)
    assert (handle.result(timeout=20), handle.view().misfit) == (6, None)


def test_a_command_that_only_looks_needs_no_instrument(site: Site) -> None:
    environment = os.environ | {"WAKELINE_INSTRUMENT": "nowhere:it"}
    words = [sys.executable, "-m", "wakeline_workers.cli", "ps"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
