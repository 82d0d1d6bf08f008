"""What a step may call: any function; its result is what its annotation says, before and after a replay."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from pydantic import BaseModel
from wakeline import App, AsyncCtx, Ctx
from wakeline.errors import ProcessFailed


class Price(BaseModel):
    cents: int


def price(cents: int, *rest: int) -> Price:
    return Price(cents=cents + sum(rest))


class Socket:
    """Nothing JSON could hold."""


def connect() -> Socket:
    raise AssertionError("a step whose result cannot be recorded is refused before it runs")


def test_builtins_partials_and_functions_of_many_arguments_can_be_steps(app: App) -> None:
    @app.engine
    def sums(ctx: Ctx) -> list[int]:
        return [
            ctx.step("builtin", max, 1, 2),
            ctx.step("module", math.gcd, 12, 18),
            ctx.step("partial", partial(math.gcd, 8), 12),
            ctx.step("many", price, 1, 2, 3).cents,
            ctx.step("class", int, "7"),
        ]

    @app.engine
    async def awaited(ctx: AsyncCtx) -> int:
        return (await ctx.step("many", price, 1, 2)).cents

    assert app.start(sums).result(timeout=10) == [2, 6, 4, 6, 7]
    assert app.start(awaited).result(timeout=10) == 3


def test_a_step_gives_the_annotated_type_also_when_it_is_replayed(app: App) -> None:
    seen: list[Price] = []

    @app.engine
    def quoted(ctx: Ctx) -> int:
        seen.append(ctx.step("price", price, 500))
        ctx.wait("go")
        return seen[-1].cents

    handle = app.start(quoted)
    handle.signal("go")
    assert handle.result(timeout=10) == 500
    assert set(map(type, seen)) == {Price}


def test_a_step_whose_result_is_no_json_is_refused_before_it_runs(app: App) -> None:
    @app.engine
    def dials(ctx: Ctx) -> None:
        ctx.step("dial", connect)

    with pytest.raises(ProcessFailed, match="step dial cannot be a body: .*Socket.* cannot be stored as JSON"):
        app.start(dials).result(timeout=10)


async def later(cents: int) -> int:
    return cents + 1


class Later:
    async def __call__(self, cents: int) -> int:
        return cents + 1


@pytest.mark.parametrize("kind", ["lambda", "callable object", "def that gives a coroutine"])
def test_a_step_whose_function_gives_a_coroutine_says_to_pass_the_async_function_itself(app: App, kind: str) -> None:
    given: dict[str, Callable[..., Any]] = {
        "lambda": lambda cents: later(cents),
        "callable object": Later(),
        "def that gives a coroutine": partial(_gives),
    }

    @app.engine
    async def awaited(ctx: AsyncCtx) -> Any:
        return await ctx.step("s", given[kind], 1)

    @app.engine
    def blocking(ctx: Ctx) -> Any:
        return ctx.step("s", given[kind], 1)

    said = re.escape(
        "step s cannot be a body: its function gives a coroutine that nothing awaits; pass the async function itself:"
        " ctx.step('s', function, …)."
    )
    for body in (awaited, blocking):
        with pytest.raises(ProcessFailed, match=said):
            app.start(body).result(timeout=10)


def _gives(cents: int) -> Any:
    return later(cents)


def test_an_async_function_a_partial_of_one_and_an_async_tool_may_be_steps(app: App) -> None:
    @app.tool
    async def tool(cents: int) -> int:
        return cents + 2

    @app.engine
    async def sums(ctx: AsyncCtx) -> list[Any]:
        return [await ctx.step("a", later, 1), await ctx.step("b", partial(later, 1)), await ctx.step("c", tool, 1)]

    assert app.start(sums).result(timeout=10) == [2, 2, 3]


def test_a_step_and_a_tool_that_give_a_file_say_where_its_bytes_go(app: App) -> None:
    @app.tool
    def opens() -> Any:
        return io.BytesIO(b"\xff\n")

    @app.engine
    def steps(ctx: Ctx) -> Any:
        return ctx.step("s", io.StringIO, "text")

    for body in (opens, steps):
        with pytest.raises(ProcessFailed, match="it is an open file; put its bytes into an attachment"):
            app.start(body).result(timeout=10)
