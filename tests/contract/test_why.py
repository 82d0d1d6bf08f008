"""Why a process or a schedule is as it is: said in a sentence, with since when, until when and what to type."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from wakeline import App, AsyncCtx
from wakeline.errors import InvalidId, ProcessNotFound, SessionNotFound
from wakeline.observe.processes import Status
from wakeline.observe.triggers import ScheduleView
from wakeline.observe.why import why_schedule
from wakeline.triggers.schedule import Schedule
from wakeline.triggers.subscription import Subscription, Target
from wakeline.verbs import triggers

from tests.contract.test_replays_of_any_body import work_until_dead
from tests.contract.working import app_of

if TYPE_CHECKING:
    from tests.contract.conftest import World


@pytest.fixture
def app(world: World) -> App:
    made = app_of(world)

    @made.engine(signals={"approve": bool})
    async def refund(ctx: AsyncCtx) -> bool:
        return await ctx.wait("approve", bool, timeout="2d")

    @made.engine
    async def parent(ctx: AsyncCtx, child: str, depth: int) -> None:
        if depth:
            await (await ctx.using(id=f"{child}.{depth}").start(parent, child, depth - 1))
        else:
            await (await ctx.using(id=child).start(refund))

    @made.engine
    async def nap(ctx: AsyncCtx) -> None:
        await ctx.sleep("1h")

    @made.engine
    async def asks(ctx: AsyncCtx) -> None:
        asked = await ctx.approval("deploy", bool)
        await asyncio.gather(asked.wait(), *(ctx.wait(name) for name in ("now", "soon", "later", "never")))

    @made.engine
    async def fails(ctx: AsyncCtx) -> None:
        await ctx.call(charge, 7)

    @made.tool
    def charge(order: int) -> None:
        raise ValueError(f"order {order} has no card\nand no account")

    return made


def lines(world: World, app: App, body: str, *args: object, pid: str = "p", passed: str = "90s") -> list[str]:
    """What is said of a process of this body, that a worker has run and some time ago."""
    app.using(id=pid).start(app.registry.engine(body), *args)
    while world.status(pid) == "queued":
        work_until_dead(world, app, "w_1", 0, False)
    world.clock.advance(passed)
    return app.handle(pid).why().text.splitlines()


def test_a_wait_for_a_signal_names_the_command_that_sends_it(world: World, app: App) -> None:
    assert lines(world, app, "refund") == [
        "p: waits since 1m30s for the signal 'approve'",
        "  asked 1m30s ago, gives up in 1d23h58m (2023-11-16 22:13:20 UTC)",
        "  → `wakeline signal p approve JSON` sends it",
    ]


def test_a_timer_that_is_late_says_that_no_process_ticks(world: World, app: App) -> None:
    assert lines(world, app, "nap") == [
        "p: waits since 1m30s for its time",
        "  asked 1m30s ago, due in 58m30s (2023-11-14 23:13:20 UTC)",
    ]
    world.clock.advance("2h")
    assert app.handle("p").why().to_do == ("no process ticks: start `wakeline worker` or `wakeline clock`",)


def test_of_many_waits_the_first_are_named_and_the_others_counted(world: World, app: App) -> None:
    found = lines(world, app, "asks")
    assert found[0] == "p: waits since 1m30s for an answer to the approval 'deploy' and 4 more"
    assert found[1] == "  an answer to the approval 'deploy', asked 1m30s ago, no timeout"
    assert found[5] == "  and 1 more; `wakeline show p` shows them"
    assert "  → `wakeline approvals` shows its id, and `wakeline answer ID JSON` answers it" in found
    assert len(found) <= 25


def test_a_chain_of_children_is_followed_to_the_one_that_waits_for_something_else(world: World, app: App) -> None:
    app.using(id="p").start(app.registry.engine("parent"), "leaf", 2)
    for _ in range(4):
        work_until_dead(world, app, "w_1", 0, False)
    why = app.handle("p").why()
    said = []
    while why is not None:
        said.append((why.subject, why.says))
        why = why.of_child
    assert said == [
        ("p", "waits since 0s for the end of leaf.2"),
        ("leaf.2", "waits since 0s for the end of leaf.1"),
        ("leaf.1", "waits since 0s for the end of leaf"),
        ("leaf", "waits since 0s for the signal 'approve'"),
    ]


def test_a_queued_process_says_what_it_waits_for_and_what_to_start(world: World, app: App) -> None:
    app.using(id="p").start(app.registry.engine("refund"))
    assert app.handle("p").why().text.splitlines() == [
        "p: queued since 0s: it waits for a worker: none is alive",
        f"  queue {app.namespace}",
        "  → start `wakeline worker`",
    ]
    app.pause()
    assert app.handle("p").why().to_do == (f"`wakeline queues resume {app.namespace}` lets workers take again",)


def test_a_failed_process_says_where_it_failed_and_what_runs_it_again(world: World, app: App) -> None:
    found = lines(world, app, "fails")
    assert found[:2] == ["p: failed 1m30s ago: ValueError: order 7 has no card", "  in tool_call call:charge"]
    assert found[2].startswith('  File "')
    assert found[3:] == ["  → `wakeline show p` shows where", "  → `wakeline retry p` runs it again"]


def test_other_ends_are_said_too(world: World, app: App) -> None:
    app.using(id="p").start(app.registry.engine("refund"))
    app.handle("p").cancel("no money")
    assert "it was asked to end" in app.handle("p").why().facts
    work_until_dead(world, app, "w_1", 0, False)
    assert app.handle("p").why().text == ("p: was cancelled 0s ago: no money\n  → `wakeline retry p` runs it again")


def test_an_address_without_a_mark_is_a_process_or_else_a_schedule(world: World, app: App) -> None:
    app.using(id="p").start(app.registry.engine("refund"))
    assert app.why("p").startswith("p: queued since 0s")
    with pytest.raises(ProcessNotFound):
        app.why("q")


def test_an_address_with_a_mark_is_of_a_session_first_and_else_a_process(world: World, app: App) -> None:
    app.using(id="a/b#3").start(app.registry.engine("refund"))
    assert app.why("a/b#3").startswith("a/b#3: queued since 0s")
    with pytest.raises(SessionNotFound):
        app.why("agent/nothing")
    with pytest.raises(InvalidId):
        app.why("#")


def test_a_schedule_says_when_it_is_due_and_what_its_latest_moment_started(world: World, app: App) -> None:
    @app.engine
    async def nightly(ctx: AsyncCtx) -> None:
        await ctx.wait("go")

    app.cron("0 3 * * *", nightly, name="night", timezone="Europe/Paris", overlap="skip")
    app.store.run(triggers.declare_all(app.declared, "named"))
    assert app.why("night").splitlines() == [
        "night: is due in 3h46m (2023-11-15 02:00:00 UTC)",
        "  0 3 * * * in Europe/Paris, starts nightly",
        "  it has started nothing yet",
    ]
    world.clock.advance("4h")
    assert "→ no process ticks" in app.why("night")


def test_a_schedule_that_leaves_moments_out_says_for_which_process() -> None:
    subscription = Subscription(source="cron", name="night", target=Target(kind="engine", name="nightly"))
    schedule = Schedule(expression="0 3 * * *", timezone="Mars/Olympus", overlap="skip", subscription=subscription)
    last = Status("night-1", "waiting", "nightly", None, 0, 40_000, 3, (), None)
    assert why_schedule(ScheduleView("night", 100_000, "night-1", schedule), last, 100_000).text.splitlines() == [
        "night: is due in 0s (1970-01-01 00:01:40 UTC)",
        "  this machine does not know its time zone 'Mars/Olympus'",
        "  0 3 * * * in Mars/Olympus, starts nightly",
        "  its latest moment started night-1, which is waiting since 1m",
        "  moments are left out until it has ended (overlap=skip)",
        "  → install the package tzdata where workers run, or name another zone",
    ]
