"""Code that does not fit a process waits: what it does otherwise, cannot read or fails at costs nothing, is told, and
ends with the code that fits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from pydantic import BaseModel
from wakeline import AsyncCtx, AsyncTurn, Ctx, Limit
from wakeline.app import App
from wakeline.errors import BodyInvalid, ProcessCancelled, ProcessFailed, WaitCancelled
from wakeline.processes.misfit import Misfit
from wakeline.store import claims, ends, fleet, journal, owners
from wakeline.verbs import looks as looks_verbs

from tests.contract.working import app_of, work

if TYPE_CHECKING:
    from tests.contract.conftest import World

DAY_MS = 86_400_000


def go_on(world: World, ms: int = 60_000) -> None:
    """Time goes by, and the fleet ticks."""
    world.clock.advance(ms / 1000)
    world.tick()


def misfit(world: World, pid: str = "p") -> Misfit | None:
    """Why a process waits for code that fits."""
    found: Misfit | None = world.go(looks_verbs.status(pid)).misfit
    return found


class Two:
    """One app as two releases have it, and what their effects did."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.v1, self.v2 = app_of(world), app_of(world)
        self.did: list[Any] = []

        def act(what: Any) -> Any:
            self.did.append(what)
            return what

        self.acts = [app.tool(act) for app in (self.v1, self.v2)]

    def parked(self, body: Any, *args: Any, release: str | None = "v1", **options: Any) -> Any:
        """A process of v1 that waits for ``go``, and has been told. The worker of v1 is gone."""
        handle = self.v1.using(id="p", **options).start(body, *args)
        assert work(self.world, self.v1, "w_1", release=release) == ["parked"]
        self.world.do(owners.reap("w_1", "shutdown"))
        handle.signal("go", 5)
        return handle


@pytest.fixture
def two(world: World) -> Two:
    return Two(world)


def paying(app: App, act: Any, cents: int, **options: Any) -> Any:
    @app.engine(name="order", signals={"go": int}, **options)
    async def order(ctx: AsyncCtx) -> int:
        return await ctx.call(act, cents) + await ctx.wait("go", int)

    return order


# -- a mismatch


def test_a_mismatch_waits_at_no_cost_names_what_differs_and_goes_on_with_code_that_fits(world: World, two: Two) -> None:
    handle = two.parked(paying(two.v1, two.acts[0], 100), max_attempts=1)
    paying(two.v2, two.acts[1], 101)
    before = world.view().journal
    for _ in range(3):
        assert work(world, two.v2, "w_2", release="v2") == ["released"]
        go_on(world)
    view = world.view()
    assert (view.status, view.fields.get("at"), view.fields.get("ls"), view.journal) == ("queued", None, None, before)
    assert world.types() == ["process.started", "process.waiting", "signal.go", "process.resumed", "process.misfit"]
    found = misfit(world)
    assert found is not None
    assert (found.kind, found.what, found.release, found.looks) == (
        "mismatch",
        "call:act, args.what: recorded 100, asked for 101",
        "v2",
        3,
    )
    assert (
        found.message
        == "release v2 does something else than release v1 recorded: call:act, args.what: recorded 100, asked for 101."
        " Roll back, or deploy code that does what is recorded: put the new path behind ctx.patched(),"
        " use was= for a renamed thing, or declare a version beside."
    )
    assert work(world, two.v1, "w_3", release="v1") == ["finished"]
    assert (handle.result(timeout=0), two.did, misfit(world)) == (105, [100], None)
    assert world.do(fleet.read_fleet([])).misfit_count == 0


def test_it_backs_off_to_a_minute_and_is_said_to_wait_since_the_first_look(world: World, two: Two) -> None:
    two.parked(paying(two.v1, two.acts[0], 100))
    paying(two.v2, two.acts[1], 101)
    since = world.clock.now_ms()
    for delay in (1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000):
        assert work(world, two.v2, "w_2", release="v2") == ["released"]
        go_on(world, delay - 1)
        assert work(world, two.v2, "w_2", release="v2") == []
        go_on(world, 1)
    found = misfit(world)
    assert found is not None
    assert (found.since_ms, found.looks) == (since, 8)


