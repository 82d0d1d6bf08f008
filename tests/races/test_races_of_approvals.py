"""The list of open approvals against what closes them: an approval is listed exactly while it can be answered."""

from __future__ import annotations

import pytest
from wakeline.app import App
from wakeline.body.context import AsyncCtx
from wakeline.body.turn import AsyncTurn
from wakeline.errors import AwaitEventUnknownOrRevoked
from wakeline.processes.lease import Fence
from wakeline.store import approvals, ends, journal, waits
from wakeline.store.approvals import Ask
from wakeline.store.journal import Row
from wakeline.store.waits import Resolved, Wait

from tests.lua.world import WEEK_MS, World, wait
from tests.races.rules import fails_without
from tests.races.workers import work

EVENT = '{"name":"ship","question":"Ship it?","schema":null,"options":null,"due_ms":null}'
YES = '{"status":"ok","value":true}'
ROUND = 6
"""Ticks that look at all there is, where little is."""


def listed(world: World) -> list[str]:
    """The index itself, which the scripts keep."""
    return list(world.redis.zrange(world.key("idx:approvals"), 0, -1))


def shown(world: World) -> list[str]:
    """What a reader of the list is shown."""
    return [row.slot for row in world.do(approvals.page(50)).rows]


def asking(slot: str = "a1", **over: object) -> Ask:
    return Ask(slot, "x:ship", event=EVENT, **over)  # type: ignore[arg-type]


def asked(world: World, *asks: Ask, pid: str = "p", owner: str = "o1") -> Fence:
    """A run whose body has asked, and waits for no answer yet."""
    fence = world.running(pid, owner)
    world.do(journal.record(fence, [Row("approval:ship", "1")], asks or [asking()]))
    return fence


def awaiting(slot: str = "a1", **over: object) -> Wait:
    return wait(slot, "x:ship", **over)  # type: ignore[arg-type]


def answer(world: World, fence: Fence, slot: str = "a1", expires_ms: int | None = None) -> Resolved:
    return world.do(waits.resolve(fence.process_id, fence.incarnation, slot, YES, expires_ms))  # type: ignore[no-any-return]


# -- what asks


@fails_without(
    "an approval is listed with the row that hands its token out",
    "journal_record.lua",
    "if ask.event then approvals.ask(a.pid, p, ask.id, ask.event) end",
)
def test_an_approval_is_listed_and_told_before_anything_waits_for_it(world: World) -> None:
    asked(world)
    assert (listed(world), shown(world)) == (["a1"], ["a1"])
    assert (world.events()[-1], world.payload()) == ("approval.requested", EVENT)


@fails_without(
    "a question that is sent again is asked once",
    "journal_record.lua",
    "if call('EXISTS', slot_key(ask.id)) == 0 then",
    "if true then",
)
def test_a_question_whose_call_is_sent_again_is_told_once_and_not_listed_again(world: World) -> None:
    fence = asked(world)
    answer(world, fence)
    world.do(journal.record(fence, [Row("approval:ship", "1")], [asking()]))
    assert (listed(world), world.events().count("approval.requested")) == ([], 1)


@fails_without(
    "an approval that was asked without an event is listed when its wait opens",
    "wait_open.lua",
    "  if asks_now then approvals.ask(a.pid, p, w.id, w.event, mine) end\n",
    "",
)
def test_an_approval_that_was_asked_with_no_write_of_its_own_is_listed_when_its_wait_opens(world: World) -> None:
    fence = world.running("p")
    world.open(fence, awaiting(event=EVENT))
    assert listed(world) == ["a1"]
    world.open(fence, awaiting(event=EVENT))
    assert (listed(world), world.events().count("approval.requested")) == (["a1"], 1)


