"""A deploy whose code is at fault: nothing compensates for it, nothing that was stored is lost to it, and the way back
that is told is one."""

from __future__ import annotations

import ast
import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from wakeline import AsyncCtx, AsyncTurn, Ctx
from wakeline.app import App
from wakeline.errors import InvalidArguments, OutputMismatch
from wakeline.processes.misfit import Misfit
from wakeline.verbs import looks

from tests.contract.working import app_of, work

if TYPE_CHECKING:
    from tests.contract.conftest import World

DAY_MS = 86_400_000


def go_on(world: World, ms: int = 60_000) -> None:
    """Time goes by, and the fleet ticks."""
    world.clock.advance(ms / 1000)
    world.tick()


class Two:
    """One app as two releases have it: each body is declared in both, and asks which one it is."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.v1, self.v2 = app_of(world), app_of(world)
        self.did: list[Any] = []

    def act(self, what: Any) -> Any:
        self.did.append(what)
        return what

    def work(self, release: str | None, app: App | None = None) -> list[str]:
        """A worker of a release runs all there is."""
        chosen = app or (self.v2 if release == "v2" else self.v1)
        return work(self.world, chosen, f"w_{release}", release=release)

    def parked(self, body: Any, release: str | None = "v1", pid: str = "p") -> Any:
        handle = self.v1.using(id=pid).start(body)
        assert "parked" in self.work(release, self.v1)
        return handle

    def misfit(self, pid: str = "p") -> Misfit:
        found: Misfit | None = self.world.go(looks.status(pid)).misfit
        assert found is not None
        return found


@pytest.fixture
def two(world: World) -> Two:
    return Two(world)


# -- what verbs say of a new release's code


def gone() -> Any:
    return "a tool that is gone"


ASKED = {
    "call": "The arguments do not fit needy: missing a required argument: 'm'.",
    "step": "an argument of step send is not usable as JSON",
    "start": "The arguments do not fit needy: missing a required argument: 'm'.",
    "batch": "The arguments do not fit needy: missing a required argument: 'm'.",
    "emit": "Process 'p' does not declare 'fresh'",
    "wait": "Process 'p' does not declare",
    "signal": "signal go is not usable as JSON",
    "ask": "the input is not usable as JSON",
    "trigger": "An occurrence of news is not usable as JSON",
    "by name": "nowhere",
    "no tool": "it takes what @app.engine or @app.tool made, not a function",
    "continue": "The arguments do not fit order",
    "other's signal": "signal.go",
}


def asking(two: Two, app: App, how: str, *, new: bool) -> Any:
    @app.engine(name="other", signals={"go": int})
    async def other(ctx: AsyncCtx) -> int:
        got: int = await ctx.wait("go", int)
        return got

    @app.tool(name="needy")
    def needy(n: int, m: int) -> int:
        return n + m

    @app.engine(name="order", signals={"go": int})
    async def order(ctx: AsyncCtx) -> str:
        await ctx.step("pay", two.act, "paid")
        try:
            await ctx.wait("go", int)
            if not new:
                return "old"
            match how:
                case "call":
                    await ctx.call(needy, 1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
                case "step":
                    await ctx.step("send", two.act, object())
                case "start":
                    await ctx.start(needy, 1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
                case "batch":
                    await ctx.call_batch([(needy, {"n": 1})])
                case "emit":
                    await ctx.emit("fresh", 1)
                case "wait":
                    await ctx.wait("undeclared", int)
                case "signal":
                    await ctx.signal("q", "go", object())
                case "ask":
                    await ctx.ask("clerk/d", object())
                case "trigger":
                    await ctx.trigger("news").emit(object())
                case "by name":
                    await ctx.execution.call_tool("nowhere", {})
                case "no tool":
                    await ctx.call(gone)  # type: ignore[arg-type]  # pyright: ignore
                case "continue":
                    await ctx.continue_as_new(5)
                case _:
                    await ctx.signal("q", "go", "a word")
        except Exception:
            await ctx.step("refund", two.act, "refunded")
            return "compensated"
        finally:
            await ctx.step("cleanup", two.act, "cleaned up")
        return "new"

    return order


@pytest.mark.parametrize("how", ASKED)
def test_no_body_compensates_for_what_its_verbs_say_of_a_new_release(world: World, two: Two, how: str) -> None:
    body = asking(two, two.v1, how, new=False)
    two.parked(two.v1.registry.engines["other"], pid="q")
    handle = two.parked(body)
    asking(two, two.v2, how, new=True)
    handle.signal("go", 5)
    for _ in range(2):
        assert two.work("v2") == ["released"]
        go_on(world)
    found = two.misfit()
    assert (found.kind, ASKED[how] in found.what) == ("bug", True), found.what
    assert two.did == ["paid"]
    assert two.work("v1") == ["finished"]
    assert (handle.result(timeout=0), two.did) == ("old", ["paid", "cleaned up"])


@pytest.mark.parametrize("releases", [("v1", "v1"), (None, None)])
def test_under_the_release_that_got_it_this_far_a_verb_s_error_is_the_body_s_to_handle(
    world: World, two: Two, releases: tuple[str | None, str | None]
) -> None:
    handle = two.parked(asking(two, two.v1, "call", new=False), release=releases[0])
    asking(two, two.v2, "call", new=True)
    handle.signal("go", 5)
    assert two.work(releases[1], two.v2) == ["finished"]
    assert (handle.result(timeout=0), two.did) == ("compensated", ["paid", "refunded", "cleaned up"])


def test_after_a_day_a_verb_s_error_is_the_body_s_to_handle(world: World, two: Two) -> None:
    handle = two.parked(asking(two, two.v1, "call", new=False))
    asking(two, two.v2, "call", new=True)
    handle.signal("go", 5)
    assert two.work("v2") == ["released"]
    go_on(world, DAY_MS)
    assert two.work("v2") == ["finished"]
    assert (handle.result(timeout=0), two.did) == ("compensated", ["paid", "refunded", "cleaned up"])


def test_a_verb_s_error_inside_a_step_is_the_step_s_outcome(world: World, two: Two) -> None:
    def declare(app: App, *, new: bool) -> Any:
        @app.tool(name="needy")
        def needy(n: int, m: int) -> int:
            return n + m

        @app.engine(name="order", signals={"go": int})
        async def order(ctx: AsyncCtx) -> str:
            await ctx.wait("go", int)

            def inside() -> None:
                needy.signature.bind(1)

            with suppress(InvalidArguments):
                await ctx.step("inside", inside)
            return await ctx.step("on", two.act, "on") if new else "old"

        return order

    handle = two.parked(declare(two.v1, new=False))
    declare(two.v2, new=True)
    handle.signal("go", 5)
    assert two.work("v2") == ["finished"]
    assert handle.result(timeout=0) == "on"


def test_what_runs_beside_a_verb_s_error_is_recorded_before_the_process_is_given_back(world: World, two: Two) -> None:
    def declare(app: App, *, new: bool) -> Any:
        @app.tool(name="needy")
        def needy(n: int, m: int = 0) -> int:
            return n + m

        given: Any = {True: ("one", "too", "many"), False: (1,)}

        async def slow() -> str:
            await asyncio.sleep(0.3)
            return str(two.act("slow"))

        @app.engine(name="order", signals={"go": int})
        async def order(ctx: AsyncCtx) -> str:
            await ctx.wait("go", int)
            async with asyncio.TaskGroup() as group:
                group.create_task(ctx.step("beside", slow))
                group.create_task(ctx.call(needy, *given[new]))
            return "done"

        return order

    handle = two.parked(declare(two.v1, new=False))
    declare(two.v2, new=True)
    handle.signal("go", 5)
    for _ in range(2):
        assert two.work("v2") == ["released"]
        go_on(world)
    assert two.did == ["slow"]
    assert two.work("v1") == ["finished"]
    assert (handle.result(timeout=0), two.did) == ("done", ["slow"])


# -- broken code that a body handles


def no_name() -> Any:
    return oops  # type: ignore[name-defined]  # noqa: F821  # pyright: ignore


def no_attribute() -> Any:
    return ast.oops  # type: ignore[attr-defined]  # pyright: ignore


def no_local() -> Any:
    if two is None:
        late = 1
    return late  # pyright: ignore[reportPossiblyUnboundVariable]


def no_syntax() -> Any:
    return compile("def", "a_module.py", "exec")


def wrapped() -> Any:
    try:
        return no_name()
    except NameError as error:
        raise RuntimeError("it could not be sent") from error


def covered() -> Any:
    try:
        return no_name()
    finally:
        raise ValueError("while it was cleaned up")


BROKEN = [no_name, no_attribute, no_local, no_syntax, wrapped, covered]


def handling(two: Two, app: App, fails: Any, *, blocking: bool) -> Any:
    if blocking:

        @app.engine(name="order", signals={"go": int})
        def order(ctx: Ctx) -> str:
            ctx.step("pay", two.act, "paid")
            try:
                ctx.wait("go", int)
                fails()
            except Exception:
                ctx.step("refund", two.act, "refunded")
                ctx.step("cleanup", two.act, "cleaned up")
                return "compensated"
            ctx.step("cleanup", two.act, "cleaned up")
            return "old"

        return order

    @app.engine(name="order", signals={"go": int})
    async def awaited(ctx: AsyncCtx) -> str:
        await ctx.step("pay", two.act, "paid")
        try:
            await ctx.wait("go", int)
            fails()
        except Exception:
            await ctx.step("refund", two.act, "refunded")
            return "compensated"
        finally:
            await ctx.step("cleanup", two.act, "cleaned up")
        return "old"

    return awaited


@pytest.mark.parametrize("blocking", [True, False], ids=["blocking", "awaited"])
@pytest.mark.parametrize("fails", BROKEN)
def test_no_body_compensates_for_broken_code(world: World, two: Two, fails: Any, blocking: bool) -> None:
    handle = two.parked(handling(two, two.v1, lambda: None, blocking=blocking))
    handling(two, two.v2, fails, blocking=blocking)
    handle.signal("go", 5)
    for _ in range(2):
        assert two.work("v2") == ["released"]
        go_on(world)
    assert (two.misfit().kind, two.did) == ("bug", ["paid"])
    assert two.work("v1") == ["finished"]
    assert (handle.result(timeout=0), two.did) == ("old", ["paid", "cleaned up"])


@pytest.mark.parametrize("verb", ["wait", "start", "emit", "continue", "finally"])
def test_nothing_new_is_asked_for_while_broken_code_is_handled(world: World, two: Two, verb: str) -> None:
    def declare(app: App, fails: Any) -> Any:
        @app.tool(name="pay")
        def pay() -> str:
            return str(two.act("paid"))

        @app.engine(name="order", signals={"go": int}, events={"told": str})
        async def order(ctx: AsyncCtx) -> str:
            await ctx.wait("go", int)
            try:
                fails()
            except Exception:
                match verb:
                    case "wait":
                        await ctx.sleep("1h")
                    case "start":
                        await ctx.start(pay)
                    case "emit":
                        await ctx.emit("told", "told")
                    case "continue":
                        await ctx.continue_as_new()
                    case _:
                        try:
                            raise RuntimeError("another")
                        finally:
                            await ctx.call(pay)
            return "old"

        return order

    handle = two.parked(declare(two.v1, lambda: None))
    declare(two.v2, no_name)
    handle.signal("go", 5)
    before = world.types()
    assert two.work("v2") == ["released"]
    assert (two.misfit().kind, two.misfit().what, two.did) == ("bug", "NameError: name 'oops' is not defined", [])
    assert set(world.types()) == {*before, "process.resumed", "process.misfit"}
    go_on(world)
    assert two.work("v1") == ["finished"]
    assert handle.result(timeout=0) == "old"


def of_a_text() -> Any:
    return ast.parse("def")


def of_a_value() -> Any:
    return {}["missing"]


def no_module() -> Any:
    import nowhere_to_be_found  # type: ignore[import-not-found]  # noqa: F401, PLC0415  # pyright: ignore

    raise AssertionError


def no_member() -> Any:
    return [].oops  # type: ignore[attr-defined]  # pyright: ignore


@pytest.mark.parametrize("blocking", [True, False], ids=["blocking", "awaited"])
@pytest.mark.parametrize("fails", [of_a_text, of_a_value, no_module, no_member])
def test_a_body_handles_what_sound_code_may_raise(world: World, two: Two, fails: Any, blocking: bool) -> None:
    handle = two.parked(handling(two, two.v1, lambda: None, blocking=blocking))
    handling(two, two.v2, fails, blocking=blocking)
    handle.signal("go", 5)
    assert two.work("v2") == ["finished"]
    assert (handle.result(timeout=0), two.did) == ("compensated", ["paid", "refunded", "cleaned up"])


@pytest.mark.parametrize(("release", "wait_ms"), [("v1", 0), ("v2", DAY_MS)])
def test_broken_code_is_handled_under_its_own_release_and_after_a_day(
    world: World, two: Two, release: str, wait_ms: int
) -> None:
    handle = two.parked(handling(two, two.v1, lambda: None, blocking=False))
    handling(two, two.v2, no_name, blocking=False)
    handle.signal("go", 5)
    if wait_ms:
        assert two.work("v2") == ["released"]
        go_on(world, wait_ms)
    assert two.work(release, two.v2) == ["finished"]
    assert (handle.result(timeout=0), two.did) == ("compensated", ["paid", "refunded", "cleaned up"])


def test_what_a_tool_fails_with_is_handled_whatever_it_is(world: World, two: Two) -> None:
    handle = two.parked(handling(two, two.v1, lambda: None, blocking=False))

    @two.v2.tool(name="broken")
    def broken() -> None:
        no_name()

    @two.v2.engine(name="order", signals={"go": int})
    async def order(ctx: AsyncCtx) -> str:
        await ctx.step("pay", two.act, "paid")
        await ctx.wait("go", int)
        try:
            await ctx.call(broken)
        except Exception:
            return str(await ctx.step("refund", two.act, "refunded"))
        return "new"

    handle.signal("go", 5)
    assert two.work("v2") == ["finished"]
    assert handle.result(timeout=0) == "refunded"


# -- what is stored, once more than one release has had the process


def reading(two: Two, app: App, how: str, kind: Any, made: Any) -> Any:
    def outcome() -> Any:
        return made

    outcome.__annotations__["return"] = kind
    tool = app.tool(name="made", queue="slow")(outcome)

    @app.agent("clerk", queue="slow")
    async def clerk(turn: AsyncTurn) -> Any:
        return made

    @app.engine(name="body", queue="quick", signals={"first": None, "second": None, "go": kind})
    async def body(ctx: AsyncCtx) -> Any:
        read: Any = None
        match how:
            case "child":
                read = await ctx.start(tool)
            case "approval":
                read = await ctx.approval("ok", kind)
                await ctx.step("token", two.did.append, read.token)
            case "answer":
                read = asyncio.create_task(ctx.ask("clerk/d", "hello", output=kind))
            case _:
                pass
        await ctx.wait("first")
        await ctx.wait("second")
        try:
            if read is None:
                return await ctx.wait("go", kind)
            return await (read.wait() if how == "approval" else read)
        except Exception as error:
            two.did.append(error)
            raise

    return body


@pytest.mark.parametrize("how", ["signal", "child", "approval", "answer"])
def test_a_park_of_the_new_release_loses_nothing_that_was_right_for_the_old_one(
    world: World, two: Two, how: str
) -> None:
    body = reading(two, two.v1, how, int, 5)
    handle = two.v1.using(id="p").start(body)
    quick = ["quick"]
    assert work(world, two.v1, "w_1", release="v1", queues=quick)[0] == "parked"
    if how == "signal":
        handle.signal("go", 5)
    if how == "approval":
        assert two.v1.resolve(two.did[-1], 5)
    two.did.clear()
    reading(two, two.v2, how, list[int], [5])
    handle.signal("first")
    assert work(world, two.v2, "w_2", release="v2", queues=quick) == ["parked"]
    work(world, two.v1, "w_3", release="v1", queues=["slow", None])  # the old release answers, beside
    handle.signal("second")
    for _ in range(2):
        assert work(world, two.v2, "w_4", release="v2", queues=quick) == ["released"]
        go_on(world)
    found = two.misfit()
    assert (found.kind, "Input should be a valid list" in found.what, two.did) == ("unreadable", True, [])
    assert work(world, two.v1, "w_5", release="v1", queues=quick)[-1] == "finished"
    assert handle.result(timeout=0) == 5


def test_after_a_roll_back_what_the_new_release_recorded_is_no_error_to_the_old_one(world: World, two: Two) -> None:
    def declare(app: App, kind: Any, made: Any, fails: Any) -> Any:
        def pay() -> Any:
            return two.act(made)

        pay.__annotations__["return"] = kind
        tool = app.tool(name="pay")(pay)

        @app.engine(name="order", signals={"go": int})
        async def order(ctx: AsyncCtx) -> Any:
            await ctx.wait("go", int)
            try:
                paid = await ctx.call(tool)
            except Exception as error:
                two.act(error)
                raise
            fails()
            return paid

        return order

    handle = two.parked(declare(two.v1, int, 1, lambda: None))
    declare(two.v2, str, "one", no_name)
    handle.signal("go", 5)
    assert two.work("v2") == ["released"]
    go_on(world)
    for _ in range(2):
        assert two.work("v1") == ["released"]
        go_on(world)
    assert (two.misfit().kind, two.did) == ("unreadable", ["one"])
    v3 = app_of(world)
    declare(v3, str, "one", lambda: None)
    assert two.work("v3", v3) == ["finished"]
    assert (handle.result(timeout=0), two.did) == ("one", ["one"])


@pytest.mark.parametrize("releases", [("v1", "v2"), (None, None)])
@pytest.mark.parametrize("called", [True, False])
def test_what_a_child_ended_with_under_another_release_than_its_parent_s_waits_for_that_release(
    world: World, two: Two, releases: tuple[str | None, str | None], called: bool
) -> None:
    def declare(app: App, kind: Any, made: Any) -> Any:
        def slow() -> Any:
            return made

        slow.__annotations__["return"] = kind
        tool = app.tool(name="slow", queue="slow")(slow)

        @app.engine(name="order", queue="quick")
        async def order(ctx: AsyncCtx) -> Any:
            try:
                return await ctx.call(tool) if called else await (await ctx.start(tool))
            except Exception as error:
                two.act(error)
                raise

        return order

    handle = two.v1.using(id="p").start(declare(two.v1, int, 1))
    declare(two.v2, str, "one")
    assert work(world, two.v1, "w_1", release=releases[0], queues=["quick"]) == ["parked"]
    assert work(world, two.v2, "w_2", release=releases[1], queues=["slow"]) == ["finished"]
    assert work(world, two.v1, "w_3", release=releases[0], queues=["quick"]) == ["released"]
    assert (two.misfit().kind, two.did) == ("unreadable", [])
    go_on(world)
    assert work(world, two.v2, "w_4", release=releases[1]) == ["finished"]
    assert handle.result(timeout=0) == "one"


def test_an_answer_of_another_type_is_the_asker_s_to_handle_where_one_release_has_had_it(
    world: World, two: Two
) -> None:
    @two.v1.agent("clerk")
    async def clerk(turn: AsyncTurn) -> str:
        return "no number"

    @two.v1.engine(name="asker")
    async def asker(ctx: AsyncCtx) -> str:
        try:
            return str(await ctx.ask("clerk/d", "hello", output=int))
        except OutputMismatch:
            return "asked again"

    handle = two.v1.using(id="p").start(asker)
    assert two.work("v1")[-1] == "finished"
    assert handle.result(timeout=0) == "asked again"


def test_a_new_generation_begins_under_one_release(world: World, two: Two) -> None:
    def declare(app: App) -> Any:
        @app.engine(name="body", signals={"go": int})
        async def body(ctx: AsyncCtx, n: int = 0) -> Any:
            await ctx.wait("go", int)
            await ctx.step("on", two.act, n)
            if n == 0:
                await ctx.continue_as_new(1)
            return await ctx.wait("go", int)

        return body

    body = declare(two.v1)
    declare(two.v2)
    handle = two.parked(body)
    handle.signal("go", 5)
    assert two.work("v2") == ["continued", "parked"]
    assert "sr" not in world.view().fields
    handle.signal("go", 5)
    assert two.work("v1") == ["parked"]
    assert "sr" in world.view().fields
    handle.cancel()
    assert two.work("v1") == ["finished"]
    assert "sr" not in world.view().fields


# -- the way back that is told


@pytest.mark.parametrize("acts", [False, True])
def test_a_roll_back_is_said_to_fit_only_while_nothing_new_was_recorded(world: World, two: Two, acts: bool) -> None:
    def declare(app: App, *, new: bool) -> Any:
        @app.engine(name="order", signals={"go": int})
        async def order(ctx: AsyncCtx) -> str:
            await ctx.step("pay", two.act, "paid")
            await ctx.wait("go", int)
            if new:
                if acts:
                    await ctx.step("audit", two.act, "audited")
                no_name()
            await ctx.step("ship", two.act, "shipped")
            return "done"

        return order

    handle = two.parked(declare(two.v1, new=False))
    declare(two.v2, new=True)
    handle.signal("go", 5)
    said = (
        "release v2 fails where release v1 went on: NameError: name 'oops' is not defined. Deploy a"
        " fix. Something new was recorded under this release: a rollback fits only if the release before asks for"
        " that, too."
        if acts
        else (
            "release v2 fails where release v1 went on: NameError: name 'oops' is not defined. Roll"
            " back, or deploy a fix."
        )
    )
    for _ in range(3):
        assert two.work("v2") == ["released"]
        assert two.misfit().message == said
        go_on(world)
    assert two.work("v1") == (["released"] if acts else ["finished"])
    if acts:
        assert two.misfit().kind == "mismatch"
        go_on(world)
        assert two.work("v2") == ["released"]
        assert two.misfit().message == said
        assert two.did == ["paid", "audited"]
    else:
        assert (handle.result(timeout=0), two.did) == ("done", ["paid", "shipped"])


def test_what_body_errors_come_from_is_asked_at_its_end_too(world: World, two: Two) -> None:
    def declare(app: App, fails: Any) -> Any:
        @app.engine(name="order", signals={"go": int})
        async def order(ctx: AsyncCtx) -> str:
            await ctx.wait("go", int)
            fails()
            return "done"

        return order

    handle = two.parked(declare(two.v1, lambda: None))
    declare(two.v2, wrapped)
    handle.signal("go", 5)
    assert two.work("v2") == ["released"]
    assert two.misfit().kind == "bug"
    go_on(world)
    assert two.work("v1") == ["finished"]
    assert handle.result(timeout=0) == "done"
