"""Children that the end of their parent waits for: what it means for the outcome of either, under cancels, crashes and
new generations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from wakeline import App, AsyncCtx, Ctx, ProcessCancelled, ProcessFailed

from tests.contract.working import app_of, work

if TYPE_CHECKING:
    from tests.contract.conftest import World


def declared(app: App, notes: list[str]) -> None:
    """Engines that start children which wait for a signal."""

    @app.engine(name="child", signals={"go": int})
    async def child(ctx: AsyncCtx) -> int:
        n: int = await ctx.wait("go", int)
        if n < 0:
            raise ValueError("told to")
        return n

    @app.engine(name="parent")
    async def parent(ctx: AsyncCtx, ids: list[str], fails: bool = False) -> str:
        for pid in ids:
            await ctx.using(id=pid, on_parent_end="await").start(child)
        ctx.defer(notes.append, "deferred")
        notes.append("body ended")
        if fails:
            raise LookupError("its own fault")
        return "its own result"

    @app.engine(name="blocking")
    def blocking(ctx: Ctx) -> str:
        ctx.using(id="a", on_parent_end="await").start(child)
        return "its own result"

    @app.engine(name="twice")
    async def twice(ctx: AsyncCtx, again: bool = True) -> str:
        if again:
            await ctx.using(id="a", on_parent_end="await").start(child)
            await ctx.continue_as_new(False)
        return "second generation"


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def app(world: World, notes: list[str]) -> App:
    made = app_of(world)
    declared(made, notes)
    return made


def begun(world: World, app: App, name: str, *args: Any) -> Any:
    """The process `p` of this engine, worked on until nothing is left to do."""
    handle = app.using(id="p").start(app.registry.engines[name], *args)
    work(world, app)
    return handle


@pytest.mark.parametrize(("name", "args"), [("parent", (["a", "b"],)), ("blocking", ())])
def test_a_body_that_has_ended_waits_parked_for_children_that_were_started_so(
    world: World, app: App, name: str, args: tuple[Any, ...]
) -> None:
    handle = begun(world, app, name, *args)
    assert handle.status().status == "waiting"
    assert world.log()[-1].payload == '{"waits":[{"kind":"children"}]}'
    for pid in ("a", "b")[: 2 if args else 1]:
        app.handle(pid).signal("go", 1)
    work(world, app)
    assert handle.result(timeout=0) == "its own result"
    assert [e.type for e in world.log()][-3:] == ["process.waiting", "process.resumed", "process.completed"]


def test_deferred_calls_run_once_the_children_have_ended(world: World, app: App, notes: list[str]) -> None:
    begun(world, app, "parent", ["a"])
    assert notes == ["body ended"]
    app.handle("a").signal("go", 1)
    work(world, app)
    assert notes == ["body ended", "body ended", "deferred"]


def test_how_a_child_ends_does_not_change_the_outcome_of_its_parent(world: World, app: App) -> None:
    handle = begun(world, app, "parent", ["a", "b"])
    app.handle("a").signal("go", -1)
    app.handle("b").cancel("no more")
    work(world, app)
    assert [app.handle(pid).status().status for pid in ("a", "b")] == ["failed", "cancelled"]
    assert handle.result(timeout=0) == "its own result"


def test_a_body_that_raises_waits_too_and_fails_with_its_own_error(world: World, app: App) -> None:
    handle = begun(world, app, "parent", ["a"], True)
    assert handle.status().status == "waiting"
    app.handle("a").signal("go", 1)
    work(world, app)
    with pytest.raises(ProcessFailed) as caught:
        handle.result(timeout=0)
    assert caught.value.fields["failure_code"] == "LookupError"


def test_a_cancel_of_the_parent_goes_on_to_the_children_and_its_outcome_stays_its_own(world: World, app: App) -> None:
    handle = begun(world, app, "parent", ["a", "b"])
    handle.cancel("enough")
    world.tick()
    work(world, app)
    assert [app.handle(pid).status().status for pid in ("a", "b")] == ["cancelled", "cancelled"]
    assert handle.result(timeout=0) == "its own result"


def test_a_parent_whose_grace_is_over_ends_without_a_worker_and_its_children_are_asked_to(
    world: World, app: App
) -> None:
    handle = begun(world, app, "parent", ["a"])
    handle.cancel("enough")
    world.clock.advance("11s")
    world.tick()
    with pytest.raises(ProcessCancelled):
        handle.result(timeout=0)
    work(world, app)
    assert app.handle("a").status().status == "cancelled"


def test_a_new_generation_waits_for_the_children_of_the_one_before(world: World, app: App) -> None:
    handle = begun(world, app, "twice")
    assert (handle.status().status, world.view("p").generation) == ("waiting", 2)
    app.handle("a").signal("go", 1)
    work(world, app)
    assert handle.result(timeout=0) == "second generation"


def test_children_that_have_ended_before_cost_no_wait(world: World, app: App) -> None:
    @app.tool(name="quick")
    def quick() -> int:
        return 1

    @app.engine(name="reads")
    async def reads(ctx: AsyncCtx) -> int:
        return int(await (await ctx.using(on_parent_end="await").start(quick)))

    assert begun(world, app, "reads").result(timeout=0) == 1
    assert [e.type for e in world.log()].count("process.waiting") <= 1


def test_three_hundred_children_are_one_wait(world: World, app: App) -> None:
    ids = [f"c{n}" for n in range(300)]
    handle = begun(world, app, "parent", ids)
    assert handle.status().status == "waiting"
    for pid in ids:
        app.handle(pid).signal("go", 1)
    work(world, app)
    assert handle.result(timeout=0) == "its own result"
    assert [e.type for e in world.log()].count("process.resumed") == 1
