"""The app of the soak: what has ended is kept for seconds, and so are tombstones, for which an environment allows no
less than an hour."""

from __future__ import annotations

import os
from dataclasses import replace

from wakeline import App, AsyncCtx
from wakeline.settings import Settings

KEPT_MS = int(os.environ.get("SOAK_KEPT_MS", "5000"))

app = App("soak", settings=replace(Settings.from_env(), retention_ms=KEPT_MS, tombstone_ms=KEPT_MS))


@app.engine
async def nothing(ctx: AsyncCtx) -> None:
    """Starts and ends."""


async def _one(n: int) -> int:
    return n


@app.engine(signals={"go": int})
async def steps(ctx: AsyncCtx) -> int:
    """Leaves a journal and a signal behind."""
    await ctx.step("one", _one, 1)
    return await ctx.wait("go", int)
