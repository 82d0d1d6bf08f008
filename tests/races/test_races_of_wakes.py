"""The races of wakes (docs/conformance/wakes.md): between an event, its entry, the turn that takes it and the end that
settles it.

Each test rests on a rule that the suite takes out to see it fail.
"""

from __future__ import annotations

import asyncio
import json

import pytest
from wakeline.app import App
from wakeline.body.context import AsyncCtx
from wakeline.body.turn import AsyncTurn
from wakeline.errors import EntryNotFound, HeadConflict, LeaseLost, ProcessAlreadyTerminal, ReplayConflict, ScriptFailed
from wakeline.observe.entries import entry_of
from wakeline.store import ends, entries, journal, processes
from wakeline.store.ends import TurnCommit
from wakeline.telemetry.phases import Phase

from tests.lua.world import STALE_MS, WEEK_MS, World, wait
from tests.races.rules import fails_without
from tests.races.sessions import (
    BOT,
    FAILED,
    admit,
    commit,
    committing,
    inbox,
    offered,
    policy_is,
    send,
    source,
    states,
    take_turn,
    turn,
    wake,
)
from tests.races.workers import work

FENCE = (
    "a write of a run carries its fence",
    "lib/process.lua",
    "local fits = p.st == 'running' and p.inc == f.inc and p.ep == f.ep and p.cl == f.cl",
)


# -- 1 to 3: the doorbell is lost, early or doubled


@fails_without("a doorbell that was lost is rung again", "lib/bells.lua", "      doorbell.ring(pid, p.ep, p.q, true)\n")
def test_wake_race_01_a_wake_whose_doorbell_was_lost_is_read_all_the_same(world: World) -> None:
    source(world)
    wake(world, "told")
    world.redis.delete(world.rq(f"queue:{world.ns}"))
    assert world.take(world.worker()) == ()
    world.pass_ms(STALE_MS + 1)
    assert world.tick().rung == 1
    _, texts = turn(world)
    assert texts == ["told"]


@fails_without(
    "an end that leaves entries begins the next turn in its own script",
    "lib/turns.lua",
    "  linger(sid, p, policy_of(s.ag), status, #batch)\n  turns.begin_next(sid, s)",
    "  linger(sid, p, policy_of(s.ag), status, #batch)",
)
def test_wake_race_02_a_wake_between_the_last_claim_and_the_release_has_a_turn(world: World) -> None:
    source(world)
    wake(world, "first")
    fence, _ = turn(world)
    wake(world, "second")
    commit(world, fence)
    _, texts = turn(world)
    assert texts == ["second"]


@fails_without(
    "an arrival leaves the turn there is",
    "lib/inbox.lua",
    "  if not s.turn then return turns.begin_next(sid, s) end\n",
    "  call('HDEL', ns .. 'sess:' .. sid, 'turn')\n  do return turns.begin_next(sid) end\n",
)
def test_wake_race_03_many_wakes_at_once_have_one_turn(world: World) -> None:
    source(world)
    for n in range(5):
        wake(world, str(n))
    fence, texts = turn(world, "o1")
    assert texts == ["0", "1", "2", "3", "4"]
    wake(world, "5")
    assert world.take(world.worker("o2")) == ()
    commit(world, fence)


@fails_without(
    "a doorbell of a process that is not queued is thrown away",
    "queue_take.lua",
    "if p.st ~= 'queued' or p.ep ~= epoch then",
    "if false then",
)
def test_wake_race_03_two_doorbells_of_one_turn_are_one_run(world: World) -> None:
    send(world, "first")
    [bell] = world.doorbells()
    world.redis.rpush(world.rq(f"queue:{world.ns}"), bell)
    world.worker("o1")
    assert len(world.take("o1", n=1)) == 1
    assert world.take(world.worker("o2")) == ()


# -- 4 to 7: workers that stall, die, lose a reply, or come back


