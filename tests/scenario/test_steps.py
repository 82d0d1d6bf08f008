"""What a step may call: any function; its result is what its annotation says, before and after a replay."""

from __future__ import annotations

import math
from functools import partial

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
