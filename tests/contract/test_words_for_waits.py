"""One word for each kind of wait, the same in the log, in read models and in what a mismatch says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from wakeline import current
from wakeline.app import App
from wakeline.body.context import AsyncCtx
from wakeline.body.turn import AsyncTurn
from wakeline.observe.waits import WaitView, waits_of
from wakeline.store import processes

from tests.contract.working import app_of, work

if TYPE_CHECKING:
    from tests.contract.conftest import World

T0 = 1_700_000_000_000


def bodies(app: App) -> dict[str, Any]:
    """An engine for each kind of wait, which is parked on one of it."""

    @app.tool(name="ship")
    def ship() -> int:
        return current().pending(timeout="1h")

    @app.engine(name="child", signals={"go": int})
    async def child(ctx: AsyncCtx) -> int:
        return await ctx.wait("go", int)

    @app.agent("clerk")
    async def clerk(turn: AsyncTurn) -> str:
        return "read"

    @app.engine(name="signal", signals={"go": int})
    async def signal(ctx: AsyncCtx) -> int:
        return await ctx.wait("go", int)

    @app.engine(name="timer")
    async def timer(ctx: AsyncCtx) -> None:
        await ctx.sleep("1h")

    @app.engine(name="awaits")
    async def awaits(ctx: AsyncCtx) -> int:
        return await (await ctx.using(id="c").start(child))

    @app.engine(name="approval")
    async def approval(ctx: AsyncCtx) -> Any:
        return await (await ctx.approval("ship", bool, timeout="1h")).wait()

    @app.engine(name="untyped")
    async def untyped(ctx: AsyncCtx) -> Any:
        return await (await ctx.approval("ship")).wait()

    @app.engine(name="completion")
    async def completion(ctx: AsyncCtx) -> Any:
        await ctx.approval("ship", timeout="2h")  # a question of the name of the tool, which nothing waits for
        return await ctx.call(ship)

    @app.engine(name="children")
    async def children(ctx: AsyncCtx) -> None:
        await ctx.using(id="c", on_parent_end="await").start(child)

    @app.engine(name="answer")
    async def answer(ctx: AsyncCtx) -> Any:
        return await ctx.ask("clerk/1", "when?")

    found = (signal, timer, awaits, approval, untyped, completion, children, answer)
    return {engine.name: engine for engine in found}


WORDS = {
    "signal": ("signal", "go", None),
    "timer": ("timer", None, T0 + 3_600_000),
    "awaits": ("child", "c", None),
    "approval": ("approval", "ship", T0 + 3_600_000),
    "untyped": ("approval", "ship", None),
    "completion": ("completion", "ship", T0 + 3_600_000),
    "children": ("children", None, None),
}


def parked(world: World, name: str) -> processes.StoredProcess:
    """The process `p` of one of the bodies, at its first park."""
    app = app_of(world)
    app.using(id="p").start(bodies(app)[name])
    assert "parked" in work(world, app)
    return world.do(processes.read("p", count=100, detail=True))


@pytest.mark.parametrize("name", list(WORDS))
def test_the_log_and_the_read_model_say_the_same_word_of_a_wait(world: World, name: str) -> None:
    view = parked(world, name)
    kind, what, due_ms = WORDS[name]
    assert waits_of(view) == [WaitView(kind, what, due_ms, since_ms=T0)]
    [event] = [event for event in view.events if event.type == "process.waiting"]
    [said] = json.loads(event.payload)["waits"]
    assert (said["kind"], said.get("name"), said.get("due_ms")) == (kind, what, due_ms)


def test_an_answer_of_a_session_is_waited_for_as_an_answer(world: World) -> None:
    app = app_of(world)
    app.using(id="p").start(bodies(app)["answer"])
    assert "parked" in work(world, app)
    # The turn has answered in the same round of work, so only the log has the wait.
    [event] = [event for event in world.log() if event.type == "process.waiting"]
    assert [one["kind"] for one in json.loads(event.payload)["waits"]] == ["answer"]


def test_a_question_that_the_release_before_asked_is_an_approval_too(world: World) -> None:
    view = parked(world, "approval")
    [slot] = view.slots
    key = "{" + world.namespace + "}:slot:" + slot
    assert world.store.client.hdel(key, "q", "o") == 2
    again = world.do(processes.read("p", detail=True))
    assert [(wait.kind, wait.name, wait.since_ms) for wait in waits_of(again)] == [("approval", "ship", None)]


def test_scripts_of_the_release_before_know_a_question_by_the_code_that_it_had(world: World) -> None:
    view = parked(world, "approval")
    assert [slot["k"] for slot in view.slots.values()] == ["x:ship"]
