"""Deliveries of an occurrence: each is settled once, by the start that carries it out or by a failure to start."""

from __future__ import annotations

from dataclasses import replace

from wakeline.store import processes, triggers
from wakeline.triggers.occurrence import RETAINED_MS, Occurrence
from wakeline.triggers.subscription import Subscription, Target

from tests.lua.world import World

PUSH = Occurrence("github.push", "k1", {"repo": "x"})


def emitted(world: World, *names: str) -> tuple[triggers.Delivery, ...]:
    """The deliveries of one occurrence to these subscriptions."""
    for name in names:
        world.do(triggers.subscribe(Subscription(source="github.push", name=name, target=Target(kind="engine", name="build"))))
    found = world.do(triggers.emit(PUSH))
    assert found is not None
    return tuple(found.deliveries)


def starting(world: World, pid: str, delivery: triggers.Delivery) -> processes.Call[processes.Registered]:
    """The start that carries a delivery out."""
    call = world.registering(pid)
    return replace(call, args={**call.args, "delivery": delivery.wire()})


def occurrence_key(world: World) -> str:
    """Where the occurrence is kept."""
    return world.key(f"occ:{PUSH.id}")


def test_a_start_settles_the_delivery_it_carries_out(world: World) -> None:
    [delivery] = emitted(world, "build")
    world.do(starting(world, "p", delivery))
    assert world.redis.hget(occurrence_key(world), f"s:{delivery.subscription_id}") == "started"
    assert world.redis.zcard(world.key("deliveries")) == 0
    assert world.do(triggers.pending(older_ms=0)) == []
    assert 0 < world.redis.pttl(occurrence_key(world)) <= RETAINED_MS


def test_a_start_that_is_sent_again_settles_its_delivery_too(world: World) -> None:
    """The first start of the process was another's, who died before it could settle anything."""
    [delivery] = emitted(world, "build")
    world.do(world.registering("p"))
    assert world.do(starting(world, "p", delivery)).created is False
    assert world.do(triggers.pending(older_ms=0)) == []


def test_a_delivery_that_is_settled_twice_counts_once(world: World) -> None:
    first, second = emitted(world, "build", "test")
    assert world.do(triggers.settle(first, "failed unknown_name no such body")) is True
    assert world.do(triggers.settle(first, "started")) is False
    assert world.redis.hget(occurrence_key(world), f"s:{first.subscription_id}") == "failed unknown_name no such body"
    # The other one still waits, so the occurrence is kept without an end.
    assert (world.redis.hget(occurrence_key(world), "n"), world.redis.pttl(occurrence_key(world))) == ("1", -1)
    assert [waiting.subscription_id for waiting in world.do(triggers.pending(older_ms=0))] == [second.subscription_id]