def taken_over(world: World) -> tuple[processes.Fence, processes.Fence]:
    """A turn whose worker stalled beyond its lease, and the run that took over."""
    send(world, "first")
    old, _ = turn(world, "o1")
    world.lose("o1")
    new = take_turn(world, "o2")
    return old, new


@fails_without(*FENCE, becomes="local fits = p.st == 'running'")
def test_wake_race_04_a_worker_that_stalled_admits_nothing_and_has_no_effect(world: World) -> None:
    old, _ = taken_over(world)
    with pytest.raises(LeaseLost):
        admit(world, old)
    with pytest.raises(LeaseLost):
        world.do(journal.record(old, [journal.Row("step", "1")]))
    assert "step" not in world.journal(old.process_id)


@fails_without(
    "a turn's batch is fixed under the fence of its claim",
    "turn_admit.lua",
    "if not holds(p, a.fence) then return { 'lost' } end",
)
def test_wake_race_04_a_stale_claim_fixes_no_batch(world: World) -> None:
    send(world, "first")
    old = take_turn(world, "o1")
    world.lose("o1")
    take_turn(world, "o2")
    with pytest.raises(LeaseLost):
        admit(world, old)
    assert states(world) == [("first", "delivered")]


@fails_without("the batch of a turn is fixed once", "lib/admitting.lua", "  if not batch then\n", "  if true then\n")
def test_wake_race_05_a_third_worker_has_the_same_batch(world: World) -> None:
    taken_over(world)
    send(world, "second")
    world.lose("o2")
    _, texts = turn(world, "o3")
    assert texts == ["first"]
    assert states(world) == [("first", "admitted"), ("second", "delivered")]


@fails_without(
    "the same commit again is its stored receipt",
    "process_finish.lua",
    "return { 'already', p.st, p.seq }",
    "return { 'lost' }",
    raises=LeaseLost,
)
def test_wake_race_06_a_commit_whose_reply_was_lost_is_repeated_and_there_is_no_second_turn(world: World) -> None:
    send(world, "first")
    fence, _ = turn(world)
    call = committing(fence, state='{"a":1}', history=['{"role":"agent"}'])
    first = world.do(call)
    before = world.snapshot()
    assert world.do(call) == first
    assert world.snapshot() == before
    assert world.take() == ()


@fails_without(
    "who commits holds the turn", "process_finish.lua", "elseif not holds(p, a.fence, a.rows) then", "elseif false then"
)
def test_wake_race_07_a_worker_that_comes_back_after_a_takeover_commits_nothing(world: World) -> None:
    old, new = taken_over(world)
    assert admit(world, new) == ["first"]
    before = world.snapshot()
    with pytest.raises(LeaseLost):
        world.do(committing(old, state='{"from":"the dead"}', history=['{"role":"agent"}']))
    assert world.snapshot() == before
    commit(world, new)
    assert states(world) == [("first", "settled")]


@fails_without(
    "a commit compares the head it read",
    "lib/history.lua",
    "if read and (tonumber(read) < from or tonumber(read) > tonumber(s.rev)) then return nil, s.rev end",
)
def test_wake_race_07_a_commit_of_another_head_is_refused_whole(world: World) -> None:
    send(world, "first")
    fence, _ = turn(world)
    before = world.snapshot()
    with pytest.raises(HeadConflict):
        world.do(committing(fence, "7", state='{"a":1}'))
    assert world.snapshot() == before


# -- 8, 9: two appends


@fails_without(
    "an event is looked for by its replay key", "process_append.lua", "  if known then\n", "  if false then\n"
)
def test_wake_race_08_one_event_sent_from_two_places_wakes_once(world: World) -> None:
    source(world)
    assert [wake(world, "told", key="k"), wake(world, "told", key="k")] == [1, 1]
    with pytest.raises(ReplayConflict):
        wake(world, "something else", key="k")
    assert states(world) == [("told", "delivered")]


@fails_without(
    "nothing is appended after an end", "process_append.lua", "if ENDED[p.st] then return { 'terminal', p.st } end"
)
def test_wake_race_09_after_the_end_of_its_process_no_event_wakes(world: World) -> None:
    source(world)
    world.finish("x")
    with pytest.raises(ProcessAlreadyTerminal):
        wake(world, "late")
    assert states(world) == []


