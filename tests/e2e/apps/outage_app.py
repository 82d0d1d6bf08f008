"""The app whose Redis goes away: every body notes what it does, so that doing something twice shows."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time

from wakeline import App, AsyncCtx, AsyncTurn, Ctx, current

app = App("outage")


def note(what: str) -> None:
    with open(os.environ["OUTAGE_NOTES"], "a") as notes:
        notes.write(what + "\n")


def slow(what: str, seconds: float) -> str:
    note(f"begin {what}")
    time.sleep(seconds)
    note(f"end {what}")
    return what


@app.tool
def charge(order: int) -> int:
    slow(f"charge {order}", 0.5)
    note(f"key {current().idempotency_key}")
    return order


@app.engine
def works(ctx: Ctx, name: str, seconds: float = 2.0) -> list[str]:
    """In the middle of its second step when Redis goes."""
    return [ctx.step("slow", slow, f"{name}.{n}", 0.3 if n == 1 else seconds) for n in (1, 2, 3)]


@app.engine
async def works_async(ctx: AsyncCtx, name: str) -> list[str]:
    """The same on the loop."""
    return [await ctx.step("slow", slow, f"{name}.{n}", 0.3 if n == 1 else 2.0) for n in (1, 2, 3)]


@app.engine(signals={"go": int})
async def waits(ctx: AsyncCtx, name: str) -> int:
    """Waits for a signal, parked or still in memory."""
    await ctx.step("slow", slow, f"{name}.before", 0.0)
    answer = await ctx.wait("go", int, timeout="1h")
    await ctx.step("slow", slow, f"{name}.after", 0.0)
    return answer


@app.engine
async def sleeps(ctx: AsyncCtx, name: str, seconds: float) -> str:
    """Sleeps until a moment at which Redis is away."""
    await ctx.step("slow", slow, f"{name}.before", 0.0)
    await ctx.sleep(seconds)
    return await ctx.step("slow", slow, f"{name}.after", 0.0)


@app.engine
async def gathers(ctx: AsyncCtx, orders: int) -> int:
    """Its children are running when Redis goes."""
    children = [await ctx.start(charge, order) for order in range(orders)]
    return sum(await ctx.gather(children))


@app.agent("clerk")
async def clerk(turn: AsyncTurn) -> str:
    note(f"turn {turn.id}")
    return f"{len(turn.inbox)} told"


@app.engine
def prints(ctx: Ctx, times: int) -> list[str]:
    """Says what it does in the worker's output."""
    done: list[str] = []
    for n in range(times):
        print(f"line {n} " + "x" * 20_000)
        print("an error", file=sys.stderr, flush=True)
        logging.getLogger("outage").warning("a warning")
        done.append(
            ctx.step(
                "sub",
                lambda n=n: (
                    subprocess.run([sys.executable, "-c", f"print('ok {n}', flush=True)"], check=True) and f"ok {n}"
                ),
            )
        )
    return done
