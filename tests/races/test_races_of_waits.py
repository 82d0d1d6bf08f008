"""Races 2, 4, 5, 6, 11, 17 and 28: waits against cancels, parks, duplicates, deadlines and each other."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest import mock

import pytest
from wakeline.app import App
from wakeline.body.context import AsyncCtx
from wakeline.errors import AwaitEventUnknownOrRevoked
from wakeline.processes.lease import Fence
from wakeline.run import waits as waits_of_a_run
from wakeline.run.open_waits import OpenWaits
from wakeline.run.run import Run
from wakeline.run.waits import WaitFor
from wakeline.store import journal
from wakeline.store import waits as stored_waits
from wakeline.store.awaited import AsyncStore
from wakeline.store.waits import Opened
from wakeline.waits.identity import Custom, ProcessSignal

from tests.lua.world import START_MS, WEEK_MS, World, consumed, wait
from tests.races.rules import fails_without
from tests.races.workers import work

# -- 2: a cancel arrives between a claim and the opening of its wait, then the body parks: no party resolves its slots


@fails_without(
    "a wait opened after the cancel is answered by it",
    "wait_open.lua",
    "elseif p.cr and not (code == WAIT.child and cancel.awaits_child(a.pid, name)) then",
    "elseif false then",
)
def test_race_02_a_wait_opened_after_a_cancel_is_cancelled_at_once(world: World) -> None:
    fence = world.running("p")
    world.cancel("p")
    assert world.open(fence, wait("w")) == [Opened("done", '{"status":"cancelled"}')]


@fails_without(
    "a cancel answers the waits that are open",
    "lib/cancel.lua",
    "if not cancel.waits(pid) then",
    "if false then",
)
@fails_without(
    "a park is refused where a group is met",
    "process_park.lua",
    "<= 0 then return { 'met' } end",
    "<= 0 then end",
)
def test_race_02_a_park_after_a_cancel_the_run_has_not_seen_is_refused(world: World) -> None:
    fence = world.running("p")
    world.open(fence, wait("w"))
    world.cancel("p")
    assert world.park(fence, "w") == stored_waits.Met()
    assert world.do(stored_waits.read_slots(fence, ["w"])) == ("asked", ['{"status":"cancelled"}'])


# -- 4: a late duplicate of an opening re-opens a slot that was consumed, which swallows the next signal


@fails_without(
    "a wait that is journaled is never opened again",
    "wait_open.lua",
    "if row then return { 'journaled', row } end",
)
def test_race_04_a_late_duplicate_of_a_consumed_wait_swallows_no_signal(world: World) -> None:
    fence = world.running("p")
    world.open(fence, wait("w"))
    world.signal("p", signal_id="a")
    world.do(journal.record(fence, [consumed("w", '{"n":1}')]))
    assert world.open(fence, wait("w")) == [Opened("journaled", '{"n":1}')]
    assert world.signal("p", signal_id="b").taken_by == "mail"


@fails_without(
    "a wait that its run gave up is not opened again in that run",
    "wait_open.lua",
    "slot.z == a.fence.cl or ",
)
def test_race_04_a_late_duplicate_of_an_abandoned_wait_swallows_no_signal(world: World) -> None:
    fence = world.running("p", "o1")
    world.open(fence, wait("w"))
    world.do(stored_waits.close_waits(fence, ["w"]))
    assert world.open(fence, wait("w")) == [Opened("done", '{"status":"cancelled"}')]
    assert world.signal("p").taken_by == "mail"


def test_a_wait_that_was_given_up_is_opened_again_by_the_next_run(world: World) -> None:
    fence = world.running("p", "o1")
    world.open(fence, wait("w"))
    world.do(stored_waits.close_waits(fence, ["w"]))
    world.lose("o1")
    fence = world.claim("p", "o2")
    assert world.open(fence, wait("w", for_ms=1_000))[0].state == "open"
    assert world.redis.ttl(world.key("slot:w")) == -1
    assert world.signal("p").taken_by == "slot"


def test_an_approval_that_was_given_up_is_not_waited_for_again(world: World) -> None:
    """Its token is void, so no holder could answer."""
    fence = world.running("p")
    world.open(fence, wait("x1", "x:ship"))
    world.do(stored_waits.close_waits(fence, ["x1"]))
    assert world.open(fence, wait("x1", "x:ship")) == [Opened("done", '{"status":"cancelled"}')]


# -- 5: a gather of children one of which already ended: "no slot resolved" never holds, and the body never parks


@fails_without(
    "a park asks whether its condition is met, not whether anything was resolved",
    "process_park.lua",
    "if num(record.get(w, 'o:' .. group), 0) <= 0 then return { 'met' } end",
    "for _, id in ipairs(call('SMEMBERS', ns .. 'waits:' .. a.pid)) do if call('HGET', slot_key(id), 'r') then return {"
    " 'met' } end end",
)
def test_race_05_a_gather_parks_although_one_of_its_children_ended(world: World) -> None:
    fence = gathering(world)
    world.finish("a")
    assert isinstance(world.park(fence, "g"), stored_waits.LetGo)
    world.finish("b")
    assert world.status("p") == "queued"


@fails_without(
    "a child that ended before it was awaited is not counted",
    "wait_open.lua",
    "if resolution and (code == WAIT.child or code == WAIT.answer) then return { 'done', resolution } end",
    "if resolution and (code == WAIT.child or code == WAIT.answer) then"
    " record.set(mine, 'o:' .. w.group, '2') return { 'done', resolution } end",
)
def test_race_05_a_gather_resumes_although_one_of_its_children_ended_before_it(world: World) -> None:
    world.start("a", kind="external")
    world.finish("a")
    fence = gathering(world)
    assert isinstance(world.park(fence, "g"), stored_waits.LetGo)
    world.finish("b")
    assert world.status("p") == "queued"


@fails_without(
    "a park is refused where a group is met",
    "process_park.lua",
    "<= 0 then return { 'met' } end",
    "<= 0 then end",
)
def test_race_05_a_park_whose_wait_is_over_is_refused(world: World) -> None:
    fence = world.running("p")
    world.open(fence, wait("w"))
    world.signal("p")
    assert world.park(fence, "w") == stored_waits.Met()
    assert world.status("p") == "running"


def gathering(world: World) -> Fence:
    """A run of `p` that gathers the external children a and b."""
    for child in ("a", "b"):
        world.start(child, kind="external")
    fence = world.running("p")
    world.open(fence, wait("wa", "c:a", "g"), wait("wb", "c:b", "g"))
    return fence


# -- 6: a gather beside another wait: as one `all` it deadlocks, as one `any` it resumes n times

ONLY_ALL_GROUPS = """    local left = 0
    for field, value in pairs(p) do
      if value and string.sub(field, 1, 2) == 'o:' then left = left + tonumber(value) end
    end
    if left <= 0 then resume(w) end"""
"""What resumes a process only when nothing of it is open any more."""


@fails_without(
    "one group that is met resumes the process",
    "lib/slots.lua",
    "    if open <= 0 or p.an then resume(w) end",
    ONLY_ALL_GROUPS,
)
def test_race_06_a_gather_does_not_keep_a_wait_beside_it_from_resuming(world: World) -> None:
    fence = gathering(world)
    world.open(fence, wait("w"))
    world.park(fence, "g", "w")
    world.signal("p")
    assert world.status("p") == "queued"


@fails_without(
    "a group is met when all of its slots are resolved",
    "lib/slots.lua",
    "if open <= 0 or p.an then resume(w) end",
    "resume(w)",
)
def test_race_06_a_gather_resumes_once_when_all_of_it_is_there(world: World) -> None:
    fence = gathering(world)
    world.open(fence, wait("w"))
    world.park(fence, "g", "w")
    world.finish("a")
    assert world.status("p") == "waiting"
    world.finish("b")
    world.signal("p")
    assert (world.status("p"), world.events("p").count("process.resumed")) == ("queued", 1)


@fails_without(
    "a group that is met resumes the process, even if it waits for more",
    "lib/slots.lua",
    "    if open <= 0 or p.an then resume(w) end",
    ONLY_ALL_GROUPS,
)
def test_race_06_a_child_awaited_alone_and_in_a_gather_resumes_each_in_its_time(world: World, app: App) -> None:
    alone: list[int] = []

    @app.tool
    def one() -> int:
        return 1

    @app.engine
    async def both(ctx: AsyncCtx) -> list[int]:
        first, other = await ctx.start(one), await ctx.using(delay="1h").start(one)

        async def wait_for_the_first() -> None:
            alone.append(await first.result())

        _, together = await asyncio.gather(wait_for_the_first(), ctx.gather([first, other]))
        return together

    handle = app.using(id="p").start(both)
    work(world, app)
    assert (handle.status().status, alone) == ("waiting", [1])
    world.pass_ms(3_600_000)
    world.tick()
    work(world, app)
    assert handle.result() == [1, 1]


@fails_without(
    "a slot two tasks of a body wait for resolves for both",
    "wakeline.run.open_waits:OpenWaits.enter",
    "self._answers.setdefault(slot, loop.create_future()) for slot in slots}",
    "loop.create_future() for slot in slots}\n    self._answers.update(futures)",
)
def test_race_06_two_tasks_that_await_a_child_beside_a_step_both_learn_of_its_end(world: World, app: App) -> None:
    @app.tool
    def one() -> int:
        return 1

    def it_ends() -> None:
        [claim] = world.take(world.worker("elsewhere"))
        world.finish(claim.process_id, claim.fence)

    @app.engine
    async def both(ctx: AsyncCtx) -> list[int]:
        child = await ctx.start(one)
        waiting = [ctx.run.life.spawn(child.result()), ctx.run.life.spawn(child.result())]
        await ctx.step("both waits are open", lambda: None)
        await ctx.step("the child ends", it_ends)
        return await asyncio.gather(*waiting)

    handle = app.using(id="p").start(both)
    work(world, app)
    assert handle.result() == [1, 1]


@fails_without(
    "a wait that is still open stays in its group, even if more is known when the next run begins",
    "wakeline.run.open_waits:OpenWaits.group",
    "joined = next(iter(kept.values()), slots[0][2:10])",
    "kept, joined = {}, slots[0][2:10]",
)
def test_race_06_a_gather_that_is_half_there_when_the_next_run_begins_waits_for_the_rest(
    world: World, app: App
) -> None:
    @app.tool
    def one() -> int:
        return 1

    @app.engine
    async def both(ctx: AsyncCtx) -> list[Any]:
        children = [await ctx.start(one), await ctx.using(delay="1h").start(one)]
        return list(await asyncio.gather(ctx.gather(children), ctx.wait("go")))

    handle = app.using(id="p").start(both)
    work(world, app)
    handle.signal("go", 2)
    work(world, app)
    assert handle.status().status == "waiting"
    world.pass_ms(3_600_000)
    world.tick()
    work(world, app)
    assert handle.result() == [[1, 1], 2]


@fails_without(
    "a resolution on its way to a wait that was given up is not taken for it when the process waits there again",
    "wakeline.run.open_waits:OpenWaits.hinted",
    "if slot in self._given_up:",
    "if False:",
)
def test_race_04_a_hint_of_a_signal_that_went_back_to_the_mailbox_resolves_no_wait(world: World) -> None:
    fence = world.running("p")
    world.open(fence, wait("a"))
    world.signal("p")
    [hint] = world.redis.lrange(world.key("notify:o1"), 0, -1)
    _, slot, _, text, _ = hint.split(" ")
    world.do(stored_waits.close_waits(fence, [slot]))
    assert world.mail() == ["go:2"]

    async def again() -> bool:
        waits = OpenWaits({})
        waits.enter([slot])
        waits.leave([slot])
        waits.forget([slot])
        future = waits.enter([slot])[slot]
        return waits.hinted(slot, text) or future.done()

    assert asyncio.run(again()) is False


@fails_without(
    "what a body gives up is known as given up", "wakeline.run.waits:Waits._give_up", "self.open.forget(ids)", "pass"
)
def test_race_04_a_wait_that_lost_a_race_takes_no_hints_word(world: World, app: App) -> None:
    @app.engine
    async def races(ctx: AsyncCtx) -> bool:
        run = ctx.run
        slot = run.waits.slot_of(
            ProcessSignal(run.claim.process_id, run.fence.incarnation, run.claim.generation, "go", 1)
        )
        await ctx.race(ctx.step("quick", lambda: 1), ctx.wait("go"))
        return run.waits.hinted(slot, run.fence.claim_id, '{"status":"ok","value":1}')

    handle = app.using(id="p").start(races)
    work(world, app)
    assert handle.result() is False


def test_what_was_resolved_before_the_claim_costs_the_next_run_no_script(world: World, app: App) -> None:
    @app.engine
    async def waits(ctx: AsyncCtx) -> Any:
        return await ctx.wait("go")

    handle = app.using(id="p").start(waits)
    work(world, app)
    handle.signal("go", 2)
    with mock.patch.object(waits_of_a_run, "open_waits", side_effect=AssertionError("nothing is opened again")):
        assert work(world, app) == ["finished"]
    assert handle.result() == 2


def test_a_look_reads_all_that_is_open_however_much_one_script_reads(
    world: World, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waits_of_a_run, "MOST_READ", 2)
    seen: list[int] = []

    @app.engine
    async def three(ctx: AsyncCtx) -> list[Any]:
        run, waits = ctx.run, [asyncio.ensure_future(ctx.wait(name)) for name in "abc"]
        await ctx.step("opened", lambda: None)  # after the waits: all are open
        for n, name in enumerate("abc"):
            world.signal(run.claim.process_id, name, str(n), str(n))
        await run.waits.look()
        for _ in range(9):  # turns of the loop, until a task has its answer
            await asyncio.sleep(0)
        seen.append(sum(wait.done() for wait in waits))
        return [await wait for wait in waits]

    handle = app.start(three)
    work(world, app)
    assert (seen, handle.result()) == ([3], [0, 1, 2])


@fails_without(
    "a later run's second opening of a group adds to it",
    "wakeline.run.open_waits:OpenWaits.group",
    "others = [slot for slot in self._groups.get(group, []) if slot not in groups]",
    "others = []",
)
def test_race_06_a_group_that_is_opened_in_two_parts_is_met_by_both() -> None:
    async def main() -> list[str]:
        waits = OpenWaits({"a": {"g": "together"}, "b": {"g": "together"}})
        waits.enter(["a"])
        waits.group(["a"])
        waits.enter(["a", "b"])
        waits.group(["b"])
        waits.resolve("b", "1")
        return waits.unmet_groups

    assert asyncio.run(main()) == ["together"]


@fails_without(
    "a part of a group that is also awaited by itself resumes the process", "lib/slots.lua", "or p.an then", "then"
)
@fails_without(
    "the body tells at its park who waits for a part of a group",
    "wakeline.run.run:Run._park",
    ", early=waits.early",
)
def test_race_06_a_child_awaited_in_a_gather_and_then_alone_resumes_who_waits_for_it_alone(
    world: World, app: App
) -> None:
    alone: list[int] = []

    @app.tool
    def one() -> int:
        return 1

    @app.engine
    async def both(ctx: AsyncCtx) -> list[int]:
        first, other = await ctx.start(one), await ctx.using(delay="1h").start(one)
        together = ctx.run.life.spawn(ctx.gather([first, other]))
        await ctx.step("the gather waits", lambda: None)
        alone.append(await first.result())
        return await together

    handle = app.using(id="p").start(both)
    work(world, app)
    assert (handle.status().status, alone) == ("waiting", [1])
    world.pass_ms(3_600_000)
    world.tick()
    work(world, app)
    assert handle.result() == [1, 1]
    assert world.field("an") is None


@fails_without(
    "a part of a group that was resolved before the park refuses it",
    "process_park.lua",
    "if call('HEXISTS', slot_key(id), 'r') == 1 then return { 'met' } end",
)
def test_race_06_a_part_of_a_group_that_is_there_at_the_park_is_not_slept_through(world: World) -> None:
    fence = gathering(world)
    world.finish("a")
    assert world.do(stored_waits.park(fence, ["g"], "{}", early=["wa"])) == stored_waits.Met()
    assert world.do(stored_waits.park(fence, ["g"], "{}", early=["wb"])) == stored_waits.LetGo(2)
    world.finish("b")
    assert world.status("p") == "queued"


@fails_without(
    "a slot two tasks of a body wait for is given up by the last",
    "wakeline.run.open_waits:OpenWaits.asked",
    " if not self._asked[slot]",
)
def test_race_06_one_of_two_who_await_a_child_gives_up_and_the_other_does_not(world: World, app: App) -> None:
    @app.tool
    def one() -> int:
        return 1

    @app.engine
    async def both(ctx: AsyncCtx) -> int:
        child = await ctx.using(delay="1h").start(one)
        impatient = ctx.run.life.spawn(child.result())
        patient = ctx.run.life.spawn(child.result())
        await ctx.step("something else", lambda: None)
        impatient.cancel()
        return await patient

    handle = app.using(id="p").start(both)
    work(world, app)
    world.pass_ms(3_600_000)
    world.tick()
    work(world, app)
    assert handle.status().status == "completed"


# -- 11: the loser of a race, a `wait_for`, a cancelled task: the wait they abandon swallows a signal


@fails_without(
    "a signal whose wait was given up goes back",
    "lib/mailbox.lua",
    "if slot.rs then letters[#letters + 1] = { string.sub(slot.k, 3), slot.rs } end",
)
def test_race_11_a_signal_that_reached_an_abandoned_wait_goes_back_to_the_head_of_the_mailbox(world: World) -> None:
    fence = world.running("p")
    world.open(fence, wait("w1"))
    world.signal("p", signal_id="a", payload='"first"')
    world.signal("p", signal_id="b", payload='"second"')
    world.do(stored_waits.close_waits(fence, ["w1"]))
    assert world.mail("p") == ["go:2", "go:3"]
    assert world.open(fence, wait("w2")) == [Opened("done", '{"status":"ok","value":"first"}')]


@fails_without(
    "a wait whose task is cancelled is given up",
    "wakeline.run.waits:Waits.for_all",
    "self.open.asked(slots, self._give_up)",
    "self.open.asked(slots, lambda ids: None)",
)
def test_race_11_the_loser_of_a_race_takes_no_signal(world: World, app: App) -> None:
    @app.engine
    async def patient(ctx: AsyncCtx) -> str:
        await ctx.race(ctx.wait("go"), ctx.sleep("10s"))
        return str(await ctx.wait("go"))

    handle = app.using(id="p").start(patient)
    work(world, app)
    world.pass_ms(10_000)
    world.tick()
    work(world, app)
    handle.signal("go", "for the second wait")
    work(world, app)
    assert handle.status().status == "completed"
    assert handle.result() == "for the second wait"


@fails_without(
    "a wait whose task is cancelled is given up",
    "wakeline.run.waits:Waits.for_all",
    "self.open.asked(slots, self._give_up)",
    "self.open.asked(slots, lambda ids: None)",
)
def test_race_11_a_cancelled_task_takes_no_signal(world: World, app: App) -> None:
    @app.engine
    async def impatient(ctx: AsyncCtx) -> str:
        abandoned = ctx.run.life.spawn(ctx.wait("go"))
        await ctx.step("something else", lambda: None)
        abandoned.cancel()
        return str(await ctx.wait("go"))

    handle = app.using(id="p").start(impatient)
    work(world, app)
    handle.signal("go", "for the second wait")
    work(world, app)
    assert handle.status().status == "completed"
    assert handle.result() == "for the second wait"


@fails_without(
    "what was given up before it was opened is not opened",
    "wakeline.run.waits:Waits._open_group",
    " if c.slot in self.open]",
    "]",
)
def test_race_11_a_gather_given_up_in_the_middle_of_its_opening_leaves_nothing_open(world: World, app: App) -> None:
    stores: list[AsyncStore] = []

    @app.engine
    async def hasty(ctx: AsyncCtx) -> None:
        waits = ctx.run.waits
        calls = [waits.call("wait", "wait:go", n, WaitFor(Custom(str(n)), "s:go", ordinal=n)) for n in range(1, 1_001)]
        many = ctx.run.life.spawn(waits.for_all(calls))
        while world.field("n:go") is None:  # until the first page of them is open
            await asyncio.sleep(0)
        many.cancel()
        await ctx.step("something else", lambda: None)
        stores.append(ctx.run.store)
        await ctx.sleep("1d")

    app.using(id="p").start(hasty)
    work(world, app)
    assert (world.status("p"), world.field("n:go")) == ("waiting", None)
    assert stores[0].sent.counts["wait_open"] <= 3  # two pages before it gave up, and the sleep
    assert world.signal("p").taken_by == "mail"


# -- 17: an old bearer token meets a process that reuses the id


@fails_without(
    "a token is good for the incarnation it was made for",
    "slot_resolve.lua",
    "p.inc ~= a.inc or ",
)
def test_race_17_an_old_token_is_worth_nothing_to_a_later_process_of_the_same_id(world: World, app: App) -> None:
    tokens: list[str] = []

    @app.engine
    async def ask(ctx: AsyncCtx) -> bool:
        approval = await ctx.approval("ship", bool)
        tokens.append(approval.token)
        return await approval.wait()

    first = app.using(id="order-7").start(ask)
    work(world, app)
    assert app.resolve(tokens[0], True)
    work(world, app)
    assert first.status().status == "completed"
    world.pass_ms(WEEK_MS)
    assert world.tick().pruned == 1
    world.redis.delete(world.key("tomb:order-7"))  # it expires by the server's own clock

    second = app.using(id="order-7").start(ask)
    work(world, app)
    with pytest.raises(AwaitEventUnknownOrRevoked):
        app.resolve(tokens[0], True)
    assert second.status().status == "waiting"
    assert app.resolve(tokens[-1], True)
    work(world, app)
    assert second.status().status == "completed"


@fails_without(
    "the incarnation is part of what an approval waits for",
    "wakeline.run.run:Run.idempotency_key",
    "{self.fence.incarnation}",
    "-",
)
def test_race_17_a_later_process_of_the_same_id_asks_on_another_slot(world: World, app: App) -> None:
    @app.engine
    async def ask(ctx: AsyncCtx) -> bool:
        return await (await ctx.approval("ship", bool)).wait()

    def slots() -> set[str]:
        return world.redis.smembers(world.key("waits:order-7"))

    first = app.using(id="order-7").start(ask)
    work(world, app)
    before = slots()
    first.cancel()
    world.pass_ms(10_000)
    world.tick()
    world.pass_ms(WEEK_MS)
    assert world.tick().pruned == 1
    world.redis.delete(world.key("tomb:order-7"))

    app.using(id="order-7").start(ask)
    work(world, app)
    assert (len(before), len(slots()), before & slots()) == (1, 1, set())


# -- 28: the deadline of a wait begins again after a crash


@fails_without(
    "the due time of a wait is fixed when it is first opened",
    "wait_open.lua",
    "if slot.g then return { 'open', slot.d or '' } end",
)
def test_race_28_a_crash_does_not_restart_the_deadline_of_a_wait(world: World) -> None:
    fence = world.running("p", "o1")
    due = str(START_MS + 60_000)
    assert world.open(fence, wait("w", for_ms=60_000)) == [Opened("open", due)]
    world.lose("o1")
    fence = world.claim("p", "o2")
    assert world.open(fence, wait("w", for_ms=60_000)) == [Opened("open", due)]
    assert isinstance(world.park(fence, "w"), stored_waits.LetGo)
    world.pass_ms(START_MS + 60_000 - world.now())
    world.tick()
    assert (world.status("p"), world.resolution("w")) == ("queued", '{"status":"timeout"}')


@fails_without(
    "what became known since the hold ran out is seen before the park",
    "wakeline.run.run:Run._park",
    "if not self.waits.are_all:",
    "if False:",
)
def test_race_05_a_hint_that_comes_when_the_hold_has_just_run_out_stops_the_park(world: World, app: App) -> None:
    @app.engine
    async def waits(ctx: AsyncCtx) -> None:
        async def first() -> None:
            await ctx.emit("log", await ctx.wait("go"))

        await asyncio.gather(first(), ctx.wait("never"))

    app.using(id="p").start(waits)
    soon, parks = Run._park_soon, list[str]()

    def soon_and_resolved(run: Run) -> None:
        soon(run)
        if not parks:
            world.signal("p")
            [hint] = world.redis.lrange(world.key("notify:w1"), 0, -1)
            _, slot, claim_id, text, _ = hint.split(" ")
            assert run.waits.hinted(slot, claim_id, text)
        parks.append("p")

    with mock.patch.object(Run, "_park_soon", soon_and_resolved):
        work(world, app)
    assert world.events() == ["process.started", "signal.go", "log", "process.waiting"]


@fails_without(
    "a park that waits for nothing is refused", "process_park.lua", "if #a.groups == 0 then return { 'met' } end", ""
)
def test_race_05_who_waits_for_nothing_is_not_parked(world: World) -> None:
    fence = world.running("p")
    assert isinstance(world.park(fence), stored_waits.Met)
    assert world.status("p") == "running"
