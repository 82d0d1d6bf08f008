"""What doctor finds, and when it fails."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from wakeline import App
from wakeline.store import claims, fleet, ticks
from wakeline.store import owners as stored_owners
from wakeline.store.blocking import SyncStore
from wakeline.store.connection import FakeBackend

from tests.e2e.shop import Shop, ids, setting

# -- doctor


def found(shop: Shop, *words: str, code: int) -> dict[str, tuple[str, str]]:
    """Level and message of doctor's findings, the last of each code."""
    return {one["code"]: (one["level"], one["message"]) for one in shop.json("doctor", *words, code=code)["findings"]}


def listen(shop: Shop, owner: str, *queues: str, lease_ms: int = 60_000) -> None:
    """A worker start, as its supervisor registers it."""
    shop.app.store.execute(stored_owners.register_owner(owner, queues, lease_ms=lease_ms))


def test_doctor_of_an_idle_namespace_has_nothing_to_do(shop: Shop) -> None:
    report = shop.json("doctor")
    assert sorted(report) == ["findings", "namespace", "ok", "owners", "queues", "server", "threads_left_behind"]
    assert sorted(report["server"]) == [
        "aof",
        "clock_difference_ms",
        "eviction",
        "fsync",
        "limit_bytes",
        "product",
        "replicas",
        "role",
        "used_bytes",
        "version",
        "where",
    ]
    assert report["namespace"] == {
        "format": "1",
        "rq_prefix": "rq",
        "counts": {
            "queued": 0,
            "running": 0,
            "waiting": 0,
            "completed": 0,
            "failed": 0,
            "cancelled": 0,
            "abandoned": 0,
        },
        "timers": 0,
    }
    empty = {"waiting": 0, "running": 0, "paused": False, "limit": None, "length": 0, "idle": 0, "workers": []}
    assert report["queues"] == [{"name": "shop"} | empty, {"name": "shop.slow"} | empty]
    assert [sorted(one) for one in report["findings"]] == [
        ["code", "level", "message", "processes", "queues", "stops_release", "to_do", "what", "workers"]
    ] * len(report["findings"])
    assert report["ok"] is True
    lines = shop.text("doctor").splitlines()
    assert len(lines) == len(report["findings"]) - 1  # one line sums up both queues
    assert "ok       2 queues with 0 workers; `wakeline queues` lists them" in lines
    assert "ok       maxmemory-policy noeviction: nothing durable is ever evicted" in lines
    assert (
        "ok       AOF is on, appendfsync everysec: a crash of the server, or a power failure, loses up to 2 s of what"
        " was acknowledged" in lines
    )
    assert "note     primary without replicas: its disk is the only copy" in lines


def test_doctor_fails_for_work_without_a_worker_but_a_release_goes_on(shop: Shop) -> None:
    shop.text("start", "refund", "[7]", "--id", "refund-7")
    problem = "1 process and no worker alive: nothing runs and no timer fires; start `wakeline worker`; "
    problem += (
        "where one runs, it begins a worker process within 15 s after the last one died, and its log says of what"
    )
    assert found(shop, code=1)["workers"] == ("problem", problem)
    assert found(shop, "--release", code=0)["workers"] == ("problem", problem)
    listen(shop, "o_1", "shop")
    assert found(shop, code=0)["workers"] == ("ok", "1 worker alive, 0 running in them")
    assert shop.json("doctor")["queues"][0] == {
        "name": "shop",
        "waiting": 1,
        "running": 0,
        "paused": False,
        "limit": None,
        "length": 1,
        "idle": 0,
        "workers": ["o_1"],
    }


def test_doctor_names_the_queue_nobody_takes_from(shop: Shop) -> None:
    listen(shop, "o_1", "shop", "shop.slow")
    shop.text("start", "charge", "[1, 2]", "--id", "charge-1", "--queue", "night")
    assert found(shop, code=1)["queue"] == (
        "problem",
        "queue shop.night: 1 doorbell, 0 workers, 0 idle; no worker takes from it: start `wakeline worker -Q night`",
    )


def test_doctor_names_owners_that_expired(shop: Shop) -> None:
    listen(shop, "o_1", "shop", lease_ms=1)
    shop.text("start", "charge", "[1, 2]", "--id", "charge-1")
    shop.app.store.execute(claims.take("o_1", "r1", ["shop"], 1, lease_ms=1))
    time.sleep(0.01)
    seen = found(shop, code=1)
    assert seen["expired"] == (
        "warning",
        (
            "owner o_1 has not been heard of for 0 s and holds 1; nothing ticks: start `wakeline worker` or `wakeline"
            " clock`"
        ),
    )
    assert seen["workers"][1].startswith("1 process and no worker alive")
    listen(shop, "o_2", "shop")
    assert found(shop, code=0)["expired"][1].endswith("the next tick gives them away")
    owners = shop.json("doctor")["owners"]
    assert [(owner["id"], owner["alive"], owner["holds"]) for owner in owners] == [("o_1", False, 1), ("o_2", True, 0)]


