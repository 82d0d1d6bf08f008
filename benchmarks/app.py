"""The bodies that are measured."""

from __future__ import annotations

import time

from wakeline import App, AsyncCtx

app = App("bench")


@app.engine
async def nothing(ctx: AsyncCtx) -> None:
    """Starts and ends."""


@app.engine
async def began(ctx: AsyncCtx) -> float:
    """When its first line ran (seconds since 1970, this machine's clock)."""
    return time.time()


def _one(n: int) -> int:
    return n


async def _one_async(n: int) -> int:
    return n


@app.engine
async def ten_steps(ctx: AsyncCtx) -> int:
    """Ten recorded steps, one after the other."""
    return sum([await ctx.step("one", _one_async, n) for n in range(10)])


@app.engine(signals={"go": float})
async def waits(ctx: AsyncCtx) -> float:
    """Parks; the time between the signal's sending and its next line, in seconds."""
    sent = await ctx.wait("go", float)
    return time.time() - sent
