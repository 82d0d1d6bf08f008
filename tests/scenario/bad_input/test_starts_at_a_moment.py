"""`using(at=…)`: a process begins at a moment, by the server's clock. A moment without its zone is refused."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import Any

import pytest
from wakeline import App, AsyncCtx, Ctx
from wakeline.engines.engine import Engine
from wakeline.errors import InvalidArguments, InvalidMoment
from wakeline.verbs.options import aware_ms

from tests.lua.world import START_MS, World
from tests.races.workers import work
from tests.scenario.bad_input.ends import failure_of

START = datetime.fromtimestamp(START_MS / 1000, UTC)
NEW_YORK = timezone(timedelta(hours=-5))


class Broken(tzinfo):
    """A zone whose author forgot the offset."""


class Lying(tzinfo):
    """A zone that gives no offset that a day could have."""

    def utcoffset(self, _: datetime | None) -> timedelta:
        return timedelta(days=3)


@pytest.fixture
def once(app: App) -> Engine[[], str]:
    @app.engine
    def once(ctx: Ctx) -> str:
        return "ran"

    return once


def due_of(world: World, pid: str) -> float | None:
    return world.redis.zscore(world.key("timers"), f"d:{pid}")


def test_it_begins_at_its_moment_and_not_before(world: World, app: App, once: Engine[[], str]) -> None:
    handle = app.using(id="p", at=(START + timedelta(hours=9)).astimezone(NEW_YORK)).start(once)
    assert due_of(world, "p") == START_MS + 9 * 3_600_000
    world.pass_ms(9 * 3_600_000 - 1)
    world.tick()
    assert work(world, app) == []
    world.pass_ms(1)
    world.tick()
    assert (work(world, app), handle.result(timeout=0)) == (["finished"], "ran")


@pytest.mark.parametrize(
    "past",
    [START, START - timedelta(microseconds=1), datetime(1960, 1, 1, tzinfo=UTC), datetime.min.replace(tzinfo=UTC)],
    ids=["now", "just over", "before 1970", "the first of all"],
)
def test_a_past_moment_begins_at_once(world: World, app: App, once: Engine[[], str], past: datetime) -> None:
    handle = app.using(id="p", at=past).start(once)
    assert due_of(world, "p") is None
    assert (work(world, app), handle.result(timeout=0)) == (["finished"], "ran")


def test_many_and_awaited_starts_take_a_moment_too(world: World, app: App, once: Engine[[], str]) -> None:
    at = START + timedelta(minutes=1)

    async def awaited() -> None:
        await app.aio.using(id="one", at=at).start(once)
        await app.aio.using(at=at).start_many(once, [{}], ids=["two"])

    asyncio.run(awaited())
    app.using(at=at).start_many(once, [{}, {}], ids=["three", "four"])
    assert [due_of(world, pid) for pid in ("one", "two", "three", "four")] == [START_MS + 60_000.0] * 4


def test_a_moment_between_two_milliseconds_is_the_next_one() -> None:
    assert aware_ms(datetime(1970, 1, 1, 0, 0, 1, 1, tzinfo=UTC)) == 1_001
    assert aware_ms(datetime(1969, 12, 31, 23, 59, 59, 999_001, tzinfo=UTC)) == 0
    assert aware_ms(datetime.max.replace(tzinfo=UTC)) == 253_402_300_800_000


@pytest.mark.parametrize(
    "bad",
    [
        datetime(2030, 1, 31, 9),
        date(2030, 1, 31),
        "2030-01-31T09:00Z",
        1_900_000_000,
        datetime(2030, 1, 31, 9, tzinfo=Broken()),
        datetime(2030, 1, 31, 9, tzinfo=Lying()),
    ],
    ids=["naive", "a day", "a text", "a number", "a zone without an offset", "a zone with a wrong offset"],
)
def test_a_moment_without_a_zone_and_what_is_none_is_refused(
    world: World, app: App, once: Engine[[], str], bad: Any
) -> None:
    before = world.snapshot()
    for ask in (app.using, app.aio.using):
        with pytest.raises(InvalidMoment) as caught:
            ask(at=bad)
        assert str(caught.value).endswith(
            "is not a moment. Use a datetime with a time zone, such as datetime(2030, 1, 31, 9, tzinfo=UTC), or on the"
            " command line a text such as 2030-01-31T09:00+01:00 or 2030-01-31T08:00Z."
        )
    assert world.snapshot() == before

    @app.engine
    def asks(ctx: Ctx) -> None:
        ctx.using(at=bad).start(once)

    assert failure_of(world, app, app.start(asks)) == ("execution", "invalid_moment")


def test_a_moment_and_a_delay_together_are_refused(world: World, app: App, once: Engine[[], str]) -> None:
    with pytest.raises(InvalidArguments) as caught:
        app.using(at=START, delay="1h")
    assert (
        str(caught.value)
        == "The arguments do not fit using(at=…, delay=…): both say when it begins; give one, and the other as None."
    )

    @app.engine
    def asks(ctx: Ctx) -> None:
        ctx.using(delay="1h").using(at=START).start(once)

    assert failure_of(world, app, app.start(asks)) == ("execution", "invalid_arguments")


def test_the_moment_of_a_child_does_not_move_with_a_replay(world: World, app: App, once: Engine[[], str]) -> None:
    """The body asks for another moment in its second run; the child was started with the first."""
    asked: list[datetime] = []

    @app.engine
    async def parent(ctx: AsyncCtx) -> str:
        asked.append(START + timedelta(minutes=1 + len(asked)))
        child = await ctx.using(at=asked[-1]).start(once)
        await ctx.wait("go")
        return await child

    handle = app.using(id="p").start(parent)
    assert work(world, app) == ["parked"]
    [child] = handle.view().children
    assert due_of(world, child.id) == START_MS + 60_000
    handle.signal("go")
    assert work(world, app) == ["parked"]
    assert (len(asked), due_of(world, child.id)) == (2, START_MS + 60_000)
    world.pass_ms(60_000)
    world.tick()
    assert work(world, app) == ["finished", "finished"]
    assert handle.result(timeout=0) == "ran"
