"""Which run an event tells of: when it was claimed, by whom, of which release, at which attempt."""

from __future__ import annotations

from typing import Any

import pytest
from wakeline.observe.events import EventView, RunFacts, event_view
from wakeline.observe.processes import process_of
from wakeline.processes.outputs import CancelledOutput, to_json
from wakeline.store import claims, ends, events, journal, owners, processes
from wakeline.store.journal import Effect, Row

from tests.lua.world import SUCCESS, World, wait

T0 = 1_700_000_000_000


def log(world: World, pid: str = "p") -> list[EventView]:
    """Its log, as a reader sees it."""
    return [event_view(event) for event in world.do(processes.read(pid, count=1000)).events]


def told(world: World, pid: str = "p") -> list[tuple[str, RunFacts | None]]:
    """The types of its events, each with the run that it tells of."""
    return [(event.type, event.run) for event in log(world, pid)]


def test_start_and_end_of_a_run_say_when_it_was_claimed_by_whom_of_which_release_at_which_attempt(world: World) -> None:
    world.start()
    world.pass_ms(200)
    world.worker("o1")
    [claim] = world.take("o1", release="2026-11 b")
    world.pass_ms(1_000)
    world.finish("p", claim.fence)
    run = RunFacts(T0 + 200, "o1", "2026-11 b", 1)
    assert told(world) == [("process.started", run), ("process.completed", run)]
    assert [event.at_ms for event in log(world)] == [T0 + 1_200, T0 + 1_200]
    assert log(world)[0].payload == {"claimed_ms": T0 + 200, "owner": "o1", "release": "2026-11 b", "attempt": 1}
    ended = {"await_output": {"type": "success", "value": 1}}
    assert log(world)[1].payload == {
        **ended,
        "claimed_ms": T0 + 200,
        "owner": "o1",
        "release": "2026-11 b",
        "attempt": 1,
    }
    assert log(world)[1].said == ended


def test_each_park_tells_of_its_own_run_and_a_resume_of_none(world: World) -> None:
    world.parked("p", "o1", wait("w1"))
    world.pass_ms(60_000)
    world.signal()
    world.pass_ms(5)
    again = world.claim("p", "o2")
    world.open(again, wait("w2", "s:more"), rows=[Row("wait-w1", "1", ("w1",))])
    world.pass_ms(7)
    world.park(again, "w2")
    first, second = RunFacts(T0, "o1", None, 1), RunFacts(T0 + 60_005, "o2", None, 1)
    assert told(world) == [
        ("process.started", first),
        ("process.waiting", first),
        ("signal.go", None),
        ("process.resumed", None),
        ("process.waiting", second),
    ]
    assert log(world)[-1].said == {"waits": []}


def test_what_goes_on_as_new_tells_of_the_run_that_did(world: World) -> None:
    fence = world.running("p", "o1")
    world.pass_ms(3)
    world.do(ends.continue_as_new(fence, '{"n":2}'))
    run = RunFacts(T0, "o1", None, 1)
    assert told(world) == [("process.started", run), ("process.continued", run)]
    assert log(world)[-1].said == {"generation": 2, "input": {"n": 2}}


def test_a_lost_run_leaves_who_lost_it_and_how_often_that_was(world: World) -> None:
    world.running("p", "o1")
    world.lose("o1")
    world.pass_ms(10)
    world.claim("p", "o2")
    world.do(owners.reap("o2"))
    lost = [event for event in log(world) if event.type == "process.recovered"]
    assert [(event.payload["owner"], event.payload["losses"]) for event in lost] == [("o1", 1), ("o2", 2)]
    assert [event.run for event in lost] == [RunFacts(T0, "o1", None, 1), RunFacts(lost[1].at_ms, "o2", None, 2)]
    assert [event.said for event in lost] == [{"losses": n} for n, _ in enumerate(lost, 1)]


@pytest.mark.parametrize("how", ["a tick", "its supervisor", "a beat that does not name it", "the slow sweep"])
def test_every_way_by_which_a_lost_run_is_taken_back_leaves_the_event(world: World, how: str) -> None:
    world.running("p", "o1")
    match how:
        case "a tick":
            world.lose("o1")
        case "its supervisor":
            world.do(owners.reap("o1"))
        case "a beat that does not name it":
            world.beat("o1", [])
            world.beat("o1", [])
        case _:
            world.redis.zrem(world.key("owners"), "o1")
            world.redis.delete(world.key("owned:o1"))
            for _ in range(20):
                world.pass_ms(10_001)
                world.tick()
    assert world.status() == "queued"
    [event] = [event for event in log(world) if event.type == "process.recovered"]
    assert (event.payload["owner"], event.payload["losses"]) == ("o1", 1)


def test_what_a_leaving_worker_hands_on_was_not_lost(world: World) -> None:
    world.running("p", "o1")
    world.do(owners.reap("o1", "shutdown"))
    assert world.events() == []


