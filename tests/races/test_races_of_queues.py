"""Race 18, for workers that take from several queues: a queue that has a doorbell is one that takes look at, whoever
put the doorbell there, and when."""

from __future__ import annotations

from wakeline.store import claims, ends, owners, queues

from tests.lua.world import LEASE_MS, START_MS, SUCCESS, World
from tests.races.rules import fails_without

HOUR_MS = 3_600_000


def own(world: World, n: int = 2) -> list[str]:
    return [f"{world.ns}.q{i}" for i in range(n)]


def joins(world: World, owner: str = "o1", n: int = 2) -> None:
    world.do(owners.register_owner(owner, own(world, n), lease_ms=LEASE_MS))


def taken(world: World, owner: str = "o1", n: int = 100) -> list[str]:
    call = claims.take(owner, f"r{next(world._takes)}", own(world), n, lease_ms=LEASE_MS)
    return [claim.process_id for claim in world.do(call).claims]


@fails_without(
    "the first doorbell of a queue says that there is one",
    "lib/doorbell.lua",
    "routes.rings(queue)",
)
def test_race_18_a_start_into_a_queue_that_a_take_just_found_empty_is_taken_by_the_next(world: World) -> None:
    joins(world)
    world.start("a", queue=own(world)[1])
    assert [taken(world), taken(world)] == [["a"], []]
    world.start("b", queue=own(world)[1])
    assert taken(world) == ["b"]


@fails_without(
    "a queue is passed over only once it was found empty",
    "queue_take.lua",
    "if take_from_queue(queue) then call('SREM', ns .. 'ringing', queue) end",
    "take_from_queue(queue) call('SREM', ns .. 'ringing', queue)",
)
def test_race_18_a_queue_that_a_full_take_left_half_empty_is_looked_at_again(world: World) -> None:
    joins(world)
    for pid in ("a", "b", "c"):
        world.start(pid, queue=own(world)[0])
    assert [taken(world, n=1) for _ in range(4)] == [["a"], ["b"], ["c"], []]


@fails_without(
    "a doorbell that a take put back is there still",
    "queue_take.lua",
    "return emptied and #aside + #strays == 0",
    "return emptied",
)
def test_race_18_a_process_that_waits_for_an_idle_worker_is_not_forgotten_by_a_busy_one(world: World) -> None:
    for owner in ("d1", "d2"):  # lost with its worker twice: it runs alone
        world.do(owners.register_owner(owner, own(world)[:1], lease_ms=LEASE_MS))
        if owner == "d1":
            world.start("alone", queue=own(world)[0])
        world.do(claims.take(owner, owner, own(world)[:1], 1, lease_ms=LEASE_MS))
        world.do(owners.reap(owner))
    joins(world, "busy")
    joins(world, "free")
    world.start("other", queue=own(world)[0])
    world.redis.lrem(world.rq(f"queue:{own(world)[0]}"), 0, f"wl-{world.ns}-other-1")
    world.redis.lpush(world.rq(f"queue:{own(world)[0]}"), f"wl-{world.ns}-other-1")
    assert taken(world, "busy") == ["other"]
    assert taken(world, "busy") == []
    assert taken(world, "free") == ["alone"]


@fails_without(
    "the tick finds doorbells that no script of this release put there",
    "tick.lua",
    "routes.find(looked, BOUND * 4)",
    "{}, nil",
)
def test_race_18_what_rq_or_the_release_before_pushes_is_found_by_the_next_tick_and_an_idle_worker_is_told(
    world: World,
) -> None:
    joins(world)
    world.start("a", queue=own(world)[0], delay_ms=HOUR_MS)
    assert taken(world) == []
    world.redis.rpush(world.rq(f"queue:{own(world)[0]}"), f"wl-{world.ns}-a-1")  # without a word to any script
    assert taken(world) == []
    world.tick()
    assert world.redis.lrange(world.key("notify:o1"), 0, -1) == ["bell"]
    assert taken(world) == ["a"]


