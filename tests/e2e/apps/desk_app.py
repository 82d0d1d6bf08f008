"""A desk that meets the troubles an operator meets. ``DESK`` names the release that runs: ``before`` or ``after``."""

from __future__ import annotations

import os
import signal
import time

from wakeline import App, AsyncTurn, Ctx, Limit

RELEASE = os.environ.get("DESK", "before")
app = App("desk")


@app.tool
def note(text: str) -> str:
    return text


@app.tool
def poison(n: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return n


@app.tool(limit=Limit(concurrency=1, key="{customer}"))
def export(customer: str) -> str:
    time.sleep(600)
    return customer


@app.engine
def naps(ctx: Ctx) -> str:
    ctx.sleep("1s")
    return "rested"


@app.engine(signals={"go": bool})
def order(ctx: Ctx, n: int) -> int:
    ctx.call(note, "began")
    if RELEASE == "after":
        ctx.call(note, "checked")
    ctx.wait("go", bool)
    return n


if RELEASE == "before":
    app.cron("0 4 * * *", note, input={"text": "night"}, timezone="Europe/Berlin", name="night")

    @app.engine
    def gone(ctx: Ctx) -> str:
        return "here"


@app.agent("clerk", max_attempts=1)
async def clerk(turn: AsyncTurn) -> str:
    raise RuntimeError("no such order")
