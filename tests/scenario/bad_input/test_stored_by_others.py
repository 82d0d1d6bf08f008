"""What a later release or a foreign hand has stored ends no worker and no list: it is handed back as it is, named, and
goes on once it can be read."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from wakeline import App, AsyncTurn, Ctx
from wakeline.errors import RegistrationUnreadable
from wakeline.store import fleet, owners, processes, queues

from tests.lua.world import World
from tests.races.workers import app_of, work

AGAIN_MS = 5_001
Damage = Callable[[World], None]


def spec(change: Callable[[dict[str, Any]], Any]) -> Damage:
    """Changes the registration of `bad`, as text where the change gives one."""

    def damage(world: World) -> None:
        changed = change(json.loads(world.redis.get(world.key("spec:bad"))))
        world.redis.set(world.key("spec:bad"), changed if isinstance(changed, str) else json.dumps(changed))

    return damage


def hash_field(key: str, field: str, text: str) -> Damage:
    return lambda world: world.redis.hset(world.key(key), field, text)


def row(text: str) -> Damage:
    """Changes the one journal row of `bad`."""

    def damage(world: World) -> None:
        (key,) = (name for name in world.journal("bad") if not name.startswith("@"))
        world.redis.hset(world.key("journal:bad"), key, text)

    return damage


def slot_of(world: World) -> str:
    """The key of the one wait of `bad`."""
    (slot,) = world.redis.smembers(world.key("waits:bad"))
    return world.key(f"slot:{slot}")


DAMAGES: dict[str, tuple[Damage, str]] = {
    "a field": (spec(lambda r: r | {"later": 1}), "it has fields that this release does not know: later"),
    "a field within": (
        spec(lambda r: r | {"input": r["input"] | {"later": 1}}),
        "it has fields that this release does not know: input.engine.later",
    ),
    "a shape": (spec(lambda r: r | {"schema_version": 2}), "it has shape 2, and this release knows 1"),
    "an input": (spec(lambda r: r | {"input": {"type": "poem"}}), "input: Input tag 'poem' found using 'type'"),
    "no JSON": (spec(lambda _: "nonsense"), "expected "),
    "a recorded row": (row('{"later":1}'), "The journal of 'bad' has a row "),
    "a recorded row without JSON": (row("nonsense"), "The journal of 'bad' has a row "),
    "a count": (hash_field("proc:bad", "at", "many"), "its record: ValueError: invalid literal for int()"),
    "losses": (hash_field("proc:bad", "ls", "many"), "its record: "),
    "no registration": (lambda world: world.redis.set(world.key("spec:bad"), ""), "EOF while parsing"),
    "a resolution": (
        lambda world: world.redis.hset(slot_of(world), "r", '{"status":"sung"}'),
        "a wait of it was resolved in a way that ",
    ),
    "a generation": (hash_field("proc:bad", "gen", "later"), "its record: "),
}


@pytest.fixture
def shop(world: World) -> App:
    app = app_of(world)

    @app.tool
    def double(n: int) -> int:
        return 2 * n

    @app.engine(signals={"go": int})
    def waits(ctx: Ctx) -> int:
        first = ctx.call(double, 1)
        return first + ctx.wait("go", int)

    @app.agent("clerk")
    async def clerk(turn: AsyncTurn) -> str:
        return "; ".join(item.text for item in turn.inbox)

    return app


def started(world: World, shop: App) -> dict[str, str]:
    """`bad` and its bystanders, parked after a recorded call and rung by a signal; what is stored of `bad`."""
    for pid in ("one", "bad", "two"):
        shop.using(id=pid).start(shop.registry.engines["waits"])
    work(world, shop)
    for pid in ("one", "bad", "two"):
        shop.handle(pid).signal("go", 40)
    return {
        "spec": world.redis.get(world.key("spec:bad")),
        "slot": world.redis.hget(slot_of(world), "r"),
        **{f"journal {key}": text for key, text in world.journal("bad").items()},
        **{f"proc {key}": text for key, text in world.redis.hgetall(world.key("proc:bad")).items()},
    }


def stored_of(world: World) -> list[Any]:
    """Registration, journal and log of `bad`."""
    return [world.redis.get(world.key("spec:bad")), world.journal("bad"), world.redis.xrange(world.key("events:bad"))]


def restore(world: World, stored: dict[str, str]) -> None:
    """The release that knows it is back: what it reads is what was there."""
    world.redis.set(world.key("spec:bad"), stored["spec"])
    world.redis.hset(slot_of(world), "r", stored["slot"])
    for name, text in stored.items():
        family, _, key = name.partition(" ")
        if family == "journal":
            world.redis.hset(world.key("journal:bad"), key, text)
    for field in ("at", "ls", "gen"):
        if f"proc {field}" not in stored:
            world.redis.hdel(world.key("proc:bad"), field)


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_cannot_be_read_is_handed_back_as_it_is_and_goes_on_when_it_can(
    world: World, shop: App, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    stored = started(world, shop)
    hurt, reason = DAMAGES[damage]
    hurt(world)
    kept = stored_of(world)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert set(work(world, shop)) <= {"finished", "released"}
            world.pass_ms(AGAIN_MS)
            world.tick()
    assert [shop.handle(pid).result(timeout=1) for pid in ("one", "two")] == [42, 42]
    # As it was: no attempt, no loss, no event.
    assert stored_of(world) == kept
    assert {world.field("at", "bad"), world.field("ls", "bad")} <= {None, "many"}
    listed = {row.id: (row.status, row.unread) for row in shop.processes()}
    assert listed["one"] == ("completed", None)
    assert listed["bad"][0] == shop.handle("bad").status().status == "queued"
    assert str(listed["bad"][1]).startswith(reason), listed["bad"][1]
    (queued,) = world.do(fleet.read_fleet([world.ns])).queued
    assert (queued.process_id, str(queued.unread).startswith(reason)) == ("bad", True)
    told = [record.getMessage() for record in caplog.records if "not run here" in record.getMessage()]
    assert len(told) >= 1 and all(
        text.startswith(f"bad: not run here, and handed back as it is: {reason}") for text in told
    )
    restore(world, stored)
    work(world, shop)
    assert shop.handle("bad").result(timeout=1) == 42
    assert (world.field("ur", "bad"), shop.handle("bad").status().unread) == (None, None)


def test_what_cannot_be_read_can_be_cancelled_and_is_not_repeated(world: World, shop: App) -> None:
    started(world, shop)
    DAMAGES["an input"][0](world)
    work(world, shop)
    with pytest.raises(RegistrationUnreadable):
        app_of(world).handle("bad").signal("go", 1)
    shop.handle("bad").cancel("no way back")
    world.pass_ms(20_000)
    world.tick()
    assert shop.handle("bad").status().status == "cancelled"
    with pytest.raises(RegistrationUnreadable):
        shop.handle("bad").retry()
    assert world.do(processes.read("bad")).registration.known is False


RECORDS_OF_ALL: dict[str, Damage] = {
    "a limit": lambda world: world.redis.hset(world.key("limits"), f"q:{world.ns}", "nonsense"),
    "a limit of another shape": lambda world: world.redis.hset(world.key("limits"), f"q:{world.ns}", "7"),
    "what turns take": hash_field("agents", "clerk", "nonsense"),
    "a lease": hash_field("leases", "gone", "long"),
    "an app": hash_field("apps", "gone", "nonsense"),
    "a suspect": hash_field("suspects", "gone", "once"),
    "a beat": hash_field("beats", "w1", "many"),
    "the sweep": hash_field("meta", "sweep", "far"),
    "who prunes": hash_field("meta", "pruner", "me"),
    "when it was tidied": hash_field("meta", "tidied", "lately"),
    "who ticked": hash_field("meta", "ticked", "nobody"),
    "when it went back": hash_field("meta", "rewound", "once"),
    "a schedule": lambda world: (
        world.redis.hset(world.key("schedule:s"), "s", '{"later":1}') and world.redis.zadd(world.key("cron"), {"s": 1})
    ),
}


@pytest.mark.parametrize("record", RECORDS_OF_ALL)
def test_a_record_of_the_fleet_that_cannot_be_read_stops_no_worker_and_no_list(
    world: World, shop: App, record: str
) -> None:
    session = shop.session("clerk", "1")
    work(world, shop)
    shop.using(id="p").start(shop.registry.engines["waits"])
    world.redis.zadd(world.key("owners"), {"gone": world.now() + 1_000})
    RECORDS_OF_ALL[record](world)
    session.send("hello")
    world.do(owners.register_owner("w8", [world.ns], lease_ms=60_000, agents={"clerk": ""}, app="shop"))
    for n in range(3):
        work(world, shop, f"w{n}")
        world.beat("w1")
        world.tick()
        world.pass_ms(AGAIN_MS)
    shop.handle("p").signal("go", 40)
    work(world, shop, "w9")
    assert (shop.handle("p").result(timeout=1), session.history()[-1].content) == (42, "hello")
    assert {row.id for row in shop.processes()} >= {"p"}
    view = world.do(fleet.read_fleet([world.ns]))
    assert (view.counts["completed"], len(world.do(queues.list_queues([world.ns]))[0])) == (2, 1)
