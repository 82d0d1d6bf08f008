"""process_runs: in which worker a process runs and until when that may keep it, or those that have a place."""

from __future__ import annotations

import pytest
from wakeline.processes.limits import Limit
from wakeline.store import queues
from wakeline.store.queues import StoredRun

from tests.lua.test_limits import limited, start, taken
from tests.lua.world import LEASE_MS, START_MS, World


def test_a_run_is_told_with_its_worker_and_the_end_of_its_lease(world: World) -> None:
    world.running("p")
    [run], places = world.do(queues.runs(process_id="p"))
    assert (run, places) == (StoredRun("p", "o1", START_MS, START_MS + LEASE_MS), 0)
    world.pass_ms(LEASE_MS + 5)
    assert world.do(queues.runs(process_id="p"))[0] == (run,)  # over since 5 ms, and not given away yet


@pytest.mark.parametrize("pid", ["queued", "nothing"])
def test_what_does_not_run_has_none(world: World, pid: str) -> None:
    world.start("queued")
    assert world.do(queues.runs(process_id=pid)) == ((), 0)


def test_of_a_limit_some_are_told_that_have_a_place_and_how_many_do(world: World) -> None:
    limited(world, job=Limit(concurrency=3))
    world.worker("o1")
    start(world, "a", "b", "c", "d", "e")
    assert taken(world) == ["a", "b", "c"]
    runs, places = world.do(queues.runs(limit="b:job", most=2))
    assert (len(runs), places) == (2, 3)
    assert {run.process_id for run in runs} < {"a", "b", "c"}
    assert {run.owner for run in runs} == {"o1"}
    assert world.do(queues.runs(limit="b:other", most=2)) == ((), 0)
