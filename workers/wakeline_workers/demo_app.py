"""The app of the demo: a refund that asks for a decision, a report that is killed in the middle of a step, and an agent
that wakes."""

from __future__ import annotations

import os
import time

from wakeline import App, AsyncTurn, Ctx

app = App("demo")


def _note(line: str) -> None:
    """Into a file for the demo, which counts the lines; without one, into the worker's output."""
    line = f"{line} {os.getpid()}"
    if path := os.environ.get("WAKELINE_DEMO_NOTES"):
        with open(path, "a", encoding="utf-8") as notes:
            notes.write(f"{line}\n")
    else:
        print(line, flush=True)


@app.tool
def charge(order: int, cents: int) -> str:
    _note("charge")
    return f"order {order}: {cents} cents"


@app.engine(signals={"decision": bool})
def refund(ctx: Ctx, order: int) -> str:
    charged = ctx.call(charge, order, -500)
    approved = ctx.wait("decision", bool, timeout="1d", default=False)
    return f"{charged}, {'approved' if approved else 'refused'}"


def slow() -> int:
    _note("slow")
    time.sleep(1.0)
    return os.getpid()


@app.engine
def report(ctx: Ctx) -> int:
    ctx.step("fast", _note, "fast")
    return ctx.step("slow", slow)


@app.agent("clerk")
async def clerk(turn: AsyncTurn) -> str:
    return "; ".join(f"I was told: {item.text}" for item in turn.inbox)