@fails_without(
    "an approval that a release before opened is listed by the next run",
    "wait_open.lua",
    "if slot.g and asks_now then approvals.ask(a.pid, p, w.id, w.event, mine) end",
)
def test_an_approval_that_a_release_before_opened_is_listed_by_the_next_run(world: World) -> None:
    fence = world.running("p", "o1")
    world.open(fence, awaiting())
    world.redis.hdel(world.key("slot:a1"), "es")
    world.lose("o1")
    fence = world.claim("p", "o2")
    assert listed(world) == []
    for _ in range(2):
        assert world.open(fence, awaiting(event=EVENT))[0].state == "open"
    assert (listed(world), world.events().count("approval.requested")) == (["a1"], 1)


def test_a_wait_for_an_approval_that_was_told_tells_it_no_second_time(world: World) -> None:
    fence = asked(world)
    world.open(fence, awaiting())
    world.lose("o1")
    world.open(world.claim("p", "o2"), awaiting())
    assert (listed(world), world.events().count("approval.requested")) == (["a1"], 1)


# -- what answers


@fails_without(
    "an answer takes an approval that is waited for off the list",
    "lib/slots.lua",
    "  approvals.close(id, slot)\n  local open =",
    "  local open =",
)
def test_an_answer_to_an_approval_that_is_waited_for_takes_it_off_the_list(world: World) -> None:
    fence = asked(world)
    world.open(fence, awaiting())
    assert answer(world, fence).accepted
    assert listed(world) == []


@fails_without(
    "an answer takes an approval that nothing waits for off the list",
    "slot_resolve.lua",
    "  approvals.close(a.id, slot)\n",
    "",
)
def test_an_answer_that_comes_before_the_wait_takes_the_approval_off_the_list(world: World) -> None:
    fence = asked(world)
    assert answer(world, fence).accepted
    assert listed(world) == []
    assert world.open(fence, awaiting())[0].text == YES
    assert listed(world) == []


def test_one_answer_of_several_leaves_the_others_listed(world: World) -> None:
    fence = asked(world, asking("a1"), asking("a2"), asking("a3"))
    world.open(fence, *(awaiting(slot, group="g") for slot in ("a1", "a2", "a3")))
    world.park(fence, "g")
    answer(world, fence, "a2")
    assert (listed(world), world.status()) == (["a1", "a3"], "waiting")
    answer(world, fence, "a1")
    assert (listed(world), world.status()) == (["a3"], "waiting")
    answer(world, fence, "a3")
    assert (listed(world), world.status(), world.events().count("process.resumed")) == ([], "queued", 1)


# -- what closes


def test_a_deadline_takes_an_approval_off_the_list(world: World) -> None:
    fence = asked(world, asking(due_ms=world.now() + 1_000))
    world.open(fence, awaiting(due_ms=world.now() + 1_000))
    world.park(fence, "a1")
    world.pass_ms(1_000)
    world.tick()
    assert (listed(world), world.resolution("a1")) == ([], '{"status":"timeout"}')


@fails_without(
    "what is due is not shown",
    "lib/approvals.lua",
    "not (slot.d and tonumber(slot.d) <= now) and",
    "true and",
)
@fails_without(
    "what is listed and cannot be answered is taken off the list in time",
    "lib/righting.lua",
    "if at == #KINDS then take_off_list() end",
)
def test_an_approval_that_is_due_before_anything_waits_for_it_is_shown_no_more_and_taken_off_in_time(
    world: World,
) -> None:
    asked(world, asking(due_ms=world.now() + 1_000), asking("a2"))
    assert shown(world) == ["a1", "a2"]
    world.pass_ms(1_000)
    assert shown(world) == ["a2"]
    for _ in range(ROUND):
        world.tick()
    assert listed(world) == ["a2"]


@fails_without(
    "a wait that is closed takes its approval off the list",
    "lib/slots.lua",
    "  if not slot.k or slot.z then return end\n  approvals.close(id, slot)\n",
    "  if not slot.k or slot.z then return end\n",
)
def test_an_approval_that_is_given_up_is_taken_off_the_list(world: World) -> None:
    fence = asked(world)
    world.open(fence, awaiting())
    world.do(waits.close_waits(fence, ["a1"]))
    assert listed(world) == []


