"""process_finish: one terminal event, from any sender, however often it is sent."""

from __future__ import annotations

import pytest
from wakeline.errors import LeaseLost, ProcessAlreadyTerminal
from wakeline.store import ends

from tests.lua.world import SUCCESS, World


def test_an_end_sent_twice_is_one_end(world: World) -> None:
    fence = world.running("p")
    end = ends.finish("p", "completed", SUCCESS, fence=fence)
    assert [world.do(end), world.do(end)] == [2, 2]
    assert world.events("p") == ["process.started", "process.completed"]


def test_another_end_is_refused(world: World) -> None:
    fence = world.running("p")
    world.finish("p", fence)
    with pytest.raises(LeaseLost):
        world.finish("p", fence, output='{"type":"success","value":2}')
    with pytest.raises(ProcessAlreadyTerminal):
        world.signal("p")
    assert world.events("p") == ["process.started", "process.completed"]


def test_an_equal_end_of_a_run_that_lost_its_lease_is_refused(world: World) -> None:
    late = world.running("p", "o1")
    world.lose("o1")
    world.finish("p", world.claim("p", "o2"))
    before = world.snapshot()
    with pytest.raises(LeaseLost):
        world.finish("p", late)
    assert world.snapshot() == before
