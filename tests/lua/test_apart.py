"""What was lost twice with its workers runs apart: nothing is lost with it that was not lost as often, innocents wait
for each other in groups and not one by one, and what ends its workers is soon alone."""

from __future__ import annotations

from itertools import count

import pytest
from wakeline.store import claims, journal, owners
from wakeline.store.claims import Claim
from wakeline.store.journal import Row
from wakeline.testing.model import lease

from tests.lua.world import LEASE_MS, World

LIVED_MS = 1_500
requests = count()


def taken(world: World, owner: str, *, n: int = 64, cleared: bool = False) -> list[Claim]:
    """What a worker gets that asks for up to n."""
    if world.redis.zscore(world.key("owners"), owner) is None:
        world.worker(owner)
    request = f"{owner}{next(requests)}"
    return list(world.do(claims.take(owner, request, [world.ns], n, lease_ms=LEASE_MS, cleared=cleared)).claims)


def ids(claimed: list[Claim]) -> list[str]:
    return [claim.process_id for claim in claimed]


def lost_twice(world: World, number: int) -> list[str]:
    """So many processes that ran together in two workers, each of which was killed."""
    started = [f"p{n}" for n in range(number)]
    for pid in started:
        world.start(pid)
    for owner in ("dies_1", "dies_2"):
        assert sorted(ids(taken(world, owner))) == sorted(started)
        world.pass_ms(LIVED_MS)
        world.do(owners.reap(owner))
    return started


def test_what_was_lost_twice_runs_beside_a_third_of_what_was_lost_with_it_and_nothing_else_is_there(
    world: World,
) -> None:
    suspects = lost_twice(world, 9)
    world.start("fresh")
    groups = [taken(world, owner) for owner in ("a", "b", "c")]
    assert [len(group) for group in groups] == [3, 3, 3]
    assert all(claim.alone for group in groups for claim in group)
    assert sorted(pid for group in groups for pid in ids(group)) == suspects
    assert ids(taken(world, "d")) == ["fresh"]


def test_a_worker_that_has_something_takes_none_of_them_and_goes_on_with_other_work(world: World) -> None:
    world.start("runs")
    assert ids(taken(world, "busy")) == ["runs"]
    lost_twice(world, 3)
    world.start("fresh")
    assert ids(taken(world, "busy")) == ["fresh"]


def test_those_that_are_no_suspects_keep_their_place_behind_a_group(world: World) -> None:
    lost_twice(world, 3)
    for pid in ("x", "y"):
        world.start(pid)
    before = world.doorbells()
    assert len(taken(world, "a")) == 1
    assert world.doorbells() == before[1:]


@pytest.mark.parametrize("held", [1, 5, 12, 64])
def test_losses_make_the_groups_that_the_model_says(world: World, held: int) -> None:
    for n in range(held):
        world.start(f"p{n}")
    most: int | None = None
    for losses in range(1, 7):
        group = taken(world, f"dies_{losses}")
        assert len(group) == (held if losses <= 2 else most)
        rest = count()
        while taken(world, f"lives_{losses}_{next(rest)}"):
            pass  # so that the next worker gets those of this group
        world.pass_ms(LIVED_MS)
        world.do(owners.reap(f"dies_{losses}"))
        most = lease.together(losses, len(group), most)
        assert {world.field("lb", pid) for pid in ids(group)} == {str(most)}
        world.pass_ms(lease.loss_delay_ms(losses))
        world.tick()


def test_of_forty_and_one_that_ends_its_workers_no_other_is_lost_more_than_four_times(world: World) -> None:
    innocents = [f"p{n}" for n in range(40)]
    for pid in [*innocents[:20], "poison", *innocents[20:]]:
        world.start(pid)
    losses, left, rounds = dict.fromkeys(innocents, 0), set(innocents), 0
    while left or world.status("poison") != "abandoned":
        rounds += 1
        group = taken(world, f"o{rounds}")
        world.pass_ms(100)
        if "poison" in ids(group):
            for pid in ids(group):
                losses[pid] = losses.get(pid, 0) + 1
            world.do(owners.reap(f"o{rounds}"))
        else:
            for claim in group:
                world.finish(claim.process_id, claim.fence)
                left.discard(claim.process_id)
            world.do(owners.reap(f"o{rounds}", "shutdown"))
            if not group:
                world.pass_ms(60_000)
        world.tick()
    assert {world.status(pid) for pid in innocents} == {"completed"}
    assert losses.pop("poison") == 11
    assert max(losses.values()) <= 4
    assert rounds < 41, "it took as long as one after the other"


# -- its moment


def test_its_moment_is_twice_as_long_as_its_longest_lost_run_and_a_second_and_a_minute_at_most(world: World) -> None:
    lost_twice(world, 1)
    [claim] = taken(world, "a")
    assert (world.field("la", "p0"), claim.moment_ms) == (str(LIVED_MS), 4_000)
    moments: list[int] = []
    for lasted in ("0", "29500", "29501", "many", None):
        fields = {name: value for name, value in claim.fields.items() if name != "la"}
        moments.append(
            Claim(
                claim.fence,
                fields if lasted is None else fields | {"la": lasted},
                claim.registration,
                None,
                {},
                {},
                True,
                claim.now_ms,
                claim.heard_ns,
            ).moment_ms
        )
    assert moments == [1_000, 60_000, 60_000, 60_000, 60_000]


def test_the_longest_of_its_lost_runs_counts(world: World) -> None:
    world.start("p")
    for n, lived_ms in enumerate((700, 200)):
        assert ids(taken(world, f"dies_{n}")) == ["p"]
        world.pass_ms(lived_ms)
        world.do(owners.reap(f"dies_{n}"))
    assert world.field("la") == "700"


def test_beside_what_outlived_its_moment_another_group_begins_and_none_that_has_to_be_alone(world: World) -> None:
    lost_twice(world, 9)
    assert len(taken(world, "a")) == 3
    assert taken(world, "a") == []
    [alone, *_] = [pid for pid in (f"p{n}" for n in range(9)) if world.status(pid) == "queued"]
    world.redis.hset(world.key(f"proc:{alone}"), "lb", "1")
    assert len(joined := taken(world, "a", cleared=True)) == 3
    assert (alone in ids(joined), world.status(alone)) == (False, "queued")


def test_progress_forgets_how_many_ran_beside_it_and_how_long(world: World) -> None:
    lost_twice(world, 4)
    [claim] = taken(world, "a")
    world.do(journal.record(claim.fence, [Row("step", "1")]))
    pid = claim.process_id
    assert [world.field(name, pid) for name in ("ls", "lb", "la")] == [None, None, None]


def test_what_the_release_before_lost_twice_runs_alone(world: World) -> None:
    lost_twice(world, 6)
    for n in range(6):
        world.redis.hdel(world.key(f"proc:p{n}"), "lb", "la")
    assert [len(taken(world, owner)) for owner in ("a", "b")] == [1, 1]
