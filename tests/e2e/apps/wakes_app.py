"""The app of the crash tests of wakes: a job that wakes a desk, each of which sleeps once."""

from __future__ import annotations

from killing import note
from wakeline import App, AsyncCtx, AsyncTurn

app = App("wakes")


@app.engine
async def job(ctx: AsyncCtx) -> str:
    await ctx.step("work", note, "work")
    await ctx.wake("half")
    await ctx.sleep("50ms")
    return "done"


@app.agent("desk")
async def desk(turn: AsyncTurn) -> list[str]:
    texts = [item.text for item in turn.inbox]
    await turn.step("note", note, f"read {texts}")
    await turn.sleep("50ms")
    return texts