@pytest.mark.parametrize("caught", [Exception, BaseException], ids=["Exception", "BaseException"])
def test_a_body_cannot_go_on_from_a_mismatch_by_catching_it(
    world: World, two: Two, caught: type[BaseException]
) -> None:
    two.parked(paying(two.v1, two.acts[0], 100))

    @two.v2.engine(name="order", signals={"go": int})
    async def order(ctx: AsyncCtx) -> str:
        ctx.defer(two.did.append, "compensated")
        try:
            await ctx.call(two.acts[1], 101)
        except caught:  # noqa: B902
            with suppress(BaseException):
                await ctx.call(two.acts[1], "alert")
        return "ended"

    assert work(world, two.v2, "w_2", release="v2") == ["released"]
    assert (world.status(), two.did) == ("queued", [100])


def test_a_sync_body_that_catches_it_does_nothing_either(world: World, two: Two) -> None:
    two.parked(paying(two.v1, two.acts[0], 100))

    @two.v2.engine(name="order", signals={"go": int})
    def order(ctx: Ctx) -> str:
        with suppress(BaseException):
            ctx.call(two.acts[1], 101)
        with suppress(BaseException):
            ctx.call(two.acts[1], "alert")
        return "ended"

    assert work(world, two.v2, "w_2", release="v2") == ["released"]
    assert (world.status(), two.did) == ("queued", [100])


def test_what_runs_beside_a_mismatch_is_recorded_before_the_process_is_given_back(world: World, two: Two) -> None:
    two.parked(paying(two.v1, two.acts[0], 100))

    @two.v2.tool
    async def slow() -> str:
        await asyncio.sleep(0.3)
        two.did.append("slow")
        return "slow"

    @two.v2.engine(name="order", signals={"go": int})
    async def order(ctx: AsyncCtx) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(ctx.step("beside", slow.function))
            group.create_task(ctx.call(two.acts[1], 101))

    assert work(world, two.v2, "w_2", release="v2") == ["released"]
    go_on(world)
    assert work(world, two.v2, "w_2", release="v2") == ["released"]
    assert (two.did.count("slow") <= 1, two.did[0], world.status()) == (True, 100, "queued")


def test_an_engine_may_say_that_a_mismatch_fails(world: World, two: Two) -> None:
    handle = two.parked(paying(two.v1, two.acts[0], 100))
    paying(two.v2, two.acts[1], 101, on_mismatch="fail")
    assert work(world, two.v2, "w_2", release="v2") == ["finished"]
    with pytest.raises(ProcessFailed) as failed:
        handle.result(timeout=0)
    assert (failed.value.failure_class, failed.value.failure_code) == ("internal", "replay_mismatch")
    with pytest.raises(BodyInvalid, match='it is "wait" or "fail"'):
        paying(two.v2, two.acts[1], 101, on_mismatch="retry")


def test_a_mismatch_waits_where_no_release_has_a_name(world: World, two: Two) -> None:
    handle = two.parked(paying(two.v1, two.acts[0], 100), release=None)
    paying(two.v2, two.acts[1], 101)
    assert work(world, two.v2, "w_2") == ["released"]
    found = misfit(world)
    assert found is not None
    assert found.message.startswith("the code here does something else than what is recorded: call:act")
    world.tick()
    assert work(world, two.v1, "w_3") == []
    world.tick()  # a worker that came may have other code
    assert work(world, two.v1, "w_3") == ["finished"]
    assert handle.result(timeout=0) == 105


# -- errors that a deploy brings


def no_name() -> Any:
    return oops  # type: ignore[name-defined]  # noqa: F821  # pyright: ignore


def no_module() -> Any:
    import nowhere_to_be_found  # type: ignore[import-not-found]  # noqa: F401, PLC0415  # pyright: ignore

    raise AssertionError


