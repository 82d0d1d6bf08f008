"""metrics_add and metrics_read: totals that workers add to, each of their writes once."""

from __future__ import annotations

from wakeline.store import ends, owners
from wakeline.store.metrics import add_metrics, read_metrics

from tests.lua.world import LEASE_MS, SUCCESS, WEEK_MS, World

RUNS = 'wakeline_runs_total{kind="tool",name="charge",outcome="completed"}'


def totals(world: World) -> dict[str, int]:
    found: dict[str, int] = dict(world.do(read_metrics([])).totals)
    return found


def test_what_workers_counted_adds_up(world: World) -> None:
    world.worker("o1")
    world.worker("o2")
    assert world.do(add_metrics("o1", 1, {RUNS: 3, "a_total": 1})) is True
    assert world.do(add_metrics("o2", 1, {RUNS: 4})) is True
    assert world.do(add_metrics("o1", 2, {RUNS: 1})) is True
    assert totals(world) == {RUNS: 8, "a_total": 1}


def test_a_write_that_is_sent_again_adds_nothing(world: World) -> None:
    world.worker()
    for n in (1, 1, 2, 2, 1):
        assert world.do(add_metrics("o1", n, {RUNS: 10})) is True
    assert totals(world) == {RUNS: 20}
    assert world.redis.hgetall(world.key("counted")) == {"o1": "2"}


def test_an_owner_that_was_reaped_adds_nothing_and_its_number_is_gone(world: World) -> None:
    world.worker()
    world.do(add_metrics("o1", 1, {RUNS: 1}))
    world.do(owners.reap("o1", "shutdown"))
    assert world.do(add_metrics("o1", 2, {RUNS: 1})) is False
    assert totals(world) == {RUNS: 1}
    assert world.redis.exists(world.key("counted")) == 0


def test_a_new_series_beyond_the_bound_is_counted_as_dropped(world: World) -> None:
    world.worker()
    world.redis.hset(world.key("metrics"), mapping={f"s{i}": 1 for i in range(20_000)})
    world.do(add_metrics("o1", 1, {"s7": 2, "new": 5}))
    found = totals(world)
    assert (found["s7"], found["wakeline_metrics_dropped_total"], "new" in found) == (3, 5, False)


def test_a_loss_is_counted_and_an_order_to_leave_is_none(world: World) -> None:
    world.running()
    world.do(owners.reap("o1", "shutdown"))
    assert totals(world) == {}
    world.worker("o2")
    world.take("o2")
    world.do(owners.reap("o2"))
    assert totals(world) == {"wakeline_losses_total": 1, "wakeline_reaped_owners_total": 1}
    world.do(owners.reap("o2"))
    assert totals(world)["wakeline_reaped_owners_total"] == 1


def test_a_claim_that_two_beats_do_not_name_is_a_loss(world: World) -> None:
    world.running()
    for n in (1, 2):
        world.do(owners.beat("o1", [], lease_ms=LEASE_MS, n=n))
    assert totals(world) == {"wakeline_losses_total": 1}


def test_what_retention_removes_stays_in_the_total_of_ends(world: World) -> None:
    for i in range(3):
        world.start(f"p{i}", kind="external")
        world.do(ends.finish(f"p{i}", "completed", SUCCESS))
    world.pass_ms(WEEK_MS)
    while world.redis.zcard(world.key("idx:completed")):
        world.tick()
    assert totals(world) == {'wakeline_ended_total{status="completed"}': 3}


def test_the_head_of_a_queue_says_since_when_it_is_offered(world: World) -> None:
    world.start("p1")
    began = world.now()
    world.pass_ms(700)
    world.start("p2")
    assert world.do(read_metrics([world.ns, "other"])).oldest_ms == {world.ns: began}
    world.worker()
    world.take()
    assert world.do(read_metrics([world.ns])).oldest_ms == {}
