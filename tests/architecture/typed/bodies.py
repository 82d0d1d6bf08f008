"""A user's bodies: what `mypy --strict` and pyright strict accept, and (marked) what they refuse."""

from dataclasses import dataclass
from typing import assert_type

from pydantic import BaseModel
from wakeline import (
    App,
    Approval,
    AsyncApproval,
    AsyncChild,
    AsyncCtx,
    Child,
    Ctx,
    Engine,
    Event,
    Signal,
    Tool,
    current,
)

app = App("shop")


class Decision(BaseModel):
    ok: bool
    by: str


@dataclass
class Page:
    url: str
    size: int


# Decorators keep parameters and results, with options and without.


async def measured(text: str) -> int:
    return len(text)


@app.tool
def charge(order: int, cents: int) -> str:
    return f"{order} {cents} {current().idempotency_key}"


@app.tool(retries=3, timeout="30s", policy="idempotent")
def refund(order: int, *, cents: int = 500) -> str:
    return f"{order} {cents}"


@app.tool
async def fetch(url: str) -> Page:
    return Page(url, 1)


@app.tool(retries=3, backoff=0.5)
async def fetch_again(url: str) -> Page:
    return await fetch(url)


@app.engine
def plain(ctx: Ctx, order: int) -> bool:
    return True


@app.engine(signals={"decision": Decision}, events={"page_done": Event(Page, wake="Page {url} done")})
def declared(ctx: Ctx, order: int, note: str = "") -> int:
    return order


@app.engine(queue="slow")
async def awaited(ctx: AsyncCtx, urls: list[str]) -> int:
    return len(urls)


@app.engine
async def bare(ctx: AsyncCtx) -> None: ...


def declarations() -> None:
    assert_type(charge(1, 2), str)
    tool: Tool[[int, int], str] = charge
    engine: Engine[[list[str]], int] = awaited
    print(tool, engine)
    charge("1", 2)  # WRONG: a tool stays callable with its own parameters
    refund(1, cents="5")  # WRONG: options of the decorator do not lose them
    app.tool(retries="3")  # WRONG: options are typed
    app.tool(retry=3)  # WRONG: there is no such option
    app.tool(policy="sometimes")  # WRONG: one of three words
    app.engine(signal={"decision": bool})  # WRONG: there is no such option
    app.tool(was=["credit"])
    app.engine(was="order")
    app.engine(signals={"decision": Signal(Decision, was=["verdict"])})
    app.tool(was=3)  # WRONG: names are texts


# Verbs of a `def` body.


@app.engine
def blocking(ctx: Ctx, order: int) -> str:
    assert_type(ctx.call(charge, order, 500), str)
    assert_type(ctx.call(refund, order, cents=1), str)
    assert_type(ctx.call(fetch, "u"), Page)
    assert_type(ctx.call(fetch_again, url="u"), Page)
    child = ctx.start(awaited, ["a"])
    assert_type(child, Child[int])
    assert_type(child.result(timeout="1m"), int)
    assert_type(child.result(timeout="1m", default=None), int | None)
    assert_type(ctx.gather([ctx.start(plain, 1), ctx.start(plain, 2)]), list[bool])
    assert_type(ctx.gather([child], timeout=1, default="late"), list[int | str])
    assert_type(ctx.wait("decision", Decision), Decision)
    assert_type(ctx.wait("decision", Decision, timeout="1d"), Decision)
    assert_type(ctx.wait("decision", Decision, timeout="1d", default=None), Decision | None)
    assert_type(ctx.wait("decision", bool, timeout="1d", default="late"), bool | str)
    ask = ctx.approval("ship", Decision, timeout="1d")
    assert_type(ask, Approval[Decision])
    assert_type(ask.wait(), Decision)
    assert_type(ask.wait(default=None), Decision | None)
    assert_type(ctx.step("size", len, "abc"), int)
    assert_type(ctx.step("size", len, "abc", was="length"), int)
    assert_type(ctx.wait("decision", Decision, was=["verdict"]), Decision)
    ctx.deprecated_patch("two copies")
    assert_type(ctx.using(id="c-1", queue="slow", on_parent_end="await").start(declared, 1, note="x"), Child[int])
    assert_type(ctx.emit("log", {"order": order}), int)
    return ask.token