def no_attribute() -> Any:
    return [].oops  # type: ignore[attr-defined]  # pyright: ignore


def no_syntax() -> Any:
    return compile("def", "a_module.py", "exec")


def no_type() -> Any:
    return len(5)  # type: ignore[arg-type]  # pyright: ignore


def own() -> Any:
    raise ValueError("its own")


BUGS = {
    no_name: "NameError",
    no_module: "ModuleNotFoundError",
    no_attribute: "AttributeError",
    no_syntax: "SyntaxError",
    no_type: "TypeError",
}


def failing(app: App, act: Any, fails: Callable[[], Any] | None) -> Any:
    @app.engine(name="order", signals={"go": int})
    async def order(ctx: AsyncCtx) -> int:
        await ctx.call(act, 100)
        got: int = await ctx.wait("go", int)
        ctx.defer(act.function, "compensated")
        if fails is not None:
            fails()
        return got

    return order


@pytest.mark.parametrize("fails", BUGS)
def test_an_error_that_a_deploy_brings_waits_and_takes_nothing_back(
    world: World, two: Two, fails: Callable[[], Any]
) -> None:
    handle = two.parked(failing(two.v1, two.acts[0], None))
    failing(two.v2, two.acts[1], fails)
    for _ in range(2):
        assert work(world, two.v2, "w_2", release="v2") == ["released"]
        go_on(world)
    found = misfit(world)
    assert found is not None
    assert (found.kind, found.what.partition(":")[0], found.release) == ("bug", BUGS[fails], "v2")
    assert work(world, two.v1, "w_3", release="v1") == ["finished"]
    assert (handle.result(timeout=0), two.did) == (5, [100, "compensated"])


@pytest.mark.parametrize(("fails", "releases"), [(no_name, ("v1", "v1")), (no_name, (None, None)), (own, ("v1", "v2"))])
def test_any_other_error_is_the_body_s_own(
    world: World, two: Two, fails: Callable[[], Any], releases: tuple[str | None, str | None]
) -> None:
    handle = two.parked(failing(two.v1, two.acts[0], None), release=releases[0])
    failing(two.v2, two.acts[1], fails)
    assert work(world, two.v2, "w_2", release=releases[1]) == ["finished"]
    with pytest.raises(ProcessFailed) as failed:
        handle.result(timeout=0)
    assert (failed.value.failure_code, two.did) == (
        "NameError" if fails is no_name else "ValueError",
        [100, "compensated"],
    )


def test_what_has_begun_under_no_release_before_fails_as_it_does_today(world: World, two: Two) -> None:
    failing(two.v2, two.acts[1], no_name)
    handle = two.v1.using(id="p").start(failing(two.v1, two.acts[0], None))
    handle.signal("go", 5)
    assert work(world, two.v2, "w_2", release="v2") == ["finished"]
    assert handle.status().status == "failed"


def test_a_process_that_was_handed_on_in_a_deploy_without_ever_parking_is_judged_by_the_release_it_began_under(
    world: World, two: Two
) -> None:
    handle = two.v1.using(id="p").start(failing(two.v1, two.acts[0], None))
    handle.signal("go", 5)
    world.do(owners.register_owner("w_1", two.v1.queues, lease_ms=5_000, release="v1"))
    (claim,) = world.do(claims.take("w_1", "t", two.v1.queues, 1, lease_ms=5_000, release="v1")).claims
    world.do(
        ends.release(claim.fence, consumed=[journal.Row("seen", '{"n":1,"o":1,"k":"step","h":"h","at":1,"f":"seen"}')])
    )
    failing(two.v2, two.acts[1], no_name)
    for _ in range(2):
        assert work(world, two.v2, "w_2", release="v2") == ["released"]
        go_on(world)
    found = misfit(world)
    assert found is not None
    assert found.kind == "bug"


