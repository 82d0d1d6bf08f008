"""Stories through the public API, with a worker loop in a thread, on the fake and on a real server."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from secrets import token_hex

import pytest
from wakeline import App, AsyncCtx, AsyncTurn, Ctx, NonRetryable, current
from wakeline.errors import (
    AwaitEventUnknownOrRevoked,
    BodyInvalid,
    InvalidArguments,
    PayloadSchemaMismatch,
    ProcessCancelled,
    ProcessFailed,
    UndeclaredEvent,
    WrongVerb,
)
from wakeline.settings import Settings
from wakeline.store.connection import Backend
from wakeline_workers.loop import WorkerLoop


@pytest.fixture
def app(backend: Backend) -> Iterator[App]:
    made = App("t" + token_hex(4), backend=backend, settings=Settings(hold_ms=50, grace_ms=500))
    loops: list[tuple[WorkerLoop, asyncio.AbstractEventLoop]] = []

    async def serve() -> None:
        loops.append((WorkerLoop(made), asyncio.get_running_loop()))
        await loops[0][0].serve()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    yield made
    until(lambda: bool(loops))
    loops[0][1].call_soon_threadsafe(loops[0][0].stop)
    thread.join(10)
    assert not thread.is_alive()


def until(look: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not look():
        assert time.monotonic() < end, "it did not happen within 10 s"
        time.sleep(0.01)


def test_a_parked_engine_resumes_on_a_signal_and_repeats_no_call(app: App) -> None:
    calls: list[str] = []

    @app.tool
    def charge(order: int) -> str:
        calls.append(current().idempotency_key)
        return f"order {order}"

    @app.engine(signals={"decision": bool})
    def refund(ctx: Ctx, order: int) -> str:
        first = ctx.call(charge, order)
        return f"{first} {ctx.wait('decision', bool, timeout='1d')}"

    handle = app.start(refund, 7)
    until(lambda: handle.status().status == "waiting")
    assert handle.status().owner is None
    with pytest.raises(UndeclaredEvent):
        handle.signal("other", 1)
    with pytest.raises(PayloadSchemaMismatch):
        handle.signal("decision", "perhaps")
    handle.signal("decision", True, key="k")
    assert handle.result(timeout=10) == "order 7 True"
    assert len(calls) == 1


def test_retries_keep_one_idempotency_key(app: App) -> None:
    seen: list[tuple[int, str]] = []

    @app.tool(retries=3, backoff=0.01)
    def flaky() -> str:
        seen.append((current().attempt, current().idempotency_key))
        if current().attempt < 3:
            raise RuntimeError("not yet")
        return "done"

    assert app.start(flaky).result(timeout=10) == "done"
    assert [attempt for attempt, _ in seen] == [1, 2, 3]
    assert len({key for _, key in seen}) == 1


def test_a_non_retryable_failure_ends_at_once(app: App) -> None:
    @app.tool(retries=5)
    def broken() -> None:
        raise NonRetryable("no such order")

    with pytest.raises(ProcessFailed, match="no such order"):
        app.start(broken).result(timeout=10)


def test_children_are_gathered_and_an_approval_is_resolved_once(app: App) -> None:
    @app.tool
    def double(n: int) -> int:
        return n * 2

    @app.engine
    async def fan(ctx: AsyncCtx, n: int) -> int:
        children = [await ctx.start(double, i) for i in range(n)]
        total = sum(await ctx.gather(children))
        ask = await ctx.approval("ship", bool, timeout="1d")
        await ctx.emit("log", {"token": ask.token})
        return total if await ask.wait() else -1

    handle = app.start(fan, 10)
    until(lambda: handle.status().status == "waiting" and any(e.type == "log" for e in handle.events()))
    token = next(e.payload for e in handle.events() if e.type == "log")["token"]
    with pytest.raises(AwaitEventUnknownOrRevoked):
        app.resolve(token[:-2] + "xx", True)
    assert app.resolve(token, True) is True
    assert handle.result(timeout=10) == 90
    assert app.resolve(token, False) is False  # told also after the end, as long as the process is retained


def test_an_end_wakes_its_session_once_and_the_turn_answers(app: App) -> None:
    @app.tool
    def work() -> str:
        return "fine"

    @app.agent("clerk")
    async def clerk(turn: AsyncTurn) -> str:
        turn.state["turns"] = turn.state.get("turns", 0) + 1
        return f"{len(turn.inbox)} told"

    session = app.session("clerk", "1")
    app.using(wake=session).start(work).result(timeout=10)
    until(lambda: any(m.role == "agent" for m in session.history()))
    assert [m.role for m in session.history()] == ["wake", "agent"]
    assert session.ask("hello", timeout=10) == "1 told"
    assert session.state() == {"turns": 2}


def test_a_cancel_reaches_a_parked_body(app: App) -> None:
    @app.engine
    async def sleeper(ctx: AsyncCtx) -> None:
        await ctx.sleep("30d")

    handle = app.start(sleeper)
    until(lambda: handle.status().status == "waiting")
    handle.cancel("enough")
    with pytest.raises(ProcessCancelled):
        handle.result(timeout=10)


def test_a_changed_body_waits_loudly_for_code_that_fits_and_repeats_no_effect(app: App) -> None:
    amounts = [1, 2]
    charged: list[int] = []

    @app.tool
    def charge(cents: int) -> int:
        charged.append(cents)
        return cents

    @app.engine
    def pay(ctx: Ctx) -> int:
        ctx.call(charge, amounts[0])
        ctx.wait("go")
        return 0

    handle = app.using(max_attempts=1).start(pay)
    until(lambda: handle.status().status == "waiting")
    amounts[0] = 99
    handle.signal("go")
    until(lambda: handle.status().misfit is not None)
    misfit = handle.status().misfit
    assert misfit is None or misfit.what == "call:charge, args.cents: recorded 1, asked for 99"
    amounts[0] = 1
    assert handle.result(timeout=10) == 0
    assert charged == [1]


def test_bad_input_is_refused_before_anything_is_written(app: App) -> None:
    @app.tool
    def add(a: int, b: int) -> int:
        return a + b

    with pytest.raises(InvalidArguments):
        app.start(add, 1, "x")  # type: ignore[arg-type]
    with pytest.raises(BodyInvalid):

        @app.engine  # type: ignore[arg-type]
        async def wrong(ctx: Ctx) -> None: ...

    assert app.processes() == []


def test_a_blocking_verb_on_a_running_loop_names_the_right_one(app: App) -> None:
    @app.tool
    def one() -> int:
        return 1

    async def handler() -> int:
        with pytest.raises(WrongVerb):
            app.start(one)
        handle = await app.aio.start(one)
        result = await handle.result(timeout=10)
        await app.aio.close()
        return result

    assert asyncio.run(handler()) == 1
