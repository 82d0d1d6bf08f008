"""A release that should not have been: renamed, removed, narrowed and broken code under what the others started."""

from __future__ import annotations

import time

from wakeline import App, AsyncCtx, AsyncTurn, Attachment, Ctx, Limit, current

from benchmarks.rolled import act, grown, negative

app = App("rolled")


@app.tool(isolation="process")
def charge(flow: str, what: str) -> str:
    return act(flow, what)


@app.tool
def repay(flow: str) -> str:
    return act(flow, "credit")


@app.tool(retries=1, backoff="2s")
def unsure(flow: str) -> str:
    if current().attempt < 2:
        raise RuntimeError("not yet")
    return act(flow, "unsure")


@app.tool(isolation="process")
def develop(flow: str, picture: Attachment) -> Attachment:
    """Puts another picture than the one it read."""
    made: Attachment = current().attachments.put(negative(current().attachments.get(picture)), "image/png")
    act(flow, "developed")
    return made


@app.tool
def audit(flow: str) -> str:
    """Ends up in the reply of a turn."""
    return act(flow, "audit")


@app.engine
def renamed(ctx: Ctx, flow: str) -> str:
    ctx.call(repay, flow)
    ctx.sleep("6s")
    return ctx.call(charge, flow, "after")


@app.engine
async def moved(ctx: AsyncCtx, flow: str) -> str:
    for n in range(4):
        await ctx.call(charge, flow, f"moved-{n}")
        await ctx.sleep("3s")
    return "moved"


@app.engine
async def retried(ctx: AsyncCtx, flow: str) -> str:
    done = await ctx.call(unsure, flow)
    await ctx.sleep("6s")
    return done


@app.engine
async def patched(ctx: AsyncCtx, flow: str) -> str:
    await ctx.call(charge, flow, "first")
    await ctx.sleep("6s")
    await ctx.call(charge, flow, "last")
    return "patched"


@app.engine
def removed(ctx: Ctx, flow: str) -> str:
    ctx.call(charge, flow, "kept")
    ctx.sleep("6s")
    return ctx.call(charge, flow, "end")


@app.engine
async def widened(ctx: AsyncCtx, flow: str, how: str) -> str:
    await ctx.sleep("6s")
    return await ctx.call(charge, flow, "widened")


@app.engine
def broken(ctx: Ctx, flow: str) -> str:
    ctx.call(charge, flow, "before")
    ctx.sleep("6s")
    return ctx.call(charge, flow, where)  # type: ignore[name-defined]  # noqa: F821


@app.engine(signals={"go": str})
async def told(ctx: AsyncCtx, flow: str) -> str:
    await ctx.call(charge, flow, "asked")
    n = await ctx.wait("go", str)
    await ctx.sleep("3s")
    await ctx.call(charge, flow, "heard")
    return n


@app.engine(limit=Limit(concurrency=2))
def narrow(ctx: Ctx, flow: str) -> str:
    time.sleep(0.05)
    return ctx.call(charge, flow, "narrow")


@app.engine
async def pictured(ctx: AsyncCtx, flow: str, picture: int) -> Attachment:
    """An attachment comes with the start, another from a tool; what a step returns is too large for a row. All of it is
    there a park later."""
    made = await ctx.call(develop, flow, picture)  # type: ignore[arg-type]
    text = await ctx.step("grow", grown, flow)
    await ctx.sleep("6s")
    whole = await ctx.attachments.get(made) == negative(flow.encode()) and text == grown(flow)
    await ctx.call(charge, flow, "whole" if whole else "torn")
    return made


@app.engine
async def relayed(ctx: AsyncCtx, flow: str) -> str:
    """Emits an occurrence, which starts `built`: no worker of this release can start that."""
    await ctx.call(charge, flow, "emitted")
    await ctx.sleep("3s")
    receipt = await ctx.trigger("rolled.push").emit({"flow": flow}, key=flow)
    return receipt.occurrence_id


@app.agent("desk")
async def desk(turn: AsyncTurn) -> str:
    for item in turn.inbox:
        await turn.call(audit, item.text)
    return "noted"
