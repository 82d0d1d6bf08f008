"""The app of the race tests: bodies that hold the interpreter, sleep on, or must not run twice. Each notes what it
does, and in which process."""

from __future__ import annotations

import ctypes
import os
import threading
import time

from wakeline import App, AsyncCtx, Ctx

from tests.races.rules import take_out_as_told

take_out_as_told()
app = App("races")

HOLD_S = 4
SLEEP_S = 20


def note(what: str) -> None:
    """One line for the test."""
    with open(os.environ["RACES_NOTES"], "a", encoding="utf-8") as notes:
        notes.write(f"{what} {os.getpid()}\n")


@app.tool
def hold() -> float:
    """C code that keeps the interpreter for itself; returns for how many seconds no thread of this process could do
    anything."""
    beats = [time.monotonic()]

    def beat() -> None:
        while len(beats) < 2 or beats[-1] - beats[-2] < HOLD_S / 2:
            time.sleep(0.05)
            beats.append(time.monotonic())

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    note("hold")
    ctypes.PyDLL(None).sleep(HOLD_S)
    thread.join(5)
    note("held")
    return max(later - earlier for earlier, later in zip(beats, beats[1:], strict=False))


@app.tool(policy="never")
def charge() -> None:
    """This may happen only once."""
    note("charge")
    time.sleep(SLEEP_S)


@app.engine
def compute(ctx: Ctx) -> str:
    """Sleeps in its own thread the first time it runs, and has an effect after that."""
    note("compute")
    with open(os.environ["RACES_NOTES"], encoding="utf-8") as notes:
        first = notes.read().count("compute") == 1
    if first:
        time.sleep(SLEEP_S)
    ctx.step("report", note, "report")
    return "computed"


@app.engine(signals={"go": str})
async def ward(ctx: AsyncCtx) -> str:
    """Waits to be told."""
    return str(await ctx.wait("go", str))


@app.engine
async def guardian(ctx: AsyncCtx) -> str:
    """Ends when its ward has, with a result of its own."""
    await ctx.using(id="ward", on_parent_end="await").start(ward)
    await ctx.step("note", note, "started")
    note("ended")
    return "guarded"


@app.tool
def ping() -> str:
    return "pong"
