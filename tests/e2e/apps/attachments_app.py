"""The app of the crash tests of attachments: a body puts bytes, and its payloads are large."""

from __future__ import annotations

from killing import note
from wakeline import App, AsyncCtx, Attachment

app = App("attached")
BIG = "x" * 100_000


@app.engine
async def works(ctx: AsyncCtx, text: str) -> str:
    picture = await ctx.attachments.put(text.encode(), "text/plain")
    grown = await ctx.step("grow", grow, text)
    child = await ctx.start(reads, picture, grown)
    return await child


@app.engine
async def reads(ctx: AsyncCtx, picture: Attachment, text: str) -> str:
    return f"{len(await ctx.attachments.get(picture))} {len(text)}"


def grow(text: str) -> str:
    note("grown")
    return text + "y"