@fails_without(
    "the next generation asks anew: a question that nothing waits for is closed",
    "process_continue.lua",
    "mailbox.give_up(a.pid, a.asked or {})",
)
def test_the_next_generation_leaves_no_question_of_the_last_one_open(world: World) -> None:
    fence = asked(world, asking("a1"), asking("a2"))
    world.open(fence, awaiting("a1"))
    world.do(ends.continue_as_new(fence, "{}", asked=["a2"]))
    assert listed(world) == []
    assert answer(world, fence, "a2").unknown


def test_a_body_that_continues_as_new_closes_the_questions_that_it_never_waited_for(world: World, app: App) -> None:
    tokens: list[str] = []

    @app.engine
    async def asks(ctx: AsyncCtx, n: int) -> None:
        if n:
            tokens.extend([(await ctx.approval(f"q{i}", bool)).token for i in range(300)])
            await ctx.continue_as_new(0)

    app.start(asks, 1)
    work(world, app)
    assert listed(world) == []
    for token in (tokens[0], tokens[-1]):
        with pytest.raises(AwaitEventUnknownOrRevoked):
            app.resolve(token, True)


# -- what ends


@fails_without(
    "the end of a process takes what it waits for off the list",
    "lib/ends.lua",
    "    approvals.close(id, slot)\n",
    "",
)
def test_the_end_of_a_process_takes_the_approval_that_it_waits_for_off_the_list(world: World) -> None:
    fence = asked(world)
    world.open(fence, awaiting())
    world.finish("p", fence)
    assert listed(world) == []


@fails_without(
    "the end of a process takes what it asked and does not wait for off the list",
    "lib/ends.lua",
    "  approvals.forget(closed) -- those that nothing waited for yet\n",
    "",
)
def test_the_end_of_a_process_takes_its_other_questions_off_the_list(world: World) -> None:
    fence = asked(world, *(asking(f"a{n}") for n in range(300)))
    world.finish("p", fence)
    world.tick()
    assert listed(world) == []


def test_a_cancel_takes_an_approval_that_is_waited_for_off_the_list(world: World) -> None:
    fence = asked(world)
    world.open(fence, awaiting())
    world.park(fence, "a1")
    world.cancel("p")
    assert (listed(world), world.resolution("a1")) == ([], '{"status":"cancelled"}')


@fails_without(
    "a wait that a cancel answers takes its approval off the list",
    "wait_open.lua",
    "      approvals.close(w.id, slot)\n",
    "",
)
def test_a_wait_that_opens_after_the_cancel_takes_its_approval_off_the_list(world: World) -> None:
    fence = asked(world)
    world.cancel("p")
    assert listed(world) == ["a1"]  # it can be answered: its body may not have waited for it yet
    world.open(fence, awaiting())
    assert listed(world) == []


@fails_without(
    "the cancel of a turn revokes its questions, and takes them off the list",
    "lib/cancel.lua",
    "if p.k == 's' then approvals.forget(",
    "if false then approvals.forget(",
)
def test_the_cancel_of_a_turn_takes_the_questions_that_nothing_waits_for_off_the_list(world: World, app: App) -> None:
    seen: list[list[str]] = []

    @app.agent("asker")
    async def asker(turn: AsyncTurn) -> None:
        await turn.approval("ship", bool)
        seen.append(listed(world))
        world.cancel(turn.id)
        seen.append(listed(world))

    app.session("asker", "one").send("go")
    work(world, app)
    assert [len(found) for found in seen] == [1, 0]


def test_the_loss_of_a_worker_leaves_an_approval_listed_as_it_can_be_answered(world: World) -> None:
    asked(world)
    world.lose("o1")
    assert (listed(world), shown(world)) == (["a1"], ["a1"])


