"""What an agent's turns take, and what an arrival does to a turn: next turn, early, interrupt, debounce; commands,
frames."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from wakeline.processes.lease import Fence
from wakeline.store import claims as stored_claims
from wakeline.store import ends, entries, events, feed, owners, sessions, waits
from wakeline.store.claims import Claim
from wakeline.store.journal import Effect, Row
from wakeline.verbs import inbox as inbox_verbs

from tests.contract.session_world import (
    CHAT,
    FAILED,
    command,
    commit,
    fail,
    head,
    inbox,
    policy_is,
    send,
    source,
    states,
    turn,
)

if TYPE_CHECKING:
    from tests.contract.conftest import World

CANCELLED = '{"type":"cancelled","message":"interrupted"}'


def offered(world: World, fence: Fence, key: str = "arrivals:1") -> list[str]:
    """The texts of what is offered to a running turn under a replay key."""
    found = world.do(sessions.arrivals(Effect(fence, Row(key, '{"o":', after="}")), CHAT, 256))
    return [body["input"] for _, body, _ in json.loads(found)]


# -- which entries


def test_a_command_is_alone_in_its_turn(world: World) -> None:
    send(world, "a", "b")
    command(world, "reset")
    send(world, "c")
    batches: list[int] = []
    for _ in range(3):
        claim, texts = turn(world)
        batches.append(len(texts))
        commit(world, claim)
    assert batches == [2, 1, 1]
    assert [(e.n, e.kind, e.name) for e in inbox(world) if e.kind == "command"] == [(3, "command", "reset")]


def test_one_at_a_time_is_one_entry_a_turn(world: World) -> None:
    policy_is(world, max_entries=1)
    send(world, "a", "b")
    claim, texts = turn(world, most=1)
    assert texts == ["a"]
    commit(world, claim)
    _, texts = turn(world, most=1)
    assert texts == ["b"]


def test_what_no_policy_admits_is_undeliverable_and_starts_no_turn(world: World) -> None:
    policy_is(world, kinds=frozenset({"wake"}))
    send(world, "hello")
    assert [(e.state, e.reason) for e in inbox(world)] == [("undeliverable", "not_admissible")]
    assert world.take() == ()
    assert [e.input for e in world.go(inbox_verbs.undeliverable(10))] == ["hello"]


def test_what_the_next_release_does_not_admit_is_undeliverable_and_keeps_no_turn(world: World) -> None:
    source(world)
    send(world, "old")
    world.emit("x", "wake", "told")
    policy = policy_is(world, kinds=frozenset({"wake"}))
    (claim,) = world.take()
    batch = world.do(sessions.admit(claim.fence, CHAT, 256, policy))
    assert [json.loads(e.body)["input"] for e in batch.entries] == ["told"]
    assert states(world) == [("old", "undeliverable"), ("told", "admitted")]


def test_an_end_passes_over_what_is_not_admitted_and_releases(world: World) -> None:
    send(world, "a")
    claim, _ = turn(world)
    send(world, *(str(i) for i in range(300)))
    policy_is(world, kinds=frozenset({"wake"}))
    commit(world, claim)
    world.tick()
    assert {e.state for e in inbox(world)[1:]} == {"undeliverable"}
    assert world.take() == ()
    assert "turn" not in head(world)


def test_an_entry_that_is_not_admitted_is_redriven_once_the_agent_takes_its_kind(world: World) -> None:
    policy_is(world, kinds=frozenset({"wake"}))
    send(world, "hello")
    policy_is(world)
    world.go(inbox_verbs.redrive(CHAT, 1))
    _, texts = turn(world)
    assert texts == ["hello"]


def test_a_burst_of_a_thousand_wakes_to_an_idle_session_costs_five_turns_at_most(world: World) -> None:
    source(world)
    world.emit("x", "wake", "0")
    claim, texts = turn(world)
    seen = len(texts)
    for n in range(1, 1_000):
        world.append("x", "wake", {"text": str(n)}, wake=events.WakeText(str(n)))
    commit(world, claim)
    turns = 1
    while claims := world.take():
        seen += len(world.do(sessions.admit(claims[0].fence, CHAT, 256)).entries)
        commit(world, claims[0])
        turns += 1
    assert (seen, turns) == (1_000, 5)


def test_a_quick_turn_of_a_burst_is_followed_once_its_linger_is_over(world: World) -> None:
    policy_is(world, linger_ms=40)
    send(world, "a", "b", "c")
    claim, _ = turn(world)
    commit(world, claim)
    send(world, "d")
    world.clock.advance("39ms")
    world.tick()
    assert world.take() == ()
    send(world, "e")
    world.clock.advance("1ms")
    world.tick()
    claim, texts = turn(world)
    assert texts == ["d", "e"]
    world.clock.advance("40ms")  # a turn that takes longer than this shows no burst
    send(world, "f", "g", "h")
    commit(world, claim)
    _, texts = turn(world)
    assert texts == ["f", "g", "h"]


def test_what_lingers_is_used_up_by_its_turn_and_stays_in_no_head(world: World) -> None:
    policy_is(world, linger_ms=40)
    send(world, "a", "b", "c")
    claim, _ = turn(world)
    commit(world, claim)
    key = f"{world.store.address.prefix}linger:{CHAT}"
    assert "lg" not in head(world)
    assert 0 < world.store.client.pttl(key) <= 60_040
    send(world, "d")
    assert world.store.client.exists(key) == 0


def test_nothing_lingers_for_one_entry_at_a_time_or_for_a_whole_batch_or_after_a_failure(world: World) -> None:
    policy_is(world, linger_ms=40)
    for text in ("a", "b"):
        send(world, text)
        claim, texts = turn(world)
        assert texts == [text]
        commit(world, claim)
    policy_is(world, linger_ms=40, max_entries=2)
    send(world, "c", "d", "e", "f")
    for wanted in (["c", "d"], ["e", "f"]):
        claim, texts = turn(world, most=2)
        assert texts == wanted
        commit(world, claim)


def test_an_idle_session_is_in_nothing_that_is_scanned(world: World) -> None:
    world.do(sessions.create(world.session(CHAT)))
    prefix = world.store.address.prefix
    held = {
        key.removeprefix(prefix)
        for key in world.store.client.scan_iter(match=f"{prefix.replace('{', '[{]')}*")
        if "rq" not in key
    }
    assert {key for key in held if CHAT in key} == {f"sess:{CHAT}"}
    assert not held & {"timers", "todo", "idx:queued", "idx:waiting"}


# -- early


def test_an_arrival_is_offered_to_the_running_turn_when_it_asks(world: World) -> None:
    policy_is(world, on_arrival="early")
    send(world, "first")
    claim, _ = turn(world)
    assert offered(world, claim.fence) == []
    send(world, "second")
    assert states(world) == [("first", "admitted"), ("second", "delivered")]
    assert offered(world, claim.fence, "arrivals:2") == ["second"]
    assert states(world) == [("first", "admitted"), ("second", "admitted")]
    commit(world, claim)
    assert states(world) == [("first", "settled"), ("second", "settled")]
    assert world.take() == ()


def test_an_early_entry_is_recorded_with_its_place_and_seen_by_the_next_run(world: World) -> None:
    policy_is(world, on_arrival="early")
    send(world, "first")
    claim, _ = turn(world)
    send(world, "second")
    assert offered(world, claim.fence) == ["second"]
    assert offered(world, claim.fence) == ["second"]
    world.lose("o_1")
    again, texts = turn(world, "o_2")
    assert texts == ["first"]
    assert json.loads(again.journal["arrivals:1"])["o"][0][1]["input"] == "second"
    commit(world, again)
    assert states(world) == [("first", "settled"), ("second", "settled")]


def test_an_arrival_is_for_the_next_turn_where_the_agent_says_nothing_else(world: World) -> None:
    send(world, "first")
    claim, _ = turn(world)
    send(world, "second")
    assert offered(world, claim.fence) == []
    assert states(world) == [("first", "admitted"), ("second", "delivered")]


def test_a_command_comes_neither_early_nor_is_it_passed(world: World) -> None:
    policy_is(world, on_arrival="early")
    send(world, "first")
    claim, _ = turn(world)
    command(world, "reset")
    send(world, "behind")
    assert offered(world, claim.fence) == []


def test_nothing_joins_the_turn_of_a_command(world: World) -> None:
    policy_is(world, on_arrival="early")
    command(world, "reset")
    claim, _ = turn(world)
    send(world, "late")
    assert offered(world, claim.fence) == []


def test_early_entries_fail_and_are_halved_with_their_turn(world: World) -> None:
    policy_is(world, on_arrival="early")
    send(world, "first")
    claim, _ = turn(world)
    send(world, "second")
    assert offered(world, claim.fence) == ["second"]
    fail(world, claim)
    assert states(world) == [("first", "delivered"), ("second", "delivered")]


def test_a_turn_has_no_more_entries_by_arrivals_than_its_agent_takes(world: World) -> None:
    policy_is(world, on_arrival="early", max_entries=3)
    send(world, "a", "b")
    claim, _ = turn(world, most=3)
    send(world, "c", "d")
    row = Row("arrivals:1", '{"o":', after="}")
    found = json.loads(world.do(sessions.arrivals(Effect(claim.fence, row), CHAT, 3)))
    assert [body["input"] for _, body, _ in found] == ["c"]
    again = Row("arrivals:2", '{"o":', after="}")
    assert world.do(sessions.arrivals(Effect(claim.fence, again), CHAT, 3)) == "[]"


def test_a_debounce_counts_from_what_no_turn_has_taken_early(world: World) -> None:
    policy_is(world, on_arrival="early", debounce_ms=200, debounce_max_ms=500)
    send(world, "a")
    world.clock.advance("200ms")
    world.tick()
    claim, _ = turn(world)
    send(world, "b")
    assert offered(world, claim.fence) == ["b"]
    world.clock.advance("10s")
    commit(world, claim)
    send(world, "c")
    assert not ready(world)
    world.clock.advance("200ms")
    assert ready(world)


def test_what_an_early_admission_leaves_waits_as_long_as_any_arrival(world: World) -> None:
    policy_is(world, on_arrival="early", debounce_ms=200, debounce_max_ms=500)
    send(world, "a")
    world.clock.advance("200ms")
    world.tick()
    claim, _ = turn(world)
    send(world, "b")
    world.clock.advance("450ms")
    command(world, "reset")
    assert offered(world, claim.fence) == ["b"]
    commit(world, claim)
    world.clock.advance("199ms")
    assert not ready(world)
    world.clock.advance("1ms")
    assert ready(world)


# -- interrupt


def cancelled(world: World, fence: Fence) -> None:
    world.do(ends.finish(fence.process_id, "cancelled", CANCELLED, fence=fence))


def test_an_arrival_cancels_the_running_turn_and_the_next_takes_all(world: World) -> None:
    policy_is(world, on_arrival="interrupt")
    send(world, "first")
    claim, _ = turn(world)
    send(world, "second")
    assert world.do(waits.read_slots(claim.fence, []))[0]
    cancelled(world, claim.fence)
    assert states(world) == [("first", "delivered"), ("second", "delivered")]
    claim, texts = turn(world)
    assert texts == ["first", "second"]
    commit(world, claim)
    assert states(world) == [("first", "settled"), ("second", "settled")]


def test_an_interrupted_turn_that_does_not_listen_ends_with_its_grace(world: World) -> None:
    policy_is(world, on_arrival="interrupt")
    send(world, "first")
    turn(world)
    send(world, "second")
    world.clock.advance("10s")
    world.tick()
    _, texts = turn(world, "o_2")
    assert texts == ["first", "second"]


def test_a_turn_that_ends_before_it_notices_settles_what_it_had(world: World) -> None:
    policy_is(world, on_arrival="interrupt")
    send(world, "first")
    claim, _ = turn(world)
    send(world, "second")
    commit(world, claim)
    assert states(world) == [("first", "settled"), ("second", "delivered")]


def test_what_an_interrupted_turn_raises_is_no_failed_attempt(world: World) -> None:
    policy_is(world, on_arrival="interrupt", max_attempts=1)
    send(world, "first")
    claim, _ = turn(world)
    send(world, "second")
    assert world.do(ends.release(claim.fence, attempt=True, output=FAILED)) == "cancelled"
    assert states(world) == [("first", "delivered"), ("second", "delivered")]
    _, texts = turn(world)
    assert texts == ["first", "second"]


def test_what_a_cancelled_turn_raises_is_no_failed_attempt_and_its_entries_are_settled(world: World) -> None:
    policy_is(world, max_attempts=1)
    send(world, "first")
    claim, _ = turn(world)
    world.do(ends.cancel(claim.process_id, "enough", grace_ms=10_000))
    assert world.do(ends.release(claim.fence, attempt=True, output=FAILED)) == "cancelled"
    assert states(world) == [("first", "settled")]
    assert json.loads(world.log(claim.process_id)[-1].payload) == {
        "await_output": {"type": "cancelled", "message": "enough"}
    }


def test_a_turn_whose_entries_were_interrupted_three_times_is_left_alone(world: World) -> None:
    policy_is(world, on_arrival="interrupt")
    send(world, "0")
    for n in range(1, 4):
        claim, texts = turn(world)
        assert len(texts) == n
        send(world, str(n))
        cancelled(world, claim.fence)
    claim, texts = turn(world)
    assert texts == ["0", "1", "2", "3"]
    send(world, "4")
    assert not world.do(waits.read_slots(claim.fence, []))[0]
    commit(world, claim)
    claim, texts = turn(world)
    assert texts == ["4"]
    send(world, "5")
    assert world.do(waits.read_slots(claim.fence, []))[0]


def test_a_turn_that_has_not_begun_is_not_interrupted(world: World) -> None:
    policy_is(world, on_arrival="interrupt")
    send(world, "first", "second")
    _, texts = turn(world)
    assert texts == ["first", "second"]


# -- debounce


def ready(world: World) -> bool:
    world.tick()
    return world.status(head(world)["turn"]) == "queued" and bool(
        world.store.client.llen(f"{{{world.namespace}}}:rq:queue:{world.namespace}")
    )


def test_a_turn_waits_for_more_and_at_most_so_long(world: World) -> None:
    policy_is(world, debounce_ms=200, debounce_max_ms=500)
    send(world, "0")
    for n in range(1, 4):
        world.clock.advance("150ms")
        assert not ready(world)
        send(world, str(n))
    world.clock.advance("49ms")
    assert not ready(world)
    world.clock.advance("1ms")
    assert ready(world)
    _, texts = turn(world)
    assert texts == ["0", "1", "2", "3"]


def test_a_turn_waits_so_long_after_the_last_arrival(world: World) -> None:
    policy_is(world, debounce_ms=200, debounce_max_ms=5_000)
    send(world, "0")
    world.clock.advance("199ms")
    assert not ready(world)
    send(world, "1")
    world.clock.advance("199ms")
    assert not ready(world)
    world.clock.advance("1ms")
    assert ready(world)


def test_an_idle_worker_is_told_of_a_turn_that_is_due_before_its_next_tick(world: World) -> None:
    policy_is(world, debounce_ms=200, debounce_max_ms=500)
    world.do(stored_claims.take("o_1", "idle", [world.namespace], 1, lease_ms=5_000, idle=True))
    send(world, "0")
    hints = world.store.client.lrange(f"{world.store.address.prefix}notify:o_1", 0, -1)
    assert hints == ["timer 1700000000200"]


def test_what_waited_through_a_turn_has_waited(world: World) -> None:
    policy_is(world, debounce_ms=200, debounce_max_ms=500)
    send(world, "0")
    world.clock.advance("200ms")
    world.tick()
    claim, _ = turn(world)
    send(world, "1")
    world.clock.advance("1s")
    commit(world, claim)
    _, texts = turn(world)
    assert texts == ["1"]


def test_a_turn_that_was_put_off_after_a_failure_is_not_put_off_by_arrivals(world: World) -> None:
    policy_is(world, debounce_ms=200, debounce_max_ms=500)
    send(world, "0")
    world.clock.advance("200ms")
    world.tick()
    claim, _ = turn(world)
    world.do(ends.release(claim.fence, attempt=True, delay_ms=1_000))
    send(world, "1")
    world.clock.advance("999ms")
    assert not ready(world)
    world.clock.advance("1ms")
    assert ready(world)


# -- frames


def test_a_turn_ends_in_another_frame_and_its_first_turn_follows_in_the_same_step(world: World) -> None:
    send(world, "plan")
    claim, _ = turn(world)
    commit(world, claim, history=['{"role":"agent","content":"a plan"}'], frame="doing", follow='"do it"')
    assert head(world)["fr"] == "doing"
    (follow,) = inbox(world)[1:]
    assert (follow.input, follow.state, follow.process_id, follow.event_type) == (
        "do it",
        "delivered",
        claim.process_id,
        "process.completed",
    )
    again, texts = turn(world)
    batch = world.do(sessions.admit(again.fence, CHAT, 256))
    assert (texts, batch.frame, batch.follow_ons) == (["do it"], "doing", 1)
    commit(world, again, history=['{"role":"agent","content":"done"}'])
    assert world.do(feed.graph(CHAT)).frames == {"doing": 1_700_000_000_000}
    assert [json.loads(m)["content"] for _, m, _ in world.do(sessions.read(CHAT, frame="doing")).history] == ["done"]
    assert [json.loads(m)["content"] for _, m, _ in world.do(sessions.read(CHAT, frame="")).history] == ["a plan"]
    assert len(world.do(sessions.read(CHAT)).history) == 2


def test_an_agent_that_takes_no_wakes_still_goes_on_in_the_frame_it_switched_to(world: World) -> None:
    policy_is(world, kinds=frozenset({"input"}))
    send(world, "plan")
    claim, _ = turn(world)
    commit(world, claim, frame="doing", follow='"do it"')
    _, texts = turn(world)
    assert texts == ["do it"]


def test_a_commit_whose_reply_was_lost_follows_once(world: World) -> None:
    send(world, "plan")
    claim, _ = turn(world)
    commit_call = ends.finish(
        claim.process_id,
        "completed",
        '{"type":"success","value":null}',
        fence=claim.fence,
        turn=ends.TurnCommit(CHAT, "0", frame="f", follow='"go"'),
    )
    assert world.do(commit_call) == world.do(commit_call)
    assert [e.input for e in inbox(world)] == ["plan", "go"]


def follow_ons(world: World, claim: Claim) -> int:
    return int(world.do(sessions.admit(claim.fence, CHAT, 256)).follow_ons)


@pytest.mark.parametrize("end", ["failed", "abandoned", "cancelled"])
def test_a_follow_on_that_ends_otherwise_than_by_a_commit_ends_the_row_of_them(world: World, end: str) -> None:
    send(world, "plan")
    claim, _ = turn(world)
    commit(world, claim, frame="f", follow='"go"')
    claim, _ = turn(world)
    assert follow_ons(world, claim) == 1
    world.do(ends.finish(claim.process_id, end, CANCELLED if end == "cancelled" else FAILED, fence=claim.fence))
    assert "fo" not in head(world)
    send(world, "more")
    claim, _ = turn(world)
    assert follow_ons(world, claim) == 0


def test_a_turn_that_something_else_called_too_ends_the_row_of_them(world: World) -> None:
    send(world, "plan")
    claim, _ = turn(world)
    send(world, "meanwhile")
    commit(world, claim, frame="f", follow='"go"')
    claim, texts = turn(world)
    assert (texts, follow_ons(world, claim)) == (["meanwhile", "go"], 0)


def test_a_follow_on_that_gives_way_to_an_arrival_does_not_end_the_row_of_them(world: World) -> None:
    policy_is(world, on_arrival="interrupt")
    send(world, "plan")
    claim, _ = turn(world)
    commit(world, claim, frame="f", follow='"go"')
    claim, _ = turn(world)
    send(world, "meanwhile")
    cancelled(world, claim.fence)
    assert head(world)["fo"] == "1"


def test_a_follow_on_that_failed_is_offered_again_to_an_agent_that_takes_no_wakes(world: World) -> None:
    policy_is(world, kinds=frozenset({"input"}))
    send(world, "plan")
    claim, _ = turn(world)
    commit(world, claim, frame="doing", follow='"do it"')
    claim, _ = turn(world)
    fail(world, claim)
    assert world.do(entries.redrive(CHAT, 2)) == 3
    claim, texts = turn(world)
    assert texts == ["do it"]
    fail(world, claim)
    assert world.do(entries.redrive(CHAT, 3)) == 4
    claim, texts = turn(world)
    assert texts == ["do it"]
    commit(world, claim)
    assert states(world)[1:] == [("do it", "superseded"), ("do it", "superseded"), ("do it", "settled")]


def test_a_wake_of_another_turn_is_no_follow_on_when_it_is_offered_again(world: World) -> None:
    policy_is(world)
    world.start("x", kind="external", wake=CHAT, wake_end=True)
    world.finish("x")
    claim, _ = turn(world)
    fail(world, claim)
    policy_is(world, kinds=frozenset({"input"}))
    world.do(entries.redrive(CHAT, 1))
    assert [(e.state, e.reason) for e in inbox(world)][1:] == [("undeliverable", "not_admissible")]


def test_a_turn_without_a_switch_ends_the_row_of_them(world: World) -> None:
    send(world, "plan")
    claim, _ = turn(world)
    commit(world, claim, frame="f", follow='"go"')
    claim, _ = turn(world)
    commit(world, claim)
    send(world, "more")
    claim, _ = turn(world)
    assert world.do(sessions.admit(claim.fence, CHAT, 256)).follow_ons == 0


# -- what a coalesced wake leaves


def test_a_swallowed_wake_is_named_by_the_entry_that_took_its_place(world: World) -> None:
    source(world)
    for text in ("one", "two", "three"):
        world.append("x", "wake", {"text": text}, wake=events.WakeText(text, same="k"))
    (entry,) = inbox(world)
    assert (entry.input, entry.sequence, entry.swallowed, entry.swallowed_wakes) == ("three", 3, 2, ("x#1", "x#2"))


@pytest.mark.parametrize("agents", [{"chat": ""}, None])
def test_a_release_with_the_defaults_takes_back_what_the_one_before_said(
    world: World, agents: dict[str, str] | None
) -> None:
    policy_is(world, kinds=frozenset({"wake"}))
    world.do(owners.register_owner("o_2", [world.namespace], lease_ms=5_000, agents=agents))
    send(world, "hello")
    assert states(world) == [("hello", "undeliverable" if agents is None else "delivered")]
