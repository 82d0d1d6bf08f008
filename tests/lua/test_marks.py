"""Every counter and mark of the table in docs/keys.md is taken back by what the table says, so that nothing is counted
against a run that comes later."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import pytest
from wakeline.processes.lease import Fence
from wakeline.processes.limits import Limit
from wakeline.processes.misfit import Misfit
from wakeline.store import claims, ends, events, feed, journal, owners, processes, queues, sessions, tails, waits
from wakeline.store.blocking import SyncStore
from wakeline.store.journal import Effect, Row
from wakeline.store.marks import MARKS

from tests.lua.world import BEAT_MS, LEASE_MS, STALE_MS, SUCCESS, WEEK_MS, World, wait

Test = TypeVar("Test", bound=Callable[..., None])
TESTED: set[str] = set()


def of(*places: str) -> Callable[[Test], Test]:
    """The marks whose resets a test is about."""
    TESTED.update(places)
    return lambda test: test


def test_every_mark_of_the_table_has_a_test_of_its_reset() -> None:
    assert {mark.where for mark in MARKS} == TESTED


# -- what counts against a process


def further(world: World, fence: Fence, how: str) -> None:
    """The run gets further."""
    match how:
        case "row":
            world.do(journal.record(fence, [Row("step", "1")]))
        case "child":
            world.start("child", effect=Effect(fence, Row("child", "1")))
        case "event":
            world.do(events.append("p", "log", "{}", effect=Effect(fence, Row("event", "1")), canonical="{}"))
        case "park":
            world.open(fence, wait("w1"))
            world.park(fence, "w1")
        case "continue":
            world.do(ends.continue_as_new(fence, "{}"))


@of("proc:<pid> tr")
def test_the_number_of_an_attempt_is_that_of_the_run_that_has_the_process(world: World) -> None:
    world.running()
    world.do(owners.reap("o1"))
    again = world.claim(owner="o2")
    assert world.field("tr") == "2"
    further(world, again, "row")  # attempts and losses count anew
    world.do(ends.release(again))
    third = world.claim(owner="o3")
    assert world.field("tr") is None
    world.do(owners.reap("o3"))
    last = world.claim(owner="o4")
    assert world.field("tr") == "2"
    world.finish(fence=last)
    assert (world.field("tr"), third.epoch < last.epoch) == (None, True)


@of("proc:<pid> at", "proc:<pid> ls")
@pytest.mark.parametrize("how", ["row", "child", "event", "park", "continue"])
def test_attempts_and_losses_are_of_a_process_that_gets_no_further(world: World, how: str) -> None:
    world.do(ends.release(world.running(), attempt=True, output=SUCCESS, delay_ms=0))
    world.claim()
    world.do(owners.reap("o1"))
    assert (world.field("at"), world.field("ls")) == ("1", "1")
    further(world, world.claim(owner="o2"), how)
    assert (world.field("at"), world.field("ls")) == (None, None)


def lose_bell(world: World) -> None:
    """Its doorbell is gone, and the sweep rings it again."""
    world.redis.delete(world.rq(f"queue:{world.ns}"))
    world.pass_ms(STALE_MS)
    assert world.tick().rung == 1


@of("proc:<pid> rg")
@pytest.mark.parametrize("how", ["claim", "end"])
def test_the_rings_of_one_doorbell_are_not_the_next_ones(world: World, how: str) -> None:
    world.start()
    lose_bell(world)
    assert world.field("rg") == "1"
    if how == "claim":
        world.claim()
    else:
        world.cancel(grace_ms=1)
        world.pass_ms(1)
        world.tick()
    assert world.field("rg") is None


@of("proc:<pid> as, aside:<line>", "takes:<owner> lacks, able")
@pytest.mark.parametrize("how", ["claim", "end"])
def test_what_waits_for_code_waits_until_its_claim_or_end_and_equal_owners_are_told_nothing(
    world: World, how: str
) -> None:
    for owner, codes in (("old", ["e:steady"]), ("new", ["e:job"])):
        world.do(owners.register_owner(owner, [world.ns], lease_ms=LEASE_MS, codes=codes))
    world.start()
    assert world.take("old") == ()
    assert (world.field("as"), world.redis.hget(world.key("takes:old"), "lacks")) == (f"{world.ns} e:job", " e:job ")
    if how == "claim":
        assert [claim.process_id for claim in world.take("new")] == ["p"]
    else:
        world.cancel(grace_ms=1)
        world.pass_ms(1)
        world.tick()
    assert (world.field("as"), world.redis.keys(world.key("aside*"))) == (None, [])
    world.do(owners.reap("old"))
    assert world.redis.hmget(world.key("takes:new"), "able", "lacks") == [None, None]


@of("takes:<owner> crowded")
@pytest.mark.parametrize("how", ["a free child", "reap"])
def test_a_worker_is_crowded_until_a_child_is_free_or_it_is_reaped(world: World, how: str) -> None:
    def take(number: int) -> list[str]:
        isolates = claims.FreeIsolates(number, ("e:job",))
        taken = world.do(claims.take("o1", f"r{number}", [world.ns], 9, lease_ms=LEASE_MS, isolates=isolates))
        return [claim.process_id for claim in taken.claims]

    world.worker()
    world.start()
    assert take(0) == []
    assert world.redis.hget(world.key("takes:o1"), "crowded") == " e:job "
    if how == "reap":
        world.do(owners.reap("o1"))
    else:
        assert take(1) == ["p"]
    assert world.redis.hget(world.key("takes:o1"), "crowded") is None


# -- what is of one claim


@of("proc:<pid> ur")
@pytest.mark.parametrize("then", ["claim", "end"])
def test_what_a_worker_could_not_read_is_said_until_one_can_or_it_ends(world: World, then: str) -> None:
    fence = world.running()
    world.do(ends.release(fence, unrun=True, unread="it has shape 2"))
    assert (world.status(), world.field("ur"), world.field("at"), world.field("ls")) == (
        "queued",
        "it has shape 2",
        None,
        None,
    )
    if then == "claim":
        (claim,) = world.take()
        assert "ur" not in claim.fields
    else:
        world.cancel(grace_ms=0)
        world.tick()
        assert world.status() == "cancelled"
    assert world.field("ur") is None


@of("proc:<pid> ow, ct, rw", "proc:<pid> cl", "proc:<pid> rel")
@pytest.mark.parametrize(("how", "kept"), [("park", True), ("hand back", False), ("lose", False), ("end", True)])
def test_what_says_who_runs_it_goes_with_the_run(world: World, how: str, kept: bool) -> None:
    world.start()
    world.worker()
    (claim,) = world.do(claims.take("o1", "r1", [world.ns], 1, lease_ms=LEASE_MS, release="v1")).claims
    assert [world.field(name) for name in ("ow", "cl", "rw", "rel")] == ["o1", "r1-1", "2", "v1"]
    match how:
        case "park":
            world.open(claim.fence, wait("w1"))
            world.park(claim.fence, "w1")
        case "hand back":
            world.do(ends.release(claim.fence))
        case "lose":
            world.do(owners.reap("o1"))
        case _:
            world.finish("p", claim.fence)
    assert [world.field(name) for name in ("ow", "ct", "rw")] == [None, None, None]
    assert world.field("cl") == ("r1-1" if kept else None)
    assert world.redis.smembers(world.key("owned:o1")) == set()
    if how != "end":
        if how == "park":
            world.signal()
        world.worker("o2")
        assert world.do(claims.take("o2", "r2", [world.ns], 1, lease_ms=LEASE_MS)).claims[0].fence.claim_id == "r2-1"
        assert (world.field("cl"), world.field("rel")) == ("r2-1", None)


@of("proc:<pid> pr")
@pytest.mark.parametrize("release", ["v2", None])
def test_under_which_release_it_got_this_far_is_said_by_the_latest_park(world: World, release: str | None) -> None:
    def taken(owner: str, of: str | None) -> Fence:
        world.worker(owner)
        (claim,) = world.do(claims.take(owner, f"take-{owner}", [world.ns], 1, lease_ms=LEASE_MS, release=of)).claims
        return claim.fence

    world.start()
    fence = taken("o1", "v1")
    assert world.field("pr") is None
    world.open(fence, wait("w1"))
    world.park(fence, "w1")
    assert world.field("pr") == "v1"
    world.signal()
    fence = taken("o2", release)
    assert (world.field("pr"), world.field("rel")) == ("v1", release)
    world.open(fence, wait("w2", "s:on"))
    world.park(fence, "w2")
    assert world.field("pr") == (release or "")
    world.cancel(grace_ms=1)
    world.pass_ms(1)
    world.tick()
    assert world.field("pr") is None


@of("proc:<pid> sr")
@pytest.mark.parametrize("how", ["continue", "end"])
def test_that_several_releases_have_had_a_generation_is_said_until_the_next_one(world: World, how: str) -> None:
    for release in ("v1", "v2"):
        world.do(owners.register_owner(f"of-{release}", [world.ns], lease_ms=LEASE_MS, release=release))

    def taken(take: str, of: str) -> Fence:
        (claim,) = world.do(claims.take(f"of-{of}", take, [world.ns], 1, lease_ms=LEASE_MS, release=of)).claims
        return claim.fence

    def unfit(fence: Fence, misfit: Misfit) -> None:
        world.do(ends.release(fence, misfit=misfit, delay_ms=1))
        world.pass_ms(1)
        world.tick()

    def parked(fence: Fence, name: str) -> None:
        world.open(fence, wait(name, f"s:{name}"))
        world.park(fence, name)
        world.signal(name=name)

    world.start()
    parked(taken("o1", "v1"), "go")
    parked(taken("o2", "v1"), "on")
    assert world.field("sr") is None
    fence = taken("o3", "v2")
    assert world.field("sr") == "0"
    world.do(journal.record(fence, [Row("step", "1")]))
    unfit(fence, Misfit("bug", "NameError: oops", "v2", 1))
    unfit(taken("o4", "v1"), Misfit("mismatch", "step", "v1", 1))
    fence = taken("o5", "v2")
    assert world.field("sr") == "0"  # a look of the release that was left leaves what was recorded then
    parked(fence, "off")
    fence = taken("o6", "v1")
    assert world.field("sr") == "1"
    if how == "end":
        world.finish("p", fence)
    else:
        world.do(ends.continue_as_new(fence, "{}"))
    assert world.field("sr") is None


@of("proc:<pid> mf, misfits <pid>")
@pytest.mark.parametrize("how", ["park", "continue", "end", "cancel"])
def test_why_code_did_not_fit_is_said_until_other_code_gets_further(world: World, how: str) -> None:
    misfit = Misfit("bug", "NameError: oops", "v2", 1)
    world.twice(ends.release(world.running(), misfit=misfit, delay_ms=1))
    world.pass_ms(1)
    world.tick()
    fence = world.claim()
    world.do(journal.record(fence, [Row("step", "1")]))
    assert (world.field("mf"), world.redis.zrange(world.key("misfits"), 0, -1)) == (misfit.to_json(), ["p"])
    match how:
        case "end":
            world.finish("p", fence)
        case "cancel":
            world.cancel(grace_ms=1)
            world.pass_ms(1)
            world.tick()
        case _:
            further(world, fence, how)
    assert (world.field("mf"), world.redis.exists(world.key("misfits"))) == (None, 0)


@of("proc:<pid> uf")
@pytest.mark.parametrize("how", ["look", "another looks", "park", "continue", "end"])
def test_which_releases_looked_is_said_until_code_gets_further_or_the_next_round_begins(world: World, how: str) -> None:
    world.do(ends.release(world.running(), misfit=Misfit("mismatch", "call:a", None, 1), delay_ms=1))
    assert world.field("uf") == ",,"
    world.pass_ms(1)
    world.tick()
    if how == "look":
        world.claim()
        assert world.field("uf") is None
        return
    world.do(owners.register_owner("o2", [world.ns], lease_ms=LEASE_MS, release="v1"))
    [claim] = world.take("o2", release="v1")
    assert world.field("uf") == ",,"
    if how == "end":
        world.finish("p", claim.fence)
    elif how == "another looks":
        world.do(ends.release(claim.fence, misfit=Misfit("mismatch", "call:a", "v1", 1), delay_ms=1))
        assert world.field("uf") == ",,v1,"
        return
    else:
        further(world, claim.fence, how)
    assert world.field("uf") is None


def test_a_misfit_that_cannot_be_read_keeps_no_worker_from_coming(world: World) -> None:
    world.do(ends.release(world.running(), misfit=Misfit("bug", "NameError: oops", "v2", 1), delay_ms=1))
    world.redis.hset(world.key("proc:p"), "mf", "what another release wrote")
    world.do(owners.register_owner("o2", [world.ns], lease_ms=LEASE_MS, release="v3"))
    assert world.redis.zscore(world.key("owners"), "o2") is not None


@of("todo m:")
def test_what_of_many_misfits_is_still_to_be_looked_at_is_offered_by_the_tick_and_not_what_has_gone_on(
    world: World,
) -> None:
    world.worker()
    for n in range(257):
        world.start(f"p{n:03}")
    for claim in (*world.take(), *world.take(), *world.take()):
        world.do(ends.release(claim.fence, delay_ms=60_000, misfit=Misfit("bug", "NameError: oops", "v2", 1)))
    world.do(owners.register_owner("o2", [world.ns], lease_ms=LEASE_MS, release="v1"))
    assert world.redis.lrange(world.key("todo"), 0, -1) == ["m:256 v1"]
    world.cancel("p256", grace_ms=0)
    for _ in range(8):
        world.tick()
    assert (world.redis.exists(world.key("todo")), world.status("p256")) == (0, "cancelled")
    assert len({claim.process_id for _ in range(4) for claim in world.take("o2", release="v1")}) == 256


@of("proc:<pid> an")
@pytest.mark.parametrize("how", ["resume", "end"])
def test_that_any_resolution_resumes_it_is_said_of_one_park(world: World, how: str) -> None:
    fence = world.running()
    world.open(fence, wait("w1", "s:go", "g"), wait("w2", "s:on", "g"))
    world.do(waits.park(fence, ["g"], "{}", early=["w1"]))
    assert world.field("an") == "1"
    if how == "resume":
        world.signal()
    else:
        world.cancel(grace_ms=1)
        world.do(ends.finish("p", "cancelled", SUCCESS, fence=world.claim(owner="o2")))
    assert world.field("an") is None


@of("proc:<pid> lm, holds:<limit>", "proc:<pid> hd, held:<limit>")
@pytest.mark.parametrize("how", ["park", "hand back", "lose", "end"])
def test_a_place_is_of_one_run_and_who_waits_for_it_gets_it(world: World, how: str) -> None:
    world.do(owners.register_owner("o1", [world.ns], lease_ms=LEASE_MS, limits={"b:job": Limit(concurrency=1).wire()}))
    for pid in ("p", "q", "gone"):
        world.start(pid, limit="b:job")
    (claim,) = world.take()
    assert (claim.process_id, world.field("lm"), world.field("hd", "q")) == ("p", "b:job", "b:job")
    match how:
        case "park":
            world.open(claim.fence, wait("w1"))
            world.park(claim.fence, "w1")
        case "hand back":
            world.do(ends.release(claim.fence))
        case "lose":
            world.do(owners.reap("o1"))
        case _:
            world.finish("p", claim.fence)
    assert (world.field("lm"), world.field("hd", "q"), world.field("lm", "q")) == (None, None, "b:job")
    assert world.redis.smembers(world.key("holds:b:job")) == {"q"}
    world.cancel("gone", grace_ms=1)
    world.pass_ms(1)
    world.tick()
    assert world.field("hd", "gone") is None


@of("proc:<pid> rd, rated:<limit>", "proc:<pid> ce, cells:<limit>", "given <pid>")
@pytest.mark.parametrize("how", ["claim", "end", "pause"])
def test_a_cell_is_given_once_and_goes_with_the_claim_the_end_or_a_queue_that_stands_still(
    world: World, how: str
) -> None:
    world.do(owners.register_owner("o1", [world.ns], lease_ms=LEASE_MS, limits={"b:job": Limit(rate="1/1s").wire()}))
    for pid in ("first", "p", "gone"):
        world.start(pid, limit="b:job")
    world.take()
    assert (world.field("rd"), world.field("rd", "gone")) == ("b:job", "b:job")
    world.pass_ms(1_000)
    world.tick()
    assert (world.field("rd"), world.field("ce")) == (None, "b:job")
    assert (world.redis.smembers(world.key("cells:b:job")), world.redis.zrange(world.key("given"), 0, -1)) == (
        {"p"},
        ["p"],
    )
    match how:
        case "claim":
            world.take()
        case "end":
            world.cancel(grace_ms=1)
            world.cancel("gone", grace_ms=1)
            world.pass_ms(1)
            world.tick()
            assert (world.field("rd", "gone"), world.redis.exists(world.key("rated:b:job"))) == (None, 0)
        case _:
            world.do(queues.pause(world.ns))
    world.pass_ms(1_000)
    world.tick()
    assert world.field("ce") is None
    assert "p" not in world.redis.smembers(world.key("cells:b:job"))
    assert "p" not in world.redis.zrange(world.key("given"), 0, -1)


@of("proc:<pid> cr")
def test_a_cancel_is_of_the_process_over_all_its_runs(world: World) -> None:
    world.running()
    world.cancel()
    world.do(owners.reap("o1"))
    world.worker("o2")
    assert world.take("o2")[0].cancel_requested


# -- timers


@of("timers a:<pid>")
def test_the_time_of_one_attempt_ends_no_other(world: World) -> None:
    world.start(attempt_timeout_ms=10_000)
    world.claim()
    world.pass_ms(9_000)
    world.do(owners.reap("o1"))
    world.pass_ms(1_500)
    world.tick()  # due, and it is queued
    assert world.status() == "queued"
    fence = world.claim(owner="o2")
    world.pass_ms(4_000)
    world.tick()
    assert world.status() == "running"
    world.open(fence, wait("w1"))
    world.park(fence, "w1")
    assert "a:p" not in world.timers()


@of("timers d:<pid>")
def test_a_delay_that_ends_while_it_runs_rings_nobody(world: World) -> None:
    world.start(delay_ms=5_000)
    world.redis.rpush(world.rq(f"queue:{world.ns}"), "wl-p-1")  # it was rung before
    world.claim()
    world.pass_ms(5_000)
    world.tick()
    assert (world.status(), world.doorbells(), world.timers()) == ("running", [], [])


@of("timers q:<pid>", "timers c:<pid>")
@pytest.mark.parametrize("how", ["claim", "end"])
def test_how_long_it_may_wait_is_over_with_its_first_claim_and_a_grace_with_its_end(world: World, how: str) -> None:
    world.start(queue_timeout_ms=10_000)
    world.cancel(grace_ms=60_000)
    assert sorted(world.timers()) == ["c:p", "q:p"]
    fence = world.claim()
    assert world.timers() == ["c:p"]
    if how == "end":
        world.finish("p", fence, "cancelled")
        assert world.timers() == []


# -- what bounded scripts left over


@of("todo c:, k:", "todo w:, d:, p:")
@pytest.mark.parametrize("row", ["c", "k", "w", "d", "p"])
def test_what_was_left_over_of_one_process_is_not_done_to_the_next_with_its_id(world: World, row: str) -> None:
    fence = world.running()
    world.open(fence, wait("w1"))
    world.start("child", effect=Effect(fence, Row("child", "1")))
    world.redis.sadd(world.key("waiters:p"), "w9")
    world.redis.sadd(world.key("bound:p"), "child")
    world.redis.sadd(world.key("awaited:p"), "child")
    before = {key: value for key, value in world.snapshot().items() if key != world.key("todo")}
    world.redis.rpush(world.key("todo"), f"{row}:p")
    world.tick()
    assert world.redis.exists(world.key("todo")) == 0
    after = world.snapshot()
    assert {key: after.get(key) for key in before if key != world.key("meta")} == {
        key: value for key, value in before.items() if key != world.key("meta")
    }


# -- what is of an owner


@of("missed:<owner> <claim>")
@pytest.mark.parametrize("how", ["named", "park", "end"])
def test_a_beat_that_did_not_name_a_claim_counts_against_that_claim_alone(world: World, how: str) -> None:
    fence = world.running()
    assert world.beat("o1", []) == owners.Beaten(True)
    assert world.redis.hgetall(world.key("missed:o1")) == {fence.claim_id: "1"}
    match how:
        case "named":
            world.beat("o1", [fence.claim_id])
        case "park":
            world.open(fence, wait("w1"))
            world.park(fence, "w1")
            world.beat("o1", [])
        case _:
            world.finish("p", fence)
            world.beat("o1", [])
    assert world.redis.exists(world.key("missed:o1")) == 0


@of("acked:<client> n")
def test_what_a_client_was_answered_goes_five_minutes_after_it_where_it_does_not_look(world: World) -> None:
    client = SyncStore(world.backend, replace(world.store.address, beat_ms=60_000))
    client.execute(world.registering())
    client.close()
    [key] = world.redis.scan_iter(match=world.key("acked:*"))
    assert world.redis.hgetall(key) == {"n": "1"}
    assert 290_000 < world.redis.pttl(key) <= 300_000


@of("proc:<pid> tl")
@pytest.mark.parametrize("how", ["end", "look", "others"])
def test_a_process_names_the_clients_that_wait_for_it_now(world: World, how: str) -> None:
    fence, end = world.running(), tails.Subject("end", "p")
    world.do(tails.watch("t1", [(end, 0)]))
    assert world.field("tl") == "t1"
    match how:
        case "end":
            world.finish("p", fence)
            assert world.field("tl") is None
        case "look":
            world.do(tails.look("t1", [], [end]))
            assert world.field("tl") is None
        case _:
            for n in range(2, 9):
                world.do(tails.watch(f"t{n}", [(end, 0)]))
            world.redis.delete(*(world.key(f"told:t{n}") for n in range(1, 8)))
            world.do(tails.watch("t9", [(end, 0)]))
            assert world.field("tl") == "t8 t9"


@of("wakes:<sid> <n>:t, followed:<sid>")
@pytest.mark.parametrize("how", ["end", "look"])
def test_an_entry_and_a_session_name_the_clients_that_wait_for_them_now(world: World, how: str) -> None:
    world.do(sessions.send(world.session(), '{"kind":"input","input":"hello"}'))
    reached = world.do(feed.follow("bot/1", None)).reached
    items, entry = tails.Subject("feed", "bot/1"), tails.Subject("entry", "bot/1#1")
    assert world.do(tails.watch("t1", [(items, reached), (entry, 0)])) == []

    def marks() -> tuple[str | None, str | None]:
        return world.redis.get(world.key("followed:bot/1")), world.redis.hget(world.key("wakes:bot/1"), "1:t")

    assert marks() == ("1 t1", "t1")
    match how:
        case "end":
            world.worker()
            [turn] = world.take()
            world.do(sessions.admit(turn.fence, "bot/1", 1))
            world.finish(turn.process_id, turn.fence)
            assert marks() == ("1 t1", None)
            assert 50_000 < world.redis.pttl(world.key("followed:bot/1")) <= 60_000
        case _:
            world.do(tails.look("t1", [], [items, entry]))
            assert marks() == ("1", None)


@of("told:<tailer>")
def test_the_stream_of_a_client_goes_with_its_waits_or_a_minute_after_its_last_look(world: World) -> None:
    world.running()
    world.do(tails.watch("t1", [(tails.Subject("end", "p"), 0)]))
    assert 50_000 < world.redis.pttl(world.key("told:t1")) <= 60_000
    world.do(tails.leave("t1", []))
    assert world.redis.exists(world.key("told:t1")) == 0


@of("suspects <owner>")
@pytest.mark.parametrize("how", ["beat", "take", "claim", "reap"])
def test_an_owner_that_is_heard_of_is_no_suspect(world: World, how: str) -> None:
    world.start()
    world.worker()
    world.pass_ms(LEASE_MS + 1)
    world.tick()
    assert world.redis.hgetall(world.key("suspects")) != {}
    match how:
        case "beat":
            world.beat("o1", [])
        case "take":
            world.take("o1")
        case "claim":
            world.do(claims.claim("p", 1, "o1", "c1", lease_ms=LEASE_MS))
        case _:
            world.do(owners.reap("o1"))
    assert world.redis.hgetall(world.key("suspects")) == {}


@of("takes:<owner>")
def test_a_take_that_is_sent_again_gives_nothing_that_is_under_a_later_claim(world: World) -> None:
    fence = world.running()
    request = fence.claim_id.removesuffix("-1")
    world.do(ends.release(fence))
    (later,) = world.take("o1", request="r2")
    assert later.process_id == "p"
    world.redis.hset(
        world.key("takes:o1"), mapping={"request": request, "pids": "p"}
    )  # a resend that was on its way for long
    assert world.take("o1", request=request) == ()
    world.do(owners.reap("o1"))
    assert world.redis.exists(world.key("takes:o1")) == 0


@of("takes:<owner> next")
@pytest.mark.parametrize("how", ["hand-off", "take", "reap", "silence"])
def test_a_worker_is_handed_one_process_while_what_it_said_of_its_next_take_holds(world: World, how: str) -> None:
    def looks(request: str, following: str | None) -> None:
        world.do(claims.take("o1", request, [world.ns], 9, lease_ms=LEASE_MS, following=following))

    world.worker()
    looks("r1", "r2")
    match how:
        case "hand-off":
            world.start("first")
            assert world.field("cl", "first") == "r2-1"
        case "take":
            looks("r2", None)
        case "reap":
            world.do(owners.reap("o1"))
        case _:
            world.pass_ms(2_501)
    world.start()
    assert world.status() == "queued"


@of("beats <owner>", "leases <owner>")
def test_what_is_known_of_an_owner_goes_with_it(world: World) -> None:
    world.worker()
    world.do(owners.beat("o1", [], lease_ms=LEASE_MS, n=1))
    assert (world.redis.hgetall(world.key("beats")), world.redis.hgetall(world.key("leases"))) == (
        {"o1": "1"},
        {"o1": "5000"},
    )
    world.do(owners.reap("o1"))
    assert world.redis.exists(world.key("beats"), world.key("leases")) == 0


@of("proc:<pid> ix, by:<status>:<filter>:<value>")
@pytest.mark.parametrize("how", ["claim", "end", "prune"])
def test_the_indices_that_a_list_finds_a_process_in_are_those_of_its_status(world: World, how: str) -> None:
    world.start()
    if how == "prune":
        world.finish(fence=world.claim())
    world.pass_ms(1_000)
    assert not world.do(processes.index("completed" if how == "prune" else "queued", "k"))
    assert len(world.redis.keys(world.key("by:*"))) == 1
    match how:
        case "claim":
            world.claim()
        case "end":
            world.cancel(grace_ms=0)
            world.pass_ms(1)
            world.tick()
            assert world.status() == "cancelled"
        case _:
            world.pass_ms(WEEK_MS + 1)
            assert world.tick().pruned == 1
    assert (world.field("ix"), world.redis.keys(world.key("by:*"))) == (None, [])


@of("notify:<owner> lost, cancel, slot")
def test_a_word_to_a_run_says_which_one(world: World) -> None:
    fence = world.running()
    world.open(fence, wait("w1"))
    world.cancel(grace_ms=1)
    world.pass_ms(1)
    world.tick()
    heard = [hint.split(" ") for hint in world.redis.lrange(world.key("notify:o1"), 0, -1)]
    assert [(words[0], words[2 if words[0] == "slot" else 1], words[-1]) for words in heard] == [
        ("slot", fence.claim_id, "p"),
        ("cancel", fence.claim_id, "p"),
        ("lost", fence.claim_id, "p"),
    ]


@of("idle:<queue> <owner>")
@pytest.mark.parametrize("how", ["ring", "take", "none", "reap"])
def test_who_waits_for_work_is_told_once_and_not_when_it_has_enough(world: World, how: str) -> None:
    world.worker()
    world.do(world.taking(idle=True))
    assert world.redis.smembers(world.key(f"idle:{world.ns}")) == {"o1"}
    match how:
        case "ring":
            world.start()
        case "take":
            world.redis.rpush(world.rq(f"queue:{world.ns}"), "wl-p-1")
            world.start(delay_ms=1_000)
            world.do(world.taking(n=1, idle=True))
        case "none":
            world.do(world.taking(n=0, idle=True))
        case _:
            world.do(owners.reap("o1"))
    assert world.redis.smembers(world.key(f"idle:{world.ns}")) == set()


@of("ringing <queue>")
@pytest.mark.parametrize("how", ["empty", "paused", "pushed"])
def test_takes_of_several_queues_look_where_there_may_be_doorbells(world: World, how: str) -> None:
    several = [f"{world.ns}.a", f"{world.ns}.b"]
    world.do(owners.register_owner("o1", several, lease_ms=LEASE_MS))

    def takes() -> list[str]:
        call = claims.take("o1", f"r{next(world._takes)}", several, 9, lease_ms=LEASE_MS)
        return [claim.process_id for claim in world.do(call).claims]

    world.start(queue=several[1])
    assert world.redis.smembers(world.key("ringing")) == {several[1]}
    match how:
        case "empty":
            assert (takes(), world.redis.exists(world.key("ringing"))) == (["p"], 0)
        case "paused":
            world.do(queues.pause(several[1]))
            assert (takes(), world.redis.exists(world.key("ringing"))) == ([], 0)
        case _:
            world.redis.delete(world.key("ringing"))
            assert takes() == []
            world.pass_ms(1_000)
            world.tick()
            assert takes() == ["p"]


# -- leases of different lengths


def test_a_lease_that_is_longer_than_this_workers_own_is_no_clock_that_went_back(world: World) -> None:
    world.start()
    world.do(owners.register_owner("o1", [world.ns], lease_ms=60_000))
    world.do(claims.take("o1", "r1", [world.ns], 1, lease_ms=60_000))
    for _ in range(30):  # another worker ticks with the default lease; o1 beats every 20 s
        world.pass_ms(BEAT_MS)
        assert world.tick().reaped == 0
    assert world.status() == "running"


def test_an_owner_with_long_beats_has_one_of_its_own_to_clear_itself_after_an_outage(world: World) -> None:
    world.start()
    world.do(owners.register_owner("o1", [world.ns], lease_ms=50_000))
    world.do(claims.take("o1", "r1", [world.ns], 1, lease_ms=50_000))
    world.pass_ms(50_001)
    for _ in range(10):
        assert world.tick().reaped == 0
        world.pass_ms(BEAT_MS)
    assert (world.tick().reaped, world.status()) == (1, "queued")