def blocking_misused(ctx: Ctx) -> None:
    ctx.call(charge, "1", 2)  # WRONG: an argument's type
    ctx.call(charge, 1)  # WRONG: a missing argument
    ctx.call(charge, 1, 2, 3)  # WRONG: one too many
    ctx.call(refund, 1, euros=5)  # WRONG: no such argument
    ctx.call(plain, 1)  # WRONG: an engine is started, not called
    ctx.start(declared, 1, note=2)  # WRONG: a keyword argument's type
    ctx.start(awaited, "a")  # WRONG: one url is no list
    ctx.start(print, "a")  # WRONG: a plain function is a step
    text: str = ctx.start(awaited, ["a"]).result()  # WRONG: the child's result is an int
    decided: Decision = ctx.wait("decision", Decision, default=None)  # WRONG: it may be the default
    ctx.wait("decision", Decision).okay  # WRONG: the payload has no such field # noqa: B018
    sent: str = ctx.approval("ship", bool).wait()  # WRONG: the answer is a bool
    ctx.using(ident="c-1")  # WRONG: there is no such option
    ctx.using(max_attempts="3")  # WRONG: an option's type
    ctx.using(on_parent_end="ignore")  # WRONG: one of three words
    ctx.sleep(None)  # WRONG: no duration
    ctx.revision  # WRONG: only a turn has it # noqa: B018
    print(text, decided, sent)


# The same verbs of an `async def` body, awaited.


@app.engine
async def waiting(ctx: AsyncCtx, order: int) -> str:
    assert_type(await ctx.call(charge, order, 500), str)
    assert_type(await ctx.call(fetch_again, "u"), Page)
    child = await ctx.start(awaited, ["a"])
    assert_type(child, AsyncChild[int])
    assert_type(await child, int)
    assert_type(await child.result(timeout="1m", default=None), int | None)
    assert_type(await ctx.gather([child, await ctx.start(declared, 1)]), list[int])
    assert_type(await ctx.gather([child], timeout=1, default=None), list[int | None])
    assert_type(await ctx.wait("decision", Decision), Decision)
    assert_type(await ctx.wait("decision", Decision, timeout="1d", default=None), Decision | None)
    ask = await ctx.approval("ship", Decision)
    assert_type(ask, AsyncApproval[Decision])
    assert_type(await ask.wait(), Decision)
    assert_type(await ask.wait(default="no"), Decision | str)
    assert_type(await ctx.step("size", len, "abc"), int)
    assert_type(await ctx.step("size", len, "abc", was=["length"]), int)
    assert_type(await ctx.step("measured", measured, "abc"), int)
    await ctx.step("measured again", measured, "abc")
    assert_type(await ctx.using(key="k").start(plain, 1), AsyncChild[bool])
    return ask.token


async def waiting_misused(ctx: AsyncCtx) -> None:
    await ctx.call(charge, "1", 2)  # WRONG: an argument's type
    await ctx.call(fetch_again)  # WRONG: a missing argument
    await ctx.start(declared, 1, note=2)  # WRONG: a keyword argument's type
    page: str = await ctx.call(fetch_again, "u")  # WRONG: its result is a page
    text: str = await (await ctx.start(awaited, ["a"]))  # WRONG: its result is an int
    (await ctx.wait("decision", Decision, default=None)).ok  # WRONG: it may be the default # noqa: B018
    pages: list[str] = await ctx.gather([await ctx.start(awaited, ["a"])])  # WRONG: a list of int
    print(page, text, pages)
