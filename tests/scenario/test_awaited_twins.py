"""Every verb of `app.aio` against a served app: handlers on an event loop do what blocking callers do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import pytest
from wakeline import App, AsyncCtx, AsyncTurn, Engine, Tool
from wakeline.client.handles import AsyncHandle
from wakeline.errors import (
    AwaitEventUnknownOrRevoked,
    InvalidArguments,
    ProcessCancelled,
    ProcessConflict,
    ProcessFailed,
    ProcessNotFound,
    SessionNotFound,
    WaitTimeout,
)

T = TypeVar("T")


def awaited(app: App, story: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Runs a story on a loop of its own, and closes the client it used."""

    async def told() -> T:
        try:
            return await asyncio.wait_for(story(), 20)
        finally:
            await app.aio.close()

    return asyncio.run(told())


async def until(look: Callable[[], Awaitable[bool]]) -> None:
    while not await look():
        await asyncio.sleep(0.01)


@pytest.fixture
def double(app: App) -> Tool[[int], int]:
    @app.tool
    def double(n: int) -> int:
        return n * 2

    return double


@pytest.fixture
def asks(app: App) -> Engine[[int], str]:
    @app.engine(signals={"decision": bool})
    async def asks(ctx: AsyncCtx, order: int) -> str:
        ask = await ctx.approval("ship", str, timeout="1d")
        await ctx.emit("log", {"token": ask.token})
        decision = await ctx.wait("decision", bool, timeout="1d")
        return f"{order} {decision} {await ask.wait()}"

    return asks


def test_an_awaited_start_gives_a_handle_that_is_awaited_for_its_result(app: App, double: Tool[[int], int]) -> None:
    async def story() -> tuple[int, int, int]:
        handle = await app.aio.start(double, 21)
        same = app.aio.handle(handle.id, int)
        return await handle, await same.result(timeout=10), await (await app.aio.using(id="d-1").start(double, 4))

    assert awaited(app, story) == (42, 42, 8)
    assert app.handle("d-1").result(timeout=1) == 8


def test_awaited_options_are_those_of_the_blocking_start(app: App, double: Tool[[int], int]) -> None:
    async def story() -> None:
        await (await app.aio.using(id="d-2").start(double, 1)).result(timeout=10)
        with pytest.raises(ProcessConflict):
            await app.aio.using(id="d-2").start(double, 2)
        with pytest.raises(InvalidArguments):
            await app.aio.start(double, "x")  # type: ignore[arg-type]

    awaited(app, story)


def test_a_parked_process_is_signalled_resolved_listed_and_followed(app: App, asks: Engine[[int], str]) -> None:
    async def story() -> None:
        handle = await app.aio.using(id="ask-1").start(asks, 7)
        await until(lambda: waits(handle))
        assert [s.id for s in await app.aio.processes("waiting", waiting="decision")] == ["ask-1"]
        assert [s.id for s in await app.aio.processes("live", kind="asks")] == ["ask-1"]
        first = await handle.signal("decision", True, key="k")
        assert await handle.signal("decision", True, key="k") == first
        [token] = [e.payload["token"] async for e in handle.events() if e.type == "log"]
        with pytest.raises(AwaitEventUnknownOrRevoked):
            await app.aio.resolve(token[:-2] + "xx", "post")
        assert await app.aio.resolve(token, "post") is True
        followed = [(e.sequence, e.type) async for e in app.aio.handle("ask-1").events(follow=True)]
        assert followed[0] == (1, "process.started")
        assert followed[-1][1] == "process.completed"
        assert [n for n, _ in followed] == list(range(1, len(followed) + 1))
        assert await handle.result(timeout=1) == "7 True post"
        assert (await handle.status()).status == "completed"

    awaited(app, story)


async def waits(handle: AsyncHandle[Any]) -> bool:
    return (await handle.status()).status == "waiting"


