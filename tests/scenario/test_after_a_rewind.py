"""The store went back, or is another one: what clients and workers knew of it is not taken for what is there."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from secrets import token_hex
from typing import Any

import pytest
from wakeline import App, AsyncCtx, AsyncTurn
from wakeline.errors import EntryNotFound, ProcessNotFound
from wakeline.settings import Settings
from wakeline.store.connection import Backend

from tests.lua.world import World
from tests.races.test_races_of_claims import rewind
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


@pytest.fixture
def world(desk: App, backend: Backend) -> World:
    """Its namespace, to be damaged."""
    return World(backend, None, desk.name, desk.store)  # type: ignore[arg-type]


LONG_MS = 60_000
"""A hold that no test waits for."""


@pytest.fixture
def holding(backend: Backend, namespace: str) -> Iterator[App]:
    """An app whose bodies stay in memory while they wait."""
    made = App(namespace, backend=backend, settings=Settings(beat_ms=BEAT_MS, hold_ms=LONG_MS))
    yield made
    made.close()


def steps_of(app: App) -> tuple[Any, list[str]]:
    """An engine that waits between steps, and what its steps did."""
    acted: list[str] = []

    @app.engine(signals={"go": int, "on": int})
    async def goes(ctx: AsyncCtx) -> int:
        await ctx.step("a", acted.append, "a")
        first = await ctx.wait("go", int)
        await ctx.step("b", acted.append, f"b{first}")
        second = await ctx.wait("on", int)
        await ctx.step("c", acted.append, f"c{second}")
        return first + second

    return goes, acted


def test_a_run_whose_steps_were_lost_while_it_waits_goes_on_from_what_is_stored(holding: App, world: World) -> None:
    goes, acted = steps_of(holding)
    with served(holding):
        handle = holding.using(id="p").start(goes)
        until(lambda: world.field("o:" + group_of(world)) == "1")
        replica = world.snapshot()
        handle.signal("go", 1, key="k")
        until(lambda: acted == ["a", "b1"] and len(world.journal()) == 3)
        rewind(world, replica)
        handle.signal("go", 2, key="k")  # the sender sends it again; meanwhile it has changed its mind
        until(lambda: acted == ["a", "b1", "b2"])
        handle.signal("on", 10)
        assert handle.result(timeout=10) == 12
        assert acted == ["a", "b1", "b2", "c10"]
        assert [event.type for event in handle.events()].count("signal.go") == 1
    assert world.field("ls") is None


def group_of(world: World) -> str:
    """The group of the only open wait."""
    fields = world.redis.hkeys(world.key("proc:p"))
    return next((field[2:] for field in fields if field.startswith("o:")), "")


def test_a_run_whose_step_was_lost_while_the_next_one_is_under_way_leaves_no_hole_in_its_journal(
    holding: App, world: World
) -> None:
    acted: list[str] = []
    goes = threading.Event()

    async def slow() -> None:
        acted.append("b")
        await asyncio.to_thread(goes.wait, 10)

    @holding.engine(signals={"on": int})
    async def naps(ctx: AsyncCtx) -> int:
        await ctx.step("a", acted.append, "a")
        await ctx.step("b", slow)
        return await ctx.wait("on", int)

    with served(holding):
        handle = holding.using(id="p").start(naps)
        until(lambda: world.status("p") == "running" and acted == ["a", "b"])
        proc = world.redis.hgetall(world.key("proc:p"))
        replica = world.snapshot() | {world.key("proc:p"): {k: v for k, v in proc.items() if k != "jb"}}
        del replica[world.key("journal:p")]
        rewind(world, replica)
        goes.set()
        until(lambda: acted == ["a", "b", "a", "b"])
        handle.signal("on", 3)
        assert handle.result(timeout=10) == 3
    assert acted == ["a", "b", "a", "b"]


def test_the_end_of_a_run_whose_process_the_store_lost_is_no_error_of_the_worker(
    holding: App, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    begun, goes = threading.Event(), threading.Event()

    @holding.engine
    async def slow(ctx: AsyncCtx) -> None:
        begun.set()
        await asyncio.to_thread(goes.wait, 10)

    with served(holding):
        holding.using(id="p").start(slow)
        begun.wait(10)
        world.redis.delete(*(world.key(name) for name in ("proc:p", "spec:p")))
        goes.set()
        until(lambda: "The store lost it" in caplog.text)
    assert [one.getMessage() for one in caplog.records if one.exc_info or "failed:" in one.getMessage()] == []


def test_a_wait_that_was_lost_is_opened_again_by_the_next_run(holding: App, world: World) -> None:
    goes, acted = steps_of(holding)
    with served(holding):
        handle = holding.using(id="p").start(goes)
        until(lambda: len(world.journal()) == 1)
        group = group_of
        until(lambda: world.field("o:" + group(world)) == "1")
        [slot] = world.redis.smembers(world.key("waits:p"))
        for field in ("o:" + group(world), "n:go"):
            world.redis.hdel(world.key("proc:p"), field)
        world.redis.delete(world.key(f"slot:{slot}"), world.key("waits:p"))
        handle.signal("go", 1)
        handle.signal("on", 2)
        assert handle.result(timeout=10) == 3
    assert acted == ["a", "b1", "c2"]


@pytest.mark.parametrize("since", [0, 1, 3])
def test_a_follower_of_a_log_that_went_back_is_told_all_that_was_written_since(
    desk: App, world: World, since: int
) -> None:
    work = desk.external("ci")
    work.emit("log", {"n": 0})
    replica = world.snapshot()
    for _ in range(2):
        work.emit("log", {"n": 0})
    told = work.events(follow=True)
    seen = [next(told) for _ in range(3)]
    assert [event.sequence for event in seen] == [1, 2, 3]
    rewind(world, replica)
    until(lambda: time.time() * 1000 > seen[-1].at_ms + 1)  # no store goes back within a millisecond
    for _ in range(since):
        work.emit("log", {"n": 1})
    work.finish("done")
    assert [(event.sequence, event.type) for event in told] == [
        *((n + 2, "log") for n in range(since)),
        (since + 2, "process.completed"),
    ]


@pytest.mark.parametrize("other", [False, True], ids=["gone", "another has its number"])
def test_who_waits_for_what_was_lost_is_told_so(desk: App, world: World, other: bool) -> None:
    @desk.engine
    async def idle(ctx: AsyncCtx) -> None:
        """No worker runs it."""

    @desk.agent("clerk")
    async def clerk(turn: AsyncTurn) -> str:
        return "no worker runs it"

    errors: list[Exception] = []

    def told(wait: Any) -> threading.Thread:
        def waits() -> None:
            try:
                wait()
            except Exception as error:
                errors.append(error)

        thread = threading.Thread(target=waits)
        thread.start()
        return thread

    session = desk.session("clerk", "1")
    session.create()
    replica = world.snapshot()
    handle = desk.using(id="lost").start(idle)
    threads = [told(lambda: session.ask("hello", timeout="1m"))]
    until(lambda: world.redis.hget(world.key("wakes:clerk/1"), "1:t") is not None)  # it has looked, and waits
    threads.append(told(lambda: handle.result()))
    rewind(world, replica)
    if other:
        session.send("another")
    for thread in threads:
        thread.join(10)
    assert {type(error) for error in errors} == {EntryNotFound, ProcessNotFound}