def test_after_a_day_it_fails_with_what_it_failed_at(world: World, two: Two) -> None:
    handle = two.parked(failing(two.v1, two.acts[0], None))
    failing(two.v2, two.acts[1], no_name)
    assert work(world, two.v2, "w_2", release="v2") == ["released"]
    go_on(world, DAY_MS - 1)
    assert work(world, two.v2, "w_2", release="v2") == ["released"]
    go_on(world)
    assert work(world, two.v2, "w_2", release="v2") == ["finished"]
    with pytest.raises(ProcessFailed, match="name 'oops' is not defined"):
        handle.result(timeout=0)
    assert two.did == [100, "compensated"]


def test_a_mismatch_has_no_end(world: World, two: Two) -> None:
    two.parked(paying(two.v1, two.acts[0], 100))
    paying(two.v2, two.acts[1], 101)
    for _ in range(3):
        assert work(world, two.v2, "w_2", release="v2") == ["released"]
        go_on(world, 30 * DAY_MS)
    assert world.status() == "queued"


# -- what is stored


def old_narrow(app: App) -> Any:
    @app.engine(name="narrow", signals={"go": int})
    async def narrow(ctx: AsyncCtx, x: str = "word") -> str:
        await ctx.wait("go", int)
        return x

    return narrow


def new_argument(app: App) -> None:
    @app.engine(name="narrow", signals={"go": int})
    async def narrow(ctx: AsyncCtx, x: str, y: int) -> str:
        return "new"


def lost_argument(app: App) -> None:
    @app.engine(name="narrow", signals={"go": int})
    async def narrow(ctx: AsyncCtx) -> str:
        return "new"


def narrowed(app: App) -> None:
    @app.engine(name="narrow", signals={"go": int})
    async def narrow(ctx: AsyncCtx, x: int = 1) -> str:
        return "new"


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (new_argument, "The arguments do not fit narrow: missing a required argument: 'y'"),
        (lost_argument, "The arguments do not fit narrow: got an unexpected keyword argument 'x'"),
        (narrowed, "argument x of narrow is not usable as JSON: value: Input should be a valid integer"),
    ],
)
@pytest.mark.parametrize("begun", [True, False])
def test_arguments_that_code_does_not_take_wait_also_of_what_never_began(
    world: World, two: Two, change: Callable[[App], None], what: str, begun: bool
) -> None:
    body = old_narrow(two.v1)
    if begun:
        handle = two.parked(body, "word")
    else:
        handle = two.v1.using(id="p").start(body, "word")
        handle.signal("go", 5)
    change(two.v2)
    assert work(world, two.v2, "w_2", release="v2") == ["released"]
    found = misfit(world)
    assert found is not None
    assert (found.kind, found.what.startswith(what)) == ("unreadable", True), found.what
    go_on(world)
    assert work(world, two.v1, "w_3", release="v1") == ["finished"]
    assert handle.result(timeout=0) == "word"


def test_arguments_that_code_does_not_take_fail_after_a_day(world: World, two: Two) -> None:
    handle = two.parked(old_narrow(two.v1), "word")
    new_argument(two.v2)
    assert work(world, two.v2, "w_2", release="v2") == ["released"]
    go_on(world, DAY_MS)
    assert work(world, two.v2, "w_2", release="v2") == ["finished"]
    with pytest.raises(ProcessFailed, match="missing a required argument: 'y'"):
        handle.result(timeout=0)


def test_a_tool_that_is_a_process_of_its_own_waits_for_code_that_takes_its_arguments(world: World, two: Two) -> None:
    @two.v1.tool
    def send(to: str) -> str:
        return to

    async def new_send(to: str, subject: str) -> str:
        return subject

    two.v2.tool(name="send")(new_send)
    handle = two.v1.using(id="p", max_attempts=1).start(send, "ann")
    assert work(world, two.v2, "w_2", release="v2") == ["released"]
    found = misfit(world)
    assert found is not None
    assert (found.kind, found.what) == (
        "unreadable",
        "The arguments do not fit send: missing a required argument: 'subject'.",
    )
    go_on(world)
    assert work(world, two.v1, "w_3", release="v1") == ["finished"]
    assert handle.result(timeout=0) == "ann"


