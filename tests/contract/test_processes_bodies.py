"""Whole processes with their bodies: started by a host, told by signals, joined by parents, met by faults (P210, P211,
P216, P227, P229)."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from wakeline.app import App
from wakeline.body.context import AsyncCtx
from wakeline.body.turn import AsyncTurn
from wakeline.causality import HostOriginator, ProcessCause, SessionOriginator, SessionScope
from wakeline.errors import InvalidArguments, PayloadSchemaMismatch, UndeclaredEvent

from tests.contract.working import app_of, work

if TYPE_CHECKING:
    from tests.contract.conftest import World


def test_a_started_tool_is_bound_and_checked_by_whoever_starts_it_and_its_worker_gets_just_that(world: World) -> None:
    starter, worker = app_of(world), app_of(world)
    seen: list[tuple[Any, ...]] = []

    @starter.tool(name="add")
    def add(a: int, b: int) -> int:
        raise AssertionError("its starter does not run it")

    @worker.tool(name="add")
    def same(**given: Any) -> int:
        seen.append(tuple(given.items()))
        return int(given["a"]) + int(given["b"])

    with pytest.raises(InvalidArguments):
        starter.start(add, 1, "two")  # type: ignore[arg-type]
    handle = starter.using(id="t").start(add, "1", b=2)  # type: ignore[arg-type]
    call = world.view("t").registration.input.call  # type: ignore[union-attr]
    assert (call.tool_name, call.args) == ("add", {"a": 1, "b": 2})
    assert work(world, worker) == ["finished"]
    assert seen == [(("a", 1), ("b", 2))]
    assert handle.result(timeout=0) == 3


def test_a_signal_sent_through_a_handle_is_an_event_of_its_process(world: World) -> None:
    world.start("p")
    handle = app_of(world).handle("p")
    assert [handle.signal("go", {"n": 1}, key="k") for _ in range(2)] == [1, 1]
    assert [(e.type, e.payload, e.replay_key) for e in world.log()] == [
        ("signal.go", '{"n":1}', "process:p:signal.go:k")
    ]


def test_a_body_is_one_task_from_its_first_line_to_its_last(world: World) -> None:
    """Also where it begins before its task is known to the one who began it, as from Python 3.12 on."""
    app = app_of(world)

    @app.engine
    async def timed(ctx: AsyncCtx) -> list[bool]:
        first = asyncio.current_task()
        assert first is not None
        known = ctx.run.owns(first)
        with suppress(TimeoutError):
            async with asyncio.timeout(0.01):  # cancels the task in which it began
                await asyncio.Event().wait()
        await ctx.step("one", int)
        return [known, asyncio.current_task() is first, ctx.run.owns(first)]

    handle = app.start(timed)
    assert work(world, app) == ["finished"]
    assert handle.result(timeout=0) == [True, True, True]


# -- a process without any session


def asking(app: App) -> Any:
    """An engine that waits for two signals of one name."""

    @app.engine(name="asking", signals={"go": int})
    async def asking(ctx: AsyncCtx) -> list[int]:
        return [await ctx.wait("go"), await ctx.wait("go")]

    return asking


def test_a_signal_that_is_not_declared_or_does_not_fit_leaves_the_process_waiting(world: World) -> None:
    app = app_of(world)
    handle = app.using(id="p").start(asking(app))
    assert work(world, app) == ["parked"]
    with pytest.raises(UndeclaredEvent):
        handle.signal("stop")
    with pytest.raises(PayloadSchemaMismatch):
        handle.signal("go", "one")
    assert world.status() == "waiting"
    assert world.types() == ["process.started", "process.waiting"]


def test_repeated_waits_are_numbered_and_take_signals_in_order(world: World) -> None:
    app = app_of(world)
    handle = app.using(id="p").start(asking(app))
    waited: list[Any] = []
    for payload in (1, 2):
        assert work(world, app) == ["parked"]
        (wait,) = json.loads(world.log()[-1].payload)["waits"]
        waited.append((wait["name"], wait["ordinal"]))
        handle.signal("go", payload)
    assert work(world, app) == ["finished"]
    assert waited == [("go", 1), ("go", 2)]
    assert world.types() == [
        "process.started",
        *["process.waiting", "signal.go", "process.resumed"] * 2,
        "process.completed",
    ]
    assert handle.result(timeout=0) == [1, 2]
    assert app.store.client.keys("{" + world.namespace + "}:sess:*") == []


def family(app: App) -> Any:
    """An engine that starts a child, which starts another, and awaits it."""

    @app.engine
    async def child(ctx: AsyncCtx, depth: int) -> int:
        return depth if depth == 0 else depth + await (await ctx.using(id=f"d{depth - 1}").start(child, depth - 1))

    return child


def test_a_parent_joins_its_children_although_one_worker_runs_them_all(world: World) -> None:
    app = app_of(world)
    handle = app.using(id="d2").start(family(app), 2)
    assert work(world, app) == ["parked", "parked", "finished", "finished", "finished"]
    assert handle.result(timeout=0) == 3
    assert [world.types(pid).count("process.waiting") for pid in ("d2", "d1", "d0")] == [1, 1, 0]


def test_children_inherit_where_their_chain_comes_from_and_wake_nobody_with_their_end(world: World) -> None:
    app = app_of(world)
    app.using(id="d2", wake=app.session("chat", "1")).start(family(app), 2)
    work(world, app)
    for pid, parent in (("d1", "d2"), ("d0", "d1")):
        registration = world.view(pid).registration
        assert registration.provenance.originator == HostOriginator()
        assert registration.provenance.caused_by == ProcessCause(process_id=parent)
        assert registration.wake_target == SessionScope(session_id="chat/1")
    assert [(wake["process_id"], wake["event_type"]) for wake in world.inbox("chat/1")] == [("d2", "process.completed")]


def test_what_a_turn_starts_and_what_that_starts_comes_from_its_session(world: World) -> None:
    app = app_of(world)
    child = family(app)

    @app.agent("chat")
    async def chat(turn: AsyncTurn) -> None:
        await turn.using(id="d1").start(child, 1)

    app.session("chat", "1").send("go on")
    work(world, app)
    chat_1 = SessionScope(session_id="chat/1")
    for pid in ("d1", "d0"):
        registration = world.view(pid).registration
        assert registration.provenance.originator == SessionOriginator(scope=chat_1)
        assert registration.wake_target == chat_1


# -- faults


@pytest.mark.parametrize("script", ["journal_record", "wait_open", "process_finish"])
def test_a_fault_of_the_store_is_logged_ends_nothing_and_the_next_worker_goes_on(
    world: World, script: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = app_of(world)
    ran: list[int] = []

    @app.engine
    async def body(ctx: AsyncCtx) -> int:
        value = await ctx.step("work", lambda: ran.append(1) or len(ran))
        await ctx.wait("go")
        return value

    handle = app.using(id="p").start(body)
    handle.signal("go")
    with caplog.at_level(logging.ERROR, "wakeline"):
        assert work(world, app, "w_1", fails=script) == ["lost"]
    (fault,) = caplog.records
    assert fault.exc_info is None  # one line says it, and what to do
    assert fault.message == (
        "p: the store failed; the lease decides: Redis does not answer: the cable was pulled. Check that it runs and is"
        " reachable; the call may be repeated."
    )
    assert world.status() == "running"
    world.lose("w_1")
    assert work(world, app, "w_2") == ["finished"]
    recorded = 1 if script != "journal_record" else 2
    assert (len(ran), handle.result(timeout=0)) == (recorded, recorded)


def test_a_process_whose_code_a_release_does_not_have_is_run_by_one_that_has(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    app, older = app_of(world), app_of(world)
    handle = app.using(id="p", max_attempts=1).start(asking(app))
    with caplog.at_level(logging.WARNING, "wakeline"):
        assert work(world, older, "w_1") == ["released"]
    assert "asking" in caplog.text
    assert (world.status(), world.types()) == ("queued", [])
    for _ in range(2):
        handle.signal("go", 1)
    world.clock.advance("5s")
    world.tick()
    assert work(world, app, "w_2") == ["finished"]


def test_a_body_that_meets_its_cancel_in_a_wait_ends_as_cancelled_although_no_hint_of_it_arrived(world: World) -> None:
    app = app_of(world)

    @app.engine
    async def waits(ctx: AsyncCtx) -> None:
        await ctx.step("somebody cancels it", app.handle(ctx.id).cancel)
        assert not ctx.cancelled
        await ctx.wait("go")

    handle = app.using(id="p").start(waits)
    assert work(world, app) == ["finished"]
    assert handle.status().status == "cancelled"
