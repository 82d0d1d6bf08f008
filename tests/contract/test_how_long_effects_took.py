"""How long an effect took stands in its journal row, by the clock of the run; a replay does not compare it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from wakeline.app import App
from wakeline.body.blocking import Ctx
from wakeline.body.context import AsyncCtx
from wakeline.effects.journal import JournalRow

from tests.contract.working import app_of, work

if TYPE_CHECKING:
    from tests.contract.conftest import World

T0 = 1_700_000_000_000


def journal_key(world: World, pid: str = "p") -> str:
    return "{" + world.namespace + "}:journal:" + pid


def took(world: World, pid: str = "p") -> list[tuple[str, int | None, int | None]]:
    """Name, start (ms since the first moment) and duration of each row, in the order of recording."""
    client: Any = world.store.client
    texts: dict[str, str] = client.hgetall(journal_key(world, pid))
    rows = sorted(
        (JournalRow.from_json(text) for key, text in texts.items() if not key.startswith("@")), key=lambda row: row.n
    )
    return [(row.name, None if row.took_ms is None else row.at_ms - row.took_ms - T0, row.took_ms) for row in rows]


def test_a_step_and_a_call_say_when_they_began_and_how_long_they_took(world: World) -> None:
    app = app_of(world)

    @app.tool(name="charge")
    async def charge(cents: int) -> int:
        world.clock.advance(0.25)
        return cents

    @app.engine(name="engine")
    async def engine(ctx: AsyncCtx) -> int:
        await ctx.step("look", world.clock.advance, 1.5)
        world.clock.advance(10)  # between effects: no part of either
        return await ctx.call(charge, 5)

    app.using(id="p").start(engine)
    assert work(world, app) == ["finished"]
    assert took(world) == [("look", 0, 1_500), ("call:charge", 11_500, 250)]


def test_each_attempt_has_a_time_of_its_own_and_so_has_the_pause_between(world: World) -> None:
    app = app_of(world)
    attempts: list[int] = []

    @app.tool(name="charge", retries=1)
    def charge() -> int:
        attempts.append(1)
        world.clock.advance(len(attempts))
        if len(attempts) == 1:
            raise ValueError("busy")
        return 1

    @app.engine(name="engine")
    def engine(ctx: Ctx) -> int:
        return ctx.call(charge)

    app.using(id="p").start(engine)
    assert work(world, app) == ["parked"]
    world.clock.advance(60)
    world.tick()
    assert work(world, app) == ["finished"]
    assert took(world) == [("call:charge", 0, 1_000), ("backoff", 1_000, 60_000), ("call:charge", 61_000, 2_000)]


def waiting(app: App) -> Any:
    @app.engine(name="waiting", signals={"go": int})
    async def waiting(ctx: AsyncCtx) -> int:
        first = await ctx.wait("go", int)
        await ctx.sleep("3s")
        return first

    return waiting


def test_a_wait_that_was_parked_on_counts_from_its_opening(world: World) -> None:
    app = app_of(world)
    handle = app.using(id="p").start(waiting(app))
    assert work(world, app) == ["parked"]
    world.clock.advance(40)
    handle.signal("go", 1)
    world.clock.advance(2)  # it stands in the queue
    assert work(world, app, owner="w_2") == ["parked"]
    world.clock.advance(3)
    world.tick()
    assert work(world, app) == ["finished"]
    assert took(world) == [("wait:go", 0, 42_000), ("sleep", 42_000, 3_000)]


def test_a_wait_that_the_release_before_opened_has_no_time_and_goes_on(world: World) -> None:
    app = app_of(world)
    handle = app.using(id="p").start(waiting(app))
    assert work(world, app) == ["parked"]
    client: Any = world.store.client
    [slot] = client.smembers("{" + world.namespace + "}:waits:p")
    assert client.hdel("{" + world.namespace + "}:slot:" + slot, "o") == 1
    handle.signal("go", 1)
    assert work(world, app) == ["parked"]
    assert took(world) == [("wait:go", None, None)]


def test_what_the_store_does_in_the_step_that_records_it_has_no_time(world: World) -> None:
    app = app_of(world)

    @app.tool(name="child")
    def child() -> None: ...

    @app.engine(name="engine")
    async def engine(ctx: AsyncCtx) -> None:
        await ctx.start(child)
        await ctx.emit("log", {"n": 1})
        ctx.patched("later")

    app.using(id="p").start(engine)
    assert sorted(work(world, app)) == ["finished", "finished"]
    assert [(name, spent) for name, _, spent in took(world)] == [
        ("start:child", None),
        ("emit:log", None),
        ("patched:later", None),
    ]


def test_a_replay_takes_rows_with_any_time_and_rows_of_the_release_before(world: World) -> None:
    app = app_of(world)
    ran: list[str] = []

    @app.engine(name="engine", signals={"go": int})
    async def engine(ctx: AsyncCtx) -> int:
        for name in ("one", "two"):
            await ctx.step(name, ran.append, name)
        return await ctx.wait("go", int)

    handle = app.using(id="p").start(engine)
    assert work(world, app) == ["parked"]
    client: Any = world.store.client
    for key, text in client.hgetall(journal_key(world)).items():
        row: dict[str, Any] = json.loads(text)
        assert row.pop("d") == 0
        client.hset(journal_key(world), key, json.dumps(row if row["n"] == 1 else row | {"d": 77}))
    handle.signal("go", 3)
    assert work(world, app) == ["finished"]
    assert (handle.result(timeout=0), ran) == (3, ["one", "two"])
