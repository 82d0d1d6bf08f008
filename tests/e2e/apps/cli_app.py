"""The app the command line is tested with."""

from __future__ import annotations

import asyncio

from pydantic import BaseModel
from wakeline import App, AsyncCtx, AsyncTurn, Ctx

app = App("shop")
not_an_app = {"a": "dict"}


class Line(BaseModel):
    sku: str
    count: int


@app.tool
def charge(order: int, cents: int) -> str:
    return f"order {order}: {cents}"


@app.tool
def decline(order: int) -> str:
    raise ValueError(f"order {order} has no card")


@app.engine(signals={"decision": bool})
def refund(ctx: Ctx, order: int) -> str:
    charged = ctx.call(charge, order, -500)
    return f"{charged}, {'approved' if ctx.wait('decision', bool) else 'refused'}"


@app.engine
def pack(ctx: Ctx, lines: list[Line]) -> int:
    return sum(line.count for line in lines)


@app.engine
def nap(ctx: Ctx) -> str:
    ctx.sleep("1h")
    return "rested"


@app.engine
def blink(ctx: Ctx) -> str:
    ctx.sleep("200ms")
    return "seen"


@app.engine
async def grind(ctx: AsyncCtx, order: int) -> None:
    """It runs, and does not wait, until its worker ends."""
    await ctx.call(charge, order, 1)
    await ctx.step("grinds", asyncio.sleep, 600)


@app.engine
def parent(ctx: Ctx) -> str:
    return ctx.using(id="the-child").start(refund, 1).result()


@app.engine
async def deploy(ctx: AsyncCtx) -> bool:
    ask = await ctx.approval("deploy", bool, timeout="1d")
    await ctx.emit("log", {"token": ask.token})
    return bool(await ask.wait())


@app.engine(queue="slow")
def archive(ctx: Ctx) -> str:
    return "archived"


@app.agent("clerk")
async def clerk(turn: AsyncTurn) -> str:
    return "; ".join(str(item.input) for item in turn.inbox)
