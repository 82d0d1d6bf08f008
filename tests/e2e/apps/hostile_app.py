"""An app whose users say what a terminal would obey, in every place where they may say something."""

from __future__ import annotations

from typing import Any

from wakeline import App, AsyncCtx, AsyncTurn

app = App("hostile")


@app.tool
def says(text: str) -> str:
    return f"said {text}"


@app.tool
def raises(text: str) -> str:
    raise ValueError(f"bad {text}")


@app.engine(signals={"go": Any}, events={"told": Any})
async def asks(ctx: AsyncCtx, text: str) -> Any:
    await ctx.step("notes", lambda: text)
    await ctx.call(says, text)
    await ctx.emit("told", {"text": text, text: 1})
    ask = await ctx.approval("sure", str, timeout="1d", question=text)
    return await ask.wait()


@app.engine(signals={"go": Any})
async def waits(ctx: AsyncCtx, text: str) -> Any:
    return await ctx.wait("go", Any)


@app.agent("clerk")
async def clerk(turn: AsyncTurn) -> str:
    raise ValueError("; ".join(str(item.input) for item in turn.inbox))
