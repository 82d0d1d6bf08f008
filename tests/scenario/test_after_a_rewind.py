"""The store went back, or is another one: what clients and workers knew of it is not taken for what is there."""

from __future__ import annotations

from collections.abc import Iterator
from secrets import token_hex
from typing import Any

import pytest
from wakeline import App, AsyncCtx
from wakeline.settings import Settings
from wakeline.store.connection import Backend

from tests.scenario.conftest import served, until

BEAT_MS = 100


@pytest.fixture
def namespace() -> str:
    return "t" + token_hex(4)


@pytest.fixture
def desk(backend: Backend, namespace: str) -> Iterator[App]:
    """A client that looks ten times a second."""
    made = App(namespace, backend=backend, settings=Settings(beat_ms=BEAT_MS))
    yield made
    made.close()


def lose(app: App, *keys: str) -> None:
    """The last write of every client is gone, and these keys with it."""
    client: Any = app.store.client
    prefix = app.address.prefix
    for key in client.scan_iter(match=prefix + "acked:*"):
        client.hincrby(key, "n", -1)
    client.delete(*(prefix + key for key in keys))


def test_a_client_forgets_the_types_of_processes_of_a_namespace_that_is_gone(
    desk: App, backend: Backend, namespace: str
) -> None:
    @desk.engine(signals={"go": int})
    async def waits(ctx: AsyncCtx) -> int:
        return await ctx.wait("go", int)

    handle = desk.using(id="p").start(waits)
    handle.signal("go", 1)
    before = desk.store.secret
    client: Any = desk.store.client
    client.flushdb()
    until(lambda: desk.store.secret != before)
    assert desk.caller._types.get("p") is None

    other = App(namespace, backend=backend, settings=Settings(beat_ms=BEAT_MS))

    @other.engine(name="waits", signals={"stop": str})
    async def stops(ctx: AsyncCtx) -> str:
        return await ctx.wait("stop", str)

    other.using(id="p").start(stops)
    handle.signal("stop", "now")
    assert [event.type for event in handle.events()] == ["signal.stop"]
    other.close()


def test_a_worker_declares_its_schedules_again_where_they_are_lost_and_its_registration_is_not(desk: App) -> None:
    @desk.engine
    async def nightly(ctx: AsyncCtx) -> None:
        """At three."""

    desk.cron("0 3 * * *", nightly, name="nightly")
    client: Any = desk.store.client
    cron = desk.address.prefix + "cron"
    with served(desk):
        until(lambda: client.zrange(cron, 0, -1) == ["nightly"])
        until(lambda: client.exists(desk.address.prefix + "idle:" + desk.queues[0]) == 1)
        lose(desk, "cron", "schedule:nightly")
        until(lambda: client.zrange(cron, 0, -1) == ["nightly"])
        assert client.exists(desk.address.prefix + "schedule:nightly") == 1
