"""The app of the crash tests of batches: three calls side by side, one after them."""

from __future__ import annotations

from typing import Any

from killing import note
from wakeline import App, AsyncCtx

app = App("batches")


@app.tool
def work(n: int) -> int:
    note(f"work {n}")
    return n


@app.tool(scheduling="serial")
def alone(n: int) -> int:
    note(f"alone {n}")
    return n


@app.engine
async def calls(ctx: AsyncCtx) -> list[Any]:
    outcomes = await ctx.call_batch([(work, {"n": 1}), (alone, {"n": 2}), (work, {"n": 3}), (alone, {"n": 4})])
    return [outcome.value for outcome in outcomes]  # type: ignore[union-attr]
