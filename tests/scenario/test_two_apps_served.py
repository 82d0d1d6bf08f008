"""Two apps on one server, with names that read alike: each runs its own, and nothing of the other's."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from wakeline import App
from wakeline.errors import ProcessConflict, ProcessFailed
from wakeline.settings import Settings
from wakeline.store.connection import Backend

from tests.scenario.conftest import served


@pytest.fixture
def make(backend: Backend) -> Iterator[Callable[[str], App]]:
    """Makes apps on one server that is empty at first."""
    made: list[App] = []
    with backend.sync() as client:
        client.flushall()

    def app(namespace: str) -> App:
        made.append(App(namespace, backend=backend, settings=Settings(hold_ms=50, grace_ms=500)))
        return made[-1]

    yield app
    for one in made:
        one.close()


def who(app: App, queue: str | None = None) -> Any:
    @app.tool(name="who", queue=queue)
    async def who() -> str:
        return app.namespace

    return who


def test_one_id_in_two_apps_is_two_processes_and_each_is_run_by_its_own_workers(make: Callable[[str], App]) -> None:
    shop, bank = make("shop"), make("bank")
    started = [app.using(id="order-7").start(who(app)) for app in (shop, bank)]
    with served(bank):
        assert started[1].result(timeout=10) == "bank"
        assert started[0].status().status == "queued"
    with served(shop):
        assert started[0].result(timeout=10) == "shop"


def test_a_queue_of_one_app_and_the_namespace_of_another_may_read_alike(make: Callable[[str], App]) -> None:
    shop, slow = make("shop"), make("shop.slow")
    theirs, ours = who(slow), who(shop, "slow")
    with served(slow):
        waiting = [shop.using(id=f"p{i}").start(ours) for i in range(5)]
        assert slow.using(id="p0").start(theirs).result(timeout=10) == "shop.slow"
        assert [handle.status().status for handle in waiting] == ["queued"] * 5
        with served(shop):
            assert [handle.result(timeout=10) for handle in waiting] == ["shop"] * 5
            begun = time.monotonic()
            assert [shop.start(ours).result(timeout=10) for _ in range(20)] == ["shop"] * 20
            assert time.monotonic() - begun < 5  # nothing was taken by the other and rung again


def test_a_retry_is_never_a_process_that_was_started_under_its_id(app: App) -> None:
    @app.tool
    def fails(n: int) -> int:
        raise ValueError(n)

    first = app.using(id="job").start(fails, 1)
    with pytest.raises(ProcessFailed):
        first.result(timeout=10)
    own = app.using(id="job~r1").start(fails, 1)
    with pytest.raises(ProcessFailed):
        own.result(timeout=10)
    with pytest.raises(ProcessConflict, match="the retry of job"):
        first.retry()
    assert own.retry().id == "job~r2"
