"""A user's web handlers: starting, telling and looking from outside, blocking and awaited."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, assert_type

from wakeline import (
    App,
    AsyncCtx,
    AsyncExternal,
    AsyncHandle,
    AsyncSession,
    Ctx,
    EventView,
    External,
    Handle,
    Message,
    Page,
    Session,
    Status,
)

app = App("shop")


@app.tool(retries=3)
async def fetch(url: str) -> bytes:
    return url.encode()


@app.engine(signals={"decision": bool})
def refund(ctx: Ctx, order: int, *, note: str = "") -> str:
    return note


@app.engine(queue="slow")
async def crawl(ctx: AsyncCtx, urls: list[str]) -> int:
    return len(urls)


def blocking() -> None:
    session = app.session("clerk", "u42")
    handle = app.start(refund, 7, note="x")
    assert_type(handle, Handle[str])
    assert_type(handle.result(timeout=30), str)
    assert_type(app.start(crawl, ["a"]).result(), int)
    assert_type(app.start(fetch, "u").result(), bytes)
    assert_type(app.using(id="r-7", delay="5m", wake=session).start(refund, 7), Handle[str])
    assert_type(app.using(wake="clerk/u42", labels={"team": "a"}).start(crawl, urls=["a"]), Handle[int])
    assert_type(app.handle("r-7", str), Handle[str])
    assert_type(app.handle("r-7", refund), Handle[str])
    assert_type(app.handle("r-7", fetch).result(), bytes)
    assert_type(app.aio.handle("r-7", crawl), AsyncHandle[int])
    assert_type(app.handle("r-7"), Handle[Any])
    assert_type(handle.signal("decision", True, key="click-1"), int)
    assert_type(handle.status(), Status)
    assert_type(handle.events(follow=True), Iterator[EventView])
    assert_type(app.processes("live", waiting="decision"), Page[Status])
    assert_type(app.external("ci", wake=session), External)
    assert_type(session, Session)
    assert_type(session.history(), Page[Message])
    assert_type(session.state(), dict[str, Any])
    assert_type(session.turn(), Handle[Any] | None)
    assert_type(app.resolve("token", {"ok": True}), bool)


def blocking_misused() -> None:
    app.start(refund)  # WRONG: a missing argument
    app.start(refund, "7")  # WRONG: an argument's type
    app.start(refund, 7, memo="x")  # WRONG: no such argument
    app.start(crawl, ["a"], ["b"])  # WRONG: one too many
    app.using(id="r").start(refund, 7, note=7)  # WRONG: options do not lose the parameters
    app.using(wake=7)  # WRONG: no session
    app.using(deadlin="1d")  # WRONG: there is no such option
    number: int = app.start(refund, 7).result()  # WRONG: its result is a text
    data: str = app.start(fetch, "u").result()  # WRONG: its result is bytes
    app.start(refund, 7).signal(True)  # WRONG: a signal has a name
    app.session("clerk")  # WRONG: a session has a key
    app.processes(state="live")  # WRONG: no such filter
    print(number, data)


async def awaited() -> None:
    session = app.aio.session("clerk", "u42")
    handle = await app.aio.start(refund, 7, note="x")
    assert_type(handle, AsyncHandle[str])
    assert_type(await handle, str)
    assert_type(await handle.result(timeout=30), str)
    assert_type(await (await app.aio.using(id="c", wake=session).start(crawl, ["a"])), int)
    assert_type(await (await app.aio.start(fetch, "u")), bytes)
    assert_type(app.aio.handle("r-7", str), AsyncHandle[str])
    assert_type(await handle.signal("decision", True), int)
    assert_type(await handle.status(), Status)
    assert_type(handle.events(follow=True), AsyncIterator[EventView])
    assert_type(await app.aio.processes("live"), Page[Status])
    assert_type(await app.aio.external("ci", wake=session), AsyncExternal)
    assert_type(session, AsyncSession)
    assert_type(await session.history(), Page[Message])
    assert_type(await session.turn(), AsyncHandle[Any] | None)
    assert_type(await app.aio.resolve("token"), bool)


async def awaited_misused() -> None:
    await app.aio.start(refund)  # WRONG: a missing argument
    await app.aio.start(refund, "7")  # WRONG: an argument's type
    await app.aio.using(queue=1).start(refund, 7)  # WRONG: an option's type
    text: str = await (await app.aio.start(crawl, ["a"]))  # WRONG: its result is an int
    status: Status = (await app.aio.start(refund, 7)).status()  # WRONG: every verb is awaited
    list(app.aio.handle("r-7").events())  # WRONG: followed with async for
    print(text, status)
