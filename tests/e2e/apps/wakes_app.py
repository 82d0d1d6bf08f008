"""The app of the crash tests of wakes: a job that wakes a desk, each of which sleeps once."""

from __future__ import annotations

import os
import time

from killing import NOTES, note
from wakeline import App, AsyncCtx, AsyncTurn, Turn

app = App("wakes")


@app.engine
async def job(ctx: AsyncCtx) -> str:
    await ctx.step("work", note, "work")
    await ctx.wake("half")
    await ctx.sleep("50ms")
    return "done"


@app.agent("desk")
async def desk(turn: AsyncTurn) -> list[str]:
    texts = [item.text for item in turn.inbox]
    await turn.step("note", note, f"read {texts}")
    await turn.sleep("50ms")
    return texts


def think() -> None:
    """Long, the first time."""
    note(f"thinks {os.getpid()}")
    if NOTES.read_text().count("thinks") == 1:
        time.sleep(4)


@app.agent("slow")
def slow(turn: Turn) -> str:
    turn.step("think", think)
    return f"thought in {os.environ.get('WAKES_NAME')}"
