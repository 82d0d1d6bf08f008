"""An exception or a bad result of a body, a step or a tool ends that one process, typed, in one run; the worker goes
on."""

from __future__ import annotations

import asyncio
import concurrent.futures
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

import pytest
from wakeline import App, AsyncCtx, AsyncTurn, Ctx, Handle, current, runner
from wakeline.errors import Parked, ReservedEvent, RetryAfter, StepFailed, Stopped, UndeclaredEvent, UnknownAgent
from wakeline.telemetry.phases import Phase

from tests.lua.world import World
from tests.races.workers import work
from tests.scenario.bad_input.ends import End, end_of, failure_of, on_the_fake_alone


class Odd(BaseException):
    """No Exception, and of no known class."""


class Mute(Exception):
    """Cannot even say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


RAISED: dict[str, tuple[Callable[[], BaseException], str, str]] = {
    "an exception": (lambda: ValueError("no such order"), "ValueError", "no such order"),
    "BaseException": (lambda: Odd("odd"), "Odd", "odd"),
    "SystemExit": (lambda: SystemExit(3), "SystemExit", "3"),
    "KeyboardInterrupt": (KeyboardInterrupt, "KeyboardInterrupt", "KeyboardInterrupt"),
    "GeneratorExit": (GeneratorExit, "GeneratorExit", "GeneratorExit"),
    "CancelledError": (asyncio.CancelledError, "CancelledError", "CancelledError"),
    "another future's CancelledError": (lambda: concurrent.futures.CancelledError("mine"), "CancelledError", "mine"),
    "Parked": (Parked, "Parked", "Parked"),
    "Stopped": (Stopped, "Stopped", "Stopped"),
    "a lone surrogate": (lambda: ValueError("\ud800"), "ValueError", "\\ud800"),
    "NUL": (lambda: ValueError("a\0b"), "ValueError", "a\0b"),
    "no text": (Mute, "Mute", "Mute (it cannot be shown as text)"),
    "a text without end": (lambda: ValueError("x" * 9_000_000), "ValueError", "x" * 10_000 + "… (9000000 characters)"),
    "a name nobody has": (lambda: UnknownAgent(agent="x"), "unknown_agent", str(UnknownAgent(agent="x"))),
}


def raise_(error: BaseException) -> NoReturn:
    raise error


@pytest.mark.parametrize("name", RAISED)
def test_whatever_a_def_body_raises_ends_it_as_failed(world: World, app: App, name: str) -> None:
    make, code, message = RAISED[name]

    @app.engine
    def raises(ctx: Ctx) -> None:
        raise make()

    assert end_of(world, app, app.start(raises)) == End(
        "failed", ("finished",), failure=("execution", code), message=message
    )


@on_the_fake_alone
@pytest.mark.parametrize("name", RAISED)
def test_whatever_an_async_body_raises_ends_it_as_failed(world: World, app: App, name: str) -> None:
    make, code, message = RAISED[name]

    @app.engine
    async def raises(ctx: AsyncCtx) -> None:
        raise make()

    assert end_of(world, app, app.start(raises)) == End(
        "failed", ("finished",), failure=("execution", code), message=message
    )


def test_a_stop_iteration_ends_a_body_and_is_not_lost_in_a_future(world: World, app: App) -> None:
    @app.engine
    def empty(ctx: Ctx) -> Any:
        return next(iter(()))

    @app.engine
    async def empty_async(ctx: AsyncCtx) -> Any:
        return next(iter(()))

    @app.engine
    def empty_step(ctx: Ctx) -> Any:
        return ctx.step("first", lambda: next(iter(())))

    assert failure_of(world, app, app.start(empty)) == ("execution", "StopIteration")
    assert failure_of(world, app, app.start(empty_async)) == (
        "execution",
        "RuntimeError",
    )  # as Python itself makes of it
    assert failure_of(world, app, app.start(empty_step)) == ("execution", "StopIteration")


def test_the_cancel_of_another_future_fails_the_step_it_was_raised_in(world: World, app: App) -> None:
    @app.engine
    async def steps(ctx: AsyncCtx) -> str:
        try:
            return await ctx.step("first", lambda: raise_(concurrent.futures.CancelledError("mine")))
        except StepFailed as failed:
            return failed.failure_message

    handle = app.start(steps)
    work(world, app)
    assert handle.result() == "mine"


def test_a_body_that_cancels_its_own_task_ends_as_failed(world: World, app: App) -> None:
    @app.engine
    async def cancels(ctx: AsyncCtx) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    assert failure_of(world, app, app.start(cancels)) == ("execution", "CancelledError")


RAISED_BY_STEPS = {
    name: row for name, row in RAISED.items() if name not in ("Parked", "Stopped", "GeneratorExit", "a name nobody has")
}


@on_the_fake_alone
@pytest.mark.parametrize("name", RAISED_BY_STEPS)
def test_what_a_step_raises_is_recorded_and_raised_again_as_step_failed(world: World, app: App, name: str) -> None:
    make, code, message = RAISED_BY_STEPS[name]
    ran: list[str] = []

    def fails() -> None:
        ran.append("def")
        raise make()

    async def fails_async() -> None:
        ran.append("async")
        raise make()

    @app.engine
    def handles(ctx: Ctx) -> list[str]:
        with pytest.raises(StepFailed) as caught:
            ctx.step("fails", fails)
        ctx.wait("go")
        return [caught.value.step, caught.value.failure_code, caught.value.failure_message]

    @app.engine
    async def handles_async(ctx: AsyncCtx) -> list[str]:
        with pytest.raises(StepFailed) as caught:
            await ctx.step("fails", fails_async)
        await ctx.wait("go")
        return [caught.value.step, caught.value.failure_code, caught.value.failure_message]

    for body in (handles, handles_async):
        handle = app.start(body)
        work(world, app)
        assert handle.status().status == "waiting"
        handle.signal("go")
        assert end_of(world, app, handle) == End("completed", ("finished",), value=["fails", code, message])
    assert ran == ["def", "async"]


def test_a_step_that_fails_and_is_not_handled_ends_the_body_under_the_name_of_what_it_raised(
    world: World, app: App
) -> None:
    @app.engine
    def careless(ctx: Ctx) -> None:
        ctx.step("charge", lambda: raise_(ConnectionError("the bank is closed")))

    end = end_of(world, app, app.start(careless))
    assert (end.failure, end.message) == (
        ("execution", "ConnectionError"),
        "Step 'charge' failed (ConnectionError): the bank is closed",
    )


def test_a_step_that_was_recorded_as_failed_is_not_run_again_by_another_worker(world: World, app: App) -> None:
    ran: list[int] = []

    def fails() -> None:
        ran.append(1)
        raise ValueError("no such order")

    @app.engine
    async def falls_back(ctx: AsyncCtx) -> str:
        try:
            await ctx.step("look up", fails)
        except StepFailed:
            return await ctx.step("fall back", lambda: "another")
        return "found"

    handle = app.using(id="p").start(falls_back)
    assert work(world, app, "w1", killed_at=Phase.effect_recorded) == ["killed"]
    world.lose("w1")
    assert end_of(world, app, handle) == End("completed", ("finished",), value="another")
    assert ran == [1]


@on_the_fake_alone
@pytest.mark.parametrize("name", RAISED_BY_STEPS)
def test_whatever_a_tool_raises_ends_it_as_failed_after_its_retries(world: World, app: App, name: str) -> None:
    make, code, message = RAISED_BY_STEPS[name]

    @app.tool(retries=1, backoff=0)
    def broken() -> None:
        raise make()

    @app.tool(retries=1, backoff=0)
    async def broken_async() -> None:
        raise make()

    for tool in (broken, broken_async):
        end = end_of(world, app, app.start(tool), runs=3)
        assert (end.status, end.failure, end.message) == ("failed", ("execution", code), message)


def test_a_tool_that_asks_to_be_tried_again_at_no_time_fails(world: World, app: App) -> None:
    @app.tool(retries=5)
    def vague() -> None:
        raise RetryAfter("soon")

    assert failure_of(world, app, app.start(vague)) == ("execution", "invalid_duration")


def test_a_deferred_call_that_raises_anything_keeps_no_other_from_running(world: World, app: App) -> None:
    ran: list[str] = []

    @app.engine
    def tidies(ctx: Ctx) -> str:
        ctx.defer(ran.append, "first deferred")
        ctx.defer(lambda: raise_(SystemExit(1)))
        ctx.defer(lambda: raise_(KeyboardInterrupt()))
        ctx.defer(lambda: raise_(Odd()))
        return "done"

    assert end_of(world, app, app.start(tidies)).value == "done"
    assert ran == ["first deferred"]


def test_a_turn_that_raises_anything_is_tried_again_five_times_and_then_failed(world: World, app: App) -> None:
    began: list[str] = []

    @app.agent("clerk")
    async def clerk(turn: AsyncTurn) -> None:
        began.append(turn.id)
        raise SystemExit(1)

    session = app.session("clerk", "1")
    session.send("hello")
    turn = session.turn()
    assert turn is not None
    end = end_of(world, app, turn, runs=5)
    assert (end.status, end.failure, end.runs) == (
        "failed",
        ("execution", "SystemExit"),
        ("released",) * 4 + ("exhausted",),
    )
    assert len(began) == 5
    assert session.turn() is None


# -- the park


@pytest.mark.parametrize("caught", [BaseException, Parked])
def test_a_body_that_swallows_the_park_and_goes_on_ends_as_failed(
    world: World, app: App, caught: type[BaseException]
) -> None:
    did: list[str] = []

    @app.engine
    def greedy(ctx: Ctx) -> str:
        try:
            ctx.wait("go")
        except caught:
            did.append("went on")
        return "not parked"

    handle = app.using(id="p").start(greedy)
    end = end_of(world, app, handle)
    assert (end.status, end.failure) == ("failed", ("execution", "park_swallowed"))
    assert (
        end.message
        == "The body of 'p' caught Parked and went on. Do not catch BaseException around waits; use ctx.defer."
    )
    assert did == ["went on"]


def test_a_body_that_swallows_the_park_for_ever_is_ended_while_it_still_runs(
    world: World, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "UNLOAD_S", 0.1)
    seen: list[str] = []

    @app.engine
    def stubborn(ctx: Ctx) -> None:
        gives_up = time.monotonic() + 5
        while not seen and time.monotonic() < gives_up:
            try:
                ctx.wait("go")
            except BaseException:
                if world.status("p") == "failed":
                    seen.append("ended under it")

    handle = app.using(id="p").start(stubborn)
    assert failure_of(world, app, handle) == ("execution", "park_swallowed")
    assert seen == ["ended under it"]


def test_a_def_body_whose_finally_asks_for_an_effect_parks_and_goes_on(world: World, app: App) -> None:
    did: list[str] = []

    @app.tool
    def release() -> None:
        did.append("released")

    @app.engine
    def holds(ctx: Ctx) -> str:
        try:
            ctx.wait("go")
        finally:
            ctx.call(release)
        return "done"

    handle = app.using(id="p").start(holds)
    assert work(world, app) == ["parked"]
    assert did == []
    handle.signal("go")
    assert work(world, app) == ["finished"]
    assert (handle.result(timeout=0), did) == ("done", ["released"])


# -- where a body may not go


def test_a_def_body_may_run_a_loop_of_its_own_in_a_step_or_outside(world: World, app: App) -> None:
    async def fetch(n: int) -> int:
        await asyncio.sleep(0)
        return n

    @app.engine
    def own_loop(ctx: Ctx) -> int:
        return asyncio.run(fetch(1)) + ctx.step("fetch", lambda: asyncio.run(fetch(2)))

    assert end_of(world, app, app.start(own_loop)).value == 3


def test_an_async_body_that_runs_a_loop_inside_the_loop_ends_as_failed(world: World, app: App) -> None:
    async def fetch() -> None: ...

    @app.engine
    async def nested(ctx: AsyncCtx) -> None:
        coroutine = fetch()
        try:
            asyncio.run(coroutine)
        finally:
            coroutine.close()

    end = end_of(world, app, app.start(nested))
    assert (end.failure, end.message) == (
        ("execution", "RuntimeError"),
        "asyncio.run() cannot be called from a running event loop",
    )


def test_a_body_that_calls_a_blocking_verb_ends_as_failed_with_the_right_one_named(world: World, app: App) -> None:
    @app.tool
    def work_once() -> None: ...

    @app.engine
    def escapes(ctx: Ctx) -> None:
        app.start(work_once)

    @app.engine
    async def escapes_async(ctx: AsyncCtx) -> None:
        app.start(work_once)

    handles: list[Handle[None]] = [app.start(escapes), app.start(escapes_async)]
    ends = [end_of(world, app, handle) for handle in handles]
    assert [end.failure for end in ends] == [("execution", "wrong_verb")] * 2
    assert [end.message for end in ends] == [
        "app.start would block here. Use ctx.start(…) instead.",
        "app.start would block here. Use await ctx.start(…) instead.",
    ]
    assert len(app.processes()) == 2


def test_a_context_that_two_threads_use_at_once_is_refused_to_the_second(world: World, app: App) -> None:
    @app.engine
    def threaded(ctx: Ctx) -> str:
        def inner() -> str:
            with ThreadPoolExecutor(1) as pool:
                return pool.submit(ctx.step, "second", lambda: "ran").result()

        return ctx.step("first", inner)

    @app.engine
    def in_turn(ctx: Ctx) -> str:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(ctx.step, "only", lambda: "ran").result()

    end = end_of(world, app, app.start(threaded))
    assert end.failure == ("execution", "wrong_verb")
    assert "children (start and gather)" in end.message
    assert end_of(world, app, app.start(in_turn)).value == "ran"


# -- events of a tool's code


@pytest.mark.parametrize(
    ("event_type", "error"),
    [("process.completed", ReservedEvent), ("signal.go", ReservedEvent), ("shipped", UndeclaredEvent)],
)
def test_a_tool_cannot_write_events_that_nobody_declared(
    world: World, app: App, event_type: str, error: type[Exception]
) -> None:
    seen: list[Exception] = []

    @app.tool
    def writes() -> str:
        try:
            current().emit(event_type, {"await_output": {"type": "success", "value": 1}})
        except error as caught:
            seen.append(caught)
        current().log("still here")
        return "done"

    handle = app.using(id="p").start(writes)
    assert end_of(world, app, handle).value == "done"
    assert len(seen) == 1
    assert world.events("p") == ["process.started", "log", "process.completed"]
