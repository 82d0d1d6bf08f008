"""An app in which things go wrong: a tool that fails twice, a step that raises in a function of the user's, a worker
that kills itself once, and a step that ``SETBACKS_STEP`` renames."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import setbacks_scale
from wakeline import App, AsyncCtx

app = App("setbacks")
FOLDER = Path(os.environ["SETBACKS_FOLDER"])


def again(name: str, times: int) -> bool:
    """Whether this is one of the first calls of this name."""
    marks = len(list(FOLDER.glob(f"{name}-*")))
    (FOLDER / f"{name}-{marks}").touch()
    return marks < times


@app.tool(retries=5, backoff=0.01)
def charge(cents: int) -> int:
    if again("charge", 2):
        raise ValueError(f"busy\x1b[2J {cents}")
    return cents


@app.tool(isolation="process")
def apart() -> None:
    setbacks_scale.weigh(7)


@app.engine
async def ship(ctx: AsyncCtx) -> int:
    return await ctx.step("weigh", setbacks_scale.weigh, 99)


@app.engine
async def dies(ctx: AsyncCtx) -> str:
    await ctx.step("begin", int, 1)
    if again("dies", 1):
        os.kill(os.getpid(), signal.SIGKILL)
    return "alive"


@app.engine(signals={"go": int})
async def order(ctx: AsyncCtx) -> int:
    await ctx.step(os.environ.get("SETBACKS_STEP", "look"), int, 1)
    return await ctx.wait("go", int)
