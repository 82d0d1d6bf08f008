"""Which owner runs a process, and what happens to one that no longer does (P97 to P106, E23 to E26)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from wakeline.errors import LeaseLost
from wakeline.store import claims, ends, journal, owners
from wakeline.store.journal import Row

if TYPE_CHECKING:
    from tests.contract.conftest import World

LEASE_MS = 5_000
ROW = Row("step:1", '{"outcome":1}')


def test_a_claimed_process_is_refused_to_everybody_else(world: World) -> None:
    fence = world.running("p", "o_1")
    world.worker("o_2")
    assert world.take("o_2") == ()
    assert world.do(claims.claim("p", fence.epoch, "o_2", "c2", lease_ms=LEASE_MS)) is None
    assert world.view().fields["ow"] == "o_1"


def test_a_repeated_take_returns_the_same_claim(world: World) -> None:
    world.start("p")
    world.worker()
    first = world.take(request="r1")
    again = world.take(request="r1")
    assert [claim.process_id for claim in first] == ["p"]
    assert [claim.fence for claim in again] == [claim.fence for claim in first]


def test_the_work_of_a_lost_owner_goes_to_another_under_a_higher_epoch(world: World) -> None:
    old = world.running("p", "o_1")
    world.lose("o_1")
    world.worker("o_2")
    (new,) = world.take("o_2")
    assert (new.process_id, old.epoch, new.fence.epoch) == ("p", 1, 2)
    world.finish("p", "by o_2", new.fence)
    assert world.status() == "completed"


def test_an_owner_seen_expired_once_keeps_its_work(world: World) -> None:
    fence = world.running("p", "o_1")
    world.clock.advance("6s")
    assert world.tick().reaped == 0
    assert world.do(owners.beat("o_1", [fence.claim_id], lease_ms=LEASE_MS)) == owners.Beaten(True)
    world.clock.advance("3s")
    assert world.tick().reaped == 0
    world.do(journal.record(fence, [ROW]))
    assert world.view().journal == ("step:1",)
    world.clock.advance("3s")
    assert world.tick().reaped == 0  # expired again, and the suspicion of then counts no longer


def test_two_looks_have_to_be_a_heartbeat_apart(world: World) -> None:
    world.running("p", "o_1")
    world.clock.advance("6s")
    assert [world.tick().reaped, world.tick().reaped] == [0, 0]
    world.clock.advance("1999ms")
    assert world.tick().reaped == 0
    world.clock.advance("1ms")
    assert world.tick().reaped == 1


def test_a_reaped_owner_is_refused(world: World) -> None:
    fence = world.running("p", "o_1")
    world.lose("o_1")
    assert world.do(owners.beat("o_1", [fence.claim_id], lease_ms=LEASE_MS)) == owners.Beaten(False)
    assert world.do(claims.take("o_1", "r9", [world.namespace], 1, lease_ms=LEASE_MS)).reaped is True
    assert world.view().fields["st"] == "queued"


def test_beats_keep_a_run_alive_far_beyond_its_first_expiry(world: World) -> None:
    fence = world.running("p", "o_1")
    for _ in range(5):
        # Two looks, far enough apart to reap an owner that is expired at both.
        for _ in range(2):
            world.clock.advance("2s")
            assert world.tick().reaped == 0
        assert world.do(owners.beat("o_1", [fence.claim_id], lease_ms=LEASE_MS)) == owners.Beaten(True)
    world.finish("p", "after 20 s", fence)
    assert world.status() == "completed"


def test_a_process_that_was_handed_back_is_taken_by_another(world: World) -> None:
    old = world.running("p", "o_1")
    assert world.do(ends.release(old)) == "released"
    world.worker("o_2")
    (new,) = world.take("o_2")
    assert (old.epoch, new.fence.epoch, new.fence.owner) == (1, 2, "o_2")


def test_a_late_end_is_refused_and_changes_nothing(world: World) -> None:
    old = world.running("p", "o_1")
    world.lose("o_1")
    world.worker("o_2")
    (new,) = world.take("o_2")
    before = world.view()
    with pytest.raises(LeaseLost):
        world.finish("p", "too late", old)
    after = world.view()
    assert (after.fields, after.events) == (before.fields, before.events)
    assert world.do(claims.claim("p", new.fence.epoch, "o_1", "c1", lease_ms=LEASE_MS)) is None
    assert world.do(owners.beat("o_2", [new.fence.claim_id], lease_ms=LEASE_MS)) == owners.Beaten(True)
    world.finish("p", "in time", new.fence)


def test_an_outcome_of_a_run_whose_process_was_taken_over_is_not_recorded(world: World) -> None:
    old = world.running("p", "o_1")
    world.lose("o_1")
    world.worker("o_2")
    (new,) = world.take("o_2")
    with pytest.raises(LeaseLost):
        world.do(journal.record(old, [ROW]))
    assert world.view().journal == ()
    world.do(journal.record(new.fence, [ROW]))
    assert world.view().journal == ("step:1",)


def test_an_outcome_is_refused_once_the_owner_was_reaped_though_nobody_took_over(world: World) -> None:
    fence = world.running("p", "o_1")
    world.lose("o_1")
    with pytest.raises(LeaseLost):
        world.do(journal.record(fence, [ROW]))
    assert world.view().journal == ()


def test_two_claims_of_one_epoch_are_told_apart(world: World) -> None:
    fence = world.running("p", "o_1")
    twin = type(fence)(
        process_id="p", incarnation=fence.incarnation, epoch=fence.epoch, claim_id="another", owner="o_2"
    )
    with pytest.raises(LeaseLost):
        world.do(journal.record(twin, [ROW]))
    world.do(journal.record(fence, [ROW]))
