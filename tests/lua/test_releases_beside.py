"""Releases side by side: what one cannot go on with is left to those that did not look yet, and all wait only once each
of them has looked."""

from __future__ import annotations

import pytest
from wakeline.processes.misfit import Misfit
from wakeline.store import ends, owners
from wakeline.store.claims import Claim

from tests.lua.world import BEAT_MS, LEASE_MS, STALE_MS, World

DELAY_MS = 4_000
"""Shorter than a lease: the workers of these tests live on."""


def joins(world: World, owner: str, release: str | None, *codes: str) -> None:
    world.do(owners.register_owner(owner, [world.ns], lease_ms=LEASE_MS, release=release, codes=codes or None))


def takes(world: World, owner: str, release: str | None, n: int = 10) -> list[Claim]:
    """What a worker gets; it is idle from then on, unless it got all it asked for."""
    return list(world.do(world.taking(owner, n, idle=True, release=release)).claims)


def gives_back(world: World, claims: list[Claim], release: str | None, delay_ms: int = DELAY_MS) -> None:
    """A worker gives back what its code cannot go on with."""
    for claim in claims:
        world.do(ends.release(claim.fence, delay_ms=delay_ms, misfit=Misfit("mismatch", "another call", release, 1)))


def looks(world: World, owner: str, release: str | None) -> int:
    """A worker looks at what there is for it, and can go on with nothing of it. How much that was."""
    claims = takes(world, owner, release)
    gives_back(world, claims, release)
    return len(claims)


def test_what_a_release_cannot_go_on_with_goes_to_an_idle_worker_of_another_at_once_and_to_its_own_not_at_all(
    world: World,
) -> None:
    for n in range(12):
        world.start(f"p{n}")
    for n in range(4):
        joins(world, f"b{n}", "B")
    claims = takes(world, "b0", "B", 12)
    assert [takes(world, f"b{n}", "B") for n in range(1, 4)] == [[], [], []]
    joins(world, "a", "A")
    assert takes(world, "a", "A") == []
    gives_back(world, claims, "B")
    assert [world.redis.lrange(world.key(f"notify:{owner}"), 0, -1) for owner in ("a", "b1", "b2", "b3")] == [
        ["bell"],
        [],
        [],
        [],
    ]
    assert [looks(world, f"b{n}", "B") for n in range(4)] == [0, 0, 0, 0]
    assert len({claim.process_id for claim in takes(world, "a", "A", 20)}) == 12


def test_of_three_releases_each_looks_once_then_all_wait_and_then_each_looks_again(world: World) -> None:
    for name in ("b", "c", "a"):
        joins(world, name, name.upper())
    world.start("p")
    for _ in range(3):
        assert looks(world, "b", "B") == 1
        assert looks(world, "b", "B") == 0
        assert looks(world, "c", "C") == 1
        assert [looks(world, name, name.upper()) for name in ("b", "c")] == [0, 0]
        assert looks(world, "a", "A") == 1
        assert [looks(world, name, name.upper()) for name in ("b", "c", "a")] == [0, 0, 0]
        world.pass_ms(DELAY_MS)
        world.tick()


def test_a_worker_of_another_release_that_comes_while_it_waits_has_it_before_those_that_looked(world: World) -> None:
    joins(world, "b", "B")
    world.start("p")
    assert looks(world, "b", "B") == 1
    joins(world, "a", "A")
    world.tick()
    assert looks(world, "b", "B") == 0
    assert [claim.process_id for claim in takes(world, "a", "A")] == ["p"]


def test_where_no_other_release_is_there_it_is_looked_at_again_after_its_delay(world: World) -> None:
    for owner in ("b0", "b1"):
        joins(world, owner, "B")
    world.start("p")
    assert looks(world, "b0", "B") == 1
    assert looks(world, "b1", "B") == 0
    world.pass_ms(DELAY_MS)
    world.tick()
    assert looks(world, "b1", "B") == 1


@pytest.mark.parametrize("release", [None, "v,1", "v 1 (code 1a2b3c4d)"])
def test_any_name_of_a_release_and_none_counts_as_one(world: World, release: str | None) -> None:
    joins(world, "b", release)
    joins(world, "a", "v")
    world.start("p")
    assert looks(world, "b", release) == 1
    assert looks(world, "b", release) == 0
    assert looks(world, "a", "v") == 1


