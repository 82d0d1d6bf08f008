"""Races 8, 24, 25, 26 and 32: sessions that are deleted, interrupted, offered more, or told twice."""

from __future__ import annotations

import json

import pytest
from wakeline.app import App
from wakeline.body.turn import AsyncTurn
from wakeline.errors import LeaseLost, ScriptFailed, SessionDeleted
from wakeline.store import ends, sessions, waits
from wakeline.telemetry.phases import Phase

from tests.lua.world import World, wait
from tests.races.rules import fails_without
from tests.races.sessions import BOT, FAILED, commit, committing, offered, policy_is, send, source, states, turn, wake
from tests.races.workers import work

# -- 8: a session is deleted while its turn is parked on a key that goes, or while entries are admitted


@fails_without(
    "a deletion ends the session's turn",
    "session_delete.lua",
    """    finish(s.turn, p, 'cancelled', '{"type":"cancelled","message":"its session was deleted"}')\n""",
)
def test_race_08_a_turn_parked_on_a_question_ends_with_its_session(world: World) -> None:
    send(world, "first")
    fence, _ = turn(world)
    world.open(fence, wait("ask", "x:ship"))
    world.park(fence, "ask")
    world.do(sessions.delete(BOT))
    assert world.status(fence.process_id) == "cancelled"
    assert world.do(waits.resolve(fence.process_id, fence.incarnation, "ask", '{"status":"ok","value":1}')).unknown


@fails_without(
    "entries of a turn whose session is gone are undeliverable",
    "lib/turns.lua",
    "  if s.gone then\n    for _, n",
    "  if false then\n    for _, n",
)
@fails_without(
    "a deletion drops what is pending",
    "lib/deleting.lua",
    "    entries.drop(sid, string.match(entry[1], '^%d+'), 'target_gone')\n",
)
def test_race_08_admitted_and_pending_entries_of_a_deleted_session_are_undeliverable(world: World) -> None:
    send(world, "admitted")
    fence, _ = turn(world)
    send(world, "pending")
    world.do(sessions.delete(BOT))
    assert states(world) == [("admitted", "undeliverable target_gone"), ("pending", "undeliverable target_gone")]
    with pytest.raises(LeaseLost):
        world.do(committing(fence))


@fails_without(
    "a deletion leaves a tombstone", "session_delete.lua", "call('HSET', head, 'gone', int(now))", raises=ScriptFailed
)
@fails_without(
    "a session that is opened is looked for among the deleted",
    "lib/sessions.lua",
    "  if known.gone then return false, known.gone end\n",
)
def test_race_08_a_late_input_finds_no_new_session_under_a_deleted_id(world: World) -> None:
    send(world, "first")
    world.do(sessions.delete(BOT))
    with pytest.raises(SessionDeleted):
        send(world, "late")
    assert world.take(world.worker()) == ()


@fails_without("a wake to a deleted session is refused in sight", "lib/inbox.lua", "s.gone and 'target_gone' or ", "")
def test_race_08_a_late_wake_is_recorded_and_delivered_nowhere(world: World) -> None:
    source(world)
    world.do(sessions.delete(BOT))
    wake(world, "late")
    assert states(world) == [("late", "undeliverable target_gone")]


@fails_without(
    "a start that names a deleted session starts nothing",
    "process_register.lua",
    "if gone then return { 'gone', w.sid, gone } end",
)
def test_race_08_a_start_whose_session_was_deleted_meanwhile_starts_nothing(world: World) -> None:
    send(world, "first")
    world.do(sessions.delete(BOT))
    with pytest.raises(SessionDeleted):
        world.start("p", wake=BOT)
    assert world.field("st") is None


# -- 24: steady arrivals interrupt one turn after the other: none ends


@fails_without(
    "a turn whose entries were interrupted three times is left alone",
    "lib/inbox.lua",
    " and tonumber(s.ic or '0') < INTERRUPTS",
)
@fails_without("interruptions are counted", "lib/turns.lua", "    call('HINCRBY', head, 'ic', 1)\n")
def test_race_24_under_steady_arrivals_some_turn_ends(world: World) -> None:
    policy_is(world, on_arrival="interrupt")
    send(world, "0")
    for n in range(1, 20):
        fence, _ = turn(world)
        send(world, str(n))
        if world.field("cr", fence.process_id) is None:
            commit(world, fence)
            break
        world.finish(fence.process_id, fence, "cancelled", '{"type":"cancelled","message":"interrupted"}')
    assert [state for _, state in states(world)] == ["settled"] * 4 + ["delivered"]


@fails_without(
    "entries of an interrupted turn go back to the inbox",
    "lib/turns.lua",
    "status == 'cancelled' and call('HEXISTS', proc_key(pid), 'it') == 1",
    "false",
)
def test_race_24_what_an_interrupted_turn_had_is_read_by_the_next(world: World) -> None:
    policy_is(world, on_arrival="interrupt")
    send(world, "first")
    fence, _ = turn(world)
    send(world, "second")
    world.finish(fence.process_id, fence, "cancelled", '{"type":"cancelled","message":"interrupted"}')
    _, texts = turn(world)
    assert texts == ["first", "second"]


# -- 25: an entry that was admitted early, unseen by the turn that is tried again


