"""The bodies that are measured."""

from __future__ import annotations

import asyncio
import os
import time
from datetime import UTC, datetime
from pathlib import Path

from wakeline import App, AsyncCtx, AsyncTurn

app = App("bench")


@app.engine
async def nothing(ctx: AsyncCtx) -> None:
    """Starts and ends."""


@app.engine
async def began(ctx: AsyncCtx) -> float:
    """When its first line ran (seconds since 1970, this machine's clock)."""
    return time.time()


@app.engine
async def stays(ctx: AsyncCtx) -> None:
    """Says that it runs, and stays until a file tells it to end."""
    notes = Path(os.environ["BENCH_NOTES"])
    with notes.open("a", encoding="utf-8") as file:
        file.write(f"{time.time()} {os.getpid()}\n")
    while not (notes.parent / "over").exists():
        await asyncio.sleep(0.01)


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


@app.engine
async def sleeps(ctx: AsyncCtx, until: float) -> float:
    """How late it goes on after a moment (seconds since 1970), in seconds."""
    await ctx.sleep_until(datetime.fromtimestamp(until, tz=UTC))
    return time.time() - until


@app.agent("ear")
async def ear(turn: AsyncTurn) -> float:
    """How long ago its latest wake was sent, in seconds, at its first line."""
    return time.time() - float([item.text for item in turn.inbox][-1])


@app.agent("sink")
async def sink(turn: AsyncTurn) -> None:
    """Reads, and says nothing."""


@app.agent("single", one_at_a_time=True)
async def single(turn: AsyncTurn) -> None:
    """One entry a turn."""
