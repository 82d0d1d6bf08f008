"""An order waits for an engraver, who has a bench and a shell. The tool hands the work over; `wakeline resolve` says
that it is done."""

from __future__ import annotations

import os
from pathlib import Path

from wakeline import App, AsyncCtx, current

app = App("workshop")


@app.tool
def engrave(order: str, text: str) -> str:
    """Puts the work on the engraver's bench. The call ends when its token is resolved, with what it is resolved
    with."""
    call = current()
    (Path(os.environ["BENCH"]) / order).write_text(
        call.token, encoding="utf-8"
    )  # for the engraver alone: the token ends the call
    return call.pending(timeout="30d")


@app.engine
async def order(ctx: AsyncCtx, text: str) -> str:
    plate = await ctx.call(engrave, ctx.id, text)  # parked meanwhile: no worker is held
    return f"shipped {plate}"
