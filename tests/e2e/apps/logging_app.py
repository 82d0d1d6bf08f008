"""An app whose code logs wherever code of a user runs."""

from __future__ import annotations

import asyncio
import logging
import threading

from wakeline import App, AsyncCtx, Ctx

app = App("logging")
log = logging.getLogger("shop.orders")


def weigh() -> int:
    log.info("weighs")
    return 3


@app.tool
async def pack(order: int) -> str:
    log.info("packs", extra={"order": order})
    return "packed"


@app.tool
def label(order: int) -> str:
    log.info("labels")
    return threading.current_thread().name


@app.tool(isolation="process")
def stamp(order: int) -> str:
    log.info("stamps")
    return "stamped"


@app.engine(signals={"go": bool})
async def ship(ctx: AsyncCtx, order: int) -> str:
    said = ctx.log
    log.info("begins")
    said.info("begins to ship")
    await ctx.step("weigh", weigh)
    await asyncio.gather(ctx.call(pack, order), ctx.call(label, order))
    await ctx.call(stamp, order)
    log.info("waits")
    await ctx.wait("go", bool)
    log.info("ends")
    said.info("ends to ship")
    return "shipped"


@app.engine(signals={"go": bool})
def ship_blocking(ctx: Ctx, order: int) -> str:
    log.info("begins")
    ctx.step("weigh", weigh)
    log.info("waits")
    ctx.wait("go", bool)
    log.info("ends")
    return "shipped"