def test_a_view_says_the_attempt_that_the_log_says(world: World) -> None:
    def attempt() -> int:
        view: processes.StoredProcess = world.do(processes.read("p", count=1, tail=True, detail=True))
        return process_of(view).attempt

    first = world.running("p", "o1", max_attempts=2)
    assert attempt() == 1
    world.do(ends.release(first, attempt=True))
    assert attempt() == 2
    [second] = world.take("o1")
    world.do(journal.record(second.fence, [Row("a", "1")]))  # it gets further
    assert attempt() == 2
    world.finish("p", second.fence)
    assert (attempt(), told(world)[-1][1].attempt) == (2, 2)  # type: ignore[union-attr]


def test_a_view_says_the_attempt_after_which_no_other_came(world: World) -> None:
    fence = world.running("p", "o1", max_attempts=1)
    world.do(ends.release(fence, attempt=True))
    view: processes.StoredProcess = world.do(processes.read("p", count=1, tail=True, detail=True))
    assert (view.status, process_of(view).attempt, told(world)[-1][1].attempt) == ("abandoned", 1, 1)  # type: ignore[union-attr]


def test_a_run_that_was_tried_before_keeps_its_attempt_however_far_it_gets(world: World) -> None:
    first = world.running("p", "o1")
    world.do(ends.release(first, attempt=True))
    [second] = world.take("o1")
    assert second.attempt == 2
    world.do(journal.record(second.fence, [Row("a", "1")]))  # it gets further: the next one begins to count anew
    world.open(second.fence, wait("w1"))
    world.park(second.fence, "w1")
    world.signal()
    [third] = world.take("o1")
    assert third.attempt == 1
    world.finish("p", third.fence)
    assert [(kind, run.attempt) for kind, run in told(world) if run is not None] == [
        ("process.started", 2),
        ("process.waiting", 2),
        ("process.completed", 1),
    ]


@pytest.mark.parametrize("how", ["queued", "waiting", "external"])
def test_an_end_that_no_run_came_to_tells_of_none(world: World, how: str) -> None:
    if how == "waiting":
        world.parked()
    else:
        world.start(kind="external" if how == "external" else "engine")
    if how == "external":
        world.finish("p")
    else:
        world.cancel(grace_ms=1)
        world.pass_ms(2)
        world.tick()
    assert told(world)[-1] == (f"process.{'completed' if how == 'external' else 'cancelled'}", None)


def test_an_end_from_outside_tells_of_the_run_that_it_ended(world: World) -> None:
    world.running("p", "o1")
    world.cancel(grace_ms=1)
    world.pass_ms(2)
    world.tick()
    assert told(world)[-1] == ("process.cancelled", RunFacts(T0, "o1", None, 1))
    assert log(world)[-1].said == {"await_output": {"type": "cancelled", "message": "asked"}}


def test_who_awaits_a_child_is_given_its_output_and_nothing_of_its_run(world: World) -> None:
    world.start("child", queue="other")
    world.parked("parent", "o1", wait("w1", "c:child"))
    world.do(owners.register_owner("o2", ["other"], lease_ms=5_000))
    [taken] = world.do(claims.take("o2", "r", ["other"], 1, lease_ms=5_000)).claims
    child = taken.fence
    world.finish("child", child, output=to_json(CancelledOutput("no")), status="cancelled")
    [claim] = world.take("o1")
    assert claim.slots["w1"]["r"] == '{"status":"ok","value":{"type":"cancelled","message":"no"}}'
    [opened] = world.open(claim.fence, wait("w2", "c:child"))
    assert opened.text == '{"status":"ok","value":{"type":"cancelled","message":"no"}}'


def test_what_the_release_before_wrote_is_read_and_tells_of_no_run(world: World) -> None:
    world.start()
    entry: Any = {"t": "process.started", "p": "{}", "at": T0}
    world.redis.xadd(world.key("events:p"), entry, id="1-0")
    world.redis.xadd(world.key("events:p"), {**entry, "r": "of a later release"}, id="2-0")
    world.redis.xadd(world.key("events:p"), {"t": "process.waiting", "p": "{torn", "at": T0}, id="3-0")
    assert [(event.payload, event.run) for event in log(world)] == [({}, None), ({}, None), ("{torn", None)]


def test_an_event_of_a_body_that_looks_like_a_run_is_none(world: World) -> None:
    fence = world.running("p", "o1")
    forged = '{"claimed_ms":1,"owner":"me","release":null,"attempt":1}'
    world.do(events.append("p", "log", forged, effect=Effect(fence)))
    world.finish("p", fence, output=SUCCESS)
    assert [(kind, run is None) for kind, run in told(world)] == [
        ("process.started", False),
        ("log", True),
        ("process.completed", False),
    ]
    assert log(world)[1].said == {"claimed_ms": 1, "owner": "me", "release": None, "attempt": 1}
