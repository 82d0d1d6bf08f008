"""Routes: a take looks at the queues that may have doorbells, and at no other, however many its owner takes from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest
from wakeline.store import claims, owners, queues
from wakeline.store.calls import Call

from tests.lua.conftest import emptied
from tests.lua.test_handoffs import idle
from tests.lua.world import LEASE_MS, World
from tests.servers import BACKENDS


def names(world: World, n: int) -> list[str]:
    return [f"{world.ns}.q{i}" for i in range(n)]


def joins(world: World, owner: str, taken_from: Sequence[str]) -> None:
    world.do(owners.register_owner(owner, taken_from, lease_ms=LEASE_MS))


def taking(world: World, owner: str, taken_from: Sequence[str], n: int = 100) -> Call[claims.Taken]:
    return claims.take(owner, f"r{next(world._takes)}", taken_from, n, lease_ms=LEASE_MS)


def taken(world: World, owner: str, taken_from: Sequence[str], n: int = 100) -> list[str]:
    return [claim.process_id for claim in world.do(taking(world, owner, taken_from, n)).claims]


def keys_of_routes(world: World) -> list[str]:
    families = ("route:", "travels:", "ringing", "idle:")
    found: list[str] = world.keys()
    return [key for key in found if key.startswith(tuple(map(world.key, families)))]


def test_queues_are_taken_from_in_the_order_in_which_they_are_named(world: World) -> None:
    all_of_them = ["b", "a", "c"]
    joins(world, "o1", [f"{world.ns}.{one}" for one in all_of_them])
    for one in ("a", "b", "c"):
        world.start(f"{one}1", queue=f"{world.ns}.{one}")
        world.start(f"{one}2", queue=f"{world.ns}.{one}")
    found = [taken(world, "o1", all_of_them, 1) for _ in range(7)]
    assert found == [["b1"], ["b2"], ["a1"], ["a2"], ["c1"], ["c2"], []]


def test_workers_with_the_same_queues_share_a_route_and_another_order_is_another_route(world: World) -> None:
    two, turned = names(world, 2), names(world, 2)[::-1]
    joins(world, "o1", two)
    joins(world, "o2", two)
    joins(world, "o3", turned)
    for pid in ("x", "y"):
        for queue in two:
            world.start(f"{pid}{queue[-1]}", queue=queue)
    assert [len(world.redis.keys(world.key(f"{one}:*"))) for one in ("route", "travels")] == [2, 2]
    assert taken(world, "o3", turned, 1) == ["x1"]
    assert taken(world, "o2", two, 1) == ["x0"]
    assert taken(world, "o1", two) == ["y0", "y1"]


def test_an_idle_worker_of_many_queues_is_told_once_of_any_of_them(world: World) -> None:
    many = names(world, 3)
    joins(world, "o1", many)
    assert taken(world, "o1", many) == []
    world.start("a", queue=many[2])
    world.start("b", queue=many[0])
    assert world.redis.lrange(world.key("notify:o1"), 0, -1) == ["bell"]
    assert taken(world, "o1", many) == ["b", "a"]


def test_a_ring_finds_an_idle_worker_of_one_queue_and_of_many(world: World) -> None:
    many = names(world, 3)
    joins(world, "single", many[1:2])
    joins(world, "several", many)
    joins(world, "others", many[:1])
    for owner, own in (("single", many[1:2]), ("several", many), ("others", many[:1])):
        assert taken(world, owner, own) == []
    for pid in ("a", "b", "c"):
        world.start(pid, queue=many[1])
    told = {owner: world.redis.lrange(world.key(f"notify:{owner}"), 0, -1) for owner in ("single", "several", "others")}
    assert told == {"single": ["bell"], "several": ["bell"], "others": []}
    [first, *_], _ = world.do(queues.list_queues(many[:1]))
    assert first.idle == 1


def test_a_take_of_none_and_a_full_take_leave_the_idle_ones(world: World) -> None:
    many = names(world, 2)
    joins(world, "o1", many)
    for n in (0, 1):
        assert taken(world, "o1", many) == []
        world.redis.rpush(world.rq(f"queue:{many[1]}"), f"wl-{world.ns}-gone-1")
        world.start(f"p{n}", queue=many[0], delay_ms=1_000)
        world.do(taking(world, "o1", many, n))
        if n:
            world.start("q", queue=many[0])
            world.redis.delete(world.key("notify:o1"))
            assert taken(world, "o1", many, 1) == ["q"]
        world.start(f"later{n}", queue=many[0])
        assert world.redis.exists(world.key("notify:o1")) == 0
        assert taken(world, "o1", many) == [f"later{n}"]


def test_a_paused_queue_costs_takes_nothing_and_comes_back_with_its_bells(world: World) -> None:
    many = names(world, 2)
    joins(world, "o1", many)
    world.do(queues.pause(many[0]))
    world.start("p", queue=many[0])
    assert taken(world, "o1", many) == []
    assert world.redis.exists(world.key("ringing")) == 0
    world.tick()
    assert world.redis.exists(world.key("ringing")) == 0
    world.do(queues.pause(many[0], paused=False))
    assert taken(world, "o1", many) == ["p"]


def test_a_route_is_gone_with_its_last_owner_and_another_stays(world: World) -> None:
    two, three = names(world, 2), names(world, 3)
    for owner, own in (("o1", two), ("o2", two), ("o3", three)):
        joins(world, owner, own)
        assert taken(world, owner, own) == []
    world.do(owners.reap("o1"))
    assert len(world.redis.keys(world.key("route:*"))) == 2
    world.do(owners.reap("o2"))
    assert len(world.redis.keys(world.key("route:*"))) == 1
    world.start("p", queue=two[1])
    assert taken(world, "o3", three) == ["p"]
    world.do(owners.reap("o3"))
    world.redis.delete(*world.redis.keys(world.rq("*")))
    assert keys_of_routes(world) == []
    assert world.redis.hmget(world.key("meta"), "routes", "looked") == [None, None]


def test_an_owner_that_registers_again_with_one_queue_leaves_its_route(world: World) -> None:
    many = names(world, 2)
    joins(world, "o1", many)
    joins(world, "o1", many[:1])
    world.start("p", queue=many[0])
    world.start("q", queue=many[1])
    assert taken(world, "o1", many[:1]) == ["p"]
    assert keys_of_routes(world) == [world.key(f"idle:{many[0]}")]


def test_a_fleet_of_single_queues_writes_nothing_about_routes(world: World) -> None:
    world.worker()
    world.start("p")
    world.tick()
    assert world.take() != ()
    assert keys_of_routes(world) == []


# -- what it costs


@pytest.fixture(params=BACKENDS[1:])
def served(request: pytest.FixtureRequest, lua_server: Callable[[str], str]) -> Iterator[World]:
    """A namespace on a real server, which counts its commands."""
    made = World.on(emptied(request.param, lua_server))
    yield made
    made.store.close()


def commands(world: World, call: Call[claims.Taken]) -> int:
    """How many commands the script of a call runs."""
    world.do(call)  # its text is loaded, and what it leaves is there
    stats = world.redis.info("commandstats")
    before = sum(row["calls"] for row in stats.values())
    world.do(call)
    stats = world.redis.info("commandstats")
    return int(sum(row["calls"] for row in stats.values()) - before - 2)  # the FCALL and an INFO


@pytest.mark.parametrize("n", [1, 2, 1_000])
def test_a_take_of_nothing_runs_six_commands_at_any_number_of_queues(served: World, n: int) -> None:
    many = names(served, n)
    joins(served, "o1", many)
    assert commands(served, taking(served, "o1", many)) == 6


@pytest.mark.parametrize("n", [2, 1_000])
def test_a_take_visits_the_queues_with_work_and_no_other(served: World, n: int) -> None:
    many = names(served, n)
    joins(served, "o1", many)
    for queue in (many[0], many[-1]):
        served.start(queue, queue=queue)
    served.redis.config_resetstat()
    assert taken(served, "o1", many) == [many[0], many[-1]]
    assert (
        served.redis.info("commandstats")["cmdstat_lpop"]["calls"] == 2
    )  # one of each, since it brought less than was wanted


def test_the_tick_looks_at_a_thousand_queues_in_thirty_two_commands(served: World) -> None:
    many = names(served, 1_000)
    joins(served, "o1", many)
    served.tick()
    before = served.redis.info("commandstats")
    served.tick()
    after = served.redis.info("commandstats")
    looked = {
        one: after[f"cmdstat_{one}"]["calls"] - before[f"cmdstat_{one}"]["calls"] for one in ("smismember", "exists")
    }
    assert looked["smismember"] == 16
    assert looked["exists"] <= 20


@pytest.mark.parametrize("n", [1, 64])
def test_a_start_is_handed_over_in_as_many_commands_beside_any_number_of_idle_workers(served: World, n: int) -> None:
    served.start("loads", queue=f"{served.ns}.other")  # the text of the script
    for number in range(n):
        idle(served, f"o{number}")
    before = sum(row["calls"] for row in served.redis.info("commandstats").values())
    served.start("p")
    after = sum(row["calls"] for row in served.redis.info("commandstats").values())
    assert (served.status("p"), after - before) == ("running", 26)
