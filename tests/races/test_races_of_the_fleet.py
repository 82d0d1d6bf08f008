"""Races 18, 21, 27, 29 and 31: what the fleet does about lost doorbells, lost workers, clocks, outages and old
releases."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import Any
from unittest import mock

import redis.exceptions
from wakeline.app import App
from wakeline.body.context import AsyncCtx
from wakeline.store import ends, fleet, owners
from wakeline.store.awaited import AsyncStore

from tests.lua.world import BEAT_MS, LEASE_MS, STALE_MS, World
from tests.races.rules import fails_without
from tests.races.workers import app_of, work

HOUR_MS = 3_600_000

# -- 18: the sweep under a backlog doubles the queue, or starves its head


@fails_without(
    "only a bell older than the head of its queue is lost, however old it is",
    "lib/doorbell.lua",
    "return head.at > score and not (head.ids[doorbell.id(pid, p.ep, '2')] or head.ids[doorbell.id(pid, p.ep, '1')])",
    "return true",
)
def test_race_18_a_backlog_is_not_rung_again_by_its_age(world: World) -> None:
    backlog = queue(world, "p", 100)
    world.pass_ms(STALE_MS + 1)
    assert world.tick().rung == 0
    assert world.doorbells() == backlog


@fails_without(
    "a lost bell is rung at the head",
    "lib/bells.lua",
    "doorbell.ring(pid, p.ep, p.q, true)",
    "doorbell.ring(pid, p.ep, p.q, false)",
)
@fails_without(
    "a bell rung at the head makes nothing behind it look lost",
    "lib/doorbell.lua",
    "at_head and '0' or int(now)",
    "int(now)",
)
def test_race_18_a_lost_bell_goes_to_the_head_and_the_backlog_keeps_its_order(world: World) -> None:
    [lost] = queue(world, "lost", 1)
    world.redis.delete(world.rq(f"queue:{world.ns}"))
    world.pass_ms(1)
    backlog = queue(world, "p", 100)
    world.pass_ms(STALE_MS)
    assert world.tick().rung == 1
    for _ in range(5):
        world.pass_ms(1_000)
        assert world.tick().rung == 0
    assert world.doorbells() == [lost, *backlog]


@fails_without(
    "a bell rung at the head makes nothing behind it look lost",
    "lib/doorbell.lua",
    "at_head and '0' or int(now)",
    "int(now)",
)
def test_race_18_a_process_handed_back_to_the_head_does_not_stir_the_backlog(world: World) -> None:
    fence = world.running("back")
    backlog = queue(world, "p", 20)
    world.pass_ms(1)
    world.do(ends.release(fence))
    world.pass_ms(STALE_MS)
    assert world.tick().rung == 0
    assert world.doorbells() == [f"wl-{world.ns}-back-2", *backlog]


@fails_without(
    "where the queue is empty every bell was lost",
    "lib/doorbell.lua",
    "at = math.huge",
    "at = 0",
)
def test_race_18_a_queue_that_was_lost_is_rung_again_by_the_page(world: World) -> None:
    bells = queue(world, "p", 20)
    world.redis.delete(world.rq(f"queue:{world.ns}"))
    world.pass_ms(STALE_MS)
    assert world.tick().rung == 20
    assert sorted(world.doorbells()) == sorted(bells)


@fails_without(
    "a bell that is rung again is taken from where it was",
    "lib/bells.lua",
    "for form = 1, 2 do call('LREM', rq .. ':queue:' .. p.q, 1, doorbell.id(pid, p.ep, int(form))) end",
)
def test_race_18_a_bell_taken_for_lost_is_not_doubled(world: World) -> None:
    world.start("late", delay_ms=1_000)  # queued since it was due, rung when the tick saw that
    world.pass_ms(1_500)
    bells = queue(world, "p", 3)
    world.tick()
    world.pass_ms(STALE_MS)
    assert world.tick().rung == 1
    assert world.doorbells() == [f"wl-{world.ns}-late-1", *bells]


@fails_without(
    "a bell that no worker answers is rung ever more rarely",
    "lib/bells.lua",
    "now + a.stale_ms * (2 ^ math.min(rings - 1, 6) - 1)",
    "now",
)
def test_race_18_a_bell_that_nobody_answers_is_rung_ever_more_rarely_and_never_given_up(world: World) -> None:
    world.start("p")
    rung = 0
    for _ in range(200):
        world.redis.delete(world.rq(f"queue:{world.ns}"))
        world.pass_ms(STALE_MS)
        rung += world.tick().rung
    assert rung == 9
    assert [row.process_id for row in world.do(fleet.read_fleet([world.ns])).stuck] == ["p"]
    world.redis.delete(world.rq(f"queue:{world.ns}"))  # at last the thief is gone
    world.pass_ms(64 * STALE_MS)
    world.tick()
    assert [claim.process_id for claim in world.take(world.worker())] == ["p"]


def queue(world: World, prefix: str, n: int) -> list[str]:
    """Starts so many processes; their bells in order."""
    for i in range(n):
        world.start(f"{prefix}{i}")
    return [f"wl-{world.ns}-{prefix}{i}-1" for i in range(n)]


# -- 21: kill -9 of a worker with 100 bodies uses up 100 attempts


@fails_without(
    "a loss is counted apart from failed attempts",
    "lib/reap.lua",
    "call('HINCRBY', proc_key(pid), 'ls', 1)",
    "call('HINCRBY', proc_key(pid), 'at', 1)",
)
def test_race_21_the_death_of_a_worker_uses_up_no_attempt_of_the_hundred_it_ran(world: World) -> None:
    for n in range(100):
        world.start(f"p{n}", max_attempts=2)
    assert len(world.take(world.worker("o1"))) == 100
    world.do(owners.reap("o1"))
    claims = world.take(world.worker("o2"))
    assert len(claims) == 100
    assert {world.do(ends.release(claim.fence, attempt=True)) for claim in claims} == {"released"}


@fails_without(
    "a process lost eleven times without progress is abandoned",
    "lib/reap.lua",
    "if losses > LOSSES then return abandon(pid, p, 'losses_exhausted') end",
)
def test_race_21_a_process_that_kills_its_workers_does_not_do_so_for_ever(world: World) -> None:
    world.start("poison")
    for n in range(11):
        assert len(world.take(world.worker(f"o{n}"))) == 1
        world.do(owners.reap(f"o{n}"))
        world.clock.advance("1m")
        world.tick()
    assert world.status("poison") == "abandoned"
    assert '"writer":"losses_exhausted"' in world.payload("poison")


@fails_without(
    "a worker that leaves in order causes no loss",
    "lib/reap.lua",
    "if writer ~= 'shutdown' then",
    "if true then",
)
def test_race_21_a_hundred_deploys_use_up_nothing(world: World) -> None:
    world.start("p")
    for n in range(100):
        assert len(world.take(world.worker(f"o{n}"))) == 1
        world.do(owners.reap(f"o{n}", "shutdown"))
    assert world.status("p") == "queued"


@fails_without(
    "a process lost twice runs beside nothing that was not",
    "queue_take.lua",
    "elseif is_kept_out(p) then",
    "elseif false then",
)
def test_race_21_a_process_that_was_lost_twice_takes_no_neighbour_with_it(world: World) -> None:
    world.running("bystander", "o1")
    world.start("poison")
    for owner in ("o2", "o3"):
        assert len(world.take(world.worker(owner))) == 1
        world.do(owners.reap(owner))
    assert world.take("o1") == ()
    world.start("another")
    assert [claim.process_id for claim in world.take(world.worker("o4"))] == ["poison"]


@fails_without(
    "what is lost together runs in ever smaller groups",
    "lib/crashes.lua",
    "if crashes.lost(p) >= crashes.APART then p.lb = math.max(1, math.floor(p.lb / crashes.SHARE)) end",
)
def test_race_21_of_those_that_were_lost_together_the_poison_is_alone_before_their_losses_are_used_up(
    world: World,
) -> None:
    for pid in ("a", "b", "poison", "c", "d"):
        world.start(pid)
    for n in range(12):
        taken = world.take(world.worker(f"o{n}"))
        poisoned = "poison" in [claim.process_id for claim in taken]
        world.do(owners.reap(f"o{n}", "owner_lost" if poisoned else "shutdown"))
        world.pass_ms(60_000)
        world.tick()
    assert {pid: world.field("ls", pid) for pid in ("a", "b", "c", "d")} == dict.fromkeys(("a", "b", "c", "d"), "2")


# -- 27: the clock jumps back: dead owners look alive


@fails_without(
    "an expiry far ahead is brought back",
    "lib/leases.lua",
    "call('ZADD', ns .. 'owners', int(now + lease), ahead[i])",
)
def test_race_27_a_dead_owner_is_reaped_in_time_although_the_clock_jumped_back(world: World) -> None:
    world.running("p", "o1")
    jump_back(world)
    world.tick()
    world.pass_ms(LEASE_MS)
    world.tick()
    world.pass_ms(BEAT_MS)
    assert (world.tick().reaped, world.status("p")) == (1, "queued")


@fails_without(
    "a suspicion from the future begins again",
    "lib/leases.lua",
    "elseif since > now then",
    "elseif false then",
)
def test_race_27_a_suspected_owner_is_reaped_in_time_although_the_clock_jumped_back(world: World) -> None:
    world.running("p", "o1")
    world.pass_ms(LEASE_MS)
    world.tick()
    jump_back(world)
    world.tick()
    world.pass_ms(LEASE_MS)
    world.tick()
    world.pass_ms(BEAT_MS)
    assert (world.tick().reaped, world.status("p")) == (1, "queued")


def jump_back(world: World) -> None:
    """The server's clock is set back by an hour."""
    world.clock._now_ms -= HOUR_MS


