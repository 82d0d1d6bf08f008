"""A body that asks for very many things at once: a few begin in a turn of the loop, in order, and a replay gives them
back in the order of their records."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from wakeline import App, AsyncCtx
from wakeline.run import journal
from wakeline.store.calls import Call

from tests.scenario.conftest import until


class Turns:
    """Counts turns of a loop, until it is stopped."""

    def __init__(self) -> None:
        self.now = 0
        self._loop = asyncio.get_running_loop()
        self._next()

    def _next(self) -> None:
        self.now += 1
        self._handle = self._loop.call_soon(self._next)

    def stop(self) -> None:
        self._handle.cancel()


def test_of_600_calls_at_once_at_most_128_begin_in_one_turn_and_a_replay_keeps_their_order(app: App) -> None:
    begun: Counter[int] = Counter()
    runs: list[list[int]] = []
    turns: list[Turns] = []
    doors: list[asyncio.Event] = []

    @app.tool
    async def same(n: int) -> int:
        begun[turns[0].now] += 1
        if n < 500:  # the first ones end last
            await doors[0].wait()
        elif n == 599:
            doors[0].set()
        return n

    @app.engine(signals={"go": bool})
    async def many(ctx: AsyncCtx, n: int) -> int:
        doors.append(asyncio.Event())
        turns.append(Turns())
        order: list[int] = []

        async def one(i: int) -> None:
            order.append(await ctx.call(same, i))

        await asyncio.gather(*(one(i) for i in range(n)))
        turns[-1].stop()
        runs.append(order)
        await ctx.wait("go", bool)
        return len(order)

    handle = app.start(many, 600)
    until(lambda: handle.status().status == "waiting")
    handle.signal("go", True)
    assert handle.result(timeout=20) == 600
    assert begun.total() == 600
    assert max(begun.values()) <= 128
    assert len(runs) == 2
    assert runs[0] == runs[1]


def test_equal_steps_of_many_tasks_get_their_own_outcomes_again_though_some_of_them_go_on_before_others_begin(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[list[tuple[int, int]]] = []
    count = 0

    async def next_number() -> int:
        nonlocal count
        count += 1
        return count

    @app.engine(signals={"go": bool})
    async def many(ctx: AsyncCtx) -> None:
        async def one() -> tuple[int, int]:
            return await ctx.step("next", next_number), await ctx.step("next", next_number)

        seen.append(list(await asyncio.gather(*(one() for _ in range(200)))))
        await ctx.wait("go", bool)

    handle = app.start(many)
    until(lambda: handle.status().status == "waiting")
    handle.signal("go", True)
    handle.result(timeout=20)
    assert len(seen) == 2
    assert seen[0] == seen[1]
    assert count == 400
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []


def test_of_600_children_that_are_started_at_once_256_starts_are_under_way_and_all_are_gathered(app: App) -> None:
    under_way, most = 0, 0

    @app.engine
    async def child(ctx: AsyncCtx, n: int) -> int:
        return n

    @app.engine
    async def parent(ctx: AsyncCtx, n: int) -> int:
        nonlocal under_way, most
        execute = ctx.run.store._execute

        async def counted(call: Call[object]) -> object:
            nonlocal under_way, most
            under_way += call.script == "process_register"
            most = max(most, under_way)
            try:
                return await execute(call)
            finally:
                under_way -= call.script == "process_register"

        ctx.run.store._execute = counted  # type: ignore[method-assign, assignment]
        children = await asyncio.gather(*(ctx.start(child, i) for i in range(n)))
        return sum(await ctx.gather(children))

    assert app.start(parent, 600).result(timeout=30) == 179_700
    assert most == journal.AT_ONCE == 256