@fails_without("an early admission is recorded", "turn_arrivals.lua", "write_row(a.pid, a.row, arrivals)\n")
@fails_without(
    "a recorded admission is given again",
    "turn_arrivals.lua",
    "if written then return { 'arrivals', string.sub(written, #a.row.a + 1, -#a.row.b - 1) } end",
)
def test_race_25_an_early_entry_is_seen_again_by_the_next_run(world: World) -> None:
    policy_is(world, on_arrival="early")
    send(world, "first")
    fence, _ = turn(world)
    send(world, "second")
    assert offered(world, fence) == ["second"]
    assert offered(world, fence) == ["second"]
    world.lose("o1")
    [claim] = world.take(world.worker("o2"))
    assert "arrivals:1" in claim.journal
    assert json.loads(claim.journal["arrivals:1"])["o"][0][1]["input"] == "second"


@fails_without(
    "early entries are part of the batch that is settled",
    "lib/turns.lua",
    "'@inbox', '@early')",
    "'@inbox', '@none')",
)
def test_race_25_an_early_entry_is_settled_with_its_turn(world: World) -> None:
    policy_is(world, on_arrival="early")
    send(world, "first")
    fence, _ = turn(world)
    send(world, "second")
    offered(world, fence)
    commit(world, fence)
    assert states(world) == [("first", "settled"), ("second", "settled")]
    assert world.take() == ()


@fails_without(
    "a later run of a turn gets the same batch", "lib/admitting.lua", "  if not batch then\n", "  if true then\n"
)
def test_race_25_a_turn_that_is_run_again_commits_what_it_had_been_given(world: World, app: App) -> None:
    @app.agent("bot", on_arrival="early")
    async def bot(turn: AsyncTurn) -> list[str]:
        await turn.arrivals()
        await turn.step("pause", lambda: None)
        return [item.text for item in turn.inbox]

    send(world, "first")
    assert work(world, app, "w1", killed_at=Phase.effect_recorded) == ["killed"]
    world.lose("w1")
    send(world, "second")
    work(world, app, "w2")
    assert [m.content for m in app.session("bot", "1").history() if m.role == "agent"] == [["first"], ["second"]]


# -- 26: an entry that no policy admits: a hot loop, or stranded


@fails_without(
    "a turn begins for an entry that its agent admits",
    "lib/turns.lua",
    "    if admits(policy, entry[2][2]) then return start_turn(sid, s, policy) end\n",
    "    if true then return start_turn(sid, s, policy) end\n",
)
def test_race_26_an_entry_that_nothing_admits_keeps_no_session_busy(world: World) -> None:
    send(world, "first")
    fence, _ = turn(world)
    send(world, "second")
    policy_is(world, kinds=frozenset({"wake"}))
    commit(world, fence)
    assert world.take() == ()
    assert states(world) == [("first", "settled"), ("second", "undeliverable not_admissible")]


@fails_without(
    "what a turn passes over is undeliverable",
    "lib/admitting.lua",
    "        entries.drop(sid, n, 'not_admissible')\n",
)
def test_race_26_what_a_turn_passes_over_is_not_stranded(world: World) -> None:
    source(world)
    send(world, "input")
    wake(world, "wake")
    policy_is(world, kinds=frozenset({"wake"}))
    fence, texts = turn(world)
    assert texts == ["wake"]
    assert states(world) == [("input", "undeliverable not_admissible"), ("wake", "admitted")]
    commit(world, fence)
    assert world.take() == ()


# -- 32: a child that a turn awaits must not also wake it


@fails_without(
    "an end that is awaited inside the session is no wake to it",
    "lib/ends.lua",
    "if p.ws and p.we and not awaited_inside then",
    "if p.ws and p.we then",
)
@fails_without(
    "a process that waits is looked up in its session",
    "lib/ends.lua",
    "== session then inside = true end",
    "== session then inside = false end",
)
def test_race_32_the_end_of_an_awaited_child_is_told_once(world: World) -> None:
    send(world, "go")
    fence, _ = turn(world)
    world.start("child", kind="external", wake=BOT, wake_end=True)
    world.open(fence, wait("w", "c:child", child_incarnation="inc00001"))
    world.park(fence, "w")
    world.finish("child")
    [claim] = world.take()
    commit(world, claim.fence)
    assert states(world) == [("go", "settled")]
    assert world.take() == ()


@fails_without(
    "an end wakes the session that was given to it",
    "lib/ends.lua",
    "deliver(p.ws, 'wake', wake_body(pid, p.inc, seq, event_type, text))",
)
def test_race_32_the_end_of_a_child_that_nobody_awaits_is_told(world: World) -> None:
    send(world, "go")
    fence, _ = turn(world)
    world.start("child", kind="external", wake=BOT, wake_end=True)
    world.finish("child")
    commit(world, fence)
    _, texts = turn(world)
    assert len(texts) == 1


# -- 7, again: the ends that halve and block free their session too


@fails_without(
    "an end releases the session or begins its next turn",
    "lib/turns.lua",
    "    if s.half and (poisoned or",
    "    if false and (poisoned or",
)
def test_race_07_a_session_whose_poison_was_found_takes_whole_batches_again(world: World) -> None:
    send(world, "poison", "b")
    for texts in (["poison", "b"], ["poison"]):
        fence, found = turn(world)
        assert found == texts
        world.do(ends.finish(fence.process_id, "failed", FAILED, fence=fence))
    send(world, "c", "d")
    fence, found = turn(world)
    assert found in (["b"], ["b", "c", "d"])
    commit(world, fence)
    send(world, "e", "f", "g")
    batches: list[int] = []
    while claims := world.take():
        batches.append(len(world.do(sessions.admit(claims[0].fence, BOT, 256)).entries))
        commit(world, claims[0].fence)
    assert max(batches) > 1
