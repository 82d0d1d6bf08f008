"""The log of an end: events of the run alone, whole, and as short as what they say, however many end in one script."""

from __future__ import annotations

from typing import Any

import pytest
from wakeline.processes.lease import Fence
from wakeline.store import claims, ends, journal, waits
from wakeline.store.journal import Row

from tests.lua.world import SUCCESS, World
from tests.servers import BACKENDS

TWO = '{"type":"success","value":2}'
LONG = f'{{"type":"success","value":"{"x" * 300}"}}'
FAILED = '{"type":"failure","class":"error","code":"boom","message":"it broke"}'


def log(world: World, pid: str) -> list[tuple[str, dict[str, str]]]:
    """The log as it is stored."""
    return world.redis.xrange(world.key(f"events:{pid}"))


def started(run: str) -> dict[str, str]:
    return {"t": "process.started", "p": "{}", "at": "1700000000007", "r": run}


def ended(status: str, output: str, run: str) -> dict[str, str]:
    payload = f'{{"await_output":{output}}}'
    return {"t": f"process.{status}", "p": payload, "at": "1700000000007", "r": run}


def finish_together(world: World, *outcomes: tuple[Fence, str, str]) -> list[int]:
    """The ends of several runs, in one script."""
    calls = [ends.finish(fence.process_id, status, output, fence=fence) for fence, status, output in outcomes]
    return world.store.execute_together(calls)


def claimed(world: World, *pids: str, owner: str = "o1") -> dict[str, Fence]:
    for pid in pids:
        world.start(pid)
    world.worker(owner)
    return {claim.process_id: claim.fence for claim in world.take(owner)}


def test_those_that_end_in_one_script_have_each_the_log_of_its_own_run(world: World) -> None:
    first = claimed(world, "p0", "p1", "p2", "p3", "p4")
    world.pass_ms(3)
    second = claimed(world, "p5", owner="o2")
    world.pass_ms(4)
    outcomes = [
        (first["p0"], "completed", SUCCESS),
        (first["p1"], "completed", SUCCESS),
        (first["p2"], "completed", TWO),
        (first["p3"], "failed", FAILED),
        (first["p4"], "completed", LONG),
        (second["p5"], "completed", SUCCESS),
    ]
    assert finish_together(world, *outcomes) == [2] * 6
    for fence, status, output in outcomes:
        run = "4 1 o2" if fence.process_id == "p5" else "7 1 o1"
        assert log(world, fence.process_id) == [("1-0", started(run)), ("2-0", ended(status, output, run))]
        assert world.field("seq", fence.process_id) == "2"
    assert [key for key in world.snapshot() if ":copy:" in key] == []


@pytest.mark.parametrize("backend", BACKENDS[1:], indirect=True)
def test_a_log_is_as_long_as_what_it_says_and_no_page_of_the_server_longer(world: World) -> None:
    fences = claimed(world, "p0", "p1", "p2", "p3")
    world.do(journal.record(fences["p3"], [Row("step", "1")]))
    finish_together(world, *((fences[pid], "completed", SUCCESS) for pid in ("p0", "p1")))
    finish_together(world, (fences["p2"], "completed", TWO), (fences["p3"], "completed", SUCCESS))
    # Redis preallocates 4 KB for a stream.
    assert max(world.redis.memory_usage(world.key(f"events:p{n}")) for n in range(4)) < 1_000


def test_a_copy_that_a_refused_script_left_is_no_part_of_a_later_log(world: World) -> None:
    fence = claimed(world, "p")["p"]
    world.redis.xadd(world.key("copy:p"), {"t": "process.started", "p": '"old"'}, id="1-0")
    world.pass_ms(7)
    assert finish_together(world, (fence, "completed", SUCCESS)) == [2]
    assert log(world, "p") == [("1-0", started("7 1 o1")), ("2-0", ended("completed", SUCCESS, "7 1 o1"))]
    assert world.redis.exists(world.key("copy:p")) == 0


@pytest.mark.parametrize("before", ["signal", "cancel"])
def test_the_log_of_a_first_run_keeps_what_came_before_it_left_anything(world: World, before: str) -> None:
    fence = claimed(world, "p")["p"]
    getattr(world, before)("p")
    assert finish_together(world, (fence, "completed", SUCCESS)) == [3]
    sent = {"signal": "signal.go", "cancel": "process.cancel_requested"}[before]
    assert world.events("p") == [sent, "process.started", "process.completed"]


def test_an_answer_that_came_before_the_first_event_goes_with_the_end(world: World) -> None:
    fence = claimed(world, "p")["p"]
    world.do(waits.resolve("p", fence.incarnation, "early", '{"status":"ok","value":1}'))
    assert world.redis.smembers(world.key("waits:p")) == {"early"}
    assert finish_together(world, (fence, "completed", SUCCESS)) == [2]
    assert world.redis.exists(world.key("slot:early"), world.key("waits:p")) == 0


def test_a_waiter_is_told_of_an_end_that_is_the_first_thing_of_its_process(world: World) -> None:
    fences = claimed(world, "parent", "child")
    waiting: Any = waits.Wait(slot="w", replay_key="wait-w", group="w", kind="c:child")
    world.open(fences["parent"], waiting)
    assert finish_together(world, (fences["child"], "completed", SUCCESS)) == [2]
    assert world.resolution("w") == f'{{"status":"ok","value":{SUCCESS}}}'


def test_the_end_of_a_run_takes_it_from_rq_whether_a_heartbeat_showed_it_or_not(world: World) -> None:
    fences = claimed(world, "p0", "p1", "p2")
    world.beat("o1", [fence.claim_id for fence in fences.values()])
    assert world.redis.scard(world.rq("worker:o1:executions")) == 3
    finish_together(world, (fences["p0"], "completed", SUCCESS), (fences["p1"], "failed", FAILED))
    assert world.redis.scard(world.rq("worker:o1:executions")) == 1
    finish_together(world, (fences["p2"], "completed", SUCCESS))
    world.start("p3")
    late = world.do(claims.take("o1", "late", [world.ns], 1, lease_ms=5_000)).claims[0].fence
    finish_together(world, (late, "completed", SUCCESS))
    assert [key for key in world.snapshot() if "execution" in key or ":job:" in key or ":wip:" in key] == []


def test_a_lost_run_is_taken_from_rq_though_the_list_of_its_worker_is_gone(world: World) -> None:
    fence = claimed(world, "p")["p"]
    world.beat("o1", [fence.claim_id])
    world.redis.delete(world.rq("worker:o1:executions"))
    world.lose("o1")
    assert [key for key in world.snapshot() if "execution" in key or key.endswith("-1")] == []
