"""Races 1, 3, 12 and 13: who runs a process, and who no longer does."""

from __future__ import annotations

from typing import Any

import pytest
from wakeline.errors import LeaseLost
from wakeline.store import claims, ends, events, journal, owners, waits
from wakeline.store.journal import Row

from tests.lua.world import BEAT_MS, LEASE_MS, SUCCESS, World, wait
from tests.races.rules import fails_without

# -- 1: a claim is applied, its reply is lost, the client gives up: the owner lives and beats, and no worker runs the
# process


@fails_without(
    "a take sent again gives the batch it gave",
    "queue_take.lua",
    "if answered then",
    "if false then",
)
def test_race_01_a_take_whose_reply_was_lost_gives_the_same_batch(world: World) -> None:
    world.start("p")
    world.worker("o1")
    first = world.take("o1", request="r7")
    assert [claim.process_id for claim in first] == ["p"]
    assert [claim.fence for claim in world.take("o1", request="r7")] == [claim.fence for claim in first]
    assert world.take("o1", request="r8") == ()


@fails_without(
    "what an owner holds and does not name for two beats goes back",
    "owner_beat.lua",
    "if call('HEXISTS', missed, held) == 0 then",
    "if true then",
)
def test_race_01_a_claim_its_owner_never_heard_of_goes_back_after_two_beats(world: World) -> None:
    world.running("p", "o1")
    assert world.beat("o1", running=[]) == owners.Beaten(True)
    assert world.status("p") == "running"
    assert world.beat("o1", running=[]) == owners.Beaten(True, ("p",))
    assert (world.status("p"), world.doorbells()) == ("queued", [f"wl-{world.ns}-p-2"])


@fails_without(
    "a beat that names the claim forgets the one that did not",
    "owner_beat.lua",
    "  call('DEL', missed)\n",
)
def test_race_01_a_claim_on_its_way_to_its_owner_is_not_taken_from_it(world: World) -> None:
    fence = world.running("p", "o1")
    for named in ([], [fence.claim_id], [], [fence.claim_id]):
        assert world.beat("o1", running=named) == owners.Beaten(True)
    assert world.status("p") == "running"


@fails_without(
    "what two beats did not name is one claim, not one process",
    "owner_beat.lua",
    "local held = p.cl or ''",
    "local held = pid",
)
def test_race_01_a_process_whose_runs_all_began_just_before_a_beat_is_not_taken_from_its_owner(world: World) -> None:
    world.start("p")
    world.worker("o1")
    for n in range(3):
        (claim,) = world.take("o1")  # claimed a moment ago: the list that the beat brings is older
        assert world.beat("o1", running=[]) == owners.Beaten(True)
        world.open(claim.fence, wait(f"w{n}", f"s:go{n}"))
        world.park(claim.fence, f"w{n}")
        world.signal("p", f"go{n}", f"s{n}")
    assert (world.status("p"), world.field("ls", "p")) == ("queued", None)


@fails_without(
    "a take whose reply is on its way names what it brings",
    "owner_beat.lua",
    " or named[string.match(held, '^(.*)%-%d+$')]",
)
def test_race_01_what_a_take_brings_is_named_while_its_reply_is_on_its_way(world: World) -> None:
    world.start("p")
    world.worker("o1")
    world.take("o1", request="r7")
    for _ in range(5):
        assert world.beat("o1", running=["r7"]) == owners.Beaten(True)
    assert world.beat("o1", running=["r8"]) == owners.Beaten(True)
    assert world.beat("o1", running=["r8"]) == owners.Beaten(True, ("p",))


@fails_without(
    "a beat that is sent again counts once",
    "owner_beat.lua",
    "if a.running and not (a.n and last >= a.n) then",
    "if a.running then",
)
def test_race_01_a_beat_whose_reply_was_lost_counts_once_for_what_it_does_not_name(world: World) -> None:
    world.running("p", "o1")
    for _ in range(3):
        assert world.do(owners.beat("o1", [], lease_ms=LEASE_MS, n=1)) == owners.Beaten(True)
    assert world.do(owners.beat("o1", [], lease_ms=LEASE_MS, n=2)) == owners.Beaten(True, ("p",))


# -- 3: an owner is reaped while it lives, then claims: it has no expiry and would never be reaped


@fails_without(
    "an owner that was reaped gets nothing more",
    "queue_take.lua",
    "if not expiry then return { 'reaped' } end",
    "expiry = expiry or '0'",
)
def test_race_03_a_reaped_owner_takes_nothing_and_is_told(world: World) -> None:
    world.start("p")
    world.worker("o1")
    world.do(owners.reap("o1"))
    assert world.do(world.taking("o1")).reaped
    assert world.status("p") == "queued"
    assert [claim.process_id for claim in world.take(world.worker("o2"))] == ["p"]


