"""A parent that is cancelled while it awaits a child: the child is asked to end, once, and its end is awaited within
the parent's grace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from wakeline import App, AsyncCtx, Ctx, Limit, ProcessCancelled, ProcessFailed, WaitCancelled, current
from wakeline.processes.inputs import EngineInput

from tests.contract.working import app_of, work

if TYPE_CHECKING:
    from tests.contract.conftest import World

ASKED = '{"reason":"parent cancelled"}'


def declared(app: App, notes: list[str]) -> None:
    """A child that waits for a signal, and parents that await it in every way there is."""

    @app.engine(name="child", signals={"go": int})
    async def child(ctx: AsyncCtx, tidy: str = "") -> str:
        try:
            await ctx.wait("go", int)
        except WaitCancelled:
            notes.append("child tidied up")
            if tidy == "fails":
                raise ValueError("a bad end") from None
            if tidy:
                return tidy
            raise
        return "went"

    @app.tool(name="pends", queue="elsewhere")
    def pends() -> str:
        return current().pending()  # type: ignore[no-any-return]

    @app.tool(name="limited", limit=Limit(concurrency=5))
    def limited() -> str:
        return current().pending()  # type: ignore[no-any-return]

    @app.tool(name="plain")
    def plain() -> str:
        return current().pending()  # type: ignore[no-any-return]

    @app.engine(name="awaits")
    async def awaits(ctx: AsyncCtx, how: str, tidy: str = "") -> Any:
        started = await ctx.using(id="a", on_parent_end="detach" if how == "detached" else None).start(child, tidy)
        if how == "gathered":
            other = await ctx.using(id="b").start(child, tidy)
            return await ctx.gather([started, other])
        if how == "in time":
            return await started.result(timeout="5s")
        return await started

    @app.engine(name="blocks")
    def blocks(ctx: Ctx) -> str:
        return ctx.using(id="a").start(child).result()

    @app.engine(name="calls")
    async def calls(ctx: AsyncCtx, which: str) -> str:
        if which == "queue of the call":
            return await ctx.using(queue="elsewhere", id="a").call(plain)
        return await ctx.using(id="a").call({"queue": pends, "limit": limited}[which])


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


def asked(world: World, pid: str = "a") -> list[str]:
    """The cancel requests in a process' log."""
    return [event.payload for event in world.log(pid) if event.type == "process.cancel_requested"]


@pytest.mark.parametrize(
    ("name", "args", "children"),
    [
        ("awaits", ("plainly",), ["a"]),
        ("awaits", ("in time",), ["a"]),
        ("awaits", ("gathered",), ["a", "b"]),
        ("blocks", (), ["a"]),
        ("calls", ("queue",), ["a"]),
        ("calls", ("queue of the call",), ["a"]),
        ("calls", ("limit",), ["a"]),
    ],
)
def test_the_child_is_asked_once_and_the_parent_ends_after_it_with_the_reason_it_was_given(
    world: World, app: App, name: str, args: tuple[Any, ...], children: list[str]
) -> None:
    handle = begun(world, app, name, *args)
    assert handle.status().status == "waiting"
    handle.cancel("ordered twice")
    assert [asked(world, pid) for pid in children] == [[ASKED]] * len(children)
    assert handle.status().status == "waiting"
    handle.cancel("again")
    work(world, app)
    assert [asked(world, pid) for pid in children] == [[ASKED]] * len(children)
    assert [app.handle(pid).status().status for pid in children] == ["cancelled"] * len(children)
    with pytest.raises(ProcessCancelled) as ended:
        handle.result(timeout=0)
    assert ended.value.fields["reason"] == "ordered twice"


def test_a_child_that_ends_with_a_value_all_the_same_gives_it_to_its_parent(
    world: World, app: App, notes: list[str]
) -> None:
    handle = begun(world, app, "awaits", "plainly", "what was left")
    handle.cancel("enough")
    work(world, app)
    assert notes == ["child tidied up"]
    assert handle.result(timeout=0) == "what was left"


def test_a_child_that_fails_over_the_cancel_does_not_make_its_parent_fail(world: World, app: App) -> None:
    handle = begun(world, app, "awaits", "plainly", "fails")
    handle.cancel("enough")
    work(world, app)
    assert app.handle("a").status().status == "failed"
    with pytest.raises(ProcessCancelled, match="enough"):
        handle.result(timeout=0)


def test_a_child_that_does_not_end_holds_its_parent_no_longer_than_the_grace(world: World, app: App) -> None:
    handle = begun(world, app, "awaits", "plainly")
    app.handle("p").cancel("enough")
    world.clock.advance("9s")
    world.tick()
    assert (handle.status().status, app.handle("a").status().status) == ("waiting", "queued")
    world.clock.advance("1s")
    world.tick()
    assert (handle.status().status, app.handle("a").status().status) == ("cancelled", "cancelled")
    with pytest.raises(ProcessCancelled, match="enough"):
        handle.result(timeout=0)
    work(world, app)


def test_a_wait_whose_time_is_over_under_a_cancel_ends_by_the_cancel(world: World, app: App) -> None:
    handle = begun(world, app, "awaits", "in time")
    handle.cancel("enough")
    world.clock.advance("6s")
    world.tick()
    work(world, app)
    with pytest.raises(ProcessCancelled, match="enough"):
        handle.result(timeout=0)


