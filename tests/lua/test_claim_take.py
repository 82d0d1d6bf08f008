"""queue_take and process_claim: a doorbell becomes a claim in one step, for a living owner only."""

from __future__ import annotations

from wakeline.store import claims, queues
from wakeline.store import journal as stored_journal
from wakeline.store.journal import Row

from tests.lua.world import LEASE_MS, START_MS, World, wait


def test_a_take_claims_in_order_of_the_queue_up_to_n(world: World) -> None:
    for pid in ("a", "b", "c"):
        world.start(pid)
    world.worker()
    taken = world.do(world.taking(n=2))
    assert ([c.process_id for c in taken.claims], taken.more, taken.reaped) == (["a", "b"], True, False)
    assert world.doorbells() == [f"wl-{world.ns}-c-1"]
    assert [world.status(pid) for pid in ("a", "b", "c")] == ["running", "running", "queued"]


def test_what_a_full_reply_leaves_stays_at_the_head_of_the_queue_in_its_order(world: World) -> None:
    for n in range(6):
        world.start(f"p{n}", payload="x" * 30_000)
    world.worker()
    taken = [[c.process_id for c in world.take(n=100)] for _ in range(3)]
    assert taken == [["p0", "p1", "p2"], ["p3", "p4", "p5"], []]
    assert world.doorbells() == []


def test_a_take_of_many_goes_on_behind_doorbells_of_nothing(world: World) -> None:
    """Of a few that came together none may be left to run."""
    for n in range(40):
        world.start(f"p{n:02}")
    for n in range(35):
        world.redis.delete(world.key(f"proc:p{n:02}"))
    world.worker()
    assert [c.process_id for c in world.take(n=3)] == ["p35", "p36", "p37"]
    assert [bell.split("-")[2] for bell in world.doorbells()] == ["p38", "p39"]


def test_a_claim_brings_all_a_run_needs(world: World) -> None:
    fence = world.running("p", payload={"n": 1})
    world.do(stored_journal.record(fence, [Row("step", "1")]))
    world.open(fence, wait("w1"))
    world.lose()
    world.worker("o2")
    (claim,) = world.take("o2", request="r")
    assert (claim.fence.epoch, claim.fence.claim_id, claim.fence.owner) == (2, "r-1", "o2")
    assert (claim.journal, claim.attempt, claim.complete) == ({"step": "1"}, 2, True)
    assert claim.slots["w1"]["k"] == "s:go"
    assert claim.registration.input.payload == {"n": 1}  # type: ignore[union-attr]


def test_a_take_sent_twice_returns_the_same_claims(world: World) -> None:
    world.start("a")
    world.start("b")
    world.worker()
    call = world.taking(n=2, request="r1")
    first, before = world.do(call), world.snapshot()
    again = world.do(call)
    assert [c.fence for c in again.claims] == [c.fence for c in first.claims]
    assert len(again.claims) == 2
    assert world.snapshot() == before


def test_an_empty_take_sent_twice_enters_the_idle_set_once(world: World) -> None:
    world.worker()
    assert world.twice(world.taking(request="r1", idle=True)).claims == ()
    assert world.redis.smembers(world.key(f"idle:{world.ns}")) == {"o1"}
    world.start("p")
    assert world.redis.smembers(world.key(f"idle:{world.ns}")) == set()
    assert world.redis.lrange(world.key("notify:o1"), 0, -1) == ["bell"]


def test_who_takes_none_is_rung_no_more_and_keeps_what_it_has(world: World) -> None:
    fence = world.running("a")
    world.do(world.taking(request="r1", idle=True))
    world.redis.set(world.rq("suspended"), 1)
    assert world.do(world.taking(request="r2", n=0)).claims == ()
    world.start("b")
    assert world.redis.exists(world.key("notify:o1")) == 0
    assert (world.status("a"), world.status("b"), world.field("cl", "a")) == ("running", "queued", fence.claim_id)


def test_an_unknown_or_reaped_owner_gets_nothing(world: World) -> None:
    world.start("p")
    before = world.snapshot()
    assert world.do(world.taking("nobody")).reaped
    assert world.raw(claims.claim("p", 1, "nobody", "c1", lease_ms=LEASE_MS)) == ["reaped"]
    assert world.snapshot() == before


def test_a_take_renews_the_lease(world: World) -> None:
    world.worker()
    world.pass_ms(1_000)
    world.take()
    assert world.redis.zscore(world.key("owners"), "o1") == START_MS + 1_000 + LEASE_MS


def test_a_stale_doorbell_is_thrown_away(world: World) -> None:
    world.start("p")
    world.cancel("p", grace_ms=0)
    world.tick()
    world.worker()
    assert world.take() == ()
    assert (world.doorbells(), world.redis.exists(world.rq(f"job:wl-{world.ns}-p-1"))) == ([], 0)


def test_a_foreign_job_is_failed_with_its_reason(world: World) -> None:
    world.redis.hset(world.rq("job:theirs"), mapping={"data": "x", "status": "queued"})
    world.redis.rpush(world.rq(f"queue:{world.ns}"), "theirs")
    world.worker()
    assert world.take() == ()
    assert world.redis.hget(world.rq("job:theirs"), "status") == "failed"
    assert world.redis.zrange(world.rq(f"failed:{world.ns}"), 0, -1) == ["theirs"]


