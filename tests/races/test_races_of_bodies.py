"""Races 9, 10, 14 and 23: bodies that are replayed, begun anew, or still running although their process is someone
else's."""

from __future__ import annotations

import asyncio
import threading

import pytest
from wakeline.app import App
from wakeline.body.blocking import Ctx
from wakeline.body.context import AsyncCtx
from wakeline.errors import LeaseLost, ProcessNotFound
from wakeline.store import ends, events
from wakeline.store.journal import Effect, Row
from wakeline.store.waits import Opened
from wakeline.telemetry.phases import Phase
from wakeline.tools.tool import current
from wakeline_workers.loop import WorkerLoop

from tests.lua.world import World, signal, wait
from tests.races.rules import fails_without
from tests.races.workers import work

# -- 9: a parallel fan-out, a crash between two of its records: replay of the unchanged code must be no mismatch


@fails_without(
    "a call that matches no record is held until the body has asked for all that is recorded",
    "wakeline.run.replay:Replay.lookup",
    "await self._hold(envelope, _Held(self._left.was_open(slot), gone_s), alone)",
    "raise self._mismatch(envelope, next(iter(self._left.rows.values())))",
)
@pytest.mark.parametrize("order", [(1, 2), (2, 1)], ids=["recorded first", "recorded last"])
def test_race_09_a_crash_between_two_records_of_a_gather_runs_only_the_other_again(
    world: World, app: App, order: tuple[int, int]
) -> None:
    ran: list[int] = []
    crashed = threading.Event()

    async def fetch(n: int) -> int:
        ran.append(n)
        if n == 2 and not crashed.is_set():
            await asyncio.Event().wait()
        return n * 10

    @app.engine
    async def fan_out(ctx: AsyncCtx) -> list[int]:
        return list(await asyncio.gather(*(ctx.step("fetch", fetch, n) for n in order)))

    handle = app.using(id="p").start(fan_out)
    assert work(world, app, "w1", killed_at=Phase.effect_recorded) == ["killed"]
    crashed.set()
    world.lose("w1")
    assert work(world, app, "w2") == ["finished"]
    assert handle.result() == [n * 10 for n in order]
    assert sorted(ran) == [1, 2, 2]


@fails_without(
    "a call that still matches no record when nothing else can be issued is a mismatch",
    "wakeline.run.replay:Replay._hold",
    "self._decide(envelope)",
    "return",
)
def test_race_09_changed_arguments_in_a_gather_never_run_silently(world: World, app: App) -> None:
    charged: list[int] = []
    cents = [500]

    async def charge(amount: int) -> None:
        charged.append(amount)

    @app.engine
    async def pay(ctx: AsyncCtx) -> None:
        await asyncio.gather(ctx.step("charge", charge, cents[0]), ctx.wait("go"))

    handle = app.using(id="p", max_attempts=1).start(pay)
    work(world, app)
    cents[0] = 900
    handle.signal("go")
    work(world, app)
    assert charged == [500]
    misfit = handle.status().misfit
    assert misfit is not None
    assert (misfit.kind, handle.status().status) == ("mismatch", "queued")


# -- 10: continue_as_new: wait 1 finds the old slot, a child id returns the old child, the provider drops the second
# charge


@fails_without(
    "the open waits of a generation end with it",
    "process_continue.lua",
    "mailbox.give_up(a.pid, open)",
)
def test_race_10_a_wait_left_open_by_the_last_generation_swallows_no_signal(world: World) -> None:
    fence = world.running("p")
    world.open(fence, wait("w1"))
    world.signal("p", signal_id="a", payload="1")
    world.open(fence, wait("w2"))
    assert world.do(ends.continue_as_new(fence, "{}")) == 2
    assert world.signal("p", signal_id="b", payload="2").taken_by == "mail"
    fence = world.claim("p")
    assert world.open(fence, wait("w3"), wait("w4")) == [
        Opened("done", '{"status":"ok","value":1}'),
        Opened("done", '{"status":"ok","value":2}'),
    ]


@fails_without(
    "what a generation consumed is closed with it, not given up",
    "wakeline.run.commits:_continue",
    ", run.journal.unwritten.take()",
)
def test_race_10_a_signal_one_generation_consumed_does_not_come_again_in_the_next(world: World, app: App) -> None:
    got: list[str] = []

    @app.engine
    async def generations(ctx: AsyncCtx, n: int = 1) -> None:
        got.append(await ctx.wait("go"))
        if n < 3:
            await ctx.continue_as_new(n + 1)

    handle = app.using(id="p").start(generations)
    work(world, app)
    for text in ("a", "b", "c"):
        handle.signal("go", text)
    work(world, app)
    assert (handle.status().status, got) == ("completed", ["a", "b", "c"])