class Small(BaseModel):
    n: Annotated[int, "less than before"]


@pytest.mark.parametrize("how", ["call", "step", "child", "approval", "signal"])
def test_a_recorded_outcome_that_code_does_not_take_is_no_error_to_the_body(world: World, two: Two, how: str) -> None:
    def declare(app: App, kind: Any) -> Any:
        def made() -> Any:
            return "text"

        made.__annotations__["return"] = kind
        tool = app.tool(name="made")(made)
        waited = kind if how == "signal" else Any

        @app.engine(name="body", signals={"go": waited})
        async def body(ctx: AsyncCtx) -> str:
            try:
                match how:
                    case "call":
                        got = await ctx.call(tool)
                    case "step":
                        got = await ctx.step("made", made)
                    case "child":
                        got = await (await ctx.start(tool))
                    case "approval":
                        ask = await ctx.approval("ok", kind)
                        two.did.append(ask.token)
                        got = await ask.wait()
                    case _:
                        got = await ctx.wait("go", kind)
            except Exception as error:
                two.did.append(error)
                raise
            if how != "signal":
                await ctx.wait("go")
            return str(got)

        return body

    handle = two.v1.using(id="p").start(declare(two.v1, str))
    assert "parked" in work(world, two.v1, "w_1", release="v1")
    work(world, two.v1, "w_1", release="v1")
    if how == "approval":
        assert two.v1.resolve(two.did.pop(), "text")
    handle.signal("go", "text" if how == "signal" else 5)
    declare(two.v2, int)
    two.did.clear()
    assert work(world, two.v2, "w_2", release="v2") == ["released"]
    found = misfit(world)
    assert found is not None
    assert (found.kind, "Input should be a valid integer" in found.what) == ("unreadable", True)
    assert [one for one in two.did if isinstance(one, Exception)] == []
    go_on(world)
    assert work(world, two.v1, "w_3", release="v1") == ["finished"]
    assert handle.result(timeout=0) == "text"


def test_a_signal_that_was_wrong_from_the_start_is_dropped_under_every_release(world: World, two: Two) -> None:
    def declare(app: App) -> Any:
        @app.engine(name="body")
        async def body(ctx: AsyncCtx) -> list[int]:
            await ctx.wait("begin")
            return [await ctx.wait("go", int), await ctx.wait("go", int)]

        return body

    handle = two.v1.using(id="p").start(declare(two.v1))
    assert work(world, two.v1, "w_1", release="v1") == ["parked"]
    handle.signal("go", "wrong")
    handle.signal("begin")
    declare(two.v2)
    assert work(world, two.v2, "w_2", release="v2") == ["parked"]  # dropped under another release
    handle.signal("go", 1)
    assert work(world, two.v1, "w_3", release="v1") == ["parked"]  # and not met again
    handle.signal("go", 2)
    assert work(world, two.v2, "w_4", release="v2") == ["finished"]
    assert handle.result(timeout=0) == [1, 2]


@pytest.mark.parametrize("declared", [int, Any])
def test_a_signal_of_the_type_that_was_declared_is_kept_although_nothing_waited_for_it_yet(
    world: World, two: Two, declared: Any
) -> None:
    def declare(app: App, kind: Any) -> Any:
        @app.engine(name="body", signals={"begin": None, "go": kind})
        async def body(ctx: AsyncCtx) -> Any:
            await ctx.wait("begin")
            return await ctx.wait("go")

        return body

    handle = two.v1.using(id="p").start(declare(two.v1, declared))
    assert work(world, two.v1, "w_1", release="v1") == ["parked"]
    handle.signal("go", 5)
    handle.signal("begin")
    declare(two.v2, list[int])
    for _ in range(2):
        assert work(world, two.v2, "w_2", release="v2") == ["released"]
        go_on(world)
    assert work(world, two.v1, "w_3", release="v1") == ["finished"]
    assert handle.result(timeout=0) == 5