# -- 29: Redis is away for longer than a lease: the fleet must not reap itself


@fails_without(
    "an owner is reaped when it was seen expired twice, one beat apart",
    "lib/leases.lua",
    "local since = num(call('HGET', ns .. 'suspects', owner))",
    "local since = 0",
)
def test_race_29_after_an_outage_nobody_who_beats_again_is_reaped(world: World) -> None:
    fleet_of_three = ["o1", "o2", "o3"]
    fences = {owner: world.running(f"p-{owner}", owner) for owner in fleet_of_three}
    world.pass_ms(60_000)
    assert world.tick().reaped == 0
    for owner in fleet_of_three:
        world.pass_ms(500)
        assert world.beat(owner, [fences[owner].claim_id]) == owners.Beaten(True)
        assert world.tick().reaped == 0
    world.pass_ms(BEAT_MS)
    assert world.tick().reaped == 0
    assert [world.status(f"p-{owner}") for owner in fleet_of_three] == ["running"] * 3


@fails_without(
    "a beat clears the suspicion",
    "owner_beat.lua",
    "call('HDEL', ns .. 'suspects', a.owner)",
)
def test_race_29_a_second_outage_finds_no_suspicion_left_of_the_first(world: World) -> None:
    fence = world.running("p", "o1")
    for _ in range(2):
        world.pass_ms(60_000)
        assert world.tick().reaped == 0
        assert world.beat("o1", [fence.claim_id]) == owners.Beaten(True)
    assert world.status("p") == "running"