@fails_without(
    "the generation is part of what a wait waits for",
    "wakeline.body.signals:wait_for_signal",
    "run.claim.generation",
    "1",
)
def test_race_10_the_first_wait_of_a_generation_has_a_slot_of_its_own(world: World, app: App) -> None:
    @app.engine
    async def generations(ctx: AsyncCtx, n: int = 1) -> None:
        await ctx.wait("go")
        await ctx.continue_as_new(n + 1)

    def slots() -> set[str]:
        return world.redis.smembers(world.key("waits:p"))

    handle = app.using(id="p").start(generations)
    work(world, app)
    first = slots()
    handle.signal("go")
    work(world, app)
    assert (world.field("gen"), handle.status().status) == ("2", "waiting")
    assert (len(first), len(slots()), first & slots()) == (1, 1, set())


@fails_without(
    "the generation is part of what an approval waits for",
    "wakeline.run.run:Run.idempotency_key",
    ":{self.claim.generation}",
)
def test_race_10_an_approval_asked_again_in_the_next_generation_can_be_answered(world: World, app: App) -> None:
    tokens: list[str] = []

    @app.engine
    async def generations(ctx: AsyncCtx, n: int = 1) -> bool:
        approval = await ctx.approval("ship", bool)
        tokens.append(approval.token)
        answer = await approval.wait()
        if n == 1:
            await ctx.continue_as_new(2)
        return answer

    handle = app.using(id="p").start(generations)
    work(world, app)
    assert app.resolve(tokens[-1], False)
    work(world, app)
    assert (world.field("gen"), handle.status().status) == ("2", "waiting")
    assert app.resolve(tokens[-1], True)
    work(world, app)
    assert handle.result() is True


@fails_without(
    "the generation is part of a child's id",
    "wakeline.run.run:Run.child_id",
    "self.claim.generation",
    "1",
)
def test_race_10_a_child_started_again_in_the_next_generation_is_another_child(world: World, app: App) -> None:
    ran: list[str] = []

    @app.tool
    def work_once() -> None:
        ran.append(current().process_id)

    @app.engine
    async def generations(ctx: AsyncCtx, n: int = 1) -> None:
        await (await ctx.start(work_once))
        if n == 1:
            await ctx.continue_as_new(2)

    app.using(id="p").start(generations)
    work(world, app)
    assert world.status("p") == "completed"
    assert len(set(ran)) == 2


@fails_without(
    "the generation is part of an idempotency key",
    "wakeline.body.calls:idempotency_key",
    "run.fence.incarnation, str(run.claim.generation), base",
    "run.fence.incarnation, base",
)
def test_race_10_a_provider_sees_the_charge_of_the_next_generation_as_another_one(world: World, app: App) -> None:
    charges: dict[str, int] = {}

    @app.tool
    def charge(cents: int) -> None:
        charges.setdefault(current().idempotency_key, cents)  # as a provider does with keys it knows

    @app.engine
    async def generations(ctx: AsyncCtx, n: int = 1) -> None:
        await ctx.call(charge, 500)
        if n == 1:
            await ctx.continue_as_new(2)

    app.using(id="p").start(generations)
    work(world, app)
    assert world.status("p") == "completed"
    assert list(charges.values()) == [500, 500]


# -- 14: a zombie starts a child or signals after its fence


@fails_without(
    "a child's start is fenced",
    "process_register.lua",
    "  if not holds(parent, f, a.rows) then return { 'lost' } end\n",
)
def test_race_14_a_run_that_lost_its_lease_starts_no_child(world: World) -> None:
    fence = world.running("p", "o1")
    world.lose("o1")
    with pytest.raises(LeaseLost):
        world.start("child", effect=Effect(fence, Row("start", '"', after='"')))
    with pytest.raises(ProcessNotFound):
        world.status("child")


@fails_without(
    "a body's signal is fenced",
    "process_signal.lua",
    "  if not holds(from, s.fence, s.rows) then return { 'lost' } end\n",
)
def test_race_14_a_run_that_lost_its_lease_sends_no_signal(world: World) -> None:
    world.start("other", kind="external")
    fence = world.running("p", "o1")
    world.lose("o1")
    with pytest.raises(LeaseLost):
        world.signal("other", effect=Effect(fence, Row("signal", "", after="")))
    assert world.events("other") == []


@fails_without(
    "a body's event is fenced",
    "process_append.lua",
    "if a.fence and not holds(p, a.fence, a.rows) then return { 'lost' } end",
)
def test_race_14_a_run_that_lost_its_lease_appends_no_event(world: World) -> None:
    fence = world.running("p", "o1")
    world.lose("o1")
    with pytest.raises(LeaseLost):
        world.do(events.append("p", "log", "1", effect=Effect(fence, Row("emit", "", after=""))))
    assert world.events("p") == ["process.recovered"]


