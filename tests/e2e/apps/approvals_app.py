"""The app of the crash tests of approvals: a body asks two people, and charges once it has both answers."""

from __future__ import annotations

from typing import Any

from killing import note
from wakeline import App, AsyncCtx

app = App("asking")


@app.engine
async def asks(ctx: AsyncCtx, item: str) -> list[Any]:
    asked = [await ctx.approval(who, bool, question=f"{who}: {item}?", timeout="1h") for who in ("ann", "bo")]
    answers = await ctx.gather(asked, default=None)
    done = await ctx.effect("charge", lambda: note(f"charged {item}"), args={"item": item}, key=f"charge:{item}")
    return [*answers, done]


@app.engine
async def hurries(ctx: AsyncCtx) -> list[Any]:
    asked = [await ctx.approval(who, bool, timeout="1500ms") for who in ("ann", "bo")]
    return await ctx.gather(asked, default="late")
