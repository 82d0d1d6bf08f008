"""Hand-offs: what becomes runnable while a worker is idle is claimed for it in the same step, and its hint brings the
claim; whatever is not plain is rung for as before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from wakeline.processes.limits import Limit
from wakeline.sessions.admission import AdmissionPolicy
from wakeline.store import claims, ends, journal, owners, queues, sessions, starts
from wakeline.store.claims import Claim
from wakeline.store.codes import hint_of
from wakeline.store.journal import Row
from wakeline.store.starts import SessionAddress

from tests.lua.world import LEASE_MS, World, registration, wait


def idle(world: World, owner: str = "o1", request: str = "r1", following: str = "r2", **over: Any) -> tuple[str, ...]:
    """An owner takes, finds nothing, and says under which id its next take will be. What it got."""
    if world.redis.zscore(world.key("owners"), owner) is None:
        world.worker(owner)
    taking = claims.take(owner, request, [world.ns], 64, lease_ms=LEASE_MS, following=following, **over)
    return tuple(claim.process_id for claim in world.do(taking).claims)


def heard(world: World, owner: str = "o1") -> list[str]:
    """What an owner hears, in order: hints by their verb, claims by their process."""
    messages: list[str] = world.redis.lpop(world.key(f"notify:{owner}"), 100) or []
    return [f"claim {claim.process_id}" if (claim := claim_in(one)) else one for one in messages]


def claim_in(message: str) -> Claim | None:
    return claims.handed_claim(hint.claim) if (hint := hint_of(message)).verb == "claim" else None


def handed(world: World, owner: str = "o1") -> Claim:
    """The claim in the only hint of an owner."""
    [message] = world.redis.lpop(world.key(f"notify:{owner}"), 100)
    claim = claim_in(message)
    assert claim is not None, message
    return claim


def plainly(claim: Claim) -> Any:
    """What a claim says, without when it was heard."""
    return (claim.fence, dict(claim.fields), claim.registration, claim.input, dict(claim.journal), dict(claim.slots)), (
        claim.complete,
        claim.batch,
        claim.unread,
    )


def idle_owners(world: World) -> set[str]:
    return world.redis.smembers(world.key(f"idle:{world.ns}"))


def test_a_start_while_a_worker_is_idle_is_claimed_for_it_and_its_hint_brings_the_claim(world: World) -> None:
    idle(world)
    world.start("p", payload={"n": 1})
    claim = handed(world)
    assert (claim.fence.claim_id, claim.fence.owner, claim.fence.epoch) == ("r2-1", "o1", 1)
    assert claim.registration.input.payload == {"n": 1}  # type: ignore[union-attr]
    assert (world.status("p"), world.doorbells()) == ("running", [])
    assert world.redis.smembers(world.key("owned:o1")) == {"p"}
    assert idle_owners(world) == {"o1"}
    assert [world.redis.zscore(world.key(f"idx:{status}"), "p") for status in ("queued", "running")] == [
        None,
        world.now(),
    ]
    world.finish("p", claim.fence)
    assert world.events("p") == ["process.started", "process.completed"]


def test_the_take_under_that_id_brings_the_same_claim_and_the_one_after_it_nothing(world: World) -> None:
    idle(world)
    world.start("p")
    claim = handed(world)
    [again] = world.do(claims.take("o1", "r2", [world.ns], 64, lease_ms=LEASE_MS, following="r3")).claims
    assert plainly(again) == plainly(claim)
    assert idle(world, request="r3", following="r4") == ()


def test_a_resend_of_the_take_before_brings_it_too(world: World) -> None:
    idle(world)
    world.start("p")
    world.start("q")
    assert idle(world) == ("p",)
    assert idle(world, request="r3", following="r4") == ("q",)


def test_a_worker_is_handed_one_process_and_hears_a_bell_for_the_next(world: World) -> None:
    idle(world)
    for pid in ("a", "b", "c"):
        world.start(pid)
    assert heard(world) == ["claim a", "bell"]
    assert idle(world, request="r3", following="r4") == ("b", "c")


def test_each_idle_worker_is_handed_one_of_a_bundle_and_the_rest_waits_in_order(world: World) -> None:
    idle(world, "o1", "r1", "r2")
    idle(world, "o2", "s1", "s2")
    world.store.execute_together([starts.register(registration(pid, world.ns)) for pid in ("a", "b", "c", "d")])
    both = heard(world, "o1") + heard(world, "o2")
    assert sorted(both) == ["bell", "bell", "claim a", "claim b"]
    assert idle(world, "o1", "r3", "r4") == ("c", "d")


def test_a_signal_to_a_parked_process_hands_it_over_with_what_it_recorded_and_waits_for(world: World) -> None:
    fence = world.running("p")
    world.open(fence, wait("w1"), rows=[Row("step", "7")])
    world.park(fence, "w1")
    idle(world, "o2", "s1", "s2")
    world.signal("p", payload="8")
    claim = handed(world, "o2")
    assert (claim.fence.claim_id, claim.fence.owner, claim.fence.epoch) == ("s2-1", "o2", 2)
    assert (claim.journal, claim.slots["w1"]["r"]) == ({"step": "7"}, '{"status":"ok","value":8}')
    world.do(journal.record(claim.fence, [Row("wait-w1", "8", ("w1",))]))
    world.finish("p", claim.fence)
    assert world.events("p")[-2:] == ["process.resumed", "process.completed"]


def test_a_timer_hands_over_what_it_resumes(world: World) -> None:
    world.parked("p", "o1", wait("w1", "t:", due_ms=world.now() + 500))
    idle(world, "o2", "s1", "s2")
    world.pass_ms(500)
    world.tick()
    assert "claim p" in heard(world, "o2")


def test_the_turn_that_an_input_begins_is_handed_over_with_its_batch(world: World) -> None:
    turns = {"bot": AdmissionPolicy(max_entries=2)}
    world.do(owners.register_owner("o1", [world.ns], lease_ms=LEASE_MS, turns=turns))
    idle(world, agents=turns)
    session = SessionAddress("bot/1", "bot", world.ns, "5a17" * 4)
    world.do(sessions.send(session, '{"text":"hi"}'))
    claim = handed(world)
    assert claim.batch is not None
    assert (claim.session_id, [entry.n for entry in claim.batch.entries]) == ("bot/1", [1])
    [again] = world.do(claims.take("o1", "r2", [world.ns], 9, lease_ms=LEASE_MS, agents=turns)).claims
    assert (again.fence, again.batch) == (claim.fence, claim.batch)


def test_a_turn_of_an_agent_that_the_worker_does_not_have_is_rung_for(world: World) -> None:
    idle(world)
    world.do(sessions.send(SessionAddress("bot/1", "bot", world.ns, "5a17" * 4), '{"text":"hi"}'))
    assert (heard(world), len(world.doorbells())) == (["bell"], 1)


def test_rq_shows_what_was_handed_over_as_what_was_taken(world: World) -> None:
    world.redis.hset(world.rq("worker:o1"), "state", "idle")
    idle(world)
    world.start("p")
    fence = handed(world).fence
    job = world.redis.hgetall(world.rq(f"job:wl-{world.ns}-p-1"))
    assert (job["status"], job["worker_name"]) == ("started", "o1")
    assert world.redis.zrange(world.rq(f"wip:{world.ns}"), 0, -1) == [f"wl-{world.ns}-p-1:r2-1"]
    assert world.redis.hget(world.rq("worker:o1"), "state") == "busy"
    assert world.redis.smembers(world.rq("queues")) == {world.rq(f"queue:{world.ns}")}
    world.finish("p", fence)
    assert world.redis.hget(world.rq("worker:o1"), "state") == "idle"
    assert [key for key in list(world.keys()) if f"wl-{world.ns}-p-1" in key] == []


def test_a_claim_that_is_long_is_fetched_by_the_take_and_not_carried(world: World) -> None:
    idle(world)
    world.start("p", payload="x" * 20_000)
    assert (heard(world), world.status("p")) == (["bell"], "running")
    assert idle(world, request="r2", following="r3") == ("p",)


def test_the_release_of_the_workers_code_is_that_of_the_claim(world: World) -> None:
    idle(world, release="v 2")
    world.start("p")
    assert (handed(world).fields["rel"], world.field("rel")) == ("v 2", "v 2")


# -- what is not plain


def paused(world: World) -> None:
    world.do(queues.pause(world.ns))


def suspended(world: World) -> None:
    world.redis.set(world.rq("suspended"), 1)


def waits_there(world: World) -> None:
    world.redis.rpush(world.rq(f"queue:{world.ns}"), f"wl-{world.ns}-other-1")


def silent(world: World) -> None:
    world.pass_ms(2_501)


def clock_jumped_back(world: World) -> None:
    world.clock._now_ms -= 1


def queue_has_a_limit(world: World) -> None:
    world.redis.hset(world.key("limits"), f"q:{world.ns}", Limit(concurrency=9).wire())


def lacks_the_code(world: World) -> None:
    world.redis.hset(world.key("takes:o1"), "lacks", " e:job ")


@pytest.mark.parametrize(
    "make", [paused, suspended, waits_there, silent, clock_jumped_back, queue_has_a_limit, lacks_the_code]
)
def test_what_is_not_plain_is_rung_for(world: World, make: Callable[[World], None]) -> None:
    idle(world)
    make(world)
    world.start("p")
    assert (heard(world), world.status("p")) == (["bell"], "queued")
    assert f"wl-{world.ns}-p-1" in world.doorbells()


def test_a_start_under_a_limit_is_rung_for(world: World) -> None:
    world.do(owners.register_owner("o1", [world.ns], lease_ms=LEASE_MS, limits={"b:job": Limit(concurrency=9).wire()}))
    idle(world)
    world.start("p", limit="b:job")
    assert (heard(world), world.status("p")) == (["bell"], "queued")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ls", "2"),
        ("mf", '{"kind":"missing","what":"x","release":"v1","since_ms":1,"looks":1}'),
        ("uf", ",v1,"),
        ("cr", "1"),
        ("hd", "b:job"),
        ("rd", "b:job"),
        ("ce", "b:job"),
        ("lm", "b:job"),
    ],
)
def test_a_suspect_and_what_stands_in_a_line_or_waits_for_other_code_is_rung_for(
    world: World, field: str, value: str
) -> None:
    world.parked("p")
    idle(world, "o2", "s1", "s2")
    world.redis.hset(world.key("proc:p"), field, value)
    world.signal("p")
    assert (heard(world, "o2"), world.status("p")) == (["bell"], "queued")
    assert world.doorbells() == [f"wl-{world.ns}-p-2"]


def test_what_is_found_not_plain_last_of_all_stays_before_what_was_rung_for_meanwhile(world: World) -> None:
    world.redis.hset(world.key("limits"), f"q:{world.ns}", Limit(concurrency=9).wire())
    idle(world)
    world.store.execute_together([starts.register(registration(pid, world.ns)) for pid in ("a", "b", "c")])
    assert world.doorbells() == [f"wl-{world.ns}-{pid}-1" for pid in ("a", "b", "c")]


def test_what_a_worker_hands_back_is_rung_for_at_the_head(world: World) -> None:
    fence = world.running("p")
    idle(world, "o2", "s1", "s2")
    world.do(ends.release(fence))
    assert (heard(world, "o2"), world.doorbells()) == (["bell"], [f"wl-{world.ns}-p-2"])


@pytest.mark.parametrize("following", [None, "r3"])
def test_a_worker_is_handed_nothing_once_it_took_something_or_does_not_ask_for_it(
    world: World, following: str | None
) -> None:
    idle(world)
    world.redis.lpush(world.rq(f"queue:{world.ns}"), "nothing")  # a push that no script made: no worker heard of it
    world.redis.delete(world.rq("job:nothing"))
    if following is not None:
        world.start("first")
        assert heard(world) == ["bell"]
    world.do(claims.take("o1", "r2", [world.ns], 64, lease_ms=LEASE_MS, following=following))
    world.start("p")
    assert (heard(world), world.status("p")) == (["bell"], "queued")


def test_a_worker_whose_look_met_a_suspension_is_handed_nothing_when_it_is_over(world: World) -> None:
    idle(world)
    world.redis.set(world.rq("suspended"), 1)
    idle(world, request="r2", following="r3")
    world.redis.delete(world.rq("suspended"))
    world.start("p")
    assert (heard(world), world.status("p")) == (["bell"], "queued")


def several(world: World, first: str, second: str) -> Sequence[str]:
    """An idle owner of two queues."""
    both = [f"{world.ns}.{first}", f"{world.ns}.{second}"]
    world.do(owners.register_owner("o1", both, lease_ms=LEASE_MS))
    world.do(claims.take("o1", "r1", both, 64, lease_ms=LEASE_MS, following="r2"))
    return both


def test_a_worker_of_several_queues_is_handed_what_comes_to_any_of_them(world: World) -> None:
    _, second = several(world, "a", "b")
    world.start("p", queue=second)
    assert handed(world).fence.claim_id == "r2-1"


def test_a_worker_of_several_queues_is_handed_nothing_while_another_of_them_has_doorbells(world: World) -> None:
    first, second = several(world, "a", "b")
    world.redis.sadd(world.key("ringing"), first)
    world.start("p", queue=second)
    assert (heard(world), world.status("p")) == (["bell"], "queued")


# -- a worker that leaves or dies


def test_a_worker_that_leaves_is_handed_nothing_more_and_gets_what_it_was_handed(world: World) -> None:
    idle(world)
    world.start("p")
    leaving = claims.take("o1", "r2", [world.ns], 0, lease_ms=LEASE_MS)
    [claim] = world.do(leaving).claims
    assert (claim.fence.claim_id, idle_owners(world)) == ("r2-1", set())
    world.do(ends.release(claim.fence, unrun=True))
    assert world.doorbells() == [f"wl-{world.ns}-p-2"]
    assert world.field("ls") is None


def test_what_was_handed_to_a_worker_that_dies_goes_to_another_at_its_reap(world: World) -> None:
    idle(world)
    world.start("p")
    assert world.do(owners.reap("o1")) == ("p",)
    world.worker("o2")
    assert [claim.process_id for claim in world.take("o2")] == ["p"]