@fails_without(
    "a body's cancel is fenced",
    "process_cancel.lua",
    "  if not holds(from, s.fence, s.rows) then return { 'lost' } end\n",
)
def test_race_14_a_run_that_lost_its_lease_cancels_nobody(world: World) -> None:
    world.start("other", kind="external")
    fence = world.running("p", "o1")
    world.lose("o1")
    with pytest.raises(LeaseLost):
        world.do(ends.cancel("other", "why not", grace_ms=1, effect=Effect(fence, Row("cancel", "1"))))
    assert world.events("other") == []


@fails_without(
    "a child's start and its row are one step",
    "process_register.lua",
    "if a.row then write_row(f.pid, a.row, old.inc or a.inc) end",
)
def test_race_14_a_child_that_was_started_is_in_its_parents_journal(world: World) -> None:
    fence = world.running("p")
    world.start("child", effect=Effect(fence, Row("start", '"', after='"')))
    assert world.journal("p") == {"start": '"inc00001"'}


@fails_without(
    "a body's signal and its row are one step",
    "process_signal.lua",
    "write_row(s.fence.pid, s.row, seq)",
)
def test_race_14_a_signal_that_was_sent_is_in_its_senders_journal(world: World) -> None:
    world.start("other", kind="external")
    fence = world.running("p")
    world.do(signal("other", "go", "1", effect=Effect(fence, Row("signal", "", after=""))))
    assert world.journal("p") == {"signal": "1"}


@fails_without(
    "a body's signal is fenced",
    "process_signal.lua",
    "  if not holds(from, s.fence, s.rows) then return { 'lost' } end\n",
)
def test_race_14_a_body_that_wakes_up_after_its_process_ended_tells_nobody(world: World, app: App) -> None:
    awake = asyncio.Event

    @app.engine
    async def sleepy(ctx: AsyncCtx) -> None:
        gate = awake()

        async def end_elsewhere() -> None:
            def others() -> None:
                world.lose("w1")
                world.cancel("p")
                world.pass_ms(10_000)
                world.tick()
                assert world.status("p") == "cancelled"

            await asyncio.to_thread(others)
            gate.set()

        ctx.run.life.spawn(end_elsewhere())
        await gate.wait()
        await ctx.signal("other", "go")

    world.start("other", kind="external")
    app.using(id="p").start(sleepy)
    assert work(world, app, "w1") == ["lost"]
    assert world.events("other") == []


# -- 23: a thread outlives its hand-back


@fails_without(
    "from the hand-back on, every effect of the run raises and does nothing",
    "wakeline.run.life:Life.check",
    "if not self.is_running or (is_new and self.stopping):",
    "if False:",
)
def test_race_23_a_thread_that_outlives_its_hand_back_does_nothing_more(world: World, app: App) -> None:
    charged: list[str] = []
    computing, go_on, left = threading.Event(), threading.Event(), threading.Event()

    @app.engine
    def stubborn(ctx: Ctx) -> None:
        try:
            if not computing.is_set():
                computing.set()
                go_on.wait(10)
            ctx.step("charge", charged.append, "once")
        finally:
            left.set()

    handle = app.using(id="p").start(stubborn)

    async def first_worker() -> None:
        worker = WorkerLoop(app, owner="w1")
        serving = asyncio.create_task(worker.serve())
        await asyncio.to_thread(computing.wait, 10)
        worker.stop()
        await serving
        assert world.status("p") == "queued"
        go_on.set()
        # Its loop still lives, as in a worker that goes on with other work: only the rule holds the thread back.
        assert await asyncio.to_thread(left.wait, 10)

    asyncio.run(first_worker())
    work(world, app, "w2")
    assert (handle.status().status, charged) == ("completed", ["once"])


@fails_without(
    "a write is let through only for the run that holds the process now",
    "lib/process.lua",
    "local fits = p.st == 'running' and p.inc == f.inc and p.ep == f.ep and p.cl == f.cl",
    "local fits = p.inc == f.inc",
)
def test_race_23_what_a_thread_did_after_its_process_was_taken_from_it_is_not_recorded(world: World, app: App) -> None:
    values = iter(["of the first worker", "of the second"])

    def reaped_meanwhile() -> str:
        value = next(values)
        if value == "of the first worker":
            world.lose("w1")
        return value

    @app.engine
    def unaware(ctx: Ctx) -> str:
        return ctx.step("slow", reaped_meanwhile)

    handle = app.using(id="p").start(unaware)
    assert work(world, app, "w1") == ["lost"]
    assert world.status("p") == "queued"
    work(world, app, "w2")
    assert handle.result() == "of the second"
