"""owner_reap and owner_beat: what becomes of a worker's processes when it leaves, dies or forgets one."""

from __future__ import annotations

from wakeline.store import fleet

from tests.lua.world import World


def test_what_a_leaving_worker_hands_on_is_no_loss(world: World) -> None:
    world.running()
    assert world.do(fleet.reap("o1", "shutdown")) == 1
    assert (world.status(), world.field("ls")) == ("queued", None)


def test_what_a_dead_worker_held_is_a_loss(world: World) -> None:
    world.running()
    assert world.do(fleet.reap("o1")) == 1
    assert (world.status(), world.field("ls")) == ("queued", "1")
