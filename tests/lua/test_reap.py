"""owner_reap and owner_beat: what becomes of a worker's processes when it leaves, dies or forgets one."""

from __future__ import annotations

from wakeline.store import owners
from wakeline.testing.model import lease

from tests.lua.world import LEASE_MS, World


def test_what_a_leaving_worker_hands_on_is_no_loss(world: World) -> None:
    world.running()
    assert world.do(owners.reap("o1", "shutdown")) == ("p",)
    assert (world.status(), world.field("ls")) == ("queued", None)


def test_what_a_dead_worker_held_is_a_loss(world: World) -> None:
    world.running()
    assert world.do(owners.reap("o1")) == ("p",)
    assert (world.status(), world.field("ls")) == ("queued", "1")


def test_who_leaves_after_it_was_rung_has_another_rung(world: World) -> None:
    world.worker("o1")
    world.do(world.taking("o1", idle=True))
    world.start()  # its bell is the one idle worker's
    world.worker("o2")
    world.redis.sadd(world.key(f"idle:{world.ns}"), "o2")
    world.do(owners.reap("o1", "shutdown"))
    assert world.redis.lrange(world.key("notify:o2"), 0, -1) == ["bell"]
    world.take("o2")
    world.redis.delete(world.key("notify:o2"))
    world.redis.sadd(world.key(f"idle:{world.ns}"), "o2")
    world.worker("o3")
    world.do(owners.reap("o3", "shutdown"))
    assert world.redis.exists(world.key("notify:o2")) == 0  # nothing is queued


def test_the_number_of_an_owners_last_beat_is_kept_until_it_is_reaped(world: World) -> None:
    world.worker()
    for n in (1, 2, 3, 3):
        assert world.do(owners.beat("o1", [], lease_ms=LEASE_MS, n=n)) == owners.Beaten(True)
    assert world.redis.hgetall(world.key("beats")) == {"o1": "3"}
    world.do(owners.reap("o1"))
    assert world.redis.exists(world.key("beats")) == 0


def test_losses_weigh_what_the_model_says(world: World) -> None:
    world.start()
    for losses in range(1, lease.MAX_LOSSES + 2):
        world.worker(f"o{losses}")
        [claim] = world.take(f"o{losses}")
        assert claim.alone == lease.runs_apart(losses - 1)
        world.do(owners.reap(f"o{losses}"))
        assert (world.status() == "abandoned") == lease.losses_exhausted(losses)
        if delay_ms := 0 if lease.losses_exhausted(losses) else lease.loss_delay_ms(losses):
            world.worker("early")
            world.pass_ms(delay_ms - 1)
            world.tick()
            assert world.take("early") == ()
            world.pass_ms(1)
            world.tick()
    assert world.status() == "abandoned"
