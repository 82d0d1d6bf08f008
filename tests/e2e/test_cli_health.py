"""A probe asks whether the fleet can work: one line and an exit code, soon, however the server behaves."""

from __future__ import annotations

import socket
import subprocess
import sys
import time

import pytest
from wakeline.store import owners as stored_owners
from wakeline.store import ticks

from tests.e2e.listeners import closing, listening, saying
from tests.e2e.shop import MODULE, Shop, setting

LONG_MS = 600_000


def tick(shop: Shop, by: str) -> None:
    settings = shop.app.settings
    shop.app.store.execute(
        ticks.tick(
            beat_ms=settings.beat_ms,
            lease_ms=LONG_MS,
            stale_ms=settings.stale_ms,
            retention_ms=settings.retention_ms,
            tombstone_ms=settings.tombstone_ms,
            by=by,
        )
    )


def listen(shop: Shop, owner: str, *queues: str) -> None:
    shop.app.store.execute(stored_owners.register_owner(owner, queues, lease_ms=LONG_MS))


def test_nothing_that_ticks_is_unhealthy_and_the_line_says_what_to_start(shop: Shop) -> None:
    result = shop.run("health")
    told = "unhealthy: nothing ticks: start `wakeline worker`, or `wakeline clock` beside stock workers\n"
    assert (result.exit_code, result.stdout, result.stderr) == (1, told, "")


def test_a_fleet_that_ticks_is_healthy_and_workers_asks_for_one_on_each_queue(shop: Shop) -> None:
    tick(shop, "clock o_c")
    where = shop.app.backend.describe()
    assert shop.text("health") == f"healthy: {where} takes writes, a clock ticks, 0 workers of this app's queues\n"
    listen(shop, "o_a", "shop")
    lacking = shop.run("health", "--workers")
    told = "unhealthy: no worker takes from queue slow: start `wakeline worker`\n"
    assert (lacking.exit_code, lacking.stdout, lacking.stderr) == (1, told, "")
    listen(shop, "o_b", "shop.slow")
    assert shop.text("health", "--workers").endswith("2 workers of this app's queues\n")


def test_a_tick_of_long_ago_is_none(shop: Shop) -> None:
    tick(shop, "worker o_a")
    meta = f"{shop.app.store.address.prefix}meta"
    at, _, by = shop.redis.hget(meta, "ticked").partition(" ")
    shop.redis.hset(meta, "ticked", f"{int(at) - 9_000} {by}")
    assert shop.run("health").exit_code == 0
    shop.redis.hset(meta, "ticked", f"{int(at) - 30_000} {by}")
    result = shop.run("health")
    assert result.exit_code == 1
    assert result.stdout.startswith("unhealthy: nothing ticks for 30 s: ")


def test_json_has_the_verdict_and_the_facts(shop: Shop) -> None:
    tick(shop, "worker o_a")
    listen(shop, "o_a", "shop")
    found = shop.json("health", "--workers", code=1)
    assert (found["ok"], found["ticked_by"], found["workers"], found["unserved"]) == (False, "worker", 1, ["shop.slow"])
    assert found["message"] == f"unhealthy: {found['problems'][0]}"
    assert 0 <= found["ticked_ms_ago"] < 5_000


def test_a_server_that_takes_no_writes_exits_69(shop: Shop) -> None:
    tick(shop, "worker o_a")
    with setting(shop, "min-replicas-to-write", "3"):
        result = shop.run("health")
    assert (result.exit_code, result.stdout) == (69, "")
    assert result.stderr.startswith("wakeline: Redis takes no writes now: ")
    assert shop.run("health").exit_code == 0


def test_what_a_worker_would_refuse_is_unhealthy_and_no_wrong_usage(shop: Shop) -> None:
    tick(shop, "worker o_a")
    with setting(shop, "maxmemory-policy", "allkeys-lru"):
        shop.app.close()
        result = shop.run("health")
    assert (result.exit_code, result.stderr) == (1, "")
    assert result.stdout.startswith("unhealthy: Redis evicts keys (maxmemory-policy allkeys-lru)")


@pytest.mark.parametrize("kind", ["nobody listens", "hangs", "hangs up", "another protocol"])
def test_a_server_that_does_not_answer_exits_within_the_timeout(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    served = {"hangs": saying(b""), "hangs up": closing, "another protocol": saying(b"HTTP/1.1 400 Bad Request\r\n")}
    with listening(served.get(kind, closing)) as port:
        if kind == "nobody listens":
            with socket.create_server(("127.0.0.1", 0)) as free:
                port = free.getsockname()[1]
        monkeypatch.setenv("WAKELINE_REDIS_URL", f"redis://user:secret@127.0.0.1:{port}/0")
        began = time.monotonic()
        bare = subprocess.run([*MODULE, "version"], capture_output=True, timeout=30, check=True)
        starts_s = time.monotonic() - began
        began = time.monotonic()
        done = subprocess.run(
            [*MODULE, "health", "--timeout", "500ms"], capture_output=True, text=True, timeout=30, check=False
        )
        took_s = time.monotonic() - began
    assert bare.returncode == 0
    assert done.returncode == (1 if kind == "another protocol" else 69)
    assert "secret" not in done.stdout + done.stderr
    assert len((done.stdout + done.stderr).splitlines()) == 1
    assert took_s - starts_s < 2.0


def test_the_timeout_is_checked_and_the_command_loads_no_worker(shop: Shop) -> None:
    assert shop.run("health", "--timeout", "soon").exit_code == 2
    code = (
        "import sys\nfrom wakeline_workers.cli import main\ntry:\n    main()\nfinally:\n    print(sorted(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code, "health"], capture_output=True, text=True, check=False)
    assert "wakeline_workers.loop" not in done.stdout
