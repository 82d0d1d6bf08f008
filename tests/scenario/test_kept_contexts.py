"""A context that was kept after its run does nothing: every verb of it, and of what it gave, raises one typed error."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from wakeline import App, AsyncCtx, AsyncTurn, Ctx, Turn
from wakeline.errors import ProcessExecutionUnavailable

from tests.scenario.conftest import until

pytestmark = pytest.mark.parametrize("backend", ["fake"], indirect=True)
FACTS = {"id", "cancelled", "stopping", "attempt", "idempotency_key", "log", "now", "uuid", "random", "using", "run"}
"""What stays true after a run, and what only makes another context of it."""
OF_A_TURN = {"inbox", "session_id", "revision", "frame", "shared"}


def verbs(app: App, ctx: Any) -> dict[str, Callable[[], Any]]:
    """Every verb of a context, by name."""
    tool = app.registry.tools["one"]
    asked: dict[str, Callable[[], Any]] = {
        "step": lambda: ctx.step("a", int),
        "effect": lambda: ctx.effect("a", int),
        "call": lambda: ctx.call(tool),
        "call_batch": lambda: ctx.call_batch([(tool, {})]),
        "start": lambda: ctx.start(tool),
        "gather": lambda: ctx.gather([]),
        "sleep": lambda: ctx.sleep(1),
        "sleep_until": lambda: ctx.sleep_until(datetime.now(UTC)),
        "wait": lambda: ctx.wait("go"),
        "approval": lambda: ctx.approval("ship"),
        "emit": lambda: ctx.emit("log"),
        "trigger": lambda: ctx.trigger("source"),
        "wake": lambda: ctx.wake("text"),
        "signal": lambda: ctx.signal("p", "go"),
        "ask": lambda: ctx.ask("clerk/1", "?"),
        "cancel": lambda: ctx.cancel("p"),
        "continue_as_new": lambda: ctx.continue_as_new(),
        "patched": lambda: ctx.patched("change"),
        "deprecated_patch": lambda: ctx.deprecated_patch("change"),
        "defer": lambda: ctx.defer(print),
        "attachments": lambda: ctx.attachments.list(),
        "execution": lambda: ctx.execution.sleep_process("p", 1, 1),
        "race": lambda: ctx.race(),
    }
    if hasattr(ctx, "switch_frame"):
        asked |= {
            "arrivals": lambda: ctx.arrivals(),
            "switch_frame": lambda: ctx.switch_frame("doing"),
            "state": lambda: setattr(ctx, "state", {}),
        }
    return asked


def told(call: Callable[[], Any]) -> str:
    """The code of what a verb raises."""

    async def awaited(made: Any) -> Any:
        return await made

    try:
        made = call()
        if inspect.isawaitable(made):
            asyncio.run(awaited(made))
    except ProcessExecutionUnavailable as error:
        assert "needs a running process" in str(error)
        return error.code
    return "it went through"


def told_by_all(app: App, ctx: Any) -> dict[str, str]:
    asked = verbs(app, ctx)
    public = {name for name in dir(ctx) if not name.startswith("_")} - FACTS - OF_A_TURN
    assert public == set(asked), "each public member of a context is a fact or a verb"
    return {name: told(call) for name, call in asked.items()}


@pytest.fixture
def kept(app: App) -> dict[str, Any]:
    """Contexts of bodies that ended, or that park; and what they gave."""
    found: dict[str, Any] = {}

    @app.tool
    def one() -> int:
        return 1

    @app.engine
    def blocking(ctx: Ctx) -> None:
        found["blocking"] = ctx
        found["child"], found["approval"] = ctx.start(one), ctx.approval("ship")
        found["trigger"] = ctx.trigger("source")

    @app.engine
    async def awaited(ctx: AsyncCtx) -> None:
        found["awaited"] = ctx

    @app.engine
    def fails(ctx: Ctx) -> None:
        found["fails"] = ctx
        raise ValueError

    @app.engine
    def parks(ctx: Ctx) -> None:
        found.setdefault("parks", ctx)
        ctx.wait("go")

    @app.engine
    async def parks_on_the_loop(ctx: AsyncCtx) -> None:
        found.setdefault("parks_on_the_loop", ctx)
        await ctx.wait("go")

    @app.agent("clerk")
    def clerk(turn: Turn) -> None:
        found["turn"] = turn

    @app.agent("typist")
    async def typist(turn: AsyncTurn) -> None:
        found["awaited turn"] = turn

    return found


def ran(app: App, kept: dict[str, Any], name: str) -> Any:
    """A context whose run is over."""
    if "turn" in name:
        app.session("clerk" if name == "turn" else "typist", "1").send("hello")
    else:
        app.start(app.registry.engines[name])
    until(lambda: name in kept)
    ctx = kept[name]
    life = (ctx if hasattr(ctx, "run") else ctx._inner).run.life
    until(lambda: bool(life.is_used_up))
    return ctx


@pytest.mark.parametrize("name", ["blocking", "awaited", "fails", "parks", "parks_on_the_loop", "turn", "awaited turn"])
def test_every_verb_of_a_kept_context_raises_one_typed_error(app: App, kept: dict[str, Any], name: str) -> None:
    ctx = ran(app, kept, name)
    said = told_by_all(app, ctx)
    assert said == dict.fromkeys(said, "process_execution_unavailable")


def test_facts_of_a_kept_context_stay_true(app: App, kept: dict[str, Any]) -> None:
    ctx = ran(app, kept, "blocking")
    assert (ctx.id, ctx.attempt, ctx.cancelled, ctx.using(delay=1).id) == (ctx.id, 1, False, ctx.id)


def test_what_a_context_gave_is_kept_in_vain_too(app: App, kept: dict[str, Any]) -> None:
    ran(app, kept, "blocking")
    asked: dict[str, Callable[[], Any]] = {
        "child.result": lambda: kept["child"].result(),
        "child.signal": lambda: kept["child"].signal("go"),
        "child.cancel": lambda: kept["child"].cancel(),
        "approval.wait": lambda: kept["approval"].wait(),
        "trigger.emit": lambda: kept["trigger"].emit(),
    }
    assert {name: told(call) for name, call in asked.items()} == dict.fromkeys(asked, "process_execution_unavailable")


def test_a_thread_that_a_body_left_behind_is_told_and_not_ended_without_a_word(app: App) -> None:
    go, said = threading.Event(), list[str]()

    @app.engine
    def leaves(ctx: Ctx) -> str:
        def later() -> None:
            go.wait(10)
            said.extend(told(call) for call in (lambda: ctx.step("a", int), lambda: ctx.emit("log")))

        thread = threading.Thread(target=later)
        thread.start()
        threads.append(thread)
        return "done"

    threads: list[threading.Thread] = []
    handle = app.start(leaves)
    assert handle.result(timeout=10) == "done"
    go.set()
    threads[0].join(10)
    assert said == ["process_execution_unavailable"] * 2
    assert [event.type for event in handle.events()] == ["process.started", "process.completed"]


def test_a_context_whose_worker_is_gone_is_told_too(app: App, kept: dict[str, Any]) -> None:
    ctx = ran(app, kept, "blocking")
    loop = asyncio.new_event_loop()
    loop.close()
    ctx._bridge._loop = loop
    assert told(lambda: ctx.step("a", int)) == "process_execution_unavailable"
