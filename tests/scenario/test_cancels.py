"""A cancel that meets a body anywhere: in groups of tasks, in a step, in a tool, at its token; and what the process
ends with."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from typing import Any

import pytest
from wakeline import App, AsyncCtx, Ctx, ProcessCancelled, ProcessFailed, WaitCancelled, current
from wakeline.errors import NonRetryable

from tests.scenario.conftest import until


class Stopped(Exception):
    """How some framework says that it was stopped."""


async def in_a_group(ctx: AsyncCtx) -> Any:
    async with asyncio.TaskGroup() as tasks:
        one, two = tasks.create_task(ctx.wait("a", int)), tasks.create_task(ctx.sleep("1d"))
    return one.result(), two.result()


async def in_groups_of_groups(ctx: AsyncCtx) -> Any:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(in_a_group(ctx))
        tasks.create_task(ctx.wait("b", int))


async def in_a_group_that_is_raised_from(ctx: AsyncCtx) -> Any:
    try:
        return await in_a_group(ctx)
    except* WaitCancelled as group:
        raise Stopped from group


async def wrapped(ctx: AsyncCtx) -> Any:
    try:
        return await ctx.wait("a", int)
    except WaitCancelled as error:
        raise Stopped from error


async def asks_its_token(ctx: AsyncCtx) -> Any:
    while True:
        ctx.execution.cancellation_token.raise_if_cancelled()
        await asyncio.sleep(0.01)


async def asks_its_token_in_a_step(ctx: AsyncCtx) -> Any:
    token = ctx.execution.cancellation_token

    async def polls() -> None:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(2):
                tasks.create_task(_until_told(token))

    await ctx.step("polls", polls)


async def _until_told(token: Any) -> None:
    await token.wait()
    token.raise_if_cancelled()


async def gives_up_by_itself(ctx: AsyncCtx) -> Any:
    while not ctx.cancelled:
        await asyncio.sleep(0.01)
    raise asyncio.CancelledError


BODIES = [
    in_a_group,
    in_groups_of_groups,
    in_a_group_that_is_raised_from,
    wrapped,
    asks_its_token,
    asks_its_token_in_a_step,
    gives_up_by_itself,
]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
@pytest.mark.parametrize("is_parked", [False, True])
def test_a_body_that_a_cancel_ends_is_cancelled_with_the_reason_it_was_given(
    app: App, body: Any, is_parked: bool
) -> None:
    began: list[int] = []

    @app.engine(name="body", signals={"a": int, "b": int})
    async def engine(ctx: AsyncCtx) -> Any:
        began.append(1)
        return await body(ctx)

    waits = body in BODIES[:4]
    handle = app.start(engine)
    until(lambda: len(began) == 1)
    if is_parked and waits:
        until(lambda: handle.status().status == "waiting")
    handle.cancel("ordered twice")
    with pytest.raises(ProcessCancelled) as ended:
        handle.result(timeout=10)
    assert ended.value.fields["reason"] == "ordered twice"


def test_a_blocking_body_ends_cancelled_at_its_wait_and_at_its_token(app: App) -> None:
    @app.engine(events={"began": int})
    def polls(ctx: Ctx) -> None:
        ctx.emit("began", 1)
        while True:
            ctx.execution.cancellation_token.raise_if_cancelled()
            time.sleep(0.01)

    @app.engine(signals={"never": int})
    def waits(ctx: Ctx) -> int:
        return ctx.wait("never", int)

    for engine, begun in ((polls, "running"), (waits, "waiting")):
        handle: Any = app.start(engine)  # type: ignore[arg-type]
        until(
            lambda handle=handle, begun=begun: (
                handle.status().status == begun and len(handle.status().waiting_for) == (begun == "waiting")
            )
        )  # type: ignore[misc]
        handle.cancel("ordered twice")
        with pytest.raises(ProcessCancelled) as ended:
            handle.result(timeout=10)
        assert ended.value.fields["reason"] == "ordered twice"


@pytest.mark.parametrize("is_called", [False, True])
def test_a_tool_that_asks_its_token_ends_its_process_cancelled(app: App, is_called: bool) -> None:
    began: list[str] = []

    @app.tool(retries=3)
    def polls() -> None:
        token = current().cancellation
        began.append("in")
        assert token.wait_blocking(10)
        token.raise_if_cancelled()

    @app.engine
    async def calls(ctx: AsyncCtx) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(ctx.call(polls))

    handle: Any = app.start(calls if is_called else polls)  # type: ignore[arg-type]
    until(lambda: began == ["in"])
    handle.cancel("ordered twice")
    with pytest.raises(ProcessCancelled) as ended:
        handle.result(timeout=10)
    assert ended.value.fields["reason"] == "ordered twice"
    assert began == ["in"]


def test_the_token_tells_the_reason(app: App) -> None:
    reasons: list[str] = []
    begun = threading.Event()

    @app.tool
    def told() -> None:
        begun.set()
        assert current().cancellation.wait_blocking(10)
        reasons.append(current().run_token.reason)

    handle = app.start(told)
    assert begun.wait(10)  # a process that is claimed may be cancelled before its body begins
    handle.cancel("ordered twice")
    assert handle.result(timeout=10) is None
    assert reasons == ["ordered twice"]


def test_what_was_cancelled_before_it_began_has_the_reason_it_was_given(app: App) -> None:
    @app.tool
    def never() -> None: ...

    handle = app.using(delay="300ms").start(never)
    handle.cancel("ordered twice")
    with pytest.raises(ProcessCancelled) as ended:
        handle.result(timeout=10)
    assert ended.value.fields["reason"] == "ordered twice"


def test_an_error_of_the_bodys_own_beside_a_cancel_is_a_failure_and_named(app: App) -> None:
    @app.engine(signals={"never": int})
    async def mixed(ctx: AsyncCtx) -> None:
        async def tidies() -> None:
            try:
                await ctx.wait("never", int)
            except WaitCancelled:
                raise ValueError("the shelf is gone") from None

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(tidies())
            tasks.create_task(ctx.sleep("1d"))

    handle = app.start(mixed)
    until(lambda: handle.status().status == "waiting")
    handle.cancel("enough")
    with pytest.raises(ProcessFailed) as failed:
        handle.result(timeout=10)
    assert (failed.value.fields["failure_code"], failed.value.fields["failure_message"]) == (
        "ValueError",
        "the shelf is gone",
    )


def test_a_body_that_returns_after_a_cancel_is_completed(app: App) -> None:
    @app.engine(signals={"never": int})
    async def polite(ctx: AsyncCtx) -> str:
        try:
            await ctx.wait("never", int)
        except WaitCancelled:
            return "tidied up"
        return "went"

    handle = app.start(polite)
    until(lambda: handle.status().status == "waiting")
    handle.cancel("enough")
    assert handle.result(timeout=10) == "tidied up"
    assert handle.status().status == "completed"


def test_a_call_in_this_process_is_told_and_its_end_is_awaited(app: App) -> None:
    seen: list[str] = []

    @app.tool
    def slow() -> str:
        seen.append("in")
        assert current().cancellation.wait_blocking(10)
        time.sleep(0.1)
        seen.append("tidied up")
        return "half"

    @app.engine
    async def calls(ctx: AsyncCtx) -> str:
        return await ctx.call(slow)

    handle = app.start(calls)
    until(lambda: seen == ["in"])
    handle.cancel("enough")
    assert handle.result(timeout=10) == "half"
    assert seen == ["in", "tidied up"]


# -- the same kind without a cancel: control flow and errors in groups


def test_a_body_in_a_task_group_is_handed_back_at_a_shutdown_and_does_not_fail(app: App) -> None:
    runs: list[int] = []
    deferred: list[str] = []

    @app.engine
    async def grouped(ctx: AsyncCtx) -> list[int]:
        runs.append(1)
        ctx.defer(deferred.append, "ended")

        async def works(n: int) -> int:
            async def leaves() -> int:
                if len(runs) == 1:
                    await asyncio.sleep(0.05 * n)
                    ctx.run.life.stop()  # what a worker does with its runs at SIGTERM
                return n

            first = await ctx.step(f"first {n}", leaves)
            return first + await ctx.step(f"second {n}", lambda: 1)

        async with asyncio.TaskGroup() as tasks:
            made = [tasks.create_task(works(n)) for n in (1, 2)]
        return [task.result() for task in made]

    handle = app.start(grouped)
    assert handle.result(timeout=10) == [2, 3]
    assert len(runs) == 2
    until(lambda: deferred == ["ended"])


@pytest.mark.parametrize("way", ["race", "wait", "fails"])
def test_a_body_that_reads_none_of_its_tasks_is_handed_back_at_a_shutdown_and_does_all_it_asks(
    app: App, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    """Its tasks were refused their next step, because the worker leaves. So it has no outcome yet, and fails at
    nothing. No task is logged as an exception that was never retrieved."""
    runs: list[int] = []
    did: list[int] = []

    def second(n: int) -> int:
        did.append(n)
        return n

    @app.engine
    async def beside(ctx: AsyncCtx) -> int:
        runs.append(1)

        async def works(n: int) -> int:
            async def leaves() -> None:
                if len(runs) == 1:
                    await asyncio.sleep(0.05)
                    ctx.run.life.stop()  # what a worker does with its runs at SIGTERM

            await ctx.step(f"first {n}", leaves)
            return await ctx.step(f"second {n}", second, n)

        if way == "race":
            return (await ctx.race(works(1), works(2)))[1]
        done, _ = await asyncio.wait([asyncio.ensure_future(works(n)) for n in (1, 2)])
        if way == "fails" and any(task.exception() for task in done):
            raise ValueError("a task failed")
        return len(done)

    assert app.start(beside).result(timeout=10) in (1, 2)
    assert len(runs) == 2
    assert way == "race" or sorted(did) == [1, 2]
    gc.collect()
    assert not [line for line in caplog.messages if "never retrieved" in line]


def test_a_body_continues_as_new_from_within_a_task_group(app: App) -> None:
    @app.engine
    async def grouped(ctx: AsyncCtx, n: int = 1) -> int:
        if n == 3:
            return n
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(ctx.sleep("1d"))
            tasks.create_task(ctx.continue_as_new(n + 1))
        return 0

    assert app.start(grouped).result(timeout=10) == 3


def test_an_error_in_a_steps_task_group_means_what_it_would_mean_alone(app: App) -> None:
    async def refuses() -> None:
        raise NonRetryable("no such card")

    async def grouped() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(refuses())

    @app.engine(signals={"go": int})
    async def steps(ctx: AsyncCtx) -> list[str]:
        found: list[str] = []
        for step in (refuses, grouped):
            try:
                await ctx.step(step.__name__, step)
            except Exception as error:  # noqa: BLE001 - which one it is, is what is looked at
                found.append(type(error).__name__)
        await ctx.wait("go", int)  # parked: a replay gives the recorded ones
        return found

    handle = app.start(steps)
    until(lambda: handle.status().status == "waiting")
    handle.signal("go", 1)
    assert handle.result(timeout=10) == ["NonRetryable", "NonRetryable"]


def test_a_tool_that_says_among_other_errors_that_trying_again_is_no_use_is_not_tried_again(app: App) -> None:
    tries: list[str] = []

    @app.tool(retries=3, backoff="1ms")
    async def refuses() -> None:
        tries.append("in")
        raise ExceptionGroup("both", [ValueError("no stock"), ExceptionGroup("inner", [NonRetryable("no such card")])])

    with pytest.raises(ProcessFailed) as failed:
        app.start(refuses).result(timeout=10)
    assert tries == ["in"]
    assert (failed.value.fields["failure_code"], failed.value.fields["failure_message"]) == (
        "ExceptionGroup",
        "both (2 sub-exceptions): ValueError: no stock; non_retryable: no such card",
    )


@pytest.mark.parametrize("is_called", [False, True])
def test_an_error_in_a_tools_task_group_means_what_it_would_mean_alone(app: App, is_called: bool) -> None:
    tries: list[str] = []

    @app.tool(retries=3, backoff="1ms")
    async def refuses() -> None:
        tries.append("in")

        async def works() -> None:
            raise NonRetryable("no such card")

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(works())

    @app.engine
    async def calls(ctx: AsyncCtx) -> None:
        await ctx.call(refuses)

    with pytest.raises(ProcessFailed) as failed:
        app.start(calls if is_called else refuses).result(timeout=10)  # type: ignore[arg-type]
    assert failed.value.fields["failure_code"] == "non_retryable"
    assert tries == ["in"]
