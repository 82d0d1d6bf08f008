"""`wakeline top`: queues, the longest runs and rates, live in a terminal of any width, for three round trips a look."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from wakeline.observe.top import TopView
from wakeline.store import owners
from wakeline.store.blocking import SyncStore
from wakeline.verbs import tops
from wakeline_workers.cli.tables import columns

from tests.e2e.shop import MODULE, Shop, until
from tests.e2e.terminals import Terminal, plain, shown_in
from tests.e2e.test_cli_ends import interrupted
from tests.e2e.test_cli_watch import LEFT, MOMENT


def seen(shop: Shop, most: int = 10) -> TopView:
    view: TopView = shop.app.run("test", tops.top(shop.app.queues, stale_ms=2_000, most=most))
    return view


@pytest.fixture
def served(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """A worker, and an engine that runs until the worker leaves."""
    monkeypatch.setenv("WAKELINE_SHUTDOWN", "1s")
    with shop.spawn("worker", "-n", "1") as worker:
        yield shop
        worker.send_signal(signal.SIGTERM)
        worker.communicate(timeout=30)


def test_once_as_json_is_the_view_and_the_rates_between_two_looks(busy: Shop) -> None:
    done = subprocess.Popen([*MODULE, "--json", "top", "--once", "--every", "3"], stdout=subprocess.PIPE, text=True)
    started = 0
    while done.poll() is None:  # between its two looks, whenever these are
        busy.text("start", "charge", "[1, 2]", "--id", f"more-{started}")
        started += 1
        time.sleep(0.05)
    told = json.loads(done.communicate(timeout=30)[0])
    assert sorted(told) == ["fleet", "oldest_ms", "rates", "running", "totals"]
    there = len(busy.app.processes(limit=1_000))
    assert there - started < told["totals"]["started"] <= there
    assert told["totals"]["completed"] == 1
    assert 1 < told["fleet"]["counts"]["queued"] <= started + 1
    assert 1 <= told["rates"]["started"] * 3.1 <= started  # of three seconds, and of what the looks took
    assert told["rates"]["failed"] == 0
    assert told["oldest_ms"]["shop"] > 0


def test_rates_are_those_between_two_looks_of_any_program(busy: Shop) -> None:
    def at(ms: int, **totals: int) -> TopView:
        fleet: Any = type("Fleet", (), {"now_ms": ms})()
        return TopView(fleet, {}, totals, ())

    before, after = at(1_000, started=10, failed=3), at(3_000, started=30, failed=2)
    assert after.rates_since(before) == {"started": 10.0, "failed": 0}
    assert before.rates_since(before) is None


def test_a_run_says_since_when_where_and_what_it_recorded_last(served: Shop) -> None:
    served.text("start", "grind", "[7]", "--id", "grind-7")
    [run] = until(lambda: seen(served).running)
    until(lambda: seen(served).running[0].last_effect is not None)
    [run] = seen(served).running
    assert (run.id, run.kind) == ("grind-7", "grind")
    assert "charge" in (run.last_effect or "")
    assert run.worker == served.app.handle("grind-7").status().owner
    lines = served.text("top", "--once", "--every", "0.2").splitlines()
    [row] = [line for line in lines if line.startswith("grind-7")]
    assert re.fullmatch(rf"grind-7 +\d+s +grind +{run.last_effect} +{run.worker}", row)


def test_those_that_run_longest_come_first_and_the_others_are_counted(served: Shop) -> None:
    for n in range(13):
        served.text("start", "grind", f"[{n}]", "--id", f"grind-{n}")
        until(lambda n=n: served.json("show", f"grind-{n}")["status"] == "running")
    assert [run.id for run in seen(served, most=3).running] == ["grind-0", "grind-1", "grind-2"]
    assert "3 more; `wakeline ps --status running` has all" in served.text("top", "--once", "--every", "0.2")


def test_a_look_takes_three_round_trips_however_much_there_is(served: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(20):
        served.text("start", "grind", f"[{n}]", "--id", f"grind-{n}")
    until(lambda: seen(served).fleet.counts["running"] == 20)
    rows = [{"order": n, "cents": n} for n in range(600)]
    served.app.start_many(served.app.registry.tools["charge"], rows, ids=[f"c-{n}" for n in range(600)])
    trips: list[int] = []
    exchange = SyncStore._exchanged

    def counted(store: SyncStore, client: Any, batch: Any) -> Any:
        if threading.current_thread() is threading.main_thread():  # others of this process keep connections alive
            trips.append(len(batch))
        return exchange(store, client, batch)

    monkeypatch.setattr(SyncStore, "_exchanged", counted)
    view = seen(served)
    assert len(view.running) == 10
    assert trips == [1, 3, 20]
    # Two lists of 256 ids at most, and 20 rows: a page of a few kilobytes.
    assert len(json.dumps([run.to_data() for run in view.running])) < 5_000


# -- in a terminal


def test_it_is_drawn_in_place_and_q_gives_the_terminal_back(served: Shop) -> None:
    with Terminal("top", "--every", "0.3", NO_COLOR="1") as terminal:
        before = terminal.modes()
        said = terminal.until("RUNNING NOW")
        assert "wakeline top  shop on redis://127.0.0.1:" in said
        served.text("start", "grind", "[7]", "--id", "grind-7")
        said = terminal.until("grind-7", after=len(said))
        frame = plain(terminal.until("per second  starts", after=len(said)).rpartition("\x1b[H")[2])
        assert "processes  running 1" in frame
        terminal.type("q")
        assert terminal.left(3) == 0
        assert terminal.read().endswith(LEFT)
        assert terminal.modes() == before


def test_ctrl_c_ends_it_with_130_and_the_terminal_is_as_before(busy: Shop) -> None:
    with Terminal("top") as terminal:
        before = terminal.modes()
        terminal.until("RUNNING NOW")
        terminal.type("\x03")
        assert terminal.left(3) == 130
        assert "Traceback" not in terminal.read()
        assert terminal.modes() == before


@pytest.mark.parametrize("width", [80, 40])
def test_no_line_is_wider_than_its_terminal(served: Shop, width: int) -> None:
    long = "grind-of-a-customer-with-a-long-name-7"
    served.text("start", "grind", "[7]", "--id", long)
    served.text("start", "charge", "[1, 2]", "--queue", "a-queue-of-a-long-name-for-the-night")
    until(lambda: seen(served).running)
    lines = shown_in(width, "top", "--once", "--every", "0.2", NO_COLOR="1")
    assert [line for line in lines if columns(line) > width and line != long] == []
    assert any(line.startswith(long) for line in lines)
    assert [line.split()[0] for line in lines if line.startswith(("QUEUE", "RUNNING"))] == ["QUEUE", "RUNNING"]
    for word in ("processes", "per second", "1 worker alive"):
        assert any(line.startswith(word) for line in lines), lines


# -- in a pipe


def test_in_a_pipe_it_is_printed_again_below_a_line_with_the_moment(busy: Shop) -> None:
    running = busy.spawn("top", "--every", "0.2")
    assert running.stdout is not None
    lines = [running.stdout.readline().rstrip("\n") for _ in range(40)]
    assert len([line for line in lines if MOMENT.fullmatch(line)]) >= 2
    assert interrupted(running)[0] == 130


def test_a_worker_that_is_gone_is_not_alive_and_a_queue_without_one_says_so(busy: Shop) -> None:
    busy.app.store.execute(owners.register_owner("o_1", ["shop"], lease_ms=0))
    lines = busy.text("top", "--once", "--every", "0.2").splitlines()
    assert any(line.startswith("0 workers alive, ") for line in lines)
    [row] = [line for line in lines if line.startswith("shop ")]
    assert row.endswith("no worker")