# -- 13: an id that is used again


@fails_without(
    "a wake carries the incarnation of its process",
    "lib/inbox.lua",
    """inc .. '","sequence":'""",
    """'same' .. '","sequence":'""",
)
def test_wake_race_13_a_process_id_used_again_wakes_under_another_identity(world: World) -> None:
    source(world)
    wake(world, "told")
    world.finish("x")
    for _ in range(2):
        world.pass_ms(WEEK_MS + 1)
        world.tick(tombstone_ms=1)
    world.redis.delete(world.key("tomb:x"))
    source(world, incarnation="inc00002")
    wake(world, "told")
    found = [entry for entry in inbox(world) if entry.input == "told"]
    assert len({entry.wake_id for entry in found}) == 2


# -- 14: what is not read yet is never trimmed


@fails_without(
    "only what is over is forgotten",
    "lib/entries.lua",
    "  if not OVER[entries.verb_of(entries.state_of(sid, n))] then return end\n",
    raises=EntryNotFound,
)
def test_wake_race_14_no_entry_is_forgotten_before_it_was_read(world: World) -> None:
    source(world)
    policy_is(world, on_failure="block")
    wake(world, "poison")
    fence, _ = turn(world)
    world.do(ends.finish(fence.process_id, "failed", FAILED, fence=fence))
    policy_is(world, on_failure="block", kinds=frozenset({"wake"}))
    for n in range(1_010):
        send(world, str(n))
    first = entry_of(world.do(entries.look(BOT, limit=1, n=1)).entries[0])
    assert (first.input, first.state) == ("poison", "blocked")


# -- 16, 17: entries that are moved


def test_wake_race_16_an_entry_that_a_turn_has_is_not_offered_again(world: World) -> None:
    send(world, "first")
    fence, _ = turn(world)
    assert world.do(entries.redrive(BOT, 1)) == 1
    assert states(world) == [("first", "admitted")]
    commit(world, fence)


@fails_without(
    "an arrival puts a turn off that waits for more",
    "lib/inbox.lua",
    "    call('ZADD', ns .. 'timers', int(due), TIMER.offer .. s.turn)\n",
)
@fails_without(
    "a turn of an agent that debounces waits for its due time",
    "lib/turns.lua",
    "false, due and due > now and due or nil, nil, w)",
    "false, nil, nil, w)",
)
def test_wake_race_17_a_turn_that_is_put_off_comes_once_at_its_time(world: World) -> None:
    policy_is(world, debounce_ms=200, debounce_max_ms=1_000)
    send(world, "first")
    world.pass_ms(150)
    send(world, "second")
    world.pass_ms(199)
    world.tick()
    assert world.doorbells() == []
    world.pass_ms(1)
    world.tick()
    world.tick()
    assert len(world.doorbells()) == 1
    _, texts = turn(world)
    assert texts == ["first", "second"]


# -- 22: the server forgets


@fails_without(
    "a server that does not know a script is sent its text",
    "wakeline.store.together:Exchange._was_not_run",
    "elif isinstance(answer, rex.NoScriptError) or NOT_FOUND in text:",
    "elif False:",
    raises=ScriptFailed,
)
def test_wake_race_22_a_server_that_forgot_its_scripts_is_told_them_again(world: World) -> None:
    source(world)
    wake(world, "first")
    world.forget_scripts()
    wake(world, "second")
    _, texts = turn(world)
    assert texts == ["first", "second"]


# -- 25, 26: poison


