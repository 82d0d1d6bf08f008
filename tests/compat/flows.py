"""The app whose stores are kept: its bodies have to stay what they are, so that what every release left parked is
finished by later code."""

from __future__ import annotations

from typing import Any

from wakeline import App, AsyncCtx, AsyncTurn, Attachment, Ctx, Event, Limit
from wakeline.errors import ToolFailed

PNG = b"\x89PNG\r\n" + bytes(range(64))


def declare(app: App) -> None:
    """Every kind of body and what they leave in a store."""

    @app.tool
    def double(n: int) -> int:
        return 2 * n

    @app.tool
    def fails(n: int) -> int:
        raise ValueError(f"{n} is no good")

    @app.tool(limit=Limit(concurrency=1))
    def scarce(n: int) -> int:
        return n + 1

    @app.engine(signals={"go": int}, events={"measured": Event(dict[str, int], wake="{bytes} bytes so far")})
    def order(ctx: Ctx, n: int, tags: set[str]) -> dict[str, Any]:
        """Recorded outcomes of every kind, then a wait."""
        doubled = ctx.call(double, n)
        try:
            failed = str(ctx.call(fails, n))
        except ToolFailed as error:
            failed = f"{error.failure_code}: {error.failure_message}"
        noted = ctx.step("note", str.upper, "noted")
        ctx.emit("measured", {"bytes": 7})
        moment = ctx.now().isoformat()
        seen = ctx.wait("go", int)
        return {
            "doubled": doubled,
            "failed": failed,
            "noted": noted,
            "seen": seen,
            "tags": sorted(tags),
            "moment": len(moment) > 10,
        }

    @app.engine
    async def family(ctx: AsyncCtx) -> list[int]:
        """Children, and a group that waits for them."""
        pages = [await ctx.start(double, n) for n in (1, 2)]
        scarce_one = await ctx.start(scarce, 10)
        return [*(await ctx.gather(pages)), int(await scarce_one)]

    @app.engine
    async def naps(ctx: AsyncCtx, ms: int) -> str:
        await ctx.sleep(f"{ms}ms")
        return "rested"

    @app.engine
    async def asks(ctx: AsyncCtx) -> bool:
        question = await ctx.approval("deploy", bool, timeout="3650d")
        await ctx.emit("log", {"token": question.token})
        return bool(await question.wait())

    @app.engine
    async def measure(ctx: AsyncCtx, picture: Attachment) -> int:
        before = len(await ctx.attachments.get(picture))
        await ctx.sleep("1ms")
        return before + len(await ctx.attachments.get(picture))

    @app.engine
    async def counts(ctx: AsyncCtx, left: int, total: int = 0) -> int:
        """A second generation."""
        if left:
            await ctx.sleep("1ms")
            await ctx.continue_as_new(left - 1, total + left)
        await ctx.sleep("1ms")
        return total

    @app.engine
    def build(ctx: Ctx, repo: str) -> str:
        return f"built {repo}"

    @app.agent("clerk")
    async def clerk(turn: AsyncTurn) -> str:
        turn.state = turn.state | {"turns": turn.state.get("turns", 0) + 1}
        return "; ".join(item.text for item in turn.inbox)