@fails_without(
    "a process that is pruned with waits left over takes them off the list",
    "lib/pruning.lua",
    "  approvals.forget(ids)\n",
    "",
)
def test_a_process_that_is_pruned_before_the_rest_of_its_end_is_done_leaves_nothing_listed(world: World) -> None:
    fence = asked(world, *(asking(f"a{n}") for n in range(600)))
    world.finish("p", fence)
    world.redis.delete(world.key("todo"))  # the rest of its end is lost, as with the tail of a store
    assert len(listed(world)) == 344
    world.pass_ms(WEEK_MS)
    for _ in range(5):
        world.tick()
        world.pass_ms(1_001)
    assert world.redis.exists(world.key("proc:p")) == 0
    assert listed(world) == []


# -- what a release before left


def opened_before(world: World, *keys: str, kind: str = "x:ship") -> None:
    """A process parked by a release before: its slot does not say whether it is an approval; its journal does."""
    fence = world.running("p")
    world.do(journal.record(fence, [Row(key, "1") for key in keys]))
    world.open(fence, wait("a1", kind))
    world.park(fence, "a1")
    world.redis.hdel(world.key("slot:a1"), "es")


@fails_without(
    "an approval that a release before left open is listed in time",
    "lib/righting.lua",
    "call('ZADD', ns .. 'idx:approvals', int(now), id)",
)
def test_an_approval_that_a_release_before_parked_on_is_listed_in_time_and_leaves_like_any_other(world: World) -> None:
    opened_before(world, "approval:ship:0123456789abcdef:1")
    for _ in range(ROUND):
        world.tick()
    assert (listed(world), shown(world)) == (["a1"], ["a1"])
    [row] = world.do(approvals.page(50)).rows
    assert (row.kind, row.event) == ("x:ship", "")
    world.cancel("p")
    assert listed(world) == []


@fails_without(
    "a pending call of a tool is no approval",
    "lib/standing.lua",
    "string.find(key, '^%x+:%d+$', #head + 1)",
    "true",
)
def test_a_pending_call_and_an_approval_of_a_longer_name_are_not_taken_for_it(world: World) -> None:
    opened_before(world, "call:ship:0123456789abcdef:1", "approval:ship:now:0123456789abcdef:1")
    for _ in range(ROUND):
        world.tick()
    assert listed(world) == []
    assert world.redis.hget(world.key("slot:a1"), "es") == ""


def test_an_approval_that_a_release_before_answered_or_ended_is_taken_off_in_time(world: World) -> None:
    fence = asked(world, asking("a1"), asking("a2"))
    other = asked(world, asking("b1"), pid="q", owner="o2")
    world.redis.hset(world.key("slot:a1"), "r", YES)
    world.redis.zadd(world.key("idx:approvals"), {"gone": world.now()})
    world.finish("q", other)
    world.redis.zadd(world.key("idx:approvals"), {"b1": world.now()})
    assert fence.process_id == "p"
    assert shown(world) == ["a2"]
    for _ in range(ROUND):
        world.tick()
    assert listed(world) == ["a2"]


# -- pages


def test_pages_go_on_where_the_last_one_ended_whatever_was_answered_meanwhile(world: World) -> None:
    fence = asked(world, *(asking(f"a{n:03}") for n in range(256)))
    world.pass_ms(5)
    world.do(journal.record(fence, [Row("more", "1")], [asking(f"b{n:03}") for n in range(256)]))
    first = world.do(approvals.page(100))
    assert [row.slot for row in first.rows] == [f"a{n:03}" for n in range(100)]
    answer(world, fence, "a099")
    answer(world, fence, "a100")
    second = world.do(approvals.page(300, first.following))
    assert [row.slot for row in second.rows] == [
        *(f"a{n:03}" for n in range(101, 256)),
        *(f"b{n:03}" for n in range(101)),
    ]
    third = world.do(approvals.page(300, second.following))
    assert [row.slot for row in third.rows] == [f"b{n:03}" for n in range(101, 256)]
    assert third.following is None
