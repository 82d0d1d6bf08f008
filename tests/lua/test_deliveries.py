"""Deliveries of an occurrence: each is settled once, by the start that carries it out or by a failure to start."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError
from wakeline.store import attachments, processes, starts, triggers
from wakeline.triggers.occurrence import RETAINED_MS, Occurrence
from wakeline.triggers.subscription import Subscription, Target

from tests.lua.world import World

PUSH = Occurrence("github.push", "k1", {"repo": "x"})
LARGE = Occurrence("github.push", "k2", {"blob": "x" * 300_000})
HOUR_MS = 3_600_000


def emitted(world: World, *names: str, of: Occurrence = PUSH) -> tuple[triggers.Delivery, ...]:
    """The deliveries of one occurrence to these subscriptions."""
    for name in names:
        world.do(
            triggers.subscribe(
                Subscription(source="github.push", name=name, target=Target(kind="engine", name="build"))
            )
        )
    found = world.do(triggers.emit(of))
    assert found is not None
    return tuple(found.deliveries)


def starting(world: World, pid: str, delivery: triggers.Delivery) -> processes.Call[starts.Registered]:
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


# -- a large occurrence: what is kept of it is a stand-in


def kept(world: World, of: Occurrence) -> dict[str, str]:
    """What is kept of an occurrence."""
    found: dict[str, str] = world.redis.hgetall(world.key(f"occ:{of.id}"))
    return found


def payloads(world: World) -> list[Any]:
    """What a worker reads that delivers what no other one did."""
    return [delivery.occurrence.payload for delivery in world.do(triggers.pending(older_ms=0))]


def swept(world: World) -> int:
    """How many bytes a sweep removes an hour later."""
    world.pass_ms(HOUR_MS + 1)
    return int(world.store.run(attachments.sweep(world.store.blobs)).removed)


def test_a_large_occurrence_is_kept_as_a_stand_in_and_delivered_whole(world: World) -> None:
    emitted(world, "build", "test", of=LARGE)
    assert kept(world, LARGE)["p"].startswith('{"__claim__":"sha256:')
    assert max(len(text) for text in kept(world, LARGE).values()) < 1_000
    assert payloads(world) == [LARGE.payload, LARGE.payload]


def test_a_large_occurrence_again_is_the_same_one_and_another_payload_a_conflict(world: World) -> None:
    first = emitted(world, "build", of=LARGE)
    again = world.do(triggers.emit(LARGE))
    assert (again.replayed, again.deliveries) == (True, first)
    other = replace(LARGE, payload={"blob": "y" * 300_000})
    assert world.raw(triggers.emit(other)) == ["conflict"]


def test_what_the_release_before_kept_whole_is_delivered_as_it_is(world: World) -> None:
    """Also where it looks like a stand-in: an emitter wrote it, and it opens nothing."""
    [delivery] = emitted(world, "build")
    stored = world.store.run(
        attachments.put(world.store.blobs, b'"of another"', "application/json", "host", stands_in=True)
    )
    for text, payload in (
        ('{"blob":"x"}', {"blob": "x"}),
        (f'{{"__claim__":"{stored.id}"}}', {"__claim__": stored.id}),
    ):
        world.redis.hset(occurrence_key(world), "p", text)
        assert payloads(world) == [payload]
    assert kept(world, PUSH)[f"d:{delivery.subscription_id}"].startswith("{")


def test_a_release_that_knows_no_stand_in_of_an_occurrence_leaves_its_delivery(world: World) -> None:
    """It reads a delivery's subscription first, and what it cannot read it leaves to another release."""
    [delivery] = emitted(world, "build", of=LARGE)
    with pytest.raises(ValidationError):
        Subscription.model_validate_json(kept(world, LARGE)[f"d:{delivery.subscription_id}"])
    assert delivery.subscription is not None


def test_an_occurrence_whose_payload_is_lost_keeps_no_worker_from_the_others(world: World) -> None:
    emitted(world, "build", of=LARGE)
    emitted(world, "build")
    [place] = world.redis.scan_iter(match=world.key("bytes:*"))
    world.redis.delete(place)
    found = {delivery.occurrence_id: delivery for delivery in world.do(triggers.pending(older_ms=0))}
    assert getattr(found[LARGE.id].unread, "code", None) == "attachment_corrupt"
    assert (found[PUSH.id].unread, found[PUSH.id].occurrence.payload) == (None, {"repo": "x"})


def test_the_payload_of_an_occurrence_lives_as_long_as_the_occurrence(world: World) -> None:
    [delivery] = emitted(world, "build", of=LARGE)
    assert swept(world) == 0
    assert payloads(world) == [LARGE.payload]
    world.do(triggers.settle(delivery, "started"))
    assert swept(world) == 0
    world.redis.delete(world.key(f"occ:{LARGE.id}"))  # as its expiry does, a week later
    assert swept(world) == 1