def test_an_event_type_that_is_declared_nowhere_waits(world: World, two: Two) -> None:
    def declare(app: App, *, emits: bool) -> Any:
        @app.engine(name="body", signals={"go": int})
        async def body(ctx: AsyncCtx) -> int:
            got: int = await ctx.wait("go", int)
            if emits:
                await ctx.emit("fresh", 1)
            return got

        return body

    two.parked(declare(two.v1, emits=False))
    declare(two.v2, emits=True)
    assert work(world, two.v2, "w_2", release="v2") == ["released"]
    found = misfit(world)
    assert found is not None
    assert (found.kind, found.what) == ("bug", "Process 'p' does not declare 'fresh'; it declares: signal.go.")


# -- who looks, and when


def test_a_worker_of_another_release_looks_at_once_and_one_of_the_same_does_not(world: World, two: Two) -> None:
    two.parked(paying(two.v1, two.acts[0], 100))
    paying(two.v2, two.acts[1], 101)
    for _ in range(7):
        assert work(world, two.v2, "w_2", release="v2") == ["released"]
        go_on(world)
    work(world, two.v2, "w_2", release="v2")
    world.do(owners.register_owner("w_3", two.v2.queues, lease_ms=5_000, release="v2"))
    world.tick()
    assert work(world, two.v2, "w_2", release="v2") == []
    world.do(owners.register_owner("rq", [], lease_ms=5_000, release="v1"))  # a stock worker's job
    world.tick()
    assert work(world, two.v2, "w_2", release="v2") == []
    world.do(owners.register_owner("w_4", two.v1.queues, lease_ms=5_000, release="v1"))
    world.tick()
    assert work(world, two.v1, "w_4", release="v1") == ["finished"]


def test_however_many_wait_a_worker_that_comes_has_all_of_them_looked_at(world: World) -> None:
    app = app_of(world)
    world.worker("w_1")
    for n in range(300):
        world.start(f"p{n}")
    for claim in world.take("w_1", 300):
        world.do(ends.release(claim.fence, delay_ms=60_000, unrun=True, misfit=Misfit("missing", "no code", "v1", 1)))
    world.do(owners.register_owner("w_2", app.queues, lease_ms=5_000, release="v2"))
    while world.tick().fired:
        pass
    assert len({claim.process_id for _ in range(3) for claim in world.take("w_2", 1000, release="v2")}) == 300


def test_it_holds_no_place_of_a_limit_and_uses_up_no_rate(world: World, two: Two) -> None:
    def declare(app: App, new: bool) -> Any:
        limit = Limit(concurrency=1, rate="2/1h")
        if new:

            @app.engine(name="body", limit=limit)
            async def fresh(ctx: AsyncCtx, x: int) -> str:
                return "new"

            return fresh

        @app.engine(name="body", limit=limit)
        async def body(ctx: AsyncCtx, x: str) -> str:
            return x

        return body

    old, new = declare(two.v1, False), declare(two.v2, True)
    handle = two.v1.using(id="p").start(old, "word")
    for _ in range(3):
        assert work(world, two.v2, "w_2", release="v2") == ["released"]
        go_on(world)
    assert work(world, two.v2, "w_2", release="v2") == ["released"]
    assert two.v2.using(id="q").start(new, 1).id == "q"
    assert work(world, two.v2, "w_2", release="v2") == ["finished"]
    go_on(world)
    assert work(world, two.v1, "w_3", release="v1") == ["finished"]
    assert handle.result(timeout=0) == "word"


def test_owner_bound_work_is_not_abandoned_for_code_that_does_not_fit(world: World, two: Two) -> None:
    handle = two.parked(paying(two.v1, two.acts[0], 100), recovery="owner_bound")
    paying(two.v2, two.acts[1], 101)
    assert work(world, two.v2, "w_2", release="v2") == ["released"]
    go_on(world)
    assert work(world, two.v1, "w_3", release="v1") == ["finished"]
    assert handle.result(timeout=0) == 105