def test_a_child_that_was_detached_by_hand_goes_on(world: World, app: App) -> None:
    handle = begun(world, app, "awaits", "detached")
    handle.cancel("enough")
    work(world, app)
    assert handle.status().status == "cancelled"
    assert asked(world) == []
    app.handle("a").signal("go", 1)
    work(world, app)
    assert app.handle("a").result(timeout=0) == "went"


def test_a_process_that_another_one_started_is_not_asked(world: World, app: App) -> None:
    app.using(id="a").start(app.registry.engines["child"], "")
    handle = begun(world, app, "awaits", "plainly")
    handle.cancel("enough")
    work(world, app)
    assert (handle.status().status, asked(world), app.handle("a").status().status) == ("cancelled", [], "waiting")


def test_a_cancel_goes_on_to_the_children_of_children_at_once(world: World, app: App) -> None:
    @app.engine(name="grandparent")
    async def grandparent(ctx: AsyncCtx) -> Any:
        return await (await ctx.using(id="m").start(app.registry.engines["awaits"], "plainly"))

    handle = app.using(id="p").start(grandparent)
    work(world, app)
    handle.cancel("enough")
    assert (asked(world, "m"), asked(world, "a")) == ([ASKED], [ASKED])
    work(world, app)
    assert [app.handle(pid).status().status for pid in ("p", "m", "a")] == ["cancelled"] * 3


def cleans_up(app: App, *, late: bool) -> Any:
    """An engine that takes its cancel, and then awaits a child: one it starts only now, or one from before."""
    child = app.registry.engines["child"]

    @app.engine(name="cleans", signals={"never": int})
    async def cleans(ctx: AsyncCtx) -> str:
        started = None if late else await ctx.using(id="a").start(child, "was asked")
        try:
            await ctx.wait("never", int)
        except WaitCancelled:
            started = started or await ctx.using(id="a").start(child, "was asked")
        assert started is not None
        return f"cleaned up: {await started}"

    return cleans


def test_a_child_that_is_started_after_the_cancel_to_clean_up_is_not_asked_and_is_awaited(
    world: World, app: App
) -> None:
    handle = app.using(id="p").start(cleans_up(app, late=True))
    work(world, app)
    handle.cancel("enough")
    work(world, app)
    assert (asked(world), handle.status().status) == ([], "waiting")
    app.handle("a").signal("go", 1)
    work(world, app)
    assert handle.result(timeout=0) == "cleaned up: went"


def test_a_child_from_before_the_cancel_that_is_awaited_after_it_is_asked_then(world: World, app: App) -> None:
    handle = app.using(id="p").start(cleans_up(app, late=False))
    work(world, app)
    handle.cancel("enough")
    assert asked(world) == []
    work(world, app)
    assert asked(world) == [ASKED]
    assert handle.result(timeout=0) == "cleaned up: was asked"


@pytest.mark.parametrize(("how", "found"), [("input", [ASKED]), ("registration", [ASKED]), ("detached by hand", [])])
def test_a_child_of_the_low_level_is_asked_unless_its_registration_detaches_it(
    world: World, app: App, how: str, found: list[str]
) -> None:
    @app.engine(name="low")
    async def low(ctx: AsyncCtx) -> Any:
        payload = {"tidy": ""}
        if how == "input":
            child: Any = EngineInput(kind="child", payload=payload)
        else:
            given = EngineInput(kind="child", payload=payload).model_dump(mode="json")
            chosen = {"on_parent_end": "detach"} if how == "detached by hand" else {}
            child = world.registration("a", **chosen).model_copy(update={"input": EngineInput.model_validate(given)})
        reply = await ctx.execution.start_child_process(child, "child")
        assert reply.ok, reply.value
        ids.append(reply.value["id"])
        return await ctx.execution.await_process(reply.value)

    ids: list[str] = []
    handle = app.using(id="p").start(low)
    work(world, app)
    assert (handle.status().status, app.handle(ids[0]).status().status) == ("waiting", "waiting")
    handle.cancel("enough")
    assert asked(world, ids[0]) == found
    work(world, app)
    assert app.handle(ids[0]).status().status == ("cancelled" if found else "waiting")
    assert handle.status().status == "cancelled"


def test_more_children_than_one_script_touches_are_all_asked_and_the_rest_by_the_tick(world: World, app: App) -> None:
    @app.engine(name="many")
    async def many(ctx: AsyncCtx) -> Any:
        children = [await ctx.using(id=f"c{n:03}").start(app.registry.engines["child"], "") for n in range(300)]
        return await ctx.gather(children)

    handle = app.using(id="p").start(many)
    work(world, app)
    handle.cancel("enough")
    found = [pid for pid in (f"c{n:03}" for n in range(300)) if asked(world, pid)]
    assert len(found) == 128, "each is asked, and has a wait of its own: two of the 256 things that one script does"
    for _ in range(2):
        world.tick()
    assert [asked(world, f"c{n:03}") for n in range(300)] == [[ASKED]] * 300
    assert handle.status().status == "waiting"


def test_a_failure_of_the_parents_own_after_the_child_ended_is_a_failure(world: World, app: App) -> None:
    @app.engine(name="strict")
    async def strict(ctx: AsyncCtx) -> None:
        value = await (await ctx.using(id="a").start(app.registry.engines["child"], "left"))
        raise LookupError(f"nothing to do with {value}")

    handle = app.using(id="p").start(strict)
    work(world, app)
    handle.cancel("enough")
    work(world, app)
    with pytest.raises(ProcessFailed) as failed:
        handle.result(timeout=0)
    assert failed.value.fields["failure_code"] == "LookupError"
