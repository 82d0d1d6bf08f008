"""Claims, hand-backs, attempts and losses of one process (P139 to P146, P150, P196, P197, P202, P222 to P231)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from wakeline.errors import LeaseLost, ProcessAlreadyTerminal
from wakeline.store import claims, ends, events, fleet, journal, owners, signals, starts, waits
from wakeline.store.journal import Row

if TYPE_CHECKING:
    from tests.contract.conftest import World

LEASE_MS = 5_000
ROW = Row("step:1", '{"outcome":1}')


def held(world: World, owner: str) -> int:
    """How many processes the fleet says an owner holds."""
    return {name: count for name, _, count in world.do(fleet.read_fleet([])).owners}[owner]


def expiry(world: World, owner: str) -> int:
    return {name: at for name, at, _ in world.do(fleet.read_fleet([])).owners}[owner]


def output(world: World, pid: str = "p") -> dict[str, object]:
    """The await output in the last event."""
    return dict(json.loads(world.log(pid)[-1].payload)["await_output"])


def test_a_claim_of_an_unknown_id_gives_nothing_and_leaves_nothing(world: World) -> None:
    world.worker()
    assert world.do(claims.claim("ghost", 1, "o_1", "c1", lease_ms=LEASE_MS)) is None
    assert held(world, "o_1") == 0
    assert list(world.store.client.keys("*ghost*")) == []


def test_the_owner_of_a_claimed_process_is_named(world: World) -> None:
    fence = world.running("p", "o_1")
    world.worker("o_2")
    assert world.do(claims.claim("p", fence.epoch, "o_2", "c2", lease_ms=LEASE_MS)) is None
    row = world.view()
    assert (row.status, row.fields["ow"], row.fields["cl"]) == ("running", "o_1", fence.claim_id)


def test_the_same_claim_again_is_the_same_run(world: World) -> None:
    world.start("p")
    world.worker()
    first = world.do(claims.claim("p", 1, "o_1", "c1", lease_ms=LEASE_MS))
    again = world.do(claims.claim("p", 1, "o_1", "c1", lease_ms=LEASE_MS))
    assert first is not None and again is not None
    assert again.fence == first.fence
    assert again.fence.epoch == 1


def test_a_beat_moves_the_stored_expiry(world: World) -> None:
    fence = world.running("p", "o_1")
    assert expiry(world, "o_1") == 1_700_000_005_000
    world.clock.advance("4s")
    world.do(owners.beat("o_1", [fence.claim_id], lease_ms=LEASE_MS))
    assert expiry(world, "o_1") == 1_700_000_009_000


def test_a_late_hand_back_changes_nothing_for_the_successor(world: World) -> None:
    old = world.running("p", "o_1")
    world.lose("o_1")
    world.worker("o_2")
    (new,) = world.take("o_2")
    with pytest.raises(LeaseLost):
        world.do(ends.release(old))
    world.worker("o_3")
    assert world.take("o_3") == ()
    assert world.do(owners.beat("o_2", [new.fence.claim_id], lease_ms=LEASE_MS)) == owners.Beaten(True)
    world.do(journal.record(new.fence, [ROW]))


def test_a_run_past_its_expiry_may_end_until_it_was_reaped(world: World) -> None:
    fence = world.running("p", "o_1")
    world.clock.advance("6s")
    assert world.tick().reaped == 0
    world.finish("p", "late but alone", fence)
    assert world.status() == "completed"


def test_a_run_whose_owner_was_reaped_cannot_end(world: World) -> None:
    fence = world.running("p", "o_1")
    world.lose("o_1")
    with pytest.raises(LeaseLost):
        world.finish("p", "too late", fence)
    assert world.status() == "queued"
    assert world.types() == ["process.recovered"]


def test_every_write_of_a_superseded_run_is_refused_and_changes_nothing(world: World) -> None:
    old = world.running("p", "o_1")
    world.lose("o_1")
    world.worker("o_2")
    world.take("o_2")
    before = world.view()
    effect = journal.Effect(old, ROW)
    late = [
        journal.record(old, [ROW]),
        waits.open_waits(old, [waits.Wait("slot", "wait", "g", "s:go", 1)]),
        waits.close_waits(old, ["slot"]),
        waits.park(old, ["g"], "{}"),
        ends.release(old),
        ends.release(old, attempt=True),
        ends.continue_as_new(old, "null"),
        ends.finish("p", "completed", '{"type":"success","value":1}', fence=old),
        events.append("p", "log", '"x"', effect=effect),
        starts.register(world.registration("child", parent="p"), effect=effect),
        signals.signal("p", "go", "1", "1", canonical="1", replay_key="k", effect=effect),
    ]
    for call in late:
        with pytest.raises(LeaseLost):
            world.do(call)
    after = world.view()
    assert (after.fields, after.events, after.journal, after.slots) == (
        before.fields,
        before.events,
        before.journal,
        before.slots,
    )
    assert world.do(fleet.read_fleet([])).counts["queued"] == 0


def test_the_last_failed_attempt_abandons_the_process(world: World) -> None:
    fence = world.running("p", max_attempts=1)
    assert world.do(ends.release(fence, attempt=True)) == "exhausted"
    assert world.status() == "abandoned"
    assert output(world) == {
        "type": "abandoned",
        "evidence": {"writer": "attempts_exhausted", "owner": "o_1", "at_ms": 1_700_000_000_000},
    }
    assert world.take() == ()


def test_failed_attempts_are_counted_and_progress_forgets_them(world: World) -> None:
    fence = world.running("p", max_attempts=3)
    attempts = [world.view().failed_attempts]
    for _ in range(2):
        assert world.do(ends.release(fence, attempt=True)) == "released"
        attempts.append(world.view().failed_attempts)
        (claim,) = world.take()
        fence = claim.fence
    assert attempts == [0, 1, 2]
    world.do(journal.record(fence, [ROW]))
    assert world.view().failed_attempts == 0
    assert world.do(ends.release(fence, attempt=True)) == "released"


def test_a_hand_back_is_no_attempt(world: World) -> None:
    fence = world.running("p", max_attempts=1)
    for _ in range(3):
        assert world.do(ends.release(fence)) == "released"
        (claim,) = world.take()
        assert claim.attempt == 1
        fence = claim.fence
    world.finish("p", None, fence)
    assert world.status() == "completed"


def test_owner_bound_work_is_abandoned_when_its_owner_is_lost(world: World) -> None:
    world.running("p", "o_1", recovery="owner_bound")
    world.lose("o_1")
    assert world.status() == "abandoned"
    assert output(world)["evidence"] == {"writer": "owner_lost", "owner": "o_1", "at_ms": 1_700_000_009_000}
    world.worker("o_2")
    assert world.take("o_2") == ()


def test_owner_bound_work_of_a_silent_owner_is_left_alone_until_the_owner_is_lost(world: World) -> None:
    fence = world.running("p", "o_1", recovery="owner_bound")
    world.clock.advance("6s")
    world.tick()
    world.worker("o_2")
    assert world.take("o_2") == ()
    assert world.status() == "running"
    world.finish("p", "it was only slow", fence)
    assert world.status() == "completed"


def test_owner_bound_work_that_did_nothing_yet_is_handed_back(world: World) -> None:
    fence = world.running("p", "o_1", recovery="owner_bound")
    assert world.do(ends.release(fence)) == "released"
    world.worker("o_2")
    assert [claim.process_id for claim in world.take("o_2")] == ["p"]


def test_a_hand_back_of_started_owner_bound_work_abandons_it_and_of_nothing_else(world: World) -> None:
    bound = world.running("bound", recovery="owner_bound")
    other = world.running("other")
    for fence in (bound, other):
        world.do(journal.record(fence, [ROW]))
    assert world.do(ends.release(bound)) == "abandoned"
    assert world.do(ends.release(other)) == "released"
    assert output(world, "bound")["evidence"] == {"writer": "shutdown", "owner": "o_1", "at_ms": 1_700_000_000_000}
    assert world.status("other") == "queued"


def test_a_hand_back_after_the_end_reports_a_lost_lease_and_no_second_end(world: World) -> None:
    fence = world.running("p", recovery="owner_bound")
    world.finish("p", "done", fence)
    with pytest.raises(LeaseLost):
        world.do(ends.release(fence))
    assert world.types() == ["process.started", "process.completed"]


def test_an_infrastructure_failure_leaves_the_process_claimable_and_unended(world: World) -> None:
    fence = world.running("p", max_attempts=1)
    assert world.do(ends.release(fence, delay_ms=30_000)) == "released"
    assert world.take() == ()
    assert world.types() == []
    world.clock.advance("30s")
    world.tick()
    assert [claim.attempt for claim in world.take()] == [1]


def test_external_work_is_never_claimed_and_never_reaped(world: World) -> None:
    world.start("x", kind="external")
    world.worker()
    assert world.take() == ()
    assert world.do(claims.claim("x", 0, "o_1", "c1", lease_ms=LEASE_MS)) is None
    world.clock.advance("30d")
    world.tick()
    assert world.status("x") == "running"


def test_a_lost_owner_counts_apart_and_after_ten_losses_it_is_given_up(world: World) -> None:
    world.start("p", max_attempts=1)
    losses = []
    for n in range(1, 12):
        owner = world.worker(f"o_{n}")
        losses.extend(claim.fields.get("ls", "0") for claim in world.take(owner))
        world.lose(owner)
        world.clock.advance("1m")
        world.tick()
    assert losses == ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10"]
    assert world.status() == "abandoned"
    assert output(world)["evidence"]["writer"] == "losses_exhausted"  # type: ignore[index]
    assert output(world)["evidence"]["owner"] == "o_11"  # type: ignore[index]


def test_what_ended_its_worker_alone_is_offered_later_each_time(world: World) -> None:
    world.start("p")
    for n, pause_ms in enumerate([0, 0, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]):
        owner = world.worker(f"o_{n}")
        assert [claim.process_id for claim in world.take(owner)] == ["p"]
        world.do(owners.reap(owner))
        looking = world.worker(f"looks_{n}")
        if pause_ms:
            world.clock.advance(f"{pause_ms - 1}ms")
            world.tick()
            assert world.take(looking) == ()
            world.clock.advance("1ms")
            world.tick()
        world.do(owners.reap(looking, "shutdown"))
    assert world.status("p") == "queued"


def test_a_process_that_lost_two_owners_runs_alone(world: World) -> None:
    world.start("suspect")
    for owner in ("o_1", "o_2"):
        world.worker(owner)
        world.take(owner)
        world.lose(owner)
    for pid in ("a", "b"):
        world.start(pid)
    world.worker("o_3")
    assert [claim.process_id for claim in world.take("o_3")] == ["suspect"]
    assert sorted(claim.process_id for claim in world.take("o_3")) == ["a", "b"]


def test_a_take_brings_at_most_what_was_asked_for(world: World) -> None:
    for n in range(5):
        world.start(f"p{n}")
    world.worker()
    first = world.do(claims.take("o_1", "r1", [world.namespace], 2, lease_ms=LEASE_MS))
    rest = world.do(claims.take("o_1", "r2", [world.namespace], 10, lease_ms=LEASE_MS))
    assert ([c.process_id for c in first.claims], first.more) == (["p0", "p1"], True)
    assert ([c.process_id for c in rest.claims], rest.more) == (["p2", "p3", "p4"], False)


def test_a_parked_process_holds_no_worker_and_one_worker_runs_three_generations(world: World) -> None:
    parent = world.running("parent")
    for pid, fence in (("child", parent), ("grandchild", None)):
        fence = fence or world.take(n=1)[0].fence
        world.do(
            starts.register(
                world.registration(pid, parent=fence.process_id),
                effect=journal.Effect(fence, Row(f"start:{pid}", "{}")),
            )
        )
        world.open(fence, waits.Wait(f"s-{pid}", f"w-{pid}", "g", f"c:{pid}"))
        assert isinstance(world.do(waits.park(fence, ["g"], "{}")), waits.LetGo)
        assert held(world, "o_1") == 0
    for pid in ("grandchild", "child", "parent"):
        (claim,) = world.take()
        assert claim.process_id == pid
        world.finish(pid, pid, claim.fence)
    assert [world.status(pid) for pid in ("parent", "child", "grandchild")] == ["completed"] * 3


def test_an_end_that_another_writer_wrote_first_stands(world: World) -> None:
    world.start("x", kind="external")
    world.finish("x", "first")
    with pytest.raises(ProcessAlreadyTerminal):
        world.do(ends.finish("x", "failed", '{"type":"failure","class":"external","code":"c","message":"m"}'))
    assert world.types("x") == ["process.completed"]
