"""An expense is paid once the boss approves it, and goes back when the boss does not answer in time."""

from __future__ import annotations

import os
from pathlib import Path

from wakeline import App, AsyncCtx

app = App("expenses")


def mail(expense: str, token: str) -> None:
    """The mail of this example: a file that one person reads. The token is for that person alone, so it is in no log
    and no result."""
    (Path(os.environ["MAILS"]) / expense).write_text(token, encoding="utf-8")


@app.tool(retries=3)
def pay(employee: str, cents: int) -> str:
    return f"paid {cents} cents to {employee}"


@app.engine
async def expense(ctx: AsyncCtx, employee: str, cents: int, patience: str = "2d") -> str:
    question = f"{employee}: {cents} cents?"  # for readers of the list, who need not hold the token
    ask = await ctx.approval("the boss", bool, timeout=patience, question=question)  # the time runs from here
    await ctx.step("mail", mail, ctx.id, ask.token)
    approved = await ask.wait(default=None)  # parked: no worker is held, for days if need be
    if approved is None:
        return f"no answer within {patience}"
    return await ctx.call(pay, employee, cents) if approved else "refused"
