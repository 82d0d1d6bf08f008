"""``handle.effects()``: what an engine has done, in order, with what came of it."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from wakeline import EffectView, current
from wakeline.app import App
from wakeline.body.context import AsyncCtx
from wakeline.errors import ProcessNotFound, StepFailed, WakelineError
from wakeline.store import journal
from wakeline.store.journal import Row

from tests.contract.working import app_of, work

if TYPE_CHECKING:
    from tests.contract.conftest import World

T0 = 1_700_000_000_000


def told(found: list[EffectView]) -> list[tuple[str, str, int, Any]]:
    """Kind, name, attempts, and the outcome, or the code of the error, of each."""
    return [(one.kind, one.name, one.attempts, one.error["code"] if one.error else one.outcome) for one in found]


def test_each_effect_is_one_view_in_the_order_of_recording(world: World) -> None:
    app = app_of(world)
    charged: list[int] = []

    @app.tool(name="charge", retries=2)
    def charge(cents: int) -> int:
        charged.append(cents)
        world.clock.advance(1)
        if len(charged) == 1:
            raise ValueError("busy")
        return cents

    @app.tool(name="child")
    def child() -> int:
        return 7

    async def fails() -> None:
        raise ValueError("gone")

    @app.engine(name="engine", signals={"go": int})
    async def engine(ctx: AsyncCtx) -> int:
        await ctx.step("look", lambda: {"seen": True})
        seven = 0
        paid = await ctx.call(charge, 5)
        try:
            await ctx.step("fails", fails)
        except StepFailed:
            seven = await (await ctx.using(id="c").start(child))
        assert await ctx.wait("go", int, timeout="1s", default=0) == 0
        await ctx.emit("log", {"paid": paid + seven})
        return paid

    handle = app.using(id="p").start(engine)
    for _ in range(3):
        work(world, app)
        world.clock.advance(100)
        world.tick()
    work(world, app)
    assert handle.result(timeout=0) == 5
    found = handle.effects()
    assert (told(found), found.more) == (
        [
            ("step", "look", 1, {"seen": True}),
            ("tool_call", "call:charge", 2, 5),
            ("step", "fails", 1, "step_failed"),
            ("start", "start:child", 1, found[3].outcome),
            ("await", "result:c", 1, 7),
            ("wait", "wait:go", 1, "wait_timeout"),
            ("emit", "emit:log", 1, 9),
        ],
        False,
    )
    call = found[1]
    assert (call.started_ms, call.took_ms, call.recorded_ms) == (T0, 102_000, T0 + 102_000)
    assert (len(call.args_hash), call.key.startswith("call:charge:"), call.size, call.is_whole) == (32, True, 1, True)
    assert found[2].error is not None
    assert (found[2].status, found[2].error["fields"]["failure_message"]) == ("err", "gone")
    assert [one.took_ms is None for one in found] == [False, False, False, True, False, False, True]
    assert json.loads(json.dumps(found[1].to_data()))["attempts"] == 2


def many(app: App, steps: int) -> Any:
    @app.engine(name="many")
    async def many(ctx: AsyncCtx) -> None:
        for n in range(steps):
            await ctx.step(f"s{n}", int, n)

    return many


def test_pages_follow_each_other_blocking_and_awaited(world: World) -> None:
    app = app_of(world)
    handle = app.using(id="p").start(many(app, 7))
    assert work(world, app) == ["finished"]
    first = handle.effects(limit=3)
    second = handle.effects(after=first[-1].n, limit=3)
    last = handle.effects(after=second[-1].n, limit=3)
    assert [[one.name for one in page] for page in (first, second, last)] == [
        ["s0", "s1", "s2"],
        ["s3", "s4", "s5"],
        ["s6"],
    ]
    assert [first.more, second.more, last.more] == [True, True, False]
    assert handle.effects(limit=7).more is False

    async def awaited() -> list[EffectView]:
        found = await app.aio.handle("p").effects(limit=3)
        await app.aio.close()
        return list(found)

    assert asyncio.run(awaited()) == list(first)


def test_a_large_outcome_is_not_loaded_and_its_size_is_told(world: World) -> None:
    app = app_of(world)

    def breaks() -> None:
        raise ValueError("y" * 1_000)

    @app.engine(name="engine")
    async def engine(ctx: AsyncCtx) -> None:
        await ctx.step("picture", lambda: "x" * 100_000)
        await ctx.step("small", lambda: {"__claim__": 1})  # looks like what stands for a large payload
        with pytest.raises(StepFailed):
            await ctx.step("breaks", breaks)

    handle = app.using(id="p").start(engine)
    assert work(world, app) == ["finished"]
    world.store.client.delete(*world.store.client.keys("*bytes:*"))  # nothing of it can be read any more
    picture, small, breaks_ = handle.effects()
    assert (picture.name, picture.kind, picture.status, picture.outcome) == ("picture", "step", "ok", None)
    assert (picture.size, picture.is_whole, picture.n, picture.took_ms) == (100_002, False, 1, 0)
    assert (small.name, small.outcome, small.is_whole) == ("small", None, False)
    assert (breaks_.status, breaks_.is_whole) == ("err", True)


def test_a_row_that_the_release_before_stored_apart_is_shown_by_its_key(world: World) -> None:
    app = app_of(world)
    handle = app.using(id="p").start(many(app, 2))
    assert work(world, app) == ["finished"]
    client: Any = world.store.client
    rows = "{" + world.namespace + "}:journal:p"
    before = '{"__claim__":"sha256:' + "0" * 64 + '"}'
    client.hset(rows, mapping={"old": before, "torn": "{", "later": '{"n":7,"v":9}'})
    found = {one.key: one for one in handle.effects()}
    assert len(found) == 5
    assert [(found[key].n, found[key].name, found[key].is_whole) for key in ("old", "torn")] == [
        (0, "old", False),
        (0, "torn", False),
    ]
    assert (found["later"].n, found["later"].is_whole) == (7, False)


def test_a_pending_call_has_no_outcome_until_it_is_completed(world: World) -> None:
    app = app_of(world)
    tokens: list[str] = []

    @app.tool(name="ship")
    def ship() -> str:
        tokens.append(current().token)
        return current().pending()

    @app.engine(name="engine")
    async def engine(ctx: AsyncCtx) -> str:
        return await ctx.call(ship)

    handle = app.using(id="p").start(engine)
    assert work(world, app) == ["parked"]
    assert told(handle.effects()) == [("tool_call", "call:ship", 1, None)]
    world.clock.advance(30)
    app.resolve(tokens[0], "sent")
    assert work(world, app) == ["finished"]
    [call] = handle.effects()
    assert (call.outcome, call.took_ms, call.attempts) == ("sent", 30_000, 1)


def test_keys_of_a_callers_own_that_look_like_attempts_are_effects_of_their_own(world: World) -> None:
    app = app_of(world)

    @app.engine(name="engine")
    async def engine(ctx: AsyncCtx) -> None:
        for key in ("pay", "pay~2", "pay~completion"):
            await ctx.using(key=key).step(key, int)

    handle = app.using(id="p").start(engine)
    assert work(world, app) == ["finished"]
    assert [one.key for one in handle.effects()] == ["pay", "pay~2", "pay~completion"]


def test_a_call_whose_own_key_looks_like_an_attempt_of_another_is_an_effect_of_its_own(world: World) -> None:
    app = app_of(world)
    tries: list[int] = []

    @app.tool(name="pay", retries=2)
    def pay(order: int) -> int:
        tries.append(order)
        if tries.count(order) < 2 and order == 3:
            raise ValueError
        return order

    @app.engine(name="engine")
    async def engine(ctx: AsyncCtx) -> None:
        await ctx.using(key="c").call(pay, 1)
        await ctx.using(key="c~2").call(pay, 1)
        await ctx.using(key="d").call(pay, 3)

    handle = app.using(id="p").start(engine)
    work(world, app)
    world.clock.advance(100)
    world.tick()
    work(world, app)
    assert [(one.key, one.attempts, one.outcome) for one in handle.effects()] == [
        ("c", 1, 1),
        ("c~2", 1, 1),
        ("d", 2, 3),
    ]


def test_a_reader_that_goes_on_from_the_next_of_each_page_has_every_effect_once_whenever_it_was_recorded(
    world: World,
) -> None:
    fence = world.running("p")
    handle = app_of(world).handle("p")

    def recorded(*numbers: int) -> None:
        rows = [f'{{"n":{n},"o":1,"k":"step","h":"0f","at":5,"f":"s{n}"}}' for n in numbers]
        world.do(journal.record(fence, [Row(f"k{n}", text) for n, text in zip(numbers, rows, strict=True)]))

    def read(after: int | str, limit: int = 50) -> tuple[list[int], str | None, bool]:
        page = handle.effects(after=after, limit=limit)
        return [one.n for one in page], page.next, page.more

    assert read(0) == ([], "0", False)
    recorded(1, 2, 5)
    assert read("0") == ([1, 2, 5], "5-3,4", False)
    assert read(5) == ([], "5", False)  # a number alone is no cursor: it says nothing of what came late
    recorded(4, 6, 8)
    assert read("5-3,4", limit=2) == ([4, 6], "6-3", True)
    assert read("6-3") == ([8], "8-3,7", False)
    recorded(3, 7)
    assert read("8-3,7", limit=1) == ([3], "8-7", True)
    assert read("8-7") == ([7], "8", False)
    assert read("8") == ([], "8", False)


def test_what_is_asked_wrongly_is_refused(world: World) -> None:
    app = app_of(world)
    with pytest.raises(ProcessNotFound):
        app.handle("nobody").effects()
    world.start("p")
    assert list(app.handle("p").effects()) == []
    for wrong in ({"after": -1}, {"after": "5-"}, {"after": "x"}, {"limit": 0}, {"limit": -1}, {"limit": "many"}):
        with pytest.raises(WakelineError):
            app.handle("p").effects(**wrong)  # type: ignore[arg-type]


def test_an_effect_shows_no_bearer_token(world: World) -> None:
    app = app_of(world)
    tokens: list[str] = []

    @app.engine(name="asks")
    async def asks(ctx: AsyncCtx) -> None:
        ask = await ctx.approval("deploy", bool, timeout="1h")
        tokens.append(ask.token)
        await ctx.step("mail", lambda: {"link": f"https://a.example/{ask.token}", ask.token: [ask.token]})
        await ask.wait()

    app.using(id="p").start(asks)
    work(world, app)
    assert tokens[0].startswith("wt1.")
    asked, mailed = app.handle("p").effects()
    assert (asked.kind, asked.outcome["token"]) == ("approval", "wt1.…")
    assert mailed.outcome == {"link": "https://a.example/wt1.…", "wt1.…": ["wt1.…"]}
    assert app.resolve(tokens[0], True)
