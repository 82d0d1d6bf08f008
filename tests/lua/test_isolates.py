"""A worker claims no more calls of isolated tools than it has free children: the others stay in their queue, where
workers with a free child and stock workers find them, and keep no other work from their worker."""

from __future__ import annotations

from itertools import count

import pytest
from wakeline.store import claims, owners
from wakeline.store.claims import FreeIsolates, Taken

from tests.lua.world import LEASE_MS, World

CODES = ["e:job", "t:resize", "t:crop"]
ISOLATED = ("t:resize", "t:crop")
requests = count()


@pytest.fixture
def two(world: World) -> World:
    """A namespace with the workers o1 and o2, which have the code of everything."""
    for owner in ("o1", "o2"):
        world.do(owners.register_owner(owner, [world.ns], lease_ms=LEASE_MS, codes=CODES))
    return world


def calls(world: World, *pids: str, tool: str = "resize") -> None:
    """Starts a process for each call of an isolated tool."""
    for pid in pids:
        call = {"call_id": pid, "tool_id": f"tool:{tool}", "tool_name": tool, "args": {}}
        world.start(pid, input={"type": "tool_call", "call": call}, identity={"kind": tool})


def took(world: World, owner: str, free: int | None, n: int = 64) -> Taken:
    """A take of an owner with so many free children; None for one of a release that says nothing of them."""
    isolates = None if free is None else FreeIsolates(free, ISOLATED)
    request = f"{owner}-{next(requests)}"
    taken: Taken = world.do(claims.take(owner, request, [world.ns], n, lease_ms=LEASE_MS, isolates=isolates))
    return taken


def ids(taken: Taken) -> list[str]:
    return [claim.process_id for claim in taken.claims]


def rung(world: World, owner: str) -> bool:
    """Whether an owner was told to look; it hears that once."""
    return world.redis.lpop(world.key(f"notify:{owner}")) is not None


def test_a_take_brings_as_many_calls_as_there_are_free_children_and_other_work_behind_them(two: World) -> None:
    calls(two, "c1", "c2", "c3", "c4")
    two.start("body")
    assert ids(took(two, "o1", 2)) == ["c1", "c2", "body"]
    assert [two.status(pid) for pid in ("c3", "c4")] == ["queued", "queued"]
    assert two.doorbells() == [f"wl-{two.ns}-c3-1", f"wl-{two.ns}-c4-1"]


def test_what_it_left_goes_to_a_worker_with_a_free_child_in_the_order_of_the_queue(two: World) -> None:
    calls(two, "c1", "c2", "c3", "c4")
    took(two, "o1", 1)
    assert ids(took(two, "o1", 0)) == []
    assert ids(took(two, "o2", 2)) == ["c2", "c3"]
    assert ids(took(two, "o1", 1)) == ["c4"]


def test_all_isolated_tools_share_the_children_of_a_worker(two: World) -> None:
    calls(two, "c1")
    calls(two, "c2", "c3", tool="crop")
    assert ids(took(two, "o1", 2)) == ["c1", "c2"]


def sleeps(world: World, owner: str) -> None:
    """An owner that took nothing, and has not heard of what came since."""
    world.redis.sadd(world.key(f"idle:{world.ns}"), owner)


def test_an_idle_worker_with_a_free_child_hears_of_what_another_left(two: World) -> None:
    calls(two, "c1", "c2", "c3")
    sleeps(two, "o2")
    took(two, "o1", 1)
    assert rung(two, "o2")
    assert ids(took(two, "o2", 2)) == ["c2", "c3"]


def test_two_workers_without_a_free_child_do_not_wake_each_other(two: World) -> None:
    calls(two, "c1")
    sleeps(two, "o2")
    took(two, "o1", 0)
    assert rung(two, "o2")
    took(two, "o2", 0)
    assert not rung(two, "o1")
    took(two, "o1", 0)
    assert not rung(two, "o2")


def test_a_worker_whose_child_is_free_again_hears_of_calls_again(two: World) -> None:
    calls(two, "c1", "c2")
    took(two, "o2", 0)
    assert ids(took(two, "o2", 1)) == ["c1"]
    took(two, "o2", 0)
    assert ids(took(two, "o2", 1)) == ["c2"]
    assert two.redis.hget(two.key("takes:o2"), "crowded") is None


def test_a_worker_of_the_release_before_takes_all_that_it_asks_for(two: World) -> None:
    calls(two, "c1", "c2", "c3")
    assert ids(took(two, "o1", None)) == ["c1", "c2", "c3"]


def test_a_stock_worker_finds_what_was_left(two: World) -> None:
    calls(two, "c1", "c2")
    took(two, "o1", 1)
    two.worker("stock")
    claimed = two.do(claims.claim("c2", 1, "stock", "claim", lease_ms=LEASE_MS))
    assert claimed is not None
    assert claimed.process_id == "c2"


def test_a_take_looks_past_256_calls_that_it_leaves(two: World) -> None:
    calls(two, *(f"c{n:03}" for n in range(300)))
    two.start("body")
    assert ids(took(two, "o1", 0)) == []
    assert len(two.doorbells()) == 301
    assert two.doorbells()[:2] == [f"wl-{two.ns}-c000-1", f"wl-{two.ns}-c001-1"]
