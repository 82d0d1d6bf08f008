"""A support agent: it starts a background job, sleeps, is woken by the job's progress and its end, asks a person, and
answers.

Between two turns nothing of it runs anywhere; between two steps of a turn its worker may be killed.
"""

from __future__ import annotations

import os
from pathlib import Path

from typing_extensions import TypedDict
from wakeline import App, AsyncCtx, AsyncTurn, Event, current

app = App("support")
SOURCES = ("orders", "payments", "shipping")


class Found(TypedDict):
    """What a source said."""

    source: str
    late_days: int


def tell(line: str) -> None:
    """The outside world of this example: a file that people read, or nothing."""
    if folder := os.environ.get("SUPPORT_FOLDER"):
        with (Path(folder) / "outside").open("a", encoding="utf-8") as outside:
            outside.write(line + "\n")


@app.tool(retries=3)
def look_up(source: str, order: int) -> int:
    """How many days late the order is, as this source says."""
    return {"orders": 0, "payments": 1, "shipping": 9}[source] + order % 2


@app.tool(retries=3)
def refund(order: int, cents: int) -> str:
    """Pays money back. The idempotency key is what keeps a repetition from paying twice."""
    key = current().idempotency_key
    tell(f"refund {order} {cents} {key}")
    return key


@app.engine(events={"found": Event(Found, wake="{source}: {late_days} days late")})
async def investigate(ctx: AsyncCtx, order: int) -> int:
    """The background job: asks one source after the other, and wakes the agent with what each said."""
    latest = 0
    for source in SOURCES:
        late = await ctx.call(look_up, source, order)
        await ctx.emit("found", {"source": source, "late_days": late})
        await ctx.sleep("20ms")  # other systems take their time
        latest = max(latest, late)
    return latest


@app.agent("support")
async def support(turn: AsyncTurn) -> str | None:
    """One turn: what a customer wrote, what the job found, or how it ended."""
    said: list[str] = []
    for item in turn.inbox:
        if item.kind == "input":
            order = int(item.text.rpartition(" ")[2])
            turn.state["order"], turn.state["found"] = order, []
            await turn.start(investigate, order)  # its events and its end wake this session
            said.append(f"I am looking into order {order}.")
        elif item.event_type == "found":
            turn.state["found"] = [*turn.state["found"], item.text]
        else:
            said.append(await _close(turn, turn.state["order"]))
    return " ".join(said) or None


async def _close(turn: AsyncTurn, order: int) -> str:
    """The job ended: a person decides, and this turn parks until then."""
    ask = await turn.approval("refund", bool, timeout="1d")
    await turn.step("ask a person", tell, f"approve {order} {ask.token}")
    if not await ask.wait(default=False):
        return f"Order {order}: no refund."
    await turn.call(refund, order, 500)
    return f"Order {order}: 500 cents are on their way ({'; '.join(turn.state['found'])})."