def test_following_begins_after_a_sequence_and_ends_with_the_process(app: App, asks: Engine[[int], str]) -> None:
    async def story() -> list[str]:
        handle = await app.aio.start(asks, 1)
        await until(lambda: waits(handle))
        seen: list[str] = []

        async def follow() -> None:
            async for event in handle.events(after=1, follow=True):
                seen.append(event.type)

        follower = asyncio.create_task(follow())
        await asyncio.sleep(0)
        await handle.cancel("enough")
        with pytest.raises(ProcessCancelled):
            await handle.result(timeout=10)
        await follower
        return seen

    seen = awaited(app, story)
    assert "process.started" not in seen
    assert seen[-1] == "process.cancelled"
    assert seen.count("process.cancel_requested") == 1


def test_an_awaited_result_raises_what_the_blocking_one_raises(app: App) -> None:
    @app.tool
    def broken() -> None:
        raise ValueError("no such order")

    @app.engine
    async def sleeper(ctx: AsyncCtx) -> None:
        await ctx.sleep("30d")

    async def story() -> None:
        with pytest.raises(ProcessFailed, match="no such order"):
            await (await app.aio.start(broken)).result(timeout=10)
        with pytest.raises(WaitTimeout):
            await (await app.aio.start(sleeper)).result(timeout=0.05)
        with pytest.raises(ProcessNotFound):
            await app.aio.handle("nobody").status()
        with pytest.raises(InvalidArguments, match="status is live, any, or one of"):
            await app.aio.processes("asleep")

    awaited(app, story)


def test_work_elsewhere_is_reported_by_awaited_verbs(app: App) -> None:
    async def story() -> None:
        run = await app.aio.external("ci-run", id="gh-991", metadata={"branch": "main"})
        first = await run.emit("log", {"line": 1}, key="l1")
        assert await run.emit("log", {"line": 1}, key="l1") == first
        assert await run.finish({"ok": True}) > first
        assert await run.result(timeout=1) == {"ok": True}
        failed = await app.aio.external("ci-run", id="gh-992")
        await failed.fail("ci_red", "tests failed")
        with pytest.raises(ProcessFailed, match="ci_red"):
            await failed

    awaited(app, story)


def test_a_session_is_spoken_with_by_awaited_verbs(app: App, double: Tool[[int], int]) -> None:
    @app.agent("clerk")
    async def clerk(turn: AsyncTurn) -> str:
        turn.state["turns"] = turn.state.get("turns", 0) + 1
        if any(item.input == "wait" for item in turn.inbox):
            await turn.wait("go")
        return f"{len(turn.inbox)} told"

    async def story() -> None:
        session = app.aio.session("clerk", "1")
        with pytest.raises(SessionNotFound):
            await session.view()
        assert await session.ask("hello", key="k", timeout=10) == "1 told"
        assert await session.send("hello", key="k") == 1
        assert [(m.role, m.content) for m in await session.history()] == [("input", "hello"), ("agent", "1 told")]
        assert await session.state() == {"turns": 1}
        assert await session.turn() is None
        await session.send("wait")
        turn = await session.turn()
        assert turn is not None
        await until(lambda: waits(turn))
        await turn.signal("go")
        assert await turn == "1 told"
        await (await app.aio.using(wake=session).start(double, 2)).result(timeout=10)
        await until(lambda: settled(4))
        assert [m.role for m in await session.history(after=4)] == ["wake", "agent"]

    async def settled(turns: int) -> bool:
        return (await app.aio.session("clerk", "1").state())["turns"] == turns - 1

    awaited(app, story)


def test_each_loop_has_a_client_of_its_own_and_a_closed_one_is_made_anew(app: App, double: Tool[[int], int]) -> None:
    async def one() -> int:
        store = app.aio.store
        assert app.aio.store is store
        value = await (await app.aio.start(double, 1)).result(timeout=10)
        await app.aio.close()
        assert app.aio.store is not store
        return value + await (await app.aio.start(double, 2)).result(timeout=10)

    assert [awaited(app, one), awaited(app, one)] == [6, 6]
