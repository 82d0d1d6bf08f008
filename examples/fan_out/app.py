"""A flood report asks every gauge of a river at the same time, and does not wait for those that are late."""

from __future__ import annotations

from wakeline import App, AsyncCtx

app = App("river")
LEVELS = {"spring": 12, "mill": 80, "bridge": 145}


@app.tool(retries=3)
def read(gauge: str) -> int:
    return LEVELS[gauge]


@app.engine
async def measure(ctx: AsyncCtx, gauge: str) -> int:
    if gauge not in LEVELS:
        await ctx.sleep("1h")  # this gauge is out of order: its process sleeps, and holds no worker
    return await ctx.call(read, gauge)


@app.engine
async def report(ctx: AsyncCtx, gauges: list[str], patience: str = "10m") -> str:
    children = ctx.using(on_parent_end="request_cancel")  # late ones are asked to end with the report
    measures = [await children.start(measure, gauge) for gauge in gauges]  # processes of their own, on any worker
    levels = await ctx.gather(measures, timeout=patience, default=None)  # one wait, and one resume, for all of them
    known = {gauge: level for gauge, level in zip(gauges, levels, strict=True) if level is not None}
    highest = max(known, key=lambda gauge: known[gauge])
    return f"{highest} {known[highest]} cm, {len(gauges) - len(known)} late"
