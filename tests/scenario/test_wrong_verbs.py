"""A blocking verb where it would stop a loop or escape a body's journal does nothing and names the right one."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest
from wakeline import App, AsyncCtx, AsyncTurn, Ctx, Turn
from wakeline.client.externals import AsyncExternal, External
from wakeline.errors import ProcessFailed, RedisNotConfigured, SessionNotFound, WrongVerb
from wakeline.settings import Settings

BLOCKING = {
    "app.start": lambda app: app.start(app.registry.tools["one"]),
    "app.start_many": lambda app: app.start_many(app.registry.tools["one"], [{}]),
    "app.external": lambda app: app.external("ci"),
    "app.resolve": lambda app: app.resolve("token"),
    "app.processes": lambda app: app.processes(),
    "app.pause": lambda app: app.pause(),
    "app.resume": lambda app: app.resume(),
    "app.why": lambda app: app.why("clerk/1"),
    "app.undeliverable": lambda app: app.undeliverable(),
    "handle.result": lambda app: app.handle("p").result(),
    "app.waits": lambda app: app.waits(),
    "app.fleet": lambda app: app.fleet(),
    "app.doctor": lambda app: app.doctor(),
    "app.sessions": lambda app: app.sessions(),
    "handle.view": lambda app: app.handle("p").view(),
    "handle.status": lambda app: app.handle("p").status(),
    "handle.signal": lambda app: app.handle("p").signal("go"),
    "handle.cancel": lambda app: app.handle("p").cancel(),
    "handle.retry": lambda app: app.handle("p").retry(),
    "attachments.put": lambda app: app.attachments.put(b""),
    "attachments.get": lambda app: app.attachments.get("sha256:" + "0" * 64),
    "attachments.head": lambda app: app.attachments.head("sha256:" + "0" * 64),
    "attachments.delete": lambda app: app.attachments.delete("sha256:" + "0" * 64),
    "attachments.list": lambda app: app.attachments.list(),
    "trigger.emit": lambda app: app.trigger("a").emit(),
    "trigger.subscribe": lambda app: app.trigger("a").subscribe(app.registry.tools["one"]),
    "trigger.subscriptions": lambda app: app.trigger("a").subscriptions(),
    "trigger.enable": lambda app: app.trigger("a").enable("s"),
    "trigger.disable": lambda app: app.trigger("a").disable("s"),
    "trigger.remove": lambda app: app.trigger("a").remove("s"),
    "handle.retarget": lambda app: app.handle("p").retarget(None),
    "handle.events": lambda app: app.handle("p").events(),
    "external.emit": lambda app: external(app).emit("log"),
    "external.finish": lambda app: external(app).finish(),
    "external.fail": lambda app: external(app).fail("red", "it failed"),
    "session.send": lambda app: app.session("clerk", "1").send("hello"),
    "session.ask": lambda app: app.session("clerk", "1").ask("hello"),
    "session.view": lambda app: app.session("clerk", "1").view(),
    "session.history": lambda app: app.session("clerk", "1").history(),
    "session.state": lambda app: app.session("clerk", "1").state(),
    "session.command": lambda app: app.session("clerk", "1").command("reset"),
    "session.create": lambda app: app.session("clerk", "1").create(),
    "session.delete": lambda app: app.session("clerk", "1").delete(),
    "session.inspect": lambda app: app.session("clerk", "1").inspect(),
    "session.wakes": lambda app: app.session("clerk", "1").wakes(),
    "session.why": lambda app: app.session("clerk", "1").why(),
    "session.redrive": lambda app: app.session("clerk", "1").redrive(),
    "session.skip": lambda app: app.session("clerk", "1").skip(),
    "session.frames": lambda app: app.session("clerk", "1").frames(),
    "session.turn": lambda app: app.session("clerk", "1").turn(),
    "session.follow": lambda app: app.session("clerk", "1").follow(),
    "session.append": lambda app: app.session("clerk", "1").append([]),
    "session.graph": lambda app: app.session("clerk", "1").graph(),
}
ON_A_LOOP = {
    "attachments.put": "await app.aio.attachments.put(…)",
    "attachments.get": "await app.aio.attachments.get(…)",
    "attachments.head": "await app.aio.attachments.head(…)",
    "attachments.delete": "await app.aio.attachments.delete(…)",
    "attachments.list": "await app.aio.attachments.list(…)",
    "app.start": "await app.aio.start(…)",
    "app.start_many": "await app.aio.start_many(…)",
    "app.external": "await app.aio.external(…)",
    "app.resolve": "await app.aio.resolve(…)",
    "app.processes": "await app.aio.processes(…)",
    "app.pause": "await app.aio.pause(…)",
    "app.resume": "await app.aio.resume(…)",
    "app.why": "await app.aio.why(…)",
    "app.undeliverable": "await app.aio.undeliverable(…)",
    "handle.result": "await app.aio.handle(id).result(…)",
    "app.waits": "await app.aio.waits(…)",
    "app.fleet": "await app.aio.fleet(…)",
    "app.doctor": "await app.aio.doctor(…)",
    "app.sessions": "await app.aio.sessions(…)",
    "handle.view": "await app.aio.handle(id).view(…)",
    "handle.status": "await app.aio.handle(id).status(…)",
    "handle.signal": "await app.aio.handle(id).signal(…)",
    "handle.cancel": "await app.aio.handle(id).cancel(…)",
    "handle.retry": "await app.aio.handle(id).retry(…)",
    "trigger.emit": "await app.aio.trigger(source).emit(…)",
    "trigger.subscribe": "await app.aio.trigger(source).subscribe(…)",
    "trigger.subscriptions": "await app.aio.trigger(source).subscriptions(…)",
    "trigger.enable": "await app.aio.trigger(source).enable(…)",
    "trigger.disable": "await app.aio.trigger(source).disable(…)",
    "trigger.remove": "await app.aio.trigger(source).remove(…)",
    "handle.retarget": "await app.aio.handle(id).retarget(…)",
    "handle.events": "async for … in app.aio.handle(id).events(…)",
    "external.emit": "await emit(…) of what app.aio.external(…) gives",
    "external.finish": "await finish(…) of what app.aio.external(…) gives",
    "external.fail": "await fail(…) of what app.aio.external(…) gives",
    "session.send": "await app.aio.session(agent, key).send(…)",
    "session.ask": "await app.aio.session(agent, key).ask(…)",
    "session.view": "await app.aio.session(agent, key).view(…)",
    "session.history": "await app.aio.session(agent, key).history(…)",
    "session.state": "await app.aio.session(agent, key).state(…)",
    "session.command": "await app.aio.session(agent, key).command(…)",
    "session.create": "await app.aio.session(agent, key).create(…)",
    "session.delete": "await app.aio.session(agent, key).delete(…)",
    "session.inspect": "await app.aio.session(agent, key).inspect(…)",
    "session.wakes": "await app.aio.session(agent, key).wakes(…)",
    "session.why": "await app.aio.session(agent, key).why(…)",
    "session.redrive": "await app.aio.session(agent, key).redrive(…)",
    "session.skip": "await app.aio.session(agent, key).skip(…)",
    "session.frames": "await app.aio.session(agent, key).frames(…)",
    "session.turn": "await app.aio.session(agent, key).turn(…)",
    "session.follow": "async for … in app.aio.session(agent, key).follow(…)",
    "session.append": "await app.aio.session(agent, key).append(…)",
    "session.graph": "await app.aio.session(agent, key).graph(…)",
}
JOURNALED = {
    "attachments.put": "ctx.attachments.put(…)",
    "attachments.get": "ctx.attachments.get(…)",
    "attachments.head": "ctx.attachments.head(…)",
    "attachments.delete": "ctx.attachments.delete(…)",
    "attachments.list": "ctx.attachments.list(…)",
    "app.start": "ctx.start(…)",
    "app.start_many": "ctx.start(…) for each",
    "handle.signal": "ctx.signal(id, …)",
    "handle.cancel": "ctx.cancel(id)",
    "session.ask": "ctx.ask(session, …)",
    "trigger.emit": "ctx.trigger(source).emit(…)",
    "trigger.subscribe": "ctx.trigger(source).subscribe(…)",
    "handle.result": "ctx.start(…) and the result of the child it returns",
}
IN_A_STEP = "ctx.step(name, function) with a function that calls it,"


def external(app: App) -> External:
    return External(app.handle("x").client, "x", lambda data: data)


def refusals(app: App) -> dict[str, str]:
    """What each blocking verb says here."""
    said: dict[str, str] = {}
    for verb, call in BLOCKING.items():
        try:
            call(app)
        except WrongVerb as wrong:
            assert (wrong.verb, wrong.retryable) == (verb, False)
            said[verb] = wrong.use
        else:
            said[verb] = "it went through"
    return said


@pytest.fixture
def bodies(app: App) -> dict[str, Any]:
    @app.tool
    def one() -> int:
        return 1

    @app.engine
    def blocking(ctx: Ctx) -> dict[str, str]:
        return refusals(app)

    @app.engine
    async def on_the_loop(ctx: AsyncCtx) -> dict[str, str]:
        return refusals(app)

    return {"blocking": blocking, "on_the_loop": on_the_loop}


def test_on_a_running_loop_every_blocking_verb_names_its_awaited_twin_and_connects_to_nothing() -> None:
    app = App("nowhere", settings=Settings())

    @app.tool
    def one() -> int:
        return 1

    async def handler() -> dict[str, str]:
        return refusals(app)

    assert asyncio.run(handler()) == ON_A_LOOP
    with pytest.raises(RedisNotConfigured):
        app.start(one)


def test_in_the_thread_of_a_body_every_blocking_verb_names_the_journaled_one(app: App, bodies: dict[str, Any]) -> None:
    assert app.start(bodies["blocking"]).result(timeout=10) == {
        verb: JOURNALED.get(verb, IN_A_STEP) for verb in BLOCKING
    }


def test_in_a_body_on_the_loop_the_journaled_verb_is_awaited(app: App, bodies: dict[str, Any]) -> None:
    assert app.start(bodies["on_the_loop"]).result(timeout=10) == {
        verb: f"await {JOURNALED.get(verb, IN_A_STEP)}" for verb in BLOCKING
    }
    assert app.processes("any", kind="one") == []


def test_in_a_turn_the_right_verb_is_the_turns(app: App, bodies: dict[str, Any]) -> None:
    @app.agent("clerk")
    def clerk(turn: Turn) -> str:
        return refusals(app)["app.start"]

    @app.agent("typist")
    async def typist(turn: AsyncTurn) -> str:
        return refusals(app)["handle.signal"]

    assert app.session("clerk", "1").ask("hello", timeout=10) == "turn.start(…)"
    assert app.session("typist", "1").ask("hello", timeout=10) == "await turn.signal(id, …)"


def test_a_body_sees_it_also_after_a_verb_of_its_own_came_back(app: App, bodies: dict[str, Any]) -> None:
    @app.engine
    def later(ctx: Ctx) -> str:
        ctx.step("first", int)
        ctx.call(app.registry.tools["one"])
        return refusals(app)["app.start"]

    assert app.start(later).result(timeout=10) == "ctx.start(…)"


@pytest.mark.parametrize(
    "kind", ["step of a def body", "step of an async def body", "tool", "tool of a def body", "deferred"]
)
def test_a_step_a_tool_and_a_deferred_call_may_use_blocking_verbs(app: App, kind: str) -> None:
    sent: list[int] = []

    def send() -> int:
        sent.append(app.session("clerk", "1").send("hello", key="k"))
        return sent[-1]

    @app.agent("clerk")
    def clerk(turn: Turn) -> None: ...

    @app.tool
    def tool() -> int:
        return send()

    @app.engine
    def blocking(ctx: Ctx) -> int:
        return ctx.step("send", send)

    @app.engine
    async def on_the_loop(ctx: AsyncCtx) -> int:
        return await ctx.step("send", send)

    @app.engine
    def calling(ctx: Ctx) -> int:
        return ctx.call(tool)

    @app.engine
    def deferring(ctx: Ctx) -> int:
        ctx.defer(send)
        return 1

    start: dict[str, Callable[[], Any]] = {
        "step of a def body": lambda: app.start(blocking),
        "step of an async def body": lambda: app.start(on_the_loop),
        "tool": lambda: app.start(tool),
        "tool of a def body": lambda: app.start(calling),
        "deferred": lambda: app.start(deferring),
    }
    assert start[kind]().result(timeout=10) == 1
    assert sent == [1]


def awaited(app: App) -> dict[str, Callable[[], Any]]:
    """Every awaited verb by the name of its blocking twin."""
    handle, session, trigger = app.aio.handle("p"), app.aio.session("clerk", "1"), app.aio.trigger("a")
    there = AsyncExternal(handle.client, "x", lambda data: data)
    one = app.registry.tools["one"]
    given: dict[str, Any] = {
        "app.start": lambda: app.aio.start(one),
        "app.start_many": lambda: app.aio.start_many(one, [{}]),
        "app.external": lambda: app.aio.external("ci"),
        "app.resolve": lambda: app.aio.resolve("token"),
        "app.why": lambda: app.aio.why("clerk/1"),
        "handle.signal": lambda: handle.signal("go"),
        "handle.retarget": lambda: handle.retarget(None),
        "handle.events": lambda: anext(handle.events()),
        "external.emit": lambda: there.emit("log"),
        "external.fail": lambda: there.fail("red", "it failed"),
        "attachments.put": lambda: app.aio.attachments.put(b""),
        "attachments.get": lambda: app.aio.attachments.get("sha256:" + "0" * 64),
        "attachments.head": lambda: app.aio.attachments.head("sha256:" + "0" * 64),
        "attachments.delete": lambda: app.aio.attachments.delete("sha256:" + "0" * 64),
        "attachments.list": lambda: app.aio.attachments.list(),
        "trigger.subscribe": lambda: trigger.subscribe(one),
        "trigger.enable": lambda: trigger.enable("s"),
        "trigger.disable": lambda: trigger.disable("s"),
        "trigger.remove": lambda: trigger.remove("s"),
        "session.send": lambda: session.send("hello"),
        "session.ask": lambda: session.ask("hello"),
        "session.command": lambda: session.command("reset"),
        "session.follow": lambda: anext(session.follow()),
        "session.append": lambda: session.append([]),
    }
    nouns = {"app": app.aio, "handle": handle, "external": there, "session": session, "trigger": trigger}
    for verb in BLOCKING:
        noun, _, name = verb.partition(".")
        given.setdefault(verb, getattr(nouns.get(noun), name, None))
    return given


async def awaited_refusals(app: App) -> dict[str, str]:
    """What each awaited verb says here."""
    said: dict[str, str] = {}
    for verb, call in awaited(app).items():
        try:
            await call()
        except WrongVerb as wrong:
            assert wrong.verb == "app.aio." + verb.removeprefix("app.")
            said[verb] = wrong.use
        else:
            said[verb] = "it went through"
    return said


def test_in_a_body_every_awaited_verb_names_the_journaled_one_and_does_nothing(app: App) -> None:
    @app.tool
    def one() -> int:
        return 1

    @app.engine
    async def on_the_loop(ctx: AsyncCtx) -> dict[str, str]:
        return await awaited_refusals(app)

    @app.engine
    def blocking(ctx: Ctx) -> dict[str, str]:
        return asyncio.run(awaited_refusals(app))

    @app.agent("typist")
    async def typist(turn: AsyncTurn) -> dict[str, str]:
        return await awaited_refusals(app)

    assert app.start(on_the_loop).result(timeout=10) == {
        verb: f"await {JOURNALED.get(verb, IN_A_STEP)}" for verb in BLOCKING
    }
    assert app.start(blocking).result(timeout=10) == {verb: JOURNALED.get(verb, IN_A_STEP) for verb in BLOCKING}
    said = app.session("typist", "1").ask("hello", timeout=10)
    assert (set(said), said["app.start"], said["session.send"]) == (
        set(BLOCKING),
        "await turn.start(…)",
        f"await {IN_A_STEP.replace('ctx', 'turn')}",
    )
    assert app.processes("any", kind="one") == []
    with pytest.raises(SessionNotFound):
        app.session("clerk", "1").view()


@pytest.mark.parametrize("kind", ["def", "async def", "thread of an async def", "turn", "task of a body"])
def test_a_tool_called_plainly_in_a_body_does_nothing_and_names_the_call(app: App, kind: str) -> None:
    done: list[int] = []

    @app.tool
    def charge(order: int) -> int:
        done.append(order)
        return order

    @app.tool
    async def charge_soon(order: int) -> int:
        done.append(order)
        return order

    @app.engine(name="def")
    def plain(ctx: Ctx) -> int:
        return charge(1)

    @app.engine(name="async-def")
    async def awaiting(ctx: AsyncCtx) -> int:
        return await charge_soon(1)

    @app.engine(name="thread")
    async def threads(ctx: AsyncCtx) -> int:
        return await asyncio.to_thread(charge, 1)

    @app.engine(name="task")
    async def tasks(ctx: AsyncCtx) -> int:
        async def later() -> int:
            return charge(1)

        return await asyncio.create_task(later())

    @app.agent("typist", max_attempts=1)
    async def typist(turn: AsyncTurn) -> int:
        return await charge_soon(1)

    uses = {
        "def": "ctx.call(charge, …)",
        "async def": "await ctx.call(charge_soon, …)",
        "turn": "await turn.call(charge_soon, …)",
    }
    use = uses.get(kind, "await ctx.call(charge, …)")
    starts = {"def": plain, "async def": awaiting, "thread of an async def": threads, "task of a body": tasks}
    with pytest.raises(ProcessFailed, match=re.escape(f"would be done again by every replay here. Use {use} instead")):
        app.session("typist", "1").ask("hello", timeout=20) if kind == "turn" else app.start(starts[kind]).result(
            timeout=10
        )
    assert done == []


def test_a_step_a_tool_and_a_deferred_call_may_call_tools_plainly_and_use_awaited_verbs(app: App) -> None:
    done: list[str] = []

    @app.tool
    def inner(what: str) -> str:
        done.append(what)
        return what

    async def starts() -> str:
        return await (await app.aio.start(inner, "started")).result(timeout=10)

    @app.tool(prepare=lambda args: inner("prepared"))
    async def outer() -> str:
        return inner("tool") + await starts()

    @app.engine
    async def body(ctx: AsyncCtx) -> list[str]:
        ctx.defer(inner, "deferred")
        return [await ctx.step("tool", inner, "step"), await ctx.step("aio", starts), await ctx.call(outer)]

    handle = app.start(body)
    assert handle.result(timeout=10) == ["step", "started", "toolstarted"]
    assert sorted(done) == ["deferred", "prepared", "started", "started", "step", "tool"]


def test_outside_of_a_body_a_tool_is_a_function_like_any_other(app: App) -> None:
    @app.tool
    def one() -> int:
        return 1

    @app.tool
    async def two() -> int:
        return 2

    assert (one(), asyncio.run(two())) == (1, 2)


def test_declaring_and_naming_are_no_blocking_verbs(app: App) -> None:
    @app.tool
    def one() -> int:
        return 1

    async def handler() -> tuple[str, str]:
        app.using(id="x")
        return app.handle("p").id, app.session("clerk", "1").id

    assert asyncio.run(handler()) == ("p", "clerk/1")
