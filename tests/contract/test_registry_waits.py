"""A process that waits, and lists of processes (P60 to P72, P94)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from wakeline.errors import LeaseLost
from wakeline.processes.lease import Fence
from wakeline.store import processes, waits
from wakeline.store.waits import LetGo, Met

if TYPE_CHECKING:
    from tests.contract.conftest import World

GO = '{"signal":"go"}'


def parked(world: World, pid: str = "p", owner: str = "o_1") -> Fence:
    """A process that waits for the signal `go`; returns the fence of the run that parked it."""
    fence = world.running(pid, owner)
    world.wait_for(fence, "go")
    assert world.do(waits.park(fence, ["go.1"], GO)) == LetGo(2)
    return fence


def listed(world: World, status: str, **filters: str) -> list[str]:
    """Ids of one page of a status, newest first."""
    return [row.process_id for row in world.do(processes.list_page([status], **filters)).rows]


def test_nobody_can_open_a_wait_of_an_unknown_process(world: World) -> None:
    with pytest.raises(LeaseLost):
        world.wait_for(Fence(process_id="nobody", incarnation="inc00001", epoch=1, claim_id="c", owner="o_1"), "go")
    assert world.store.client.exists("{" + world.namespace + "}:slot:slot-go.1") == 0


def test_a_parked_process_shows_what_it_waits_for_and_nobody_holds_it(world: World) -> None:
    parked(world)
    view = world.view()
    assert view.status == "waiting"
    assert view.fields["n:go"] == "slot-go.1"
    assert "ow" not in view.fields
    assert [(e.type, e.payload) for e in view.events] == [("process.started", "{}"), ("process.waiting", GO)]


def test_lists_tell_waiting_processes_from_running_ones(world: World) -> None:
    parked(world, "a")
    world.running("b")
    assert listed(world, "waiting") == ["a"]
    assert listed(world, "waiting", waiting="go") == ["a"]
    assert listed(world, "waiting", waiting="stop") == []
    assert listed(world, "running") == ["b"]


def test_a_resolved_wait_is_cleared_and_the_process_is_queued_again(world: World) -> None:
    parked(world)
    assert world.signal("p", "go", "now").taken_by == "slot"
    view = world.view()
    assert view.status == "queued"
    assert "n:go" not in view.fields
    assert [e.type for e in view.events] == ["process.started", "process.waiting", "signal.go", "process.resumed"]


def test_the_end_of_a_process_clears_its_waits(world: World) -> None:
    fence = world.running("p")
    world.wait_for(fence, "go")
    world.finish("p", 1, fence)
    view = world.view()
    assert (view.status, view.slots) == ("completed", {})
    assert [name for name in view.fields if name.startswith(("n:", "o:"))] == []


def test_an_ended_process_cannot_open_a_wait(world: World) -> None:
    fence = world.running("p")
    world.finish("p", 1, fence)
    with pytest.raises(LeaseLost):
        world.wait_for(fence, "go")
    assert world.view().slots == {}


def test_a_park_whose_wait_is_over_already_is_refused(world: World) -> None:
    fence = world.running("p")
    world.wait_for(fence, "go")
    world.signal("p", "go", "now")
    assert world.do(waits.park(fence, ["go.1"], GO)) == Met()
    assert world.status() == "running"


def test_every_process_is_listed_under_its_status_newest_first(world: World) -> None:
    for pid in ("b", "c", "a"):
        world.start(pid)
        world.clock.advance("1s")
    world.start("x", kind="external")
    world.start("y", kind="external")
    world.finish("y")
    assert listed(world, "queued") == ["a", "c", "b"]
    assert listed(world, "running") == ["x"]
    assert listed(world, "completed") == ["y"]


def test_what_ended_leaves_the_list_of_what_lives(world: World) -> None:
    world.start("a")
    fence = world.running("b")
    world.start("c")
    world.finish("b", 1, fence)
    # `a` was queued first and was taken with `b`.
    assert listed(world, "queued") == ["c"]
    assert listed(world, "running") == ["a"]
    assert listed(world, "completed") == ["b"]
