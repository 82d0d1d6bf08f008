"""session_send, turn_admit, queue_take: entries in arrival order, and one turn for all that wait."""

from __future__ import annotations

from wakeline.sessions.admission import AdmissionPolicy
from wakeline.store import claims, ends, sessions

from tests.lua.world import LEASE_MS, World


def test_a_session_gets_one_turn_for_many_inputs(world: World) -> None:
    bot = world.session("bot/1")
    assert [world.do(sessions.send(bot, "{}", key=key, canonical=key)).entry for key in ("a", "b", "a")] == [1, 2, 1]
    [turn] = world.take(world.worker())
    assert [entry.n for entry in world.do(sessions.admit(turn.fence, "bot/1", 256)).entries] == [1, 2]


def taking(world: World, request: str, **agents: AdmissionPolicy) -> claims.Taken:
    taken: claims.Taken = world.do(
        claims.take(world.worker(), request, [world.ns], 9, lease_ms=LEASE_MS, agents=agents)
    )
    return taken


def test_a_take_that_runs_the_agent_brings_the_batch_of_its_turn_with_the_claim(world: World) -> None:
    for text in ("a", "b", "c"):
        world.do(sessions.send(world.session("bot/1"), text))
    [claim] = taking(world, "r1", bot=AdmissionPolicy(max_entries=2)).claims
    assert claim.batch is not None
    assert [entry.n for entry in claim.batch.entries] == [1, 2]
    assert [entry.state.split()[0] for entry in world.do(sessions.read("bot/1")).entries] == [
        "admitted",
        "admitted",
        "delivered",
    ]
    assert world.do(sessions.admit(claim.fence, "bot/1", 256)) == claim.batch
    [again] = taking(world, "r1", bot=AdmissionPolicy(max_entries=2)).claims
    assert again.batch == claim.batch


def test_a_take_without_the_agents_code_fixes_nothing(world: World) -> None:
    world.do(sessions.send(world.session("bot/1"), "a"))
    [claim] = taking(world, "r1", other=AdmissionPolicy()).claims
    assert claim.batch is None
    assert [entry.state for entry in world.do(sessions.read("bot/1")).entries] == ["delivered"]


def test_a_turn_that_was_cancelled_before_it_began_takes_nothing(world: World) -> None:
    world.do(sessions.send(world.session("bot/1"), "a"))
    turn = world.do(sessions.read("bot/1")).head.fields["turn"]
    world.do(ends.cancel(turn, "asked", grace_ms=10_000))
    [claim] = taking(world, "r1", bot=AdmissionPolicy()).claims
    assert claim.batch is None
    assert [entry.state for entry in world.do(sessions.read("bot/1")).entries] == ["delivered"]


def test_a_release_whose_turns_take_other_kinds_decides_at_its_claim(world: World) -> None:
    world.do(sessions.send(world.session("bot/1"), "a"))
    [claim] = taking(world, "r1", bot=AdmissionPolicy(kinds=frozenset({"wake"}))).claims
    assert claim.batch is not None
    assert claim.batch.entries == ()
    assert [entry.state.split()[:2] for entry in world.do(sessions.read("bot/1")).entries] == [
        ["undeliverable", "not_admissible"]
    ]
