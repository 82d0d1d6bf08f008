"""Code that was not handed a context finds the one of the body it runs in, and none elsewhere."""

from __future__ import annotations

import asyncio
from typing import Any

from wakeline import App, AsyncCtx, AsyncTurn, Ctx, Turn, current_context


def deep() -> Any:
    return current_context()


def test_it_is_the_context_of_the_body_whose_code_runs(app: App) -> None:
    found: dict[str, Any] = {}

    @app.tool
    def tool() -> bool:
        return current_context() is None

    @app.engine
    async def awaited(ctx: AsyncCtx) -> list[bool]:
        found["awaited"] = deep() is ctx
        found["task"] = await asyncio.create_task(asyncio.to_thread(deep)) is ctx
        return [await ctx.step("step", lambda: current_context() is None), await ctx.call(tool)]

    @app.engine
    def blocking(ctx: Ctx) -> list[bool]:
        found["blocking"] = deep() is ctx
        return [ctx.step("step", lambda: current_context() is None), ctx.call(tool)]

    assert app.start(awaited).result(timeout=10) == [True, True]
    assert app.start(blocking).result(timeout=10) == [True, True]
    assert found == {"awaited": True, "task": True, "blocking": True}
    assert current_context() is None


def test_of_a_turn_it_is_the_turn(app: App) -> None:
    @app.agent("awaited")
    async def awaited(turn: AsyncTurn) -> bool:
        return current_context() is turn

    @app.agent("blocking")
    def blocking(turn: Turn) -> bool:
        return current_context() is turn

    assert app.session("awaited", "one").ask("?", timeout=10) is True
    assert app.session("blocking", "one").ask("?", timeout=10) is True
