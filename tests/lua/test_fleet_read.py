"""What doctor reads: the fleet in one picture, and ids without their rows."""

from __future__ import annotations

from wakeline.store import fleet, owners, processes, sessions
from wakeline.store.fleet import Due, StoredFleet, StoredQueue, StoredQueued, Ticked

from tests.lua.world import LEASE_MS, World, wait


def view(world: World, *queues: str) -> StoredFleet:
    return world.do(fleet.read_fleet(queues or [world.ns]))


def test_a_queue_knows_its_live_workers_and_forgets_expired_ones(world: World) -> None:
    world.worker("o_b")
    world.worker("o_a")
    world.do(world.taking("o_a", idle=True))
    assert view(world).queues == (StoredQueue(world.ns, 0, 1, ("o_a", "o_b")),)
    world.pass_ms(LEASE_MS + 1)
    assert view(world).queues == (StoredQueue(world.ns, 0, 1, ()),)


def test_a_stock_worker_is_alive_while_rq_has_its_key(world: World) -> None:
    world.redis.sadd(world.rq(f"workers:{world.ns}"), world.rq("worker:host.1"), world.rq("worker:gone.2"))
    world.redis.hset(world.rq("worker:host.1"), "birth", "now")
    assert view(world).queues[0].workers == ("host.1",)


def test_an_owner_that_expired_is_not_taken_for_a_stock_worker(world: World) -> None:
    world.worker("o_a")
    world.redis.sadd(world.rq(f"workers:{world.ns}"), world.rq("worker:o_a"))
    world.redis.hset(world.rq("worker:o_a"), "birth", "now")
    assert view(world).queues[0].workers == ("o_a",)
    world.pass_ms(LEASE_MS + 1)
    assert view(world).queues[0].workers == ()


def test_queues_of_the_namespace_that_no_body_names_are_found_while_they_matter(world: World) -> None:
    world.start("p1", queue=f"{world.ns}.night")
    world.redis.sadd(
        world.rq("queues"), world.rq(f"queue:{world.ns}.empty"), world.rq(f"queue:{world.ns}2"), world.rq("queue:other")
    )
    assert [queue.name for queue in view(world).queues] == [world.ns, f"{world.ns}.night"]


def test_a_queued_process_says_what_it_needs_and_how_often_it_was_rung_again(world: World) -> None:
    world.start("p1", payload={"kind": "not this", "text": "x" * 5000})
    world.do(sessions.send(world.session("bot/1"), '{"kind":"input","input":"hi"}'))
    [engine, turn] = view(world).queued
    assert engine == StoredQueued("p1", world.ns, 0, False, "engine", "job", losses=0, due_ms=world.now())
    assert (turn.input, turn.needs) == ("session_turn", "bot")
    assert view(world).stuck == ()
    world.redis.delete(world.rq(f"queue:{world.ns}"))
    world.redis.zadd(world.rq(f"failed:{world.ns}"), {f"wl-{world.ns}-p1-1": 1})
    world.pass_ms(1)
    world.tick(stale_ms=0)
    stuck = {row.process_id: (row.rings, row.failed) for row in view(world).stuck}
    assert stuck == {"p1": (1, True), turn.process_id: (1, False)}


def test_the_namespace_says_what_it_was_opened_with(world: World) -> None:
    found = view(world)
    assert (found.format, found.rq_prefix, found.now_ms) == ("1", f"rq-{world.ns}", world.now())


def test_a_queued_process_without_a_doorbell_is_told_once_the_doorbell_had_time_to_be_claimed(world: World) -> None:
    for pid in ("p1", "p2"):
        world.start(pid)
    world.start("later", delay_ms=60_000)
    world.redis.lpop(world.rq(f"queue:{world.ns}"))
    assert [row.process_id for row in view(world).queued if row.lost] == []
    world.pass_ms(5_000)
    assert [
        row.process_id for row in view(world).queued if row.lost
    ] == []  # p2's is as old: nothing says that p1's was lost, and not just popped
    world.redis.delete(world.rq(f"queue:{world.ns}"))
    assert [row.process_id for row in view(world).queued if row.lost] == ["p1", "p2"]
    world.tick(stale_ms=5_000)
    assert [row.process_id for row in view(world).queued if row.lost] == []


def test_who_ticked_last_and_what_is_due_since_when_is_told(world: World) -> None:
    world.parked("p", "o1", wait("w1", "t:", due_ms=world.now() + 1_000))
    found = view(world)
    assert (found.ticked, found.timers_due, found.schedules_due) == (None, Due(0, None), Due(0, None))
    due = world.now() + 1_000
    world.pass_ms(3_000)
    assert view(world).timers_due == Due(1, due)
    world.tick(by="stock o2")
    assert (view(world).ticked, view(world).timers_due) == (Ticked(world.now(), "stock"), Due(0, None))


def test_a_tick_that_spares_itself_does_nothing_while_another_one_ticks(world: World) -> None:
    world.tick(by="worker o1")
    ticked = world.now()
    world.parked("p", "o1", wait("w1", "t:", due_ms=world.now() + 1_000))
    world.pass_ms(9_999)
    report = world.tick(by="stock o2", spare_ms=10_000)
    assert (report.spared, report.fired, report.next_due_ms) == (True, 0, ticked + 10_000)
    assert world.status("p") == "waiting"
    world.pass_ms(1)
    report = world.tick(by="stock o2", spare_ms=10_000)
    assert (report.spared, report.fired) == (False, 1)
    assert world.status("p") == "queued"
    assert not world.tick(by="stock o2", spare_ms=10_000).spared  # who ticked itself goes on
    assert world.tick(by="stock o3", spare_ms=10_000).spared


def test_a_tick_from_the_future_spares_nobody(world: World) -> None:
    world.redis.hset(world.key("meta"), "ticked", f"{world.now() + 60_000} worker o1")  # the clock jumped back since
    assert not world.tick(by="stock o2", spare_ms=10_000).spared


def test_a_worker_start_hears_when_the_namespace_was_ticked_last(world: World) -> None:
    introduction = owners.register_owner("o1", [], lease_ms=LEASE_MS)
    assert world.do(introduction) == owners.Introduced(world.now(), None)
    world.tick()
    ticked = world.now()
    world.pass_ms(700)
    assert world.do(introduction) == owners.Introduced(ticked + 700, ticked)


def test_ids_come_in_pages_latest_first(world: World) -> None:
    for pid in ("a", "b", "c"):
        world.start(pid)
        world.pass_ms(1)
    start = world.now() - 3
    assert world.do(processes.list_ids("queued", offset=0, limit=2)) == [("c", start + 2), ("b", start + 1)]
    assert world.do(processes.list_ids("queued", offset=2, limit=2)) == [("a", start)]
    assert world.do(processes.list_ids("completed", offset=0, limit=2)) == []


def test_a_list_is_narrowed_by_the_kind_that_a_status_shows(world: World) -> None:
    world.start("e1")
    world.start("x1", kind="external")
    world.do(sessions.send(world.session("bot/1"), '{"kind":"input","input":"hi"}'))

    def listed(status: str, kind: str) -> list[str]:
        return [row.process_id for row in world.do(processes.list_page([status], kind=kind)).rows]

    assert listed("queued", "job") == ["e1"]
    assert listed("queued", "jo") == []
    assert listed("running", "external") == ["x1"]
    assert len(listed("queued", "session_turn")) == 1
    assert listed("queued", "tool") == []
