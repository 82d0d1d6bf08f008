"""Bodies for the tests of RQ's own tools."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path

from wakeline import App, AsyncCtx, Ctx

app = App("rqapp")


@app.engine
async def add(ctx: AsyncCtx, a: int, b: int) -> int:
    return a + b


@app.engine
async def breaks(ctx: AsyncCtx) -> None:
    raise ValueError("no")


@app.engine(signals={"go": bool})
def waits(ctx: Ctx) -> bool:
    return ctx.wait("go", bool)


@app.engine
def slow(ctx: Ctx, seconds: float) -> float:
    ctx.step("sleep", time.sleep, seconds)
    return seconds


def _look(path: str) -> bool:
    while not Path(path).exists():
        time.sleep(0.02)
    return True


@app.engine
def held(ctx: Ctx, path: str) -> bool:
    """Runs until the file is there."""
    return ctx.step("look", _look, path)


@app.engine
async def noted(ctx: AsyncCtx, path: str) -> bool:
    """Writes down when it ran."""
    with Path(path).open("a") as file:
        file.write(f"{time.time()}\n")
    return True


@app.engine
def naps(ctx: Ctx, seconds: float) -> str:
    ctx.sleep(seconds)
    return "rested"


@app.tool
def double(n: int) -> int:
    return 2 * n


@app.tool(timeout="300ms")
async def never_gives_in() -> None:
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0.1)


@app.tool(timeout="300ms")
def blocks() -> None:
    time.sleep(600)
