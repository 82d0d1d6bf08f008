"""What a deploy that changes a setting means for what is in flight: the same code, real workers of the old setting and
of the new one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import redis
from wakeline import Handle
from wakeline.embedded import PrivateServer
from wakeline.errors import ProcessNoLongerRetained

from tests.e2e.shop import until
from tests.e2e.test_tools_redeclared import Site

CODE = """

@app.tool
def slow(n: int, seconds: float) -> int:
    note("in")
    time.sleep(seconds)
    note("out")
    return n


@app.engine(signals={"go": float})
async def order(ctx: AsyncCtx, n: int) -> int:
    return await ctx.call(slow, n, await ctx.wait("go"))
"""


class Deploys:
    """Two releases of the same code; a test gives each its setting."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.site, self._patch = Site(folder), patch
        self.code: ModuleType = self.site.release("v1", CODE)
        self.site.release("v2", CODE)

    def set(self, **settings: str) -> None:
        for name, value in settings.items():
            self._patch.setenv(f"WAKELINE_{name.upper()}", value)

    def started(self, number: int = 1) -> list[Handle[int]]:
        return [self.code.app.start(self.code.order, n) for n in range(number)]

    def noted(self) -> list[str]:
        return [line.split()[0] for line in self.site.notes.read_text().splitlines()]


@pytest.fixture
def deploys(server: PrivateServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deploys]:
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    for name, value in {
        "WAKELINE_REDIS_URL": server.url,
        "SHOP_NOTES": str(tmp_path / "notes"),
        "WAKELINE_SHUTDOWN": "2s",
    }.items():
        monkeypatch.setenv(name, value)
    made = Deploys(tmp_path, monkeypatch)
    yield made
    made.code.app.close()


def are(handles: list[Handle[int]], status: str) -> bool:
    return all(handle.status().status == status for handle in handles)


def test_workers_with_other_leases_leave_each_others_work_alone(deploys: Deploys) -> None:
    deploys.set(
        lease="60s", beat="20s", hold="0", concurrency="1"
    )  # full, it asks for nothing that would renew its lease
    [handle] = deploys.started()
    with deploys.site.worker("v1"):
        until(lambda: are([handle], "waiting"), 30)
        handle.signal("go", 8.0)
        until(lambda: deploys.noted() == ["in"], 30)
        deploys.set(lease="1s", beat="300ms")
        with deploys.site.worker("v2"):
            assert handle.result(timeout=30) == 0
    assert deploys.noted() == ["in", "out"]


def test_a_body_that_a_worker_keeps_in_memory_parks_as_it_leaves_and_goes_on_under_another_hold(
    deploys: Deploys,
) -> None:
    deploys.set(hold="1h")
    [handle] = deploys.started()
    with deploys.site.worker("v1"):
        until(lambda: are([handle], "running"), 30)
        time.sleep(3)
        assert handle.status().status == "running"
    assert handle.status().status == "waiting"
    deploys.set(hold="0")
    with deploys.site.worker("v2"):
        handle.signal("go", 0.0)
        assert handle.result(timeout=30) == 0
    assert deploys.noted() == ["in", "out"]


def test_with_less_concurrency_what_goes_on_takes_its_turn(deploys: Deploys) -> None:
    deploys.set(concurrency="8", hold="0")
    handles = deploys.started(5)
    with deploys.site.worker("v1"):
        until(lambda: are(handles, "waiting"), 30)
    for handle in handles:
        handle.signal("go", 0.2)
    deploys.set(concurrency="1")
    with deploys.site.worker("v2"):
        assert [handle.result(timeout=60) for handle in handles] == [0, 1, 2, 3, 4]
    assert deploys.noted() == ["in", "out"] * 5


def test_with_a_shorter_retention_what_has_ended_is_gone_and_what_lives_goes_on(deploys: Deploys) -> None:
    deploys.set(hold="0", retention="7d")
    ended, living = deploys.started(2)
    with deploys.site.worker("v1"):
        until(lambda: are([ended, living], "waiting"), 30)
        ended.signal("go", 0.0)
        assert ended.result(timeout=30) == 0
        time.sleep(2)
        assert ended.status().status == "completed"
        deploys.set(retention="1s", tombstone="1h")
        with deploys.site.worker("v2"):
            until(lambda: pruned(ended), 30)
            assert living.status().status == "waiting"
            living.signal("go", 0.0)
            until(lambda: deploys.noted() == ["in", "out"] * 2, 30)
            until(lambda: pruned(living), 30)


def pruned(handle: Handle[int]) -> bool:
    try:
        handle.status()
    except ProcessNoLongerRetained as gone:
        return gone.fields["status"] == "completed"
    return False
