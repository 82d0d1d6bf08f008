"""The app of the crash tests of triggers: a body emits, what it reaches notes that it ran."""

from __future__ import annotations

from killing import note
from wakeline import App, AsyncCtx

app = App("triggers")


@app.engine
async def build(ctx: AsyncCtx, repo: str) -> str:
    await ctx.step("note", note, f"built {repo}")
    return repo


@app.engine
async def pays(ctx: AsyncCtx) -> list[str]:
    receipt = await ctx.trigger("order.paid").emit({"repo": "shop"})
    await ctx.step("note", note, f"emitted {len(receipt.started)}")
    return list(receipt.started)