# -- the end of one that waits


def test_a_cancel_ends_it_after_the_grace_without_its_body(world: World, two: Two) -> None:
    handle = two.parked(paying(two.v1, two.acts[0], 100))
    paying(two.v2, two.acts[1], 101)
    assert work(world, two.v2, "w_2", release="v2") == ["released"]
    assert handle.cancel("no more") == "queued"
    world.tick()
    assert work(world, two.v2, "w_2", release="v2") == ["released"]
    go_on(world, 10_000)
    with pytest.raises(ProcessCancelled, match="no more"):
        handle.result(timeout=0)
    assert (misfit(world), world.do(fleet.read_fleet([])).misfit_count, two.did) == (None, 0, [100])


def test_where_code_that_fits_is_back_a_cancel_runs_the_body_s_cleanup_at_once(world: World, two: Two) -> None:
    @two.v1.engine(name="order", signals={"go": int})
    async def order(ctx: AsyncCtx) -> None:
        await ctx.call(two.acts[0], 100)
        try:
            await ctx.wait("go", int)
            await ctx.sleep("1h")
        except WaitCancelled:
            two.did.append("cleaned up")
            raise

    handle = two.parked(order)
    paying(two.v2, two.acts[1], 101)
    for _ in range(7):
        assert work(world, two.v2, "w_2", release="v2") == ["released"]
        go_on(world)
    work(world, two.v2, "w_2", release="v2")
    handle.cancel()
    world.tick()
    assert work(world, two.v1, "w_3", release="v1") == ["finished"]
    assert (handle.status().status, two.did) == ("cancelled", [100, "cleaned up"])


def test_the_misfit_of_code_that_is_missing_is_told_and_goes_with_the_end(world: World, two: Two) -> None:
    handle = two.v1.using(id="p").start(old_narrow(two.v1), "word")
    handle.signal("go", 5)
    assert work(world, two.v2, "w_2", release="v2") == ["released"]
    found = misfit(world)
    assert found is not None
    assert (found.kind, found.release, found.what.startswith("No engine is named 'narrow'")) == (
        "missing",
        "v2",
        True,
    ), found.what
    [row] = world.do(fleet.read_fleet([])).misfits
    assert (row.process_id, row.input, row.needs, row.misfit.kind) == ("p", "engine", "narrow", "missing")
    go_on(world)
    assert work(world, two.v1, "w_3", release="v1") == ["finished"]
    assert (handle.result(timeout=0), misfit(world)) == ("word", None)


# -- sessions


def test_a_turn_whose_code_does_not_fit_waits_and_its_session_says_why(world: World, two: Two) -> None:
    def declare(app: App, act: Any, cents: int) -> None:
        @app.agent("clerk", max_attempts=1)
        async def clerk(turn: AsyncTurn) -> int:
            await turn.call(act, cents)
            return await turn.wait("go", int) + len(turn.inbox)

    declare(two.v1, two.acts[0], 100)
    declare(two.v2, two.acts[1], 101)
    desk = two.v1.session("clerk", "d")
    desk.send("hello")
    assert work(world, two.v1, "w_1", release="v1") == ["parked"]
    turn = desk.inspect().turn
    assert turn is not None
    two.v1.handle(turn).signal("go", 5)
    for _ in range(2):
        assert work(world, two.v2, "w_2", release="v2") == ["released"]
        go_on(world)
    assert (
        desk.why() == f"turn {turn} waits for code that fits: release v2 does something else than release v1 recorded:"
        " call:act, args.what: recorded 100, asked for 101. Roll back, or deploy code that does what is recorded:"
        " put the new path behind ctx.patched(), use was= for a renamed thing, or declare a version beside."
    )
    assert desk.inspect().misfit is not None
    assert work(world, two.v1, "w_3", release="v1") == ["finished"]
    assert (two.did, [m.content for m in desk.history()][-1]) == ([100], 6)