@fails_without(
    "a worker that comes looks at its queues once",
    "lib/routes.lua",
    "routes.find(id .. ' 0', #queues)",
)
def test_race_18_what_was_queued_before_the_first_worker_of_several_queues_is_taken_at_once(world: World) -> None:
    world.start("a", queue=own(world)[1])
    joins(world)
    assert taken(world) == ["a"]


@fails_without(
    "a queue that is taken from again has its doorbells",
    "queue_pause.lua",
    "if waiting > 0 then routes.rings(a.queue) end",
)
def test_race_18_a_queue_that_was_found_paused_is_looked_at_once_it_is_taken_from_again(world: World) -> None:
    joins(world)
    world.do(queues.pause(own(world)[0]))
    world.start("a", queue=own(world)[0])
    assert taken(world) == []
    world.do(queues.pause(own(world)[0], paused=False))
    assert taken(world) == ["a"]


@fails_without(
    "an end that rings in the queue just found empty is heard",
    "lib/doorbell.lua",
    "routes.rings(queue)",
)
def test_race_18_a_place_that_is_given_while_its_queue_is_empty_rings_there(world: World) -> None:
    world.do(
        owners.register_owner(
            "o1", own(world), lease_ms=LEASE_MS, app="a", limits={f"q:{own(world)[0]}": '{"c":1}'}, release="v1"
        )
    )
    world.start("a", queue=own(world)[0])
    world.start("b", queue=own(world)[0])
    call = claims.take("o1", "r", own(world), 9, lease_ms=LEASE_MS, release="v1")
    claimed = world.do(call).claims
    assert [claim.process_id for claim in claimed] == ["a"]
    assert taken(world) == []
    world.do(ends.finish("a", "completed", SUCCESS, fence=claimed[0].fence))
    assert taken(world) == ["b"]


@fails_without(
    "a list of which few doorbells came is empty only if nothing rang since",
    "queue_take.lua",
    "at < wanted and doorbell.pushes == pushes",
    "at < wanted",
)
def test_race_18_a_cell_that_a_take_gives_rings_in_the_queue_that_it_takes_from(world: World) -> None:
    joins(world)
    world.redis.hset(world.key("limits"), "b:job", '{"n":1,"w":1000}')
    for pid in ("a", "b", "c"):
        world.start(pid, queue=own(world)[0], limit="b:job")
    assert taken(world) == ["a"]
    world.pass_ms(1_001)
    world.tick()  # b gets the cell that is free
    world.redis.hset(world.key("limits"), "b:job", '{"n":9,"w":1000}')
    assert taken(world) == ["b", "c"]


@fails_without(
    "the first of several doorbells that are pushed together says that there is one",
    "lib/doorbell.lua",
    "if call(command, list, ...) > select('#', ...) then return end",
    "if call(command, list, ...) > 1 then return end",
)
def test_race_18_starts_that_come_together_into_a_queue_just_found_empty_are_taken_by_the_next(world: World) -> None:
    joins(world)
    assert taken(world) == []
    world.store.execute_together([world.registering(pid, queue=own(world)[1]) for pid in ("a", "b", "c")])
    assert taken(world) == ["a", "b", "c"]


@fails_without(
    "owners that an earlier release reaped leave their routes",
    "lib/registries.lua",
    "routes.tidy()",
)
def test_race_18_a_route_whose_owners_an_earlier_release_reaped_is_gone_within_a_minute(world: World) -> None:
    joins(world)
    joins(world, "o2", n=3)
    world.redis.zrem(world.key("owners"), "o1")
    world.redis.delete(world.key("takes:o1"))
    world.pass_ms(1)
    world.tick()
    world.do(owners.register_owner("o2", own(world, 3), lease_ms=HOUR_MS))
    world.pass_ms(60_001)
    assert world.now() == START_MS + 60_002
    world.tick()
    assert len(world.redis.keys(world.key("route:*"))) == 1