def test_rq_sees_the_run_begin_and_end(world: World) -> None:
    world.redis.hset(world.rq("worker:o1"), "state", "idle")
    fence = world.running("p")
    job = world.redis.hgetall(world.rq(f"job:wl-{world.ns}-p-1"))
    assert (job["status"], job["worker_name"]) == ("started", "o1")
    assert world.redis.zrange(world.rq(f"wip:{world.ns}"), 0, -1) == [f"wl-{world.ns}-p-1:{fence.claim_id}"]
    assert world.redis.hget(world.rq("worker:o1"), "state") == "busy"
    world.pass_ms(1_500)
    world.finish("p", fence)
    assert world.redis.hgetall(world.rq("worker:o1")) == {
        "state": "idle",
        "successful_job_count": "1",
        "total_working_time": "1.5",
    }
    assert [key for key in list(world.keys()) if f"wl-{world.ns}-p-1" in key] == []


def test_a_large_claim_leaves_its_journal_for_a_read(world: World) -> None:
    fence = world.running("p")
    world.do(stored_journal.record(fence, [Row("step", "x" * 40_000), Row("other", "y" * 40_000)]))
    world.open(fence, wait("w1"))
    world.lose()
    world.worker("o2")
    (claim,) = world.take("o2")
    assert (claim.complete, claim.journal, claim.slots) == (False, {}, {})
    journal, slots = world.do(stored_journal.read_journal(claim.fence))
    assert (len(journal["step"]), len(journal["other"]), slots["w1"]["g"]) == (40_000, 40_000, "w1")
    assert world.raw(stored_journal.read_journal(fence)) == ["lost"]


def test_a_stock_worker_claims_what_rq_popped(world: World) -> None:
    world.start("p")
    world.worker()
    world.redis.lpop(world.rq(f"queue:{world.ns}"))
    call = claims.claim("p", 1, "o1", "c1", lease_ms=LEASE_MS)
    first, before = world.do(call), world.snapshot()
    again = world.do(call)
    assert first is not None and again is not None
    assert (first.fence.claim_id, again.fence) == ("c1", first.fence)
    assert world.snapshot() == before
    assert (
        world.redis.hget(world.rq(f"job:wl-{world.ns}-p-1"), "status") == "queued"
    )  # RQ keeps its own books under its own worker
    world.finish("p", first.fence)
    assert world.redis.exists(world.rq(f"job:wl-{world.ns}-p-1")) == 1


def test_a_claim_of_another_epoch_or_of_a_running_process_is_stale(world: World) -> None:
    world.start("p")
    world.worker()
    assert world.raw(claims.claim("p", 2, "o1", "c1", lease_ms=LEASE_MS)) == ["stale"]
    world.take()
    assert world.raw(claims.claim("p", 1, "o1", "c2", lease_ms=LEASE_MS)) == ["stale"]
    assert world.do(claims.claim("nobody", 1, "o1", "c1", lease_ms=LEASE_MS)) is None


def test_a_process_lost_twice_runs_alone_and_holds_nobody_up(world: World) -> None:
    world.start("p")
    for owner in ("a", "b"):
        world.claim("p", owner)
        world.lose(owner)
    world.start("q")
    world.start("r")
    world.worker("busy")
    taken = world.do(world.taking("busy", n=1))
    assert [c.process_id for c in taken.claims] == ["p"]  # alone on an idle worker
    assert taken.claims[0].alone
    world.worker("o3")
    assert [c.process_id for c in world.take("o3")] == ["q", "r"]


def test_a_busy_worker_passes_a_process_lost_twice_by_and_is_not_told_to_hurry(world: World) -> None:
    world.start("p")
    for owner in ("a", "b"):
        world.claim("p", owner)
        world.lose(owner)
    bell = world.doorbells()
    world.worker("o3")
    world.start("q", queue=f"{world.ns}.other")
    assert world.do(claims.take("o3", "r1", [f"{world.ns}.other"], 1, lease_ms=LEASE_MS)).claims[0].process_id == "q"
    world.start("r")
    taken = world.do(world.taking("o3"))
    assert ([c.process_id for c in taken.claims], taken.more) == (["r"], False)
    assert world.doorbells() == bell == [f"wl-{world.ns}-p-3"]


def test_nothing_is_taken_while_rq_is_suspended(world: World) -> None:
    world.start("p")
    world.worker()
    world.redis.set(world.rq("suspended"), 1)
    taken = world.do(world.taking(idle=True))
    assert (taken.claims, taken.more, world.doorbells()) == ((), False, [f"wl-{world.ns}-p-1"])
    world.redis.delete(world.rq("suspended"))
    assert [claim.process_id for claim in world.take()] == ["p"]


def test_queues_that_bodies_were_declared_for_stay_known_by_app_and_come_last(world: World) -> None:
    said = [
        world.do(queues.declare_queues("shop", ["shop", "shop.old", "shop.slow"])),
        world.do(queues.declare_queues("shop", ["shop", "shop.new"])),
        world.do(queues.declare_queues("desk", ["shop"])),
        world.do(queues.declare_queues("shop", ["shop", "shop.old"])),
    ]
    assert said == [
        ("shop", "shop.old", "shop.slow"),
        ("shop", "shop.new", "shop.old", "shop.slow"),
        ("shop",),
        ("shop", "shop.old", "shop.new", "shop.slow"),
    ]