def test_one_that_was_left_to_a_release_is_offered_to_the_others_once_its_last_worker_is_gone(world: World) -> None:
    joins(world, "b", "B")
    for owner in ("a0", "a1"):
        joins(world, owner, "A")
    world.start("p")
    assert looks(world, "b", "B") == 1
    world.do(owners.reap("a0", "shutdown"))
    world.tick()
    assert looks(world, "b", "B") == 0
    world.do(owners.reap("a1", "shutdown"))
    world.tick()
    assert looks(world, "b", "B") == 1


def test_so_it_is_where_the_other_was_not_heard_of_again(world: World) -> None:
    joins(world, "b", "B")
    joins(world, "a", "A")
    world.start("p")
    assert looks(world, "b", "B") == 1
    world.pass_ms(LEASE_MS + 1)
    assert looks(world, "b", "B") == 1


def test_one_that_was_left_to_a_release_counts_as_no_lost_doorbell(world: World) -> None:
    joins(world, "b", "B")
    joins(world, "a", "A")
    world.start("p")
    assert looks(world, "b", "B") == 1
    for _ in range(STALE_MS // BEAT_MS + 1):
        world.pass_ms(BEAT_MS)
        for owner in ("a", "b"):
            world.beat(owner, [])
        world.tick()
    assert world.field("rg") is None
    assert looks(world, "b", "B") == 0
    assert looks(world, "a", "A") == 1


def test_a_worker_that_lacks_the_code_is_none_that_it_is_left_to(world: World) -> None:
    joins(world, "b", "B", "e:job")
    joins(world, "a", "A", "e:other")
    world.start("p")
    assert looks(world, "b", "B") == 1
    assert [looks(world, name, name.upper()) for name in ("a", "b")] == [0, 0]
    world.pass_ms(DELAY_MS)
    world.tick()
    assert looks(world, "b", "B") == 1


def test_one_of_another_queue_is_none_either(world: World) -> None:
    joins(world, "b", "B")
    world.do(owners.register_owner("a", [f"{world.ns}.slow"], lease_ms=LEASE_MS, release="A"))
    world.start("p")
    assert looks(world, "b", "B") == 1
    world.pass_ms(DELAY_MS)
    world.tick()
    assert looks(world, "b", "B") == 1


def test_one_that_is_cancelled_goes_to_the_others_first(world: World) -> None:
    joins(world, "b", "B")
    world.start("p")
    assert looks(world, "b", "B") == 1
    joins(world, "a", "A")
    world.do(ends.cancel("p", "no more", grace_ms=10_000))
    world.tick()
    assert looks(world, "b", "B") == 0
    assert [claim.cancel_requested for claim in takes(world, "a", "A")] == [True]


def test_where_all_looked_before_a_cancel_each_looks_once_more(world: World) -> None:
    for name in ("b", "a"):
        joins(world, name, name.upper())
    world.start("p")
    assert [looks(world, name, name.upper()) for name in ("b", "a", "b", "a")] == [1, 1, 0, 0]
    world.do(ends.cancel("p", "no more", grace_ms=10_000))
    world.tick()
    assert [looks(world, name, name.upper()) for name in ("b", "a", "b", "a")] == [1, 1, 0, 0]


def test_what_ends_its_workers_is_left_to_another_release_from_the_third_time_on(world: World) -> None:
    world.start("p")
    joins(world, "a", "A")
    for n in range(3):
        joins(world, f"b{n}", "B")
        assert len(takes(world, f"b{n}", "B")) == 1
        world.do(owners.reap(f"b{n}"))
    joins(world, "b", "B")
    world.tick()
    assert takes(world, "b", "B") == []
    assert [claim.process_id for claim in takes(world, "a", "A")] == ["p"]


def test_nothing_of_it_is_left_once_it_goes_on(world: World) -> None:
    joins(world, "b", "B")
    joins(world, "a", "A")
    world.start("p")
    assert looks(world, "b", "B") == 1
    assert world.redis.smembers(world.key("asides")) == {f"{world.ns} -,B, e:job"}
    (claim,) = takes(world, "a", "A")
    world.finish(fence=claim.fence)
    assert (world.field("uf"), world.field("mf"), world.redis.exists(world.key("asides"))) == (None, None, 0)
    for name in ("a", "b"):
        takes(world, name, name.upper())
        assert world.redis.hget(world.key(f"takes:{name}"), "able") is None
