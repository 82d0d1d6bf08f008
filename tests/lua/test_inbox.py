"""session_send, turn_admit: entries in arrival order, and one turn for all that wait."""

from __future__ import annotations

from wakeline.store import sessions

from tests.lua.world import World


def test_a_session_gets_one_turn_for_many_inputs(world: World) -> None:
    bot = world.session("bot/1")
    assert [world.do(sessions.send(bot, "{}", key=key, canonical=key)).entry for key in ("a", "b", "a")] == [1, 2, 1]
    [turn] = world.take(world.worker())
    assert [entry.n for entry in world.do(sessions.admit(turn.fence, "bot/1", 256)).entries] == [1, 2]
