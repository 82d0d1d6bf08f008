"""Events that end their process, and the retry of one that has ended."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from wakeline import App, AsyncCtx, AsyncTurn, Ctx, Event, current
from wakeline.errors import (
    BodyInvalid,
    PayloadSchemaMismatch,
    ProcessAlreadyTerminal,
    ProcessFailed,
    ProcessNotEnded,
    ProcessNotRetryable,
)
from wakeline.store import processes

from tests.scenario.conftest import until

# -- events that end


@pytest.mark.parametrize("is_async", [True, False])
def test_a_body_ends_with_the_event_that_says_so_and_goes_no_further(app: App, is_async: bool) -> None:
    beyond: list[str] = []
    deferred: list[str] = []

    if is_async:

        @app.engine(name="ships", events={"shipped": Event(int, ends="completed")})
        async def ships(ctx: AsyncCtx, order: int) -> str:
            ctx.defer(deferred.append, "done")
            await ctx.emit("shipped", order)
            beyond.append("async")
            return "not this"
    else:

        @app.engine(name="ships", events={"shipped": Event(int, ends="completed")})
        def ships(ctx: Ctx, order: int) -> str:
            ctx.defer(deferred.append, "done")
            ctx.emit("shipped", order)
            beyond.append("sync")
            return "not this"

    started: Any = app.start(ships, 7)  # type: ignore[arg-type, unused-ignore]
    assert app.handle(started.id).result(timeout=10) == 7
    until(lambda: deferred == ["done"])
    assert beyond == []
    assert [event.type for event in started.events()] == ["process.started", "shipped", "process.completed"]


def test_a_tool_may_say_the_event_that_ends_the_process_it_is_called_in(app: App) -> None:
    beyond: list[str] = []

    @app.tool
    def hand_over() -> str:
        current().emit("shipped", 7)
        return "handed over"

    @app.engine(events={"shipped": Event(int, ends="completed")})
    async def ships(ctx: AsyncCtx) -> str:
        beyond.append(await ctx.call(hand_over))
        return "not this"

    started: Any = app.start(ships)
    assert app.handle(started.id).result(timeout=10) == 7
    assert beyond == []


def test_an_event_that_ends_as_failed_carries_the_reason(app: App) -> None:
    @app.engine(events={"refused": Event(str, ends="failed")})
    async def pays(ctx: AsyncCtx) -> None:
        await ctx.emit("refused", "no money")

    with pytest.raises(ProcessFailed, match="no money"):
        app.start(pays).result(timeout=10)


def test_outside_work_ends_with_a_declared_event_once_and_its_session_wakes_once(app: App) -> None:
    seen: list[str] = []

    @app.agent("clerk")
    async def clerk(turn: AsyncTurn) -> None:
        seen.extend(item.input for item in turn.inbox)

    events = {"passed": Event(int, wake="CI passed", ends="completed"), "broke": Event(str, ends="failed")}
    work = app.external("ci", id="ci-1", wake=app.session("clerk", "one"), events=events)
    with pytest.raises(PayloadSchemaMismatch):
        work.emit("passed", "three")
    first = work.emit("passed", 3)
    assert work.emit("passed", 3) == first
    assert work.result(timeout=5) == 3
    with pytest.raises(ProcessAlreadyTerminal):
        work.emit("broke", "late")
    until(lambda: bool(seen))
    assert seen == ["CI passed"]
    assert [event.type for event in work.events()] == ["passed", "process.completed"]


def test_what_an_event_may_end_as_is_checked_where_it_is_declared(app: App) -> None:
    with pytest.raises(BodyInvalid, match="ends='gone'"):
        app.external("ci", events={"left": Event(ends="gone")})  # type: ignore[arg-type]


# -- retry


def test_a_failed_process_is_run_again_as_a_process_of_its_own(app: App) -> None:
    tries: list[str] = []

    @app.tool
    def charge(order: int) -> str:
        tries.append(current().idempotency_key)
        if len(tries) == 1:
            raise ValueError("the bank was closed")
        return f"charged {order}"

    first = app.using(id="c1", labels={"shop": "north"}, deadline="1h").start(charge, 7)
    with pytest.raises(ProcessFailed):
        first.result(timeout=10)
    again = first.retry()
    assert (again.id, first.retry().id) == ("c1~r1", "c1~r1")
    assert again.result(timeout=10) == "charged 7"
    assert len(set(tries)) == 2
    assert first.status().status == "failed"
    stored = app.run("look", _read("c1~r1")).registration
    assert (stored.labels, stored.provenance.caused_by.process_id) == ({"shop": "north"}, "c1")  # type: ignore[union-attr]
    assert again.retry().id == "c1~r2"


def test_a_retry_wakes_whom_the_first_would_have_woken(app: App) -> None:
    seen: list[str] = []

    @app.agent("clerk")
    async def clerk(turn: AsyncTurn) -> None:
        seen.extend(str(item.process_id) for item in turn.inbox)

    @app.engine
    async def breaks(ctx: AsyncCtx) -> None:
        raise ValueError("it did not work")

    first = app.using(id="b1", wake=app.session("clerk", "one")).start(breaks)
    until(lambda: seen == ["b1"])
    first.retry()
    until(lambda: seen == ["b1", "b1~r1"])


def test_what_cannot_be_retried_says_so_and_starts_nothing(app: App) -> None:
    @app.engine(signals={"go": bool})
    async def waits(ctx: AsyncCtx) -> bool:
        return bool(await ctx.wait("go", bool))

    live = app.using(id="w1").start(waits)
    with pytest.raises(ProcessNotEnded, match="cancel it first"):
        live.retry()
    work = app.external("ci", id="x1")
    work.finish()
    with pytest.raises(ProcessNotRetryable, match=r"app\.external"):
        work.retry()
    assert {row.id for row in app.processes("any")} == {"w1", "x1"}


def _read(pid: str):  # type: ignore[no-untyped-def]
    view = yield processes.read(pid)
    return view


# -- handles that know what their process runs


def test_a_handle_gives_a_result_of_the_type_of_the_body_that_it_was_given(app: App) -> None:
    @app.tool
    async def price(order: int) -> timedelta:
        return timedelta(seconds=order)

    @app.engine
    async def days(ctx: AsyncCtx, order: int) -> date:
        return date(2026, 12, order)

    app.using(id="p").start(price, 7)
    app.using(id="d").start(days, 1)
    assert app.handle("p", price).result(timeout=10) == timedelta(seconds=7)
    assert app.handle("d", days).result(timeout=10) == date(2026, 12, 1)
    assert app.handle("d").result(timeout=10) == "2026-12-01"
