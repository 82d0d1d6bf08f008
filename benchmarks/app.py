"""The bodies that are measured."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from wakeline import App, AsyncCtx, AsyncTurn

app = App("bench")

WATCH_S = 0.005
"""How often the loop of a worker is asked whether it still answers."""


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


@app.engine(signals={"go": bool})
async def tells(ctx: AsyncCtx) -> float:
    """Parks; when its last line ran (seconds since 1970)."""
    await ctx.wait("go", bool)
    return time.time()


async def _text(size: int) -> str:
    return "x" * size


@app.engine(signals={"go": float})
async def remembers(ctx: AsyncCtx, steps: int, size: int) -> float:
    """Records outcomes of a size (bytes) and parks; the time between the signal's sending and its next line, in
    seconds, which has the replay of them all in it."""
    for _ in range(steps):
        await ctx.step("text", _text, size)
    return time.time() - await ctx.wait("go", float)


class Watched:
    """The longest time, in seconds, that an event loop of this process did not answer; a thread of its own asks."""

    longest = 0.0

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        threading.Thread(target=self._ask, daemon=True).start()

    def _ask(self) -> None:
        while not self._loop.is_closed():
            at, answered = time.monotonic(), threading.Event()
            self._loop.call_soon_threadsafe(answered.set)
            answered.wait()
            self.longest = max(self.longest, time.monotonic() - at)
            time.sleep(WATCH_S)


watched: Watched | None = None


@app.engine
async def fans_out(ctx: AsyncCtx, children: int) -> float:
    """Starts children and gathers them; how long the loop of its worker process did not answer at most, in seconds.
    For a single worker process."""
    global watched
    watched = watched or Watched(asyncio.get_running_loop())
    await ctx.gather(await asyncio.gather(*(ctx.start(nothing) for _ in range(children))))
    return watched.longest


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
