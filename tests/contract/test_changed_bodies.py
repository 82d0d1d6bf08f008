"""A body that was changed while its processes live: what was recorded decides, and nothing new acts before the body has
asked for all of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from wakeline.app import App
from wakeline.body.blocking import Ctx
from wakeline.body.context import AsyncCtx
from wakeline.body.turn import AsyncTurn
from wakeline.errors import DuplicateName, InvalidId, ReplayMismatch, SettingsInvalid
from wakeline.tools.tool import current

from tests.contract.working import app_of, work

if TYPE_CHECKING:
    from tests.contract.conftest import World

Deploy = Callable[[App, list[str]], None]
"""What a release declares: the engine ``job`` and its tools, which write what they do into the list."""


def app(world: World, declare: Deploy, did: list[str]) -> App:
    made = app_of(world)
    declare(made, did)
    return made


def parked(world: World, declare: Deploy) -> list[str]:
    """A process of this release, parked at its signal, which is sent then; what it did."""
    did: list[str] = []
    release = app(world, declare, did)
    release.using(id="p").start(release.registry.engines["job"])
    work(world, release)
    assert world.status() == "waiting"
    world.signal("p", "go")
    return did


def resumed(world: World, declare: Deploy) -> list[str]:
    """The process under another release; what it did there."""
    did: list[str] = []
    work(world, app(world, declare, did), "w_2")
    return did


def result(world: World) -> Any:
    return json.loads(world.log()[-1].payload)["await_output"]["value"]


def steps(*names: str) -> Deploy:
    """A blocking body of steps; "go" waits for the signal."""

    def declare(release: App, did: list[str]) -> None:
        @release.engine
        def job(ctx: Ctx) -> list[str]:
            for name in names:
                if name.startswith("go"):
                    ctx.wait(name)
                else:
                    ctx.step(name, did.append, name)
            return list(names)

    return declare


def together(*names: str) -> Deploy:
    """An async body of steps side by side, then the signal and one more step."""

    def declare(release: App, did: list[str]) -> None:
        @release.engine
        async def job(ctx: AsyncCtx) -> list[str]:
            await asyncio.gather(*(ctx.step(name, did.append, name) for name in names))
            await ctx.wait("go")
            await ctx.step("last", did.append, "last")
            return list(names)

    return declare


def tool(name: str, **options: Any) -> Deploy:
    def declare(release: App, did: list[str]) -> None:
        def send(n: int) -> str:
            did.append(f"{name} {n}")
            return "sent"

        mail = release.tool(name=name, **options)(send)

        @release.engine
        def job(ctx: Ctx) -> str:
            sent = ctx.call(mail, 1)
            ctx.wait("go")
            return sent

    return declare


CHANGES = {
    "a step is renamed": (steps("one", "go"), steps("other", "go"), "step 'one'"),
    "a step is inserted": (steps("one", "go"), steps("new", "one", "go"), "step 'one'"),
    "a step is inserted before the wait that stands open": (steps("go"), steps("new", "go"), "wait for signal 'go'"),
    "a step is removed": (steps("one", "two", "go", "last"), steps("two", "go", "last"), "step 'one'"),
    "two steps are swapped": (steps("one", "two", "go"), steps("two", "one", "go", "last"), ""),
    "two steps are swapped, one not done yet": (steps("one", "go", "two"), steps("two", "one", "go"), "step 'one'"),
    "a signal is renamed": (steps("one", "go"), steps("one", "go_on", "last"), "wait for signal 'go'"),
    "a wait is inserted": (steps("one", "go"), steps("go_first", "one", "go"), "step 'one'"),
    "a tool is renamed": (tool("mailer"), tool("send_mail"), "tool_call 'call:mailer'"),
    "one of several side by side is renamed": (together("a", "b", "c"), together("a", "b2", "c"), "step 'b'"),
    "one of several side by side is gone": (together("a", "b", "c"), together("a", "c"), "step 'b'"),
    "another one is side by side with them": (together("a", "b"), together("a", "b", "c"), "wait for signal 'go'"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_another_branch_is_noticed_before_it_acts(world: World, change: str, caplog: pytest.LogCaptureFixture) -> None:
    before, after, unasked = CHANGES[change]
    parked(world, before)
    did = resumed(world, after)
    if not unasked:  # in another order all is asked for: nothing runs twice
        assert did == ["last"]
        return
    assert did == []
    assert world.status() == "queued"
    (told,) = {record.getMessage() for record in caplog.records if "did before" in record.getMessage()}
    assert unasked in told


@pytest.mark.parametrize("change", [change for change, (_, _, unasked) in CHANGES.items() if unasked])
def test_code_that_fits_again_goes_on_where_the_process_was(world: World, change: str) -> None:
    before, after, _ = CHANGES[change]
    did = parked(world, before)
    resumed(world, after)
    world.clock.advance("2m")
    world.tick()
    again = resumed(world, before)
    assert world.status() == "completed"
    assert set(did).isdisjoint(again)


def test_an_app_that_tells_goes_on_and_says_so(world: World, caplog: pytest.LogCaptureFixture) -> None:
    parked(world, steps("one", "go"))

    def tells(release: App, did: list[str]) -> None:
        release.registry.replay = "tell"
        steps("other", "go")(release, did)

    assert resumed(world, tells) == ["other"]
    assert world.status() == "completed"
    (told,) = [record for record in caplog.records if "did before" in record.getMessage()]
    assert (told.levelname, "step 'one'" in told.getMessage()) == ("WARNING", True)


def test_an_app_that_tells_says_it_once_for_a_process(world: World, caplog: pytest.LogCaptureFixture) -> None:
    parked(world, steps("one", "go"))

    def tells(release: App, did: list[str]) -> None:
        release.registry.replay = "tell"
        steps("other", "go", "go", "go", "last")(release, did)

    for n, did in enumerate([["other"], [], ["last"]]):
        assert resumed(world, tells) == did
        assert world.status() == ("waiting" if n < 2 else "completed")
        if n < 2:
            world.signal("p", "go")
    assert len([record for record in caplog.records if "did before" in record.getMessage()]) == 1


def test_changed_arguments_of_a_recorded_effect_are_a_mismatch_also_in_an_app_that_tells(world: World) -> None:
    def version(n: int) -> Deploy:
        def declare(release: App, did: list[str]) -> None:
            release.registry.replay = "tell"

            @release.engine
            def job(ctx: Ctx) -> None:
                ctx.step("one", did.append, f"one {n}")
                ctx.wait("go")

        return declare

    parked(world, version(1))
    assert resumed(world, version(2)) == []
    assert world.status() == "queued"


def test_a_replay_is_strict_or_told_and_nothing_else(world: World) -> None:
    assert App(world.namespace, backend=world.backend, replay="tell").registry.replay == "tell"
    assert App(world.namespace, backend=world.backend).registry.replay == "strict"
    with pytest.raises(SettingsInvalid) as error:
        App(world.namespace, backend=world.backend, replay="loud")  # type: ignore[arg-type]
    assert "strict, tell" in str(error.value)


def test_a_mismatch_names_what_was_recorded_and_what_is_asked_for() -> None:
    error = ReplayMismatch(process_id="p", name="step two", paths=(), total=0, unasked=["step 'one'", "timer"])
    assert str(error) == (
        "Process 'p' asks for step two, which is new, and not for what it did before: step 'one', timer. "
        "Restore the old code path, guard the new one with ctx.patched(), or say what was renamed with was=."
    )


# -- bodies that are the same, however their tasks meet


async def poll(ctx: AsyncCtx, did: list[str]) -> None:
    for n in range(100):
        await ctx.step(f"poll {n}", did.append, f"poll {n}")
        await asyncio.sleep(0.01)


async def long(seconds: float) -> None:
    await asyncio.sleep(seconds)


def cancels_a_poller(release: App, did: list[str]) -> None:
    @release.engine
    async def job(ctx: AsyncCtx) -> None:
        polling = asyncio.ensure_future(poll(ctx, did))
        await ctx.step("long", long, 0.1)
        polling.cancel()
        await ctx.wait("go")
        await ctx.step("last", did.append, "last")


def gives_a_step_up(release: App, did: list[str]) -> None:
    @release.engine
    async def job(ctx: AsyncCtx) -> None:
        try:
            await asyncio.wait_for(
                ctx.step("long", long, 60), 0.4
            )  # longer than the patience of a worker that holds nothing
        except TimeoutError:
            await ctx.step("too late", did.append, "too late")
        await ctx.wait("go")
        await ctx.step("last", did.append, "last")


def gives_a_wait_up(release: App, did: list[str]) -> None:
    @release.engine
    async def job(ctx: AsyncCtx) -> None:
        async def impatient() -> None:
            try:
                await asyncio.wait_for(ctx.wait("never"), 0.4)
            except TimeoutError:
                await ctx.step("too late", did.append, "too late")

        await asyncio.gather(impatient(), ctx.step("long", long, 0.6))  # while the step runs, nothing is parked
        await ctx.wait("go")
        await ctx.step("last", did.append, "last")


def steps_in_a_step(release: App, did: list[str]) -> None:
    @release.engine
    async def job(ctx: AsyncCtx) -> None:
        async def outer() -> None:
            await ctx.step("inner", did.append, "inner")

        await ctx.step("outer", outer)
        await ctx.wait("go")
        await ctx.step("last", did.append, "last")


def blocking_steps_in_a_step(release: App, did: list[str]) -> None:
    @release.engine
    def job(ctx: Ctx) -> None:
        ctx.step("outer", lambda: ctx.step("inner", did.append, "inner"))
        ctx.wait("go")
        ctx.step("last", did.append, "last")


def looks_whether_it_is_cancelled(release: App, did: list[str]) -> None:
    @release.engine
    async def job(ctx: AsyncCtx) -> None:
        if not ctx.cancelled:
            await ctx.step("first", did.append, "first")
        try:
            await ctx.wait("go")
        finally:
            await ctx.step("last", did.append, "last")


@pytest.mark.parametrize(
    "body", [cancels_a_poller, gives_a_step_up, gives_a_wait_up, steps_in_a_step, blocking_steps_in_a_step]
)
def test_a_body_that_is_the_same_goes_on_whatever_its_tasks_did(world: World, body: Deploy) -> None:
    parked(world, body)
    assert resumed(world, body) == ["last"]
    assert world.status() == "completed"


def test_a_body_that_was_asked_to_end_may_leave_out_what_it_did(world: World) -> None:
    release = app(world, looks_whether_it_is_cancelled, [])
    release.using(id="p").start(release.registry.engines["job"])
    work(world, release)
    release.handle("p").cancel("enough")
    assert resumed(world, looks_whether_it_is_cancelled) == ["last"]
    assert world.status() == "cancelled"


def test_a_turn_that_failed_is_tried_again_by_whatever_way_it_goes_then(world: World) -> None:
    did: list[str] = []
    release = app_of(world)

    @release.agent("clerk")
    async def clerk(turn: AsyncTurn) -> None:
        if not did:
            await turn.step("first", did.append, "first")
            raise ValueError("the page was away")
        await turn.step("other", did.append, "other")

    session = release.session("clerk", "desk")
    session.send("hello")
    work(world, release)
    world.clock.advance("2s")
    world.tick()
    work(world, release, "w_2")
    assert did == ["first", "other"]
    assert session.inspect().revision == 1


def test_what_a_release_before_this_one_recorded_is_told_and_not_refused(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    parked(world, steps("one", "go"))
    journal = world.store.address.prefix + "journal:p"
    for key, text in world.store.client.hgetall(journal).items():
        assert '"w":0' in text
        world.store.client.hset(journal, key, text.replace(',"w":0', ""))
    assert resumed(world, steps("other", "go")) == ["other"]
    assert world.status() == "completed"
    assert [record.levelname for record in caplog.records if "did before" in record.getMessage()] == ["WARNING"]


# -- patched


def guarded(release: App, did: list[str]) -> None:
    @release.engine
    def job(ctx: Ctx) -> str:
        ctx.step("one", did.append, "one")
        if ctx.patched("two signals"):
            ctx.wait("other")
            return "new"
        ctx.wait("go")
        return "old"


def test_a_process_that_waits_just_behind_a_patch_is_past_it(world: World) -> None:
    parked(world, steps("one", "go"))
    assert resumed(world, guarded) == []
    assert result(world) == "old"


def test_a_process_that_reaches_a_patch_for_the_first_time_takes_the_new_path_for_good(world: World) -> None:
    parked_at = parked(world, guarded)
    assert parked_at == ["one"]
    world.signal("p", "other")
    assert resumed(world, guarded) == []
    assert result(world) == "new"


def test_a_patch_behind_a_step_that_is_gone_is_reached_for_the_first_time(world: World) -> None:
    def after(release: App, did: list[str]) -> None:
        @release.engine
        def job(ctx: Ctx) -> bool:
            ctx.step("two", did.append, "two")
            ctx.wait("go")
            return ctx.patched("later")

    parked(world, steps("one", "two", "go"))
    assert resumed(world, after) == []
    assert result(world) is True


def rounds(patched: bool) -> Deploy:
    def declare(release: App, did: list[str]) -> None:
        @release.engine
        def job(ctx: Ctx) -> list[bool]:
            taken: list[bool] = []
            for n in range(3):
                taken.append(patched and ctx.patched("faster"))
                ctx.step(f"{'new' if taken[-1] else 'old'} {n}", did.append, f"{'new' if taken[-1] else 'old'} {n}")
                ctx.wait("go")
            return taken

    return declare


def test_a_patch_in_a_loop_has_one_answer_for_a_process(world: World) -> None:
    did = parked(world, rounds(False))
    for _ in range(3):
        did += resumed(world, rounds(True))
        if world.status() == "waiting":
            world.signal("p", "go")
    assert did == ["old 0", "old 1", "old 2"]
    assert result(world) == [False, False, False]


def test_a_patch_in_a_loop_is_taken_in_every_round_of_a_new_process(world: World) -> None:
    did = parked(world, rounds(True))
    for _ in range(3):
        did += resumed(world, rounds(True))
        if world.status() == "waiting":
            world.signal("p", "go")
    assert did == ["new 0", "new 1", "new 2"]
    assert result(world) == [True, True, True]


def side_by_side(patched: bool) -> Deploy:
    def declare(release: App, did: list[str]) -> None:
        @release.engine
        async def job(ctx: AsyncCtx) -> list[str]:
            is_far = asyncio.Event()

            async def far() -> str:
                for n in range(3):
                    await ctx.step(f"far {n}", did.append, f"far {n}")
                is_far.set()
                if patched and ctx.patched("far"):
                    return "new"
                await ctx.wait("never", default=None, timeout="1h")
                return "old"

            async def near() -> str:
                await is_far.wait()
                await ctx.wait("go")
                if patched and ctx.patched("near"):
                    return await ctx.step("new", str, "new")
                return await ctx.step("old", str, "old")

            return await asyncio.gather(far(), near())

    return declare


def test_a_patch_is_reached_by_each_task_in_its_own_time(world: World) -> None:
    parked(world, side_by_side(False))
    assert resumed(world, side_by_side(True)) == []
    world.clock.advance("2h")
    world.tick()
    assert resumed(world, side_by_side(True)) == []
    assert result(world) == ["old", "new"]  # one waits behind its patch, the other one had not come to it


def deprecated(release: App, did: list[str]) -> None:
    @release.engine
    def job(ctx: Ctx) -> str:
        ctx.step("one", did.append, "one")
        ctx.deprecated_patch("two signals")
        ctx.wait("other")
        ctx.step("last", did.append, "last")
        return "new"


def without_the_patch(release: App, did: list[str]) -> None:
    @release.engine
    def job(ctx: Ctx) -> str:
        ctx.step("one", did.append, "one")
        ctx.wait("other")
        ctx.step("last", did.append, "last")
        return "new"


@pytest.mark.parametrize("last", [deprecated, without_the_patch])
@pytest.mark.parametrize("before", [guarded, deprecated])
def test_a_patch_goes_in_three_deploys(world: World, before: Deploy, last: Deploy) -> None:
    parked(world, before)
    world.signal("p", "other")
    assert resumed(world, last) == ["last"]
    assert result(world) == "new"


def test_a_process_on_the_old_path_does_not_follow_a_patch_that_was_deprecated(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    parked(world, steps("one", "go"))
    assert resumed(world, deprecated) == []
    assert world.status() == "queued"
    assert "the new path of 'two signals'" in caplog.text


def test_the_log_of_a_body_speaks_again_behind_what_it_did(world: World, caplog: pytest.LogCaptureFixture) -> None:
    def speaks(release: App, did: list[str]) -> None:
        @release.engine
        def job(ctx: Ctx) -> None:
            ctx.patched("x")
            ctx.step("one", did.append, "one")
            ctx.log.warning("before")
            ctx.wait("go")
            ctx.log.warning("after")

    parked(world, speaks)
    resumed(world, speaks)
    assert [record.getMessage() for record in caplog.records if record.name == "wakeline.body.job"] == [
        "before",
        "after",
    ]


# -- was=: a rename is no change


def renamed_step(release: App, did: list[str]) -> None:
    @release.engine
    def job(ctx: Ctx) -> None:
        ctx.step("other", did.append, "one", was="one")
        ctx.wait("go")
        ctx.step("last", did.append, "last")


def renamed_signal(release: App, did: list[str]) -> None:
    @release.engine
    def job(ctx: Ctx) -> None:
        ctx.step("one", did.append, "one")
        ctx.wait("go_on", was=["go"])
        ctx.step("last", did.append, "last")


RENAMED = {
    "a step": (steps("one", "go", "last"), renamed_step, ["last"]),
    "a signal": (steps("one", "go", "last"), renamed_signal, ["last"]),
    "a tool": (tool("mailer"), tool("send_mail", was=["mailer"]), []),
    "a tool that was renamed twice": (tool("letter"), tool("send_mail", was=["post", "letter"]), []),
    "a tool on a queue of its own, that moves with it": (
        tool("mailer"),
        tool("send_mail", was="mailer", queue="slow"),
        [],
    ),
}


@pytest.mark.parametrize("what", RENAMED)
def test_a_rename_that_is_said_is_no_change(world: World, what: str) -> None:
    before, after, did = RENAMED[what]
    parked(world, before)
    assert resumed(world, after) == did
    assert world.status() == "completed"


@pytest.mark.parametrize("what", ["a step", "a tool", "a tool that was renamed twice"])
def test_what_began_under_the_new_name_goes_on_under_it_and_under_the_old_one(world: World, what: str) -> None:
    before, after, did = RENAMED[what]
    parked(world, after)
    if what != "a tool that was renamed twice":  # it was named by its oldest name, which this release did not have
        assert resumed(world, before) == did
    else:
        assert resumed(world, after) == did
    assert world.status() == "completed"


def test_a_call_that_was_cut_off_is_tried_again_under_the_same_idempotency_key_whatever_its_tool_is_called(
    world: World,
) -> None:
    keys: list[str] = []

    def release(name: str, **options: Any) -> App:
        made = app_of(world)

        def charge() -> str:
            keys.append(current().idempotency_key)
            return "paid"

        charged = made.tool(name=name, **options)(charge)

        @made.engine
        def job(ctx: Ctx) -> str:
            return ctx.call(charged)

        return made

    old = release("credit")
    old.using(id="p").start(old.registry.engines["job"])
    work(world, old, "w_1", fails="journal_record")
    work(world, old, "w_1", fails="process_finish")
    world.lose("w_1")
    work(world, release("refund", was=["credit"]), "w_2")
    assert world.status() == "completed"
    assert len(keys) == 2
    assert len(set(keys)) == 1


def test_an_engine_runs_the_processes_it_was_started_for_under_its_old_name(world: World) -> None:
    def engine(name: str, **options: Any) -> Deploy:
        def declare(release: App, did: list[str]) -> None:
            def job(ctx: Ctx) -> str:
                ctx.wait("go")
                return name

            release.engine(name=name, **options)(job)

        return declare

    old = app(world, engine("order"), [])
    old.using(id="p").start(old.registry.engines["order"])
    work(world, old)
    world.signal("p", "go")
    new = app(world, engine("purchase", was=["order"]), [])
    work(world, new, "w_2")
    assert result(world) == "purchase"
    assert new.registry.startable("order").name == "purchase"
    assert new.registry.has_engine("order", None)


def test_two_bodies_cannot_have_had_one_name(world: World) -> None:
    made = app_of(world)
    made.tool(name="refund", was=["credit"])(lambda: None)
    for name, was in (("credit", []), ("payback", ["credit"]), ("payback", ["refund"])):
        with pytest.raises(DuplicateName):
            made.tool(name=name, was=was)(lambda: None)
    with pytest.raises(InvalidId):
        made.tool(name="other", was=["other"])(lambda: None)
