"""The command line renders views: what it prints as JSON is the JSON form of the value that an app gives."""

from __future__ import annotations

import json
from typing import Any

import pytest
from wakeline import App
from wakeline.observe.feed import item_data
from wakeline.observe.fleet import WorkerView
from wakeline.store import feed, owners, sessions
from wakeline.store.starts import SessionAddress
from wakeline_workers.cli.workers import lease

from tests.e2e.shop import Shop


def still(data: Any) -> Any:
    """JSON data without the moment at which it was looked at."""
    if isinstance(data, dict):
        return {name: still(value) for name, value in data.items() if name not in ("seen_ms", "clock_difference_ms")}
    return [still(one) for one in data] if isinstance(data, list) else data


def data_of(views: Any) -> Any:
    """The JSON form of views, as a reader of JSON gets it."""
    return still(json.loads(json.dumps([view.to_data() for view in views])))


def test_show_prints_the_view_of_a_process(busy: Shop) -> None:
    busy.text("start", "charge", "[1, 2]", "--id", "night-1", "--queue", "night")
    for pid in ("refund-7", "the-child", "parent-1", "deploy-1", "nap-1", "archive-1", "charge-1", "night-1"):
        assert [still(busy.json("show", pid))] == data_of([busy.app.handle(pid).view()])


def test_ps_and_waits_print_the_views_that_lists_give(busy: Shop) -> None:
    assert still(busy.json("ps")) == data_of(busy.app.processes())
    assert still(busy.json("ps", "--status", "queued")) == data_of(busy.app.processes("queued"))
    assert busy.json("waits") == data_of(busy.app.waits())


def test_events_prints_the_view_of_each_event(busy: Shop) -> None:
    printed = [json.loads(line) for line in busy.run("--json", "events", "refund-7").stdout.splitlines()]
    assert printed == data_of(busy.app.handle("refund-7").events())


def test_sessions_session_and_wakes_print_views(busy: Shop) -> None:
    busy.text("send", "clerk/u1", "hello")
    session = busy.app.session("clerk", "u1")
    assert busy.json("sessions") == data_of(busy.app.sessions())
    assert [busy.json("session", "clerk/u1")] == data_of([session.inspect()])
    assert busy.json("wakes", "clerk/u1") == data_of(session.wakes())
    busy.work()
    assert [busy.json("session", "clerk/u1")] == data_of([session.inspect()])
    assert busy.json("wakes", "clerk/u1") == data_of(session.wakes())
    session.delete()
    assert [busy.json("session", "clerk/u1")] == data_of([session.inspect()])