def test_doctor_names_the_cause_of_doorbells_that_a_stock_worker_failed(shop: Shop) -> None:
    listen(shop, "o_1", "shop")
    shop.text("start", "charge", "[1, 2]", "--id", "charge-1")
    subprocess.run(
        [sys.executable, "-m", "rq.cli", "worker", "--burst", "--url", shop.url, "shop"],
        capture_output=True,
        check=False,
        timeout=60,
    )
    shop.app.store.execute(ticks.tick(beat_ms=2000, lease_ms=5000, stale_ms=0, retention_ms=10**9, tombstone_ms=10**9))
    assert found(shop, code=1)["doorbells"] == (
        "problem",
        (
            "no worker answers the doorbells of charge-1; RQ took them and failed: a stock worker needs `-S json`, and"
            " this app in WAKELINE_APP"
        ),
    )


def test_doctor_names_doorbells_that_were_popped_and_lost(shop: Shop) -> None:
    listen(shop, "o_1", "shop")
    shop.text("start", "charge", "[1, 2]", "--id", "charge-1")
    shop.redis.delete("rq:queue:shop")
    shop.app.store.execute(ticks.tick(beat_ms=2000, lease_ms=5000, stale_ms=0, retention_ms=10**9, tombstone_ms=10**9))
    assert (
        found(shop, code=1)["doorbells"][1]
        == "no worker answers the doorbells of charge-1; they were popped and lost, as a killed stock worker does, or"
        " the workers are behind: look at their logs"
    )


def test_doctor_names_code_that_is_not_here(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "old_release.py").write_text('from wakeline import App\napp = App("shop")\n')
    listen(shop, "o_1", "shop", "shop.slow")
    shop.text("start", "charge", "[1, 2]", "--id", "charge-1")
    shop.text("start", "refund", "[7]", "--id", "refund-7")
    shop.text("start", "refund", "[8]", "--id", "refund-8")
    shop.text("send", "clerk/u1", "hello")
    assert "code" not in found(shop, code=0)
    monkeypatch.chdir(tmp_path)
    report = shop.json("-A", "old_release:app", "doctor", code=1)
    missing = sorted(one["message"].partition(";")[0] for one in report["findings"] if one["code"] == "code")
    [turn] = ids(shop, "--kind", "session_turn")
    assert missing == [
        f"no code here for agent 'clerk', needed by {turn}",
        "no code here for engine 'refund', needed by refund-7, refund-8",
        "no code here for tool 'charge', needed by charge-1",
    ]


def test_doctor_stops_a_release_for_an_eviction_policy(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    with setting(shop, "maxmemory-policy", "allkeys-lru"):
        for words in ([], ["--release"]):
            assert found(shop, *words, code=1)["eviction"] == (
                "problem",
                "maxmemory-policy allkeys-lru loses durable work, and workers refuse to start; set noeviction",
            )
        sys.modules.pop("cli_app").app.close()
        monkeypatch.setenv("WAKELINE_ALLOW_EVICTION", "1")
        assert found(shop, "--release", code=0)["eviction"][0] == "warning"


def test_doctor_stops_a_release_that_is_older_than_the_keys(shop: Shop) -> None:
    shop.redis.hset("{shop}:meta", "format", "2")
    for words in ([], ["--release"]):
        assert found(shop, *words, code=1)["format"] == (
            "problem",
            "keys have format 2, this release writes 1; deploy a release that knows 2",
        )


def test_doctor_stops_a_release_when_redis_is_away(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAKELINE_REDIS_URL", "redis://127.0.0.1:1/0")
    assert shop.json("doctor", "--release", code=69)["error"]["code"] == "redis_unavailable"


def test_doctor_sees_another_rq_prefix(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.text("ps")
    sys.modules.pop("cli_app").app.close()
    monkeypatch.setenv("RQ_KEY_PREFIX", "other")
    assert found(shop, code=1)["rq_prefix"] == (
        "problem",
        "doorbells are under RQ prefix 'rq', this client uses 'other'; set RQ_KEY_PREFIX=rq everywhere",
    )


def test_doctor_reads_how_the_server_keeps_its_data(shop: Shop) -> None:
    with setting(shop, "appendfsync", "no"):
        assert found(shop, code=0)["aof"][0] == "warning"
    with setting(shop, "appendonly", "no"):
        assert found(shop, code=0)["aof"] == (
            "warning",
            "AOF is off: a restart of the server loses what happened since its last snapshot; set appendonly yes",
        )


def test_what_a_server_does_not_tell_is_not_known() -> None:
    app = App("shop", backend=FakeBackend())
    facts = fleet.server_facts(SyncStore(app.backend, app.address).info())
    assert facts == fleet.ServerFacts()