@fails_without(
    "a batch that failed is halved", "lib/turns.lua", "elseif poisoned and #batch > 1 then", "elseif false then"
)
@fails_without(
    "the next turn takes the older half", "lib/admitting.lua", "math.min(max, tonumber(s.half or max))", "max"
)
def test_wake_race_25_one_poisonous_wake_fails_alone(world: World) -> None:
    send(world, "a", "poison", "c", "d")
    for _ in range(20):
        claims = world.take(world.worker())
        if not claims:
            break
        if "poison" in admit(world, claims[0].fence):
            world.do(ends.finish(claims[0].process_id, "failed", FAILED, fence=claims[0].fence))
        else:
            commit(world, claims[0].fence)
    assert states(world) == [("a", "settled"), ("poison", "failed"), ("c", "settled"), ("d", "settled")]


@fails_without(
    "an end of a blocked session begins no turn",
    "lib/turns.lua",
    " or s.blk or s.gone then return end",
    " or s.gone then return end",
)
@fails_without("skipping frees the session", "entry_redrive.lua", "call('HDEL', head, 'blk', 'half', 'hw')")
def test_wake_race_26_a_blocked_session_stands_still_until_somebody_decides(world: World) -> None:
    policy_is(world, on_failure="block")
    send(world, "poison")
    fence, _ = turn(world)
    world.do(ends.finish(fence.process_id, "failed", FAILED, fence=fence))
    send(world, "next")
    assert world.take() == ()
    world.do(entries.skip(BOT, 1))
    _, texts = turn(world)
    assert texts == ["next"]


# -- 31 to 34


@fails_without(
    "an end is written once",
    "lib/ends.lua",
    "  p.st = status\n",
    "  p.st = 'running'\n  call('HSET', proc_key(pid), 'st', 'running')\n",
)
def test_wake_race_31_of_a_cancel_and_a_commit_the_first_stands(world: World) -> None:
    send(world, "first")
    fence, _ = turn(world)
    world.cancel(fence.process_id)
    commit(world, fence)
    world.pass_ms(10_000)
    world.tick()
    assert (world.status(fence.process_id), states(world)) == ("completed", [("first", "settled")])
    send(world, "second")
    fence, _ = turn(world)
    world.cancel(fence.process_id)
    world.pass_ms(10_000)
    world.tick()
    with pytest.raises(LeaseLost):
        world.do(committing(fence, "1"))
    assert (world.status(fence.process_id), states(world)[1]) == ("cancelled", ("second", "settled"))


@fails_without("early entries are part of the batch", "lib/turns.lua", "'@inbox', '@early')", "'@inbox', '@none')")
def test_wake_race_32_an_early_wake_of_a_cancelled_turn_is_settled_with_it(world: World) -> None:
    policy_is(world, on_arrival="early")
    source(world)
    wake(world, "first")
    fence, _ = turn(world)
    wake(world, "second")
    assert offered(world, fence) == ["second"]
    world.cancel(fence.process_id)
    world.pass_ms(10_000)
    world.tick()
    assert states(world) == [("first", "settled"), ("second", "settled")]
    assert world.take() == ()


@fails_without(
    "every entry of a batch is settled",
    "lib/turns.lua",
    "    for _, n in ipairs(batch) do\n",
    "    for _, n in ipairs({ batch[1] }) do\n",
)
def test_wake_race_33_wakes_of_two_processes_share_a_turn_and_both_are_settled_in_order(world: World) -> None:
    source(world, "x")
    source(world, "y")
    wake(world, "of x", "x")
    wake(world, "of y", "y")
    fence, texts = turn(world)
    assert texts == ["of x", "of y"]
    commit(world, fence)
    assert states(world) == [("of x", "settled"), ("of y", "settled")]


@fails_without(
    "a wake for a session that does not exist has its time",
    "lib/inbox.lua",
    "else call('ZADD', ns .. 'timers', 'NX', int(now + EXPIRY), TIMER.unopened .. sid) end",
    "end",
)
@fails_without("what waited too long is undeliverable", "lib/timers.lua", "    entries.drop(sid, n, 'expired')\n")
def test_wake_race_34_a_wake_whose_session_never_comes_expires_in_sight(world: World) -> None:
    world.start("x", kind="external", wake_target={"session_id": BOT})
    wake(world, "told")
    world.pass_ms(WEEK_MS - 1)
    world.tick()
    assert states(world) == [("told", "delivered")]
    world.pass_ms(1)
    world.tick()
    assert states(world) == [("told", "undeliverable expired")]