def test_queues_and_doctor_print_views(busy: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = busy.app.fleet()
    assert busy.json("queues") == data_of([*fleet.queues, *fleet.limits])
    asked = {release: busy.app.doctor(release=release) for release in (False, True)}
    assert (asked[False].ok, asked[True].ok) == (False, True)
    monkeypatch.setattr(App, "doctor", lambda _, *, release: asked[release])
    assert [still(busy.json("doctor", code=1))] == data_of([asked[False]])
    assert [still(busy.json("doctor", "--release"))] == data_of([asked[True]])


def test_triggers_prints_subscriptions_and_follow_items_in_their_own_form(shop: Shop) -> None:
    app = shop.app
    app.trigger("order.paid").subscribe(app.registry.tools["charge"])
    assert shop.json("triggers") == [one.to_data() for one in app.trigger("order.paid").subscriptions()]
    start = app.store.execute(feed.follow("clerk/u1", None)).cursor if shop.text("send", "clerk/u1", "a") else ""
    shop.text("send", "clerk/u1", "b")
    printed = shop.run("--json", "follow", "clerk/u1", "--after", start, "--most", "1").stdout
    assert json.loads(printed) == item_data(next(app.session("clerk", "u1").follow(start)))


def test_workers_prints_the_views_of_workers_those_that_live_first(shop: Shop) -> None:
    assert shop.json("workers") == []
    shop.app.store.execute(owners.register_owner("o_1", ["shop"], lease_ms=0))
    shop.app.store.execute(owners.register_owner("o_2", ["shop", "shop.night"], lease_ms=600_000))
    told = shop.json("workers")
    assert [(one["id"], one["alive"], one["queues"]) for one in told] == [
        ("o_2", True, ["shop", "shop.night"]),
        ("o_1", False, []),
    ]
    assert told == data_of(sorted(shop.app.fleet().workers, key=lambda one: one.id, reverse=True))
    lines = shop.text("workers").splitlines()
    assert [line.split()[:2] for line in lines] == [["o_2", "0"], ["o_1", "0"]]
    assert lines[0].endswith("shop, night")


@pytest.mark.parametrize(
    ("expires_ms", "said"),
    [
        (1_012_999, "12s left"),
        (1_000_001, "0s left"),
        (1_000_000, "over for 0s"),
        (820_000, "over for 3m"),
        (None, "RQ's own"),
    ],
)
def test_a_lease_is_said_in_whole_seconds(expires_ms: int | None, said: str) -> None:
    alive = expires_ms is None or expires_ms > 1_000_000
    worker = WorkerView("o_1", alive, expires_ms, 0, None, None, (), expires_ms is None)
    assert lease(worker, 1_000_000) == said


# -- why a queued process does not run


def test_ps_show_and_why_say_that_no_worker_is_alive(shop: Shop) -> None:
    shop.text("start", "charge", "[1, 2]", "--id", "charge-1")
    assert shop.text("ps").splitlines()[0].endswith("a worker: none is alive")
    lines = shop.text("show", "charge-1").splitlines()
    assert "waits for        a worker: none is alive; start `wakeline worker`" in lines
    shop.text("send", "clerk/u1", "hello")
    turn = shop.json("session", "clerk/u1")["turn"]
    told = f"turn {turn} is queued, and waits for a worker: none is alive; start `wakeline worker`;"
    assert shop.text("why", "clerk/u1") == f"{told} `wakeline show {turn}` says more\n"
    assert shop.text("why", "clerk/u1#1") == f"it waits in the inbox; {told} `wakeline show {turn}` says more\n"
    assert shop.text("session", "clerk/u1").splitlines()[-1].startswith(told)


def test_ps_and_show_say_that_no_worker_serves_the_queue_or_that_it_is_paused(shop: Shop) -> None:
    shop.app.store.execute(owners.register_owner("o_1", ["shop"], lease_ms=60_000))
    shop.text("start", "charge", "[1, 2]", "--id", "night-1", "--queue", "night")
    shop.text("start", "charge", "[1, 2]", "--id", "charge-1")
    rows = {line.split()[0]: line for line in shop.text("ps").splitlines()}
    assert rows["night-1"].endswith("a worker: none takes from queue shop.night")
    assert rows["charge-1"].split()[1:] == ["queued", "tool:charge", rows["charge-1"].split()[3]]
    way = "waits for        a worker: none takes from queue shop.night; start `wakeline worker -Q night`"
    assert way in shop.text("show", "night-1").splitlines()
    shop.text("queues", "pause", "shop")
    paused = "waits for        queue shop, which is paused; `wakeline queues resume shop` lets workers take again"
    assert paused in shop.text("show", "charge-1").splitlines()


# -- lists that are cut


def test_wakes_says_where_older_entries_that_wait_in_vain_are(shop: Shop) -> None:
    address = SessionAddress("robot/1", "robot", "shop", "salt0000")
    for n in range(4):
        shop.app.store.execute(sessions.send(address, json.dumps({"kind": "input", "input": n, "at_ms": 1})))
    cut = shop.run("wakes", "--undeliverable", "--limit", "3")
    assert [line.split()[1] for line in cut.stdout.splitlines()] == ["2", "3", "4"]
    assert cut.stderr == "wakeline: robot/1 has entries before 2; `wakeline wakes robot/1 --before 2` shows them\n"
    whole = shop.run("wakes", "--undeliverable", "--limit", "4")
    assert (len(whole.stdout.splitlines()), whole.stderr) == (4, "")