@fails_without(
    "a take clears the suspicion",
    "queue_take.lua",
    "call('HDEL', ns .. 'suspects', a.owner)",
)
def test_race_29_a_worker_that_takes_after_an_outage_is_not_suspected(world: World) -> None:
    world.running("p", "o1")
    for _ in range(2):
        world.pass_ms(60_000)
        assert world.tick().reaped == 0
        world.take("o1")
    assert world.status("p") == "running"


@fails_without(
    "a worker that lost Redis tries again within a beat",
    "wakeline.store.awaited:AsyncStore._send",
    "min(self._delay * 2, LAST_WAIT_S)",
    "self._delay * 2",
)
def test_race_29_a_worker_never_waits_longer_than_a_beat_before_it_tries_again(world: World) -> None:
    pauses: list[float] = []

    async def outage() -> None:
        store = AsyncStore(world.backend, world.store.address, patient=True)
        await store.open()
        assert store._link is not None
        carry, sleep = store._link.carry, asyncio.sleep

        async def unreachable(*args: Any, **given: Any) -> Any:
            if len(pauses) < 50:
                raise redis.exceptions.ConnectionError("down")
            return await carry(*args, **given)

        async def no_sleep(seconds: float) -> None:
            if seconds:
                pauses.append(seconds)
            await sleep(0)

        with mock.patch.object(store._link, "carry", unreachable), mock.patch.object(asyncio, "sleep", no_sleep):
            await store.execute(fleet.read_fleet([world.ns]))
        await store.close()

    asyncio.run(outage())
    assert len(pauses) == 50
    assert max(pauses) <= BEAT_MS / 1000


# -- 31: an old release claims an engine it does not know: backoff, no hot loop


@fails_without(
    "what this release does not know waits before it is offered again",
    "wakeline.run.misfits:Misfits.hand_back",
    "delay_ms=found.delay_ms",
    "delay_ms=0",
)
@fails_without(
    "a hand-back with a delay rings when it is due",
    "process_release.lua",
    "a.delay_ms > 0 and now + a.delay_ms or nil",
    "nil",
)
def test_race_31_an_old_release_hands_an_unknown_engine_back_for_a_while(world: World, app: App) -> None:
    with closing(app_of(world)) as new:

        @new.engine
        async def only_in_the_new_release(ctx: AsyncCtx) -> str:
            return "done"

        handle = new.using(id="p").start(only_in_the_new_release)
        assert [work(world, app, owner) for owner in ("old1", "old2", "old3")] == [["released"], [], []]
        assert (world.status("p"), world.doorbells()) == ("queued", [])
        world.pass_ms(5_000)
        world.tick()
        work(world, new, "new1")
        assert handle.result() == "done"


@fails_without(
    "a hand-back is no failed attempt",
    "wakeline.run.misfits:Misfits.hand_back",
    "unrun=unrun,",
    "unrun=unrun, attempt=True,",
)
def test_race_31_an_unknown_engine_uses_up_no_attempt(world: World, app: App) -> None:
    world.start("p", max_attempts=2)
    for n in range(5):
        work(world, app, f"old{n}")
        world.pass_ms(5_000)
        world.tick()
    assert (world.status("p"), world.events("p")) == ("queued", [])