# -- coalescing


@fails_without(
    "an admitted wake coalesces no more",
    "lib/entries.lua",
    "'admitted ' .. pid .. ' ' .. int(now))\n  stop_coalescing(bodies, n)\n",
    "'admitted ' .. pid .. ' ' .. int(now))\n",
)
def test_a_wake_of_the_same_key_after_the_turn_began_is_another_one(world: World) -> None:
    source(world)
    wake(world, "one", same="k")
    wake(world, "two", same="k")
    fence, texts = turn(world)
    assert texts == ["two"]
    wake(world, "three", same="k")
    assert states(world) == [("two", "admitted"), ("three", "delivered")]
    commit(world, fence)


@fails_without(
    "an entry that was offered again names its successor",
    "entry_redrive.lua",
    "if verb == 'superseded' then return { 'redriven', string.match(state, '%d+') } end\n",
)
def test_an_entry_is_offered_again_once_however_often_that_is_asked(world: World) -> None:
    send(world, "poison")
    fence, _ = turn(world)
    world.do(ends.finish(fence.process_id, "failed", FAILED, fence=fence))
    assert [world.do(entries.redrive(BOT, 1)) for _ in range(3)] == [2, 2, 2]
    assert states(world) == [("poison", "superseded"), ("poison", "delivered")]


ANSWERED = {"status": "ok", "value": {"type": "success", "value": "answer"}}


@fails_without(
    "a process that awaits an entry is told when it is settled",
    "lib/entries.lua",
    "do resolve(slot, resolution) end",
    "do end",
)
def test_who_waits_for_an_entry_is_answered_when_it_is_settled(world: World) -> None:
    asks = world.running("p", "o9")
    send(world, "question")
    world.open(asks, wait("w", "a:1:bot/1"))
    world.park(asks, "w")
    fence, _ = turn(world)
    world.do(committing(fence, value="answer"))
    found = world.resolution("w")
    assert found is not None and json.loads(found) == ANSWERED
    assert world.status("p") == "queued"


@fails_without(
    "who asks for an entry that is settled is answered at once",
    "wait_open.lua",
    "  if verb == 'settled' or verb == 'failed' then return from_child(rest) end\n",
)
def test_who_waits_for_an_entry_that_is_settled_is_answered_at_once(world: World) -> None:
    asks = world.running("p", "o9")
    send(world, "question")
    fence, _ = turn(world)
    world.do(committing(fence, value="answer"))
    [opened] = world.open(asks, wait("w", "a:1:bot/1"))
    assert (opened.state, json.loads(opened.text or "0")) == ("done", ANSWERED)


@pytest.mark.parametrize("phase", [Phase.body_started, Phase.wait_opened, Phase.parking, Phase.parked, Phase.finishing])
def test_a_body_that_asks_a_session_asks_it_once_whoever_dies(world: World, app: App, phase: Phase) -> None:
    @app.agent("bot")
    async def bot(turn: AsyncTurn) -> int:
        return len(turn.inbox)

    @app.engine
    async def plan(ctx: AsyncCtx) -> list[int]:
        return list(await asyncio.gather(*(ctx.ask(BOT, question, output=int) for question in ("one", "two"))))

    handle = app.using(id="p").start(plan)
    assert work(world, app, "w1", killed_at=phase)[-1] == "killed"
    world.lose("w1")
    work(world, app, "w2")
    assert handle.result() == [2, 2]
    assert states(world) == [("one", "settled"), ("two", "settled")]


def test_a_turn_commit_says_what_it_read() -> None:
    assert TurnCommit(BOT, "3", "{}", ["m"], "f", '"go"').wire() == {
        "sid": BOT, "rev": "3", "history": ["m"], "state": "{}", "frame": "f", "follow": '"go"',
    }  # fmt: skip