@fails_without(
    "an owner that was reaped gets nothing more",
    "process_claim.lua",
    "if not expiry then return { 'reaped' } end",
    "expiry = expiry or '0'",
)
def test_race_03_a_reaped_owner_claims_nothing_under_a_stock_worker_either(world: World) -> None:
    world.start("p")
    world.worker("o1")
    world.do(owners.reap("o1"))
    assert world.do(claims.claim("p", 1, "o1", "c1", lease_ms=LEASE_MS)) is None
    assert world.status("p") == "queued"


@fails_without(
    "a take writes its owner's expiry",
    "queue_take.lua",
    "call('ZADD', ns .. 'owners', int(now + a.lease_ms), a.owner)",
)
def test_race_03_the_lease_of_a_claim_begins_with_the_claim(world: World) -> None:
    world.start("p")
    world.worker("o1")
    world.pass_ms(LEASE_MS - 1)
    world.take("o1")
    world.pass_ms(LEASE_MS - 1)
    world.tick()
    world.pass_ms(BEAT_MS)
    assert (world.tick().reaped, world.status("p")) == (0, "running")
    world.pass_ms(BEAT_MS)
    assert (world.tick().reaped, world.status("p")) == (1, "queued")


# -- 12: a failover loses a claim: two workers hold one epoch


@fails_without(
    "a write shows the claim id of the run that holds the process",
    "lib/process.lua",
    "p.ep == f.ep and p.cl == f.cl",
    "p.ep == f.ep",
)
def test_race_12_after_a_failover_that_lost_a_claim_only_the_second_claim_of_that_epoch_writes(world: World) -> None:
    world.start("p")
    world.worker("o1")
    world.worker("o2")
    replica = world.snapshot()
    [lost] = world.take("o1")
    rewind(world, replica)
    [kept] = world.take("o2")
    assert (lost.fence.epoch, kept.fence.epoch) == (1, 1)
    for late in (
        journal.record(lost.fence, [Row("k", "1")]),
        ends.finish("p", "completed", SUCCESS, fence=lost.fence),
    ):
        with pytest.raises(LeaseLost):
            world.do(late)
    world.do(journal.record(kept.fence, [Row("k", "2")]))
    assert world.journal("p") == {"k": "2"}


def rewind(world: World, replica: dict[str, Any]) -> None:
    """A replica takes over that did not get the last writes. It does so at once: no heartbeat meets a store without its
    owner, which would end a worker that has no supervisor here."""
    at_once = world.redis.pipeline(transaction=True)
    at_once.delete(*world.keys())
    for key, content in replica.items():
        match content:
            case str():
                at_once.set(key, content)
            case set():
                at_once.sadd(key, *content)
            case dict():
                at_once.hset(key, mapping=content)
            case [(_, float()), *_]:
                at_once.zadd(key, dict(content))
            case [(_, dict()), *_]:
                for entry, fields in content:
                    at_once.xadd(key, fields, id=entry)
            case [str(), *_]:
                at_once.rpush(key, *content)
            case other:
                raise AssertionError(f"{key} holds {other!r}")
    at_once.execute()


# -- 13: a zombie writes between the reap and the next claim


@fails_without(
    "a write is let through only for the run that holds the process now",
    "lib/process.lua",
    "local fits = p.st == 'running' and p.inc == f.inc and p.ep == f.ep and p.cl == f.cl",
    "local fits = p.inc == f.inc",
)
def test_race_13_nothing_a_run_writes_counts_between_its_reap_and_the_next_claim(world: World) -> None:
    fence = world.running("p", "o1")
    world.lose("o1")
    before = world.snapshot()
    for late in (
        journal.record(fence, [Row("k", "1")]),
        events.append("p", "log", "1", effect=journal.Effect(fence, Row("k", "1"))),
        waits.park(fence, ["g"], "{}"),
        ends.finish("p", "completed", SUCCESS, fence=fence),
    ):
        with pytest.raises(LeaseLost):
            world.do(late)
    assert world.snapshot() == before


@fails_without(
    "a run that let go holds nothing, though epoch and claim id are still its own",
    "lib/process.lua",
    "p.st == 'running' and p.inc == f.inc",
    "p.inc == f.inc",
)
def test_race_13_nothing_a_run_writes_counts_after_it_parked(world: World) -> None:
    fence = world.parked("p")
    with pytest.raises(LeaseLost):
        world.do(journal.record(fence, [Row("k", "1")]))
    with pytest.raises(LeaseLost):
        world.finish("p", fence)
    assert world.status("p") == "waiting"


