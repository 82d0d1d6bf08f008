"""Limits and pauses through the public face: a real worker loop, and bodies that count who runs beside them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from secrets import token_hex

import pytest
from wakeline import App, AsyncCtx, Limit
from wakeline.errors import BodyInvalid, WaitTimeout
from wakeline.settings import Settings
from wakeline.store.connection import Backend

from tests.scenario.conftest import served, until


class Count:
    """How many are inside at once, at most."""

    def __init__(self) -> None:
        self._lock, self.now, self.most = threading.Lock(), 0, 0

    @contextmanager
    def inside(self) -> Iterator[None]:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(0.02)
        yield
        with self._lock:
            self.now -= 1


@pytest.fixture
def app(backend: Backend) -> App:
    """An app that is not served yet: limits are declared before workers start."""
    return App("t" + token_hex(4), backend=backend, settings=Settings(hold_ms=20, grace_ms=500))


@pytest.mark.parametrize("name", ["a:b", "a:b:c", "b:x", "q:shop"])
def test_a_limit_holds_whatever_the_name_of_its_body(app: App, name: str) -> None:
    count = Count()

    def body(n: int) -> int:
        with count.inside():
            return n

    scarce = app.tool(name=name, limit=Limit(concurrency=1))(body)
    with served(app):
        assert [handle.result(timeout=20) for handle in [app.start(scarce, n) for n in range(4)]] == [0, 1, 2, 3]
    assert count.most == 1


def test_a_tool_runs_no_more_often_at_once_than_its_limit_wherever_it_is_called_from(app: App) -> None:
    count = Count()

    @app.tool(limit=Limit(concurrency=2))
    def scarce(n: int) -> int:
        with count.inside():
            return n

    @app.engine
    async def calls(ctx: AsyncCtx) -> list[int]:
        return await ctx.gather([await ctx.start(scarce, n) for n in range(6)])

    with served(app):
        handles = [app.start(scarce, n) for n in range(6)]
        body = app.start(calls)
        assert [handle.result(timeout=20) for handle in handles] == list(range(6))
        assert body.result(timeout=20) == list(range(6))
    assert count.most == 2
    app.close()


def test_one_customers_thousand_do_not_keep_another_ones_waiting(app: App) -> None:
    order: list[str] = []

    @app.tool(limit=Limit(concurrency=1, key="{customer}"))
    def work(customer: str, n: int) -> None:
        time.sleep(0.01)
        order.append(customer)

    with served(app):
        many = [app.start(work, "ann", n) for n in range(30)]
        app.start(work, "bob", 0).result(timeout=20)
        assert order.count("ann") < 25
        for handle in many:
            handle.result(timeout=20)
    app.close()


def test_a_process_that_waits_has_no_place(app: App) -> None:
    @app.engine(signals={"go": bool}, limit=Limit(concurrency=1))
    async def waits(ctx: AsyncCtx) -> bool:
        return bool(await ctx.wait("go"))

    with served(app):
        handles = [app.start(waits) for _ in range(3)]
        until(lambda: all(handle.status().status == "waiting" for handle in handles))
        for handle in handles:
            handle.signal("go", True)
        assert [handle.result(timeout=20) for handle in handles] == [True] * 3
    app.close()


def test_a_body_that_waits_leaves_its_place_at_once_though_others_are_held_in_memory(backend: Backend) -> None:
    """With a hold of a minute: the first waits for its signal, and the second runs meanwhile."""
    app = App("t" + token_hex(4), backend=backend, settings=Settings(hold_ms=60_000, grace_ms=500))

    @app.engine(signals={"go": bool}, limit=Limit(concurrency=1))
    async def waits(ctx: AsyncCtx) -> bool:
        return bool(await ctx.wait("go"))

    @app.engine(signals={"go": bool})
    async def held(ctx: AsyncCtx) -> bool:
        return bool(await ctx.wait("go"))

    with served(app):
        other = app.start(held)
        first, second = app.start(waits), app.start(waits)
        second.signal("go", True)
        assert second.result(timeout=10) is True
        assert (first.status().status, other.status().status) == ("waiting", "running")
        for handle in (first, other):
            handle.signal("go", True)
            assert handle.result(timeout=10) is True
    app.close()


def test_a_rate_spreads_what_begins(app: App) -> None:
    began: list[float] = []

    @app.tool(limit=Limit(rate="2/400ms"))
    def work(n: int) -> None:
        began.append(time.monotonic())

    with served(app):
        for handle in [app.start(work, n) for n in range(5)]:
            handle.result(timeout=20)
    assert len(began) == 5
    assert began[-1] - began[0] >= 0.75
    app.close()


def test_a_paused_queue_waits_until_it_is_resumed(app: App) -> None:
    @app.tool(queue="slow")
    def work() -> str:
        return "done"

    with served(app):
        assert app.pause("slow")
        handle = app.start(work)
        with pytest.raises(WaitTimeout):
            handle.result(timeout=0.3)
        assert app.resume("slow")
        assert handle.result(timeout=10) == "done"
    app.close()


def test_a_queue_limit_counts_all_that_runs_from_it(app: App) -> None:
    count = Count()
    app.limit_queue(concurrency=1)

    @app.tool
    def one() -> None:
        with count.inside():
            pass

    @app.tool
    def other() -> None:
        with count.inside():
            pass

    with served(app):
        for handle in [app.start(body) for _ in range(4) for body in (one, other)]:
            handle.result(timeout=20)
    assert count.most == 1
    app.close()


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        (Limit(), "neither a concurrency nor a rate"),
        (Limit(concurrency=0), "a concurrency of 0"),
        (Limit(rate="fast"), "the rate 'fast'"),
        (Limit(rate="0/1m"), "the rate '0/1m'"),
        (Limit(rate="5/never"), "the rate '5/never'"),
        (Limit(rate="5/1s", burst=0), "a burst of 0"),
        (Limit(concurrency=1, burst=2), "a burst but no rate"),
    ],
)
def test_a_limit_that_cannot_be_is_refused_where_it_is_declared(app: App, limit: Limit, words: str) -> None:
    with pytest.raises(BodyInvalid, match=words):

        @app.tool(limit=limit)
        def work() -> None: ...


def test_a_queue_has_no_keys(app: App) -> None:
    with pytest.raises(BodyInvalid, match="leave the key out"):
        Limit(concurrency=1, key="{x}").check("queue slow", keyed=False)
