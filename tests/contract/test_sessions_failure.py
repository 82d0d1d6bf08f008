"""Turns that fail: retried, halved until the poisonous entry stands alone, which is settled as failed or blocks;
nothing waits behind it without an end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wakeline.errors import EntryNotFound, RedriveRefused
from wakeline.store import ends, entries, owners, sessions, waits
from wakeline.store.journal import Effect, Row
from wakeline.testing.model.turns import Entry, isolate
from wakeline.verbs import inbox as inbox_verbs

from tests.contract.session_world import CHAT, FAILED, commit, fail, head, inbox, policy_is, send, source, states, turn

if TYPE_CHECKING:
    from tests.contract.conftest import World


def work_off(world: World, poison: set[str], *, most: int = 60) -> list[list[str]]:
    """Turns fail with what is poisonous and end well with the rest, until nothing is left to take; the batches of all
    turns."""
    batches: list[list[str]] = []
    world.worker()
    while claims := world.take():
        assert len(batches) < most, "it never comes to rest"
        batch = world.do(sessions.admit(claims[0].fence, CHAT, 256))
        texts = [json.loads(entry.body)["input"] for entry in batch.entries]
        batches.append(texts)
        if poison & set(texts):
            fail(world, claims[0])
        else:
            commit(world, claims[0])
    return batches


def test_a_batch_that_fails_is_halved_until_the_poisonous_entry_stands_alone(world: World) -> None:
    send(world, "a", "b", "poison", "d", "e")
    batches = work_off(world, {"poison"})
    assert batches == [["a", "b", "poison", "d", "e"], ["a", "b"], ["poison", "d"], ["poison"], ["d", "e"]]
    assert states(world) == [
        ("a", "settled"),
        ("b", "settled"),
        ("poison", "failed"),
        ("d", "settled"),
        ("e", "settled"),
    ]


def test_the_failed_entry_says_with_what_its_turn_failed_and_when(world: World) -> None:
    send(world, "poison")
    world.clock.advance("1s")
    claim, _ = turn(world)
    world.clock.advance("1s")
    fail(world, claim)
    (entry,) = inbox(world)
    assert (entry.state, entry.turn, entry.recorded_ms, entry.admitted_ms, entry.ended_ms) == (
        "failed",
        claim.process_id,
        1_700_000_000_000,
        1_700_000_001_000,
        1_700_000_002_000,
    )
    assert entry.error == {"type": "failure", "class": "execution", "code": "broken", "message": "it raised"}


@settings(max_examples=15, suppress_health_check=list(HealthCheck))
@given(count=st.integers(1, 12), poison=st.sets(st.integers(0, 11)))
def test_every_entry_is_settled_in_order_and_only_the_poisonous_ones_fail(
    fresh: Any, count: int, poison: set[int]
) -> None:
    world = fresh()
    texts = [str(i) for i in range(count)]
    bad = {text for text in texts if int(text) in poison}
    send(world, *texts)
    batches = work_off(world, bad, most=count * 8)
    assert states(world) == [(text, "failed" if text in bad else "settled") for text in texts]
    ended = [text for batch in batches for text in batch if not bad & set(batch) or len(batch) == 1]
    assert ended == texts
    world.store.close()


def test_the_script_halves_as_the_pure_rule_says(world: World) -> None:
    texts = [str(i) for i in range(9)]
    send(world, *texts)
    batch = [Entry(n, "input") for n in range(1, 10)]
    while len(batch) > 1:
        claim, found = turn(world)
        assert found == [texts[entry.n - 1] for entry in batch]
        fail(world, claim)
        batch = isolate(batch)


def test_what_arrives_while_a_batch_is_halved_waits_its_turn(world: World) -> None:
    send(world, "a", "poison")
    claim, _ = turn(world)
    send(world, "late")
    fail(world, claim)
    assert work_off(world, {"poison"}) == [["a"], ["poison"], ["late"]]


def test_a_turn_that_kills_its_workers_is_halved_too(world: World) -> None:
    send(world, "a", "b")
    claim, _ = turn(world)
    for n in range(11):
        world.do(owners.reap(claim.fence.owner))
        if world.status(claim.process_id) == "queued":
            world.clock.advance("1m")  # what ends its worker alone is offered later each time
            world.tick()
            (claim,) = world.take(world.worker(f"w{n}"))
    assert world.status(claim.process_id) == "abandoned"
    assert states(world) == [("a", "delivered"), ("b", "delivered")]
    _, texts = turn(world)
    assert texts == ["a"]


def test_attempts_are_those_of_the_agent(world: World) -> None:
    policy_is(world, max_attempts=2)
    send(world, "poison")
    claim, _ = turn(world)
    fail(world, claim, attempts=2)
    assert states(world) == [("poison", "failed")]


def ask_for_more(world: World, poison: set[str]) -> list[list[str]]:
    """As `work_off`, by turns that ask for what arrived; the batches with what joined them."""
    batches: list[list[str]] = []
    world.worker()
    while claims := world.take():
        assert len(batches) < 30, "it never comes to rest"
        batch = world.do(sessions.admit(claims[0].fence, CHAT, 256))
        joined = world.do(sessions.arrivals(Effect(claims[0].fence, Row("arrivals:1", '{"o":', after="}")), CHAT, 256))
        texts = [json.loads(entry.body)["input"] for entry in batch.entries] + [
            body["input"] for _, body, _ in json.loads(joined)
        ]
        batches.append(texts)
        if poison & set(texts):
            fail(world, claims[0])
        else:
            commit(world, claims[0])
    return batches


def test_a_part_of_a_failed_batch_is_not_given_the_other_part_as_arrivals(world: World) -> None:
    policy_is(world, on_arrival="early")
    send(world, "a", "poison", "b", "c")
    assert ask_for_more(world, {"poison"}) == [
        ["a", "poison", "b", "c"],
        ["a", "poison"],
        ["a"],
        ["poison"],
        ["b", "c"],
    ]
    assert states(world) == [("a", "settled"), ("poison", "failed"), ("b", "settled"), ("c", "settled")]


def test_what_joined_a_batch_that_failed_is_taken_in_its_parts(world: World) -> None:
    policy_is(world, on_arrival="early")
    send(world, "a", "b")
    claim, _ = turn(world)
    send(world, "poison", "d")
    world.do(sessions.arrivals(Effect(claim.fence, Row("arrivals:1", '{"o":', after="}")), CHAT, 256))
    fail(world, claim)
    assert ask_for_more(world, {"poison"}) == [["a", "b"], ["poison", "d"], ["poison"], ["d"]]


def test_a_part_that_fails_with_a_later_entry_is_taken_in_parts_up_to_that(world: World) -> None:
    send(world, "a", "b", "c", "d", "e")
    claim, _ = turn(world)
    send(world, "poison", "g")
    fail(world, claim)
    assert work_off(world, {"poison"}) == [["a", "b"], ["c", "d"], ["e", "poison"], ["e"], ["poison"], ["g"]]


# -- block


def blocked(world: World) -> None:
    policy_is(world, on_failure="block")
    send(world, "poison", "next")
    claim, _ = turn(world)
    fail(world, claim)
    claim, texts = turn(world)
    assert texts == ["poison"]
    fail(world, claim)


def test_a_session_that_is_to_block_stands_still_in_sight(world: World) -> None:
    blocked(world)
    assert states(world) == [("poison", "blocked"), ("next", "delivered")]
    assert world.take() == ()
    send(world, "more")
    assert world.take() == ()
    assert head(world)["blk"] == "1"
    assert world.go(inbox_verbs.inspect(CHAT)).status == "blocked"
    assert "redrive chat/1" in world.go(inbox_verbs.why(CHAT, None))


def test_what_blocks_is_listed_until_somebody_decides(world: World) -> None:
    blocked(world)
    for _ in range(3):
        assert [(e.n, e.state) for e in world.go(inbox_verbs.undeliverable(10))] == [(1, "blocked")]
        world.clock.advance("8d")
        world.tick()
    world.go(inbox_verbs.redrive(CHAT, None))
    assert world.go(inbox_verbs.undeliverable(10)) == []


def test_redrive_offers_the_blocking_entry_again_alone(world: World) -> None:
    blocked(world)
    assert world.go(inbox_verbs.redrive(CHAT, None)) == 1
    claim, texts = turn(world)
    assert texts == ["poison"]
    commit(world, claim)
    _, texts = turn(world)
    assert texts == ["next"]


def test_skip_fails_the_blocking_entry_and_goes_on(world: World) -> None:
    blocked(world)
    assert world.go(inbox_verbs.skip(CHAT)) == 1
    assert states(world) == [("poison", "failed"), ("next", "delivered")]
    _, texts = turn(world)
    assert texts == ["next"]


def test_nothing_blocks_a_session_that_goes_on(world: World) -> None:
    send(world, "a")
    for verb in (inbox_verbs.skip(CHAT), inbox_verbs.redrive(CHAT, None)):
        with pytest.raises(RedriveRefused):
            world.go(verb)


# -- redrive


def test_a_failed_entry_is_offered_again_as_a_new_one(world: World) -> None:
    send(world, "poison")
    claim, _ = turn(world)
    fail(world, claim)
    assert [(e.session_id, e.n, e.state) for e in world.go(inbox_verbs.undeliverable(10))] == [(CHAT, 1, "failed")]
    assert world.do(entries.redrive(CHAT, 1)) == 2
    assert world.do(entries.redrive(CHAT, 1)) == 2
    first, second = inbox(world)
    assert (first.state, first.by, second.state, second.input) == ("superseded", 2, "delivered", "poison")
    assert world.go(inbox_verbs.undeliverable(10)) == []
    claim, texts = turn(world)
    assert texts == ["poison"]
    commit(world, claim)
    assert states(world) == [("poison", "superseded"), ("poison", "settled")]


def test_what_was_settled_is_not_offered_again(world: World) -> None:
    send(world, "a")
    claim, _ = turn(world)
    commit(world, claim)
    with pytest.raises(RedriveRefused, match="is settled"):
        world.do(entries.redrive(CHAT, 1))
    with pytest.raises(EntryNotFound):
        world.do(entries.redrive(CHAT, 9))


# -- cancel


def test_a_cancelled_turn_settles_its_entries_and_its_open_question_takes_no_answer(world: World) -> None:
    source(world)
    world.emit("x", "wake", "first")
    claim, _ = turn(world)
    world.open(claim.fence, waits.Wait(slot="ask", replay_key="ask", group="ask", kind="x:ship"))
    world.do(waits.park(claim.fence, ["ask"], "{}"))
    world.emit("x", "wake", "second")
    world.do(ends.cancel(claim.process_id, "enough", grace_ms=10_000))
    world.clock.advance("10s")
    world.tick()
    assert world.status(claim.process_id) == "cancelled"
    assert states(world) == [("first", "settled"), ("second", "delivered")]
    answer = world.do(waits.resolve(claim.process_id, claim.fence.incarnation, "ask", '{"status":"ok","value":1}'))
    assert answer.unknown
    _, texts = turn(world)
    assert texts == ["second"]


def test_a_question_of_a_turn_that_is_to_end_takes_no_answer_although_nobody_waits_for_it_yet(world: World) -> None:
    send(world, "a")
    claim, _ = turn(world)
    world.do(ends.cancel(claim.process_id, "enough", grace_ms=10_000))
    assert world.do(
        waits.resolve(claim.process_id, claim.fence.incarnation, "ask", '{"status":"ok","value":1}')
    ).unknown
    [opened] = world.open(claim.fence, waits.Wait(slot="ask", replay_key="ask", group="ask", kind="x:ship"))
    assert (opened.state, opened.text) == ("done", '{"status":"cancelled"}')


def test_a_failure_that_is_no_exhaustion_halves_as_well(world: World) -> None:
    send(world, "a", "b")
    claim, _ = turn(world)
    world.do(ends.finish(claim.process_id, "failed", FAILED, fence=claim.fence))
    assert states(world) == [("a", "delivered"), ("b", "delivered")]