# -- 34: the hint of a hand-off is lost, or comes late


def idles(world: World, owner: str = "o1", request: str = "r1", following: str = "r2") -> tuple[claims.Claim, ...]:
    """A take of an owner that runs nothing, and says under which id its next one will be."""
    return world.do(claims.take(owner, request, [world.ns], 9, lease_ms=LEASE_MS, following=following)).claims


def loses_its_hints(world: World, owner: str = "o1") -> None:
    world.redis.delete(world.key(f"notify:{owner}"))


@fails_without(
    "a hand-off is the take that its owner sends next",
    "lib/handoffs.lua",
    "'request', one.id, ",
)
def test_race_34_a_worker_whose_hint_was_lost_gets_the_process_at_its_next_look(world: World) -> None:
    world.worker("o1")
    idles(world)
    world.start("p")
    loses_its_hints(world)
    found = idles(world, request="r2", following="r3")
    assert [(claim.process_id, claim.fence.claim_id) for claim in found] == [("p", "r2-1")]
    assert world.status("p") == "running"


@fails_without(
    "a take that is sent again finds what was handed over since",
    "queue_take.lua",
    " or known.request == a.next",
)
def test_race_34_a_take_whose_reply_was_lost_before_the_hand_off_brings_it(world: World) -> None:
    world.worker("o1")
    idles(world)  # its reply is lost
    world.start("p")
    world.start("q")
    loses_its_hints(world)
    assert [claim.process_id for claim in idles(world)] == ["p"]


@fails_without(
    "what was said of the next take is over with that take",
    "queue_take.lua",
    "if known.next then call('HSET', last, 'next', '') end",
)
def test_race_34_a_worker_that_began_something_meanwhile_is_handed_nothing_under_an_old_id(world: World) -> None:
    world.worker("o1")
    idles(world)
    world.redis.set(world.rq("suspended"), 1)
    idles(world, request="r2", following="r3")
    world.redis.delete(world.rq("suspended"))
    world.start("p")
    assert world.status("p") == "queued"


@fails_without(
    "one hand-off uses up what its owner said",
    "lib/handoffs.lua",
    ", 'next', ''",
)
def test_race_34_a_worker_is_handed_one_process_under_one_id(world: World) -> None:
    world.worker("o1")
    idles(world)
    world.start("p")
    world.start("q")
    assert (world.field("cl", "p"), world.status("q")) == ("r2-1", "queued")


@fails_without(
    "a worker that was silent is handed nothing",
    "lib/handoffs.lua",
    "silent > handoffs.FRESH",
    "false",
)
def test_race_34_a_worker_that_does_not_look_any_more_is_handed_nothing(world: World) -> None:
    world.worker("o1")
    idles(world)
    world.pass_ms(2_501)
    world.start("p")
    assert world.status("p") == "queued"


@fails_without(
    "what was handed over under the id of the next take is on its way",
    "owner_beat.lua",
    " or named[string.match(held, '^(.*)%-%d+$')]",
)
def test_race_34_beats_that_name_the_next_take_leave_the_process_with_its_worker(world: World) -> None:
    world.worker("o1")
    idles(world)
    world.start("p")
    loses_its_hints(world)
    for _ in range(5):
        assert world.beat("o1", running=["r2"]) == owners.Beaten(True)
    found = idles(world, request="r2", following="r3")
    assert ([claim.process_id for claim in found], world.field("ls", "p")) == (["p"], None)


@fails_without(
    "a process is handed over as it is when the script ends",
    "lib/handoffs.lua",
    "if p.st ~= 'queued' or p.ep ~= one.epoch then return true end",
)
def test_race_34_what_ends_in_the_script_that_would_hand_it_over_is_handed_to_nobody(world: World) -> None:
    world.parked("p", "o2", wait("w1", "t:", due_ms=world.now() + 400), deadline_ms=500)
    world.worker("o1")
    idles(world)
    world.pass_ms(500)
    world.tick()
    assert (world.status("p"), world.redis.smembers(world.key("owned:o1"))) == ("failed", set())


@fails_without(
    "no process is handed over past one that waits",
    "lib/handoffs.lua",
    "call('EXISTS', unpack(lists)) > 0",
    "false",
)
def test_race_34_what_waits_is_taken_before_what_comes(world: World) -> None:
    world.worker("o1")
    idles(world)
    world.redis.srem(world.key(f"idle:{world.ns}"), "o1")
    world.start("first")
    world.redis.sadd(world.key(f"idle:{world.ns}"), "o1")
    world.start("second")
    assert [claim.process_id for claim in idles(world, request="r2", following="r3")] == ["first", "second"]
