"""Who waits from outside for a result or for events, blocking or awaited: told by the store, and found by a look where
the store told nothing."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from wakeline import App, AsyncCtx, AsyncTurn, Engine
from wakeline.errors import ProcessNotFound, WaitTimeout
from wakeline.sessions.feed import EntryChanged, SessionGone

from tests.scenario.conftest import until


@pytest.fixture
def told_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No look finds a change: the store has to tell it."""
    monkeypatch.setattr("wakeline.store.tailer.YOUNG_S", 600)


@pytest.fixture
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wakeline.store.tailer.LOOK_S", 0.05)
    monkeypatch.setattr("wakeline.store.tailer.YOUNG_S", 0.0)


@pytest.fixture
def body(app: App) -> Engine[[], str]:
    @app.engine(signals={"go": str})
    async def body(ctx: AsyncCtx) -> str:
        said = await ctx.wait("go", str)
        await ctx.emit("log", {"said": said})
        return said

    return body


def in_thread(look: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    found: list[Any] = []

    def run() -> None:
        try:
            found.append(look())
        except Exception as error:  # noqa: BLE001 - the test looks at it
            found.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, found


def marks(app: App, pid: str) -> str | None:
    """The tailers that are told of a process."""
    found: str | None = app.store.client.hget(f"{app.address.prefix}proc:{pid}", "tl")  # type: ignore[assignment]
    return found


@pytest.mark.usefixtures("told_alone")
def test_threads_and_loops_of_one_process_are_told_of_one_end(app: App, body: Engine[[], str]) -> None:
    handle = app.start(body)
    blocking = [in_thread(handle.result) for _ in range(3)]

    async def awaited() -> list[str]:
        waiters = [asyncio.ensure_future(app.aio.handle(handle.id).result()) for _ in range(5)]
        while app.aio.store.sent.counts.get("tailer_watch", 0) < 5:
            await asyncio.sleep(0.005)
        await app.aio.handle(handle.id).signal("go", "yes")
        found = await asyncio.wait_for(asyncio.gather(*waiters), 20)
        await app.aio.close()
        return found

    assert asyncio.run(awaited()) == ["yes"] * 5
    for thread, found in blocking:
        thread.join(20)
        assert found == ["yes"]


@pytest.mark.usefixtures("told_alone")
def test_loops_that_follow_each_other_are_told_each(app: App, body: Engine[[], str]) -> None:
    async def story(text: str) -> str:
        handle = await app.aio.start(body)
        waiter = asyncio.ensure_future(handle.result())
        while not app.aio.store.sent.counts.get("tailer_watch", 0):
            await asyncio.sleep(0.005)
        await handle.signal("go", text)
        return await asyncio.wait_for(waiter, 20)

    assert [asyncio.run(story(text)) for text in ("first", "second")] == ["first", "second"]


@pytest.mark.usefixtures("told_alone")
def test_a_follower_is_told_of_every_event_in_order(app: App, body: Engine[[], str]) -> None:
    handle = app.start(body)

    async def follow() -> list[str]:
        seen: list[str] = []
        async for event in app.aio.handle(handle.id).events(follow=True):
            seen.append(event.type)
            if event.type == "process.waiting":
                await app.aio.handle(handle.id).signal("go", "yes")
        await app.aio.close()
        return seen

    thread, found = in_thread(lambda: [event.type for event in handle.events(follow=True)])
    seen = asyncio.run(asyncio.wait_for(follow(), 20))
    thread.join(20)
    assert [one for one in seen if one != "process.resumed"] == [
        "process.started",
        "process.waiting",
        "signal.go",
        "log",
        "process.completed",
    ]
    assert found == [seen]


@pytest.mark.usefixtures("looks_often")
@pytest.mark.parametrize("lost", ["the mark", "the stream", "all items"])
def test_what_was_not_told_is_found_by_the_look(
    app: App, body: Engine[[], str], lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker of the release before tells nothing; a store that went back has no mark; a stream that was full has
    dropped its items."""
    handle = app.start(body)
    if lost == "all items":
        monkeypatch.setattr("wakeline.store.tails.told", lambda _: iter(()))
    thread, found = in_thread(handle.result)
    until(lambda: marks(app, handle.id) is not None)
    if lost == "the mark":
        app.store.client.hdel(f"{app.address.prefix}proc:{handle.id}", "tl")
    elif lost == "the stream":
        app.store.client.delete(f"{app.address.prefix}told:{marks(app, handle.id)}")
    handle.signal("go", "yes")
    thread.join(20)
    assert found == ["yes"]


@pytest.mark.usefixtures("looks_often")
def test_waiters_whose_time_is_over_or_that_are_cancelled_leave_nothing_behind(app: App, body: Engine[[], str]) -> None:
    handle = app.start(body)
    with pytest.raises(WaitTimeout):
        handle.result(timeout="20ms")

    async def cancelled() -> None:
        waiters = [asyncio.ensure_future(app.aio.handle(handle.id).result()) for _ in range(10)]
        while app.aio.store.sent.counts.get("tailer_watch", 0) < 10:
            await asyncio.sleep(0.005)
        for one in waiters:
            one.cancel()
        assert {type(one) for one in await asyncio.gather(*waiters, return_exceptions=True)} == {asyncio.CancelledError}
        with pytest.raises(WaitTimeout):
            await app.aio.handle(handle.id).result(timeout="20ms")
        await app.aio.close()

    asyncio.run(cancelled())
    until(lambda: app.store.tailers.here._watched == {} and marks(app, handle.id) is None)


@pytest.fixture
def left(app: App, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[str]]]:
    """The streams of tailers that are there."""
    monkeypatch.setattr("wakeline.store.tailer.LINGER_S", 0.05)
    yield lambda: [str(one) for one in app.store.client.keys(f"{app.address.prefix}told:*")]


@pytest.mark.usefixtures("looks_often")
def test_when_nothing_waits_the_thread_ends_and_its_stream_is_gone(
    app: App, body: Engine[[], str], left: Callable[[], list[str]]
) -> None:
    handle = app.start(body)
    thread, found = in_thread(handle.result)
    until(lambda: len(left()) == 1)
    handle.signal("go", "yes")
    thread.join(20)
    assert found == ["yes"]
    ear = app.store.tailers.here._ear
    until(lambda: left() == [] and app.store.tailers.here._ear is None and (ear is None or not ear.is_alive()))


def test_a_wait_for_what_is_not_there_is_refused_at_once(app: App) -> None:
    with pytest.raises(ProcessNotFound):
        app.handle("nothing").result(timeout="10s")


@pytest.mark.usefixtures("told_alone")
def test_the_time_of_a_wait_is_what_it_says(app: App, body: Engine[[], str]) -> None:
    handle = app.start(body)
    began = time.monotonic()
    with pytest.raises(WaitTimeout):
        handle.result(timeout="300ms")
    assert time.monotonic() - began >= 0.29


@pytest.fixture
def clerk(app: App) -> str:
    """An agent that answers each input."""

    @app.agent("clerk")
    async def clerk(turn: AsyncTurn) -> str:
        return f"heard {len(list(turn.inbox))}"

    return "clerk"


@pytest.mark.usefixtures("told_alone")
def test_who_asks_is_told_of_the_answer_in_a_thread_and_on_a_loop(app: App, clerk: str) -> None:
    thread, found = in_thread(lambda: app.session(clerk, "1").ask("one", timeout="20s"))

    async def asked() -> Any:
        answer = await app.aio.session(clerk, "2").ask("two", timeout="20s")
        await app.aio.close()
        return answer

    assert asyncio.run(asked()) == "heard 1"
    thread.join(20)
    assert found == ["heard 1"]


@pytest.mark.usefixtures("told_alone")
def test_who_follows_a_session_is_told_of_each_item(app: App, clerk: str) -> None:
    app.session(clerk, "1").create()
    seen: list[str] = []

    async def follow() -> None:
        began = app.aio.session(clerk, "1").follow()
        following = asyncio.ensure_future(anext(began))
        while app.aio.store.sent.counts.get("tailer_watch", 0) < 1:
            await asyncio.sleep(0.005)
        await app.aio.session(clerk, "1").send("hello")
        item = await asyncio.wait_for(following, 20)
        while not isinstance(item, SessionGone):
            seen.append(item.state if isinstance(item, EntryChanged) else type(item).__name__)
            if isinstance(item, EntryChanged) and item.state == "settled":
                await app.aio.session(clerk, "1").delete()
            item = await asyncio.wait_for(anext(began), 20)
        await app.aio.close()

    asyncio.run(follow())
    assert [one for one in seen if one != "TurnActivity"] == ["delivered", "admitted", "Committed", "settled"]
