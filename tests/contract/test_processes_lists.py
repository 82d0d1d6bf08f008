"""Counting, listing and paging (P111 to P114, P129 to P137)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from wakeline.store import fleet, processes
from wakeline.store.calls import Change, Program
from wakeline.store.processes import ListPage
from wakeline.store.runs import Wait

if TYPE_CHECKING:
    from tests.contract.conftest import World

EMPTY = {"queued": 0, "running": 0, "waiting": 0, "completed": 0, "failed": 0, "cancelled": 0, "abandoned": 0}


def counts(world: World) -> dict[str, int]:
    return world.do(fleet.read_fleet([])).counts


def page(world: World, status: str, limit: int, after: ListPage | None = None, **only: str) -> ListPage:
    place = {"score": after.score, "member": after.member} if after else {}
    return world.do(processes.list_page(status, limit=limit, **place, **only))  # type: ignore[arg-type]


def ids(found: ListPage) -> list[str]:
    return [row.process_id for row in found.rows]


def pages(world: World, status: str, limit: int) -> list[list[str]]:
    """A whole scan, page by page."""
    found = [page(world, status, limit)]
    while found[-1].score:
        found.append(page(world, status, limit, found[-1]))
    return [ids(each) for each in found]


def started(world: World, *pids: str, **over: object) -> None:
    """Each a second after the one before, so that newest first is an order."""
    for pid in pids:
        world.start(pid, **({"kind": "external"} | over))
        world.clock.advance("1s")


def test_a_fresh_namespace_counts_nothing(world: World) -> None:
    assert counts(world) == EMPTY


def test_processes_are_counted_by_status_and_leave_their_count_when_they_end(world: World) -> None:
    fence = world.running("parks")
    world.wait_for(fence, "go")
    world.do(processes.park(fence, ["go.1"], "{}"))
    world.start("waits-for-a-worker")
    started(world, "x1", "x2")
    assert counts(world) == EMPTY | {"queued": 1, "running": 2, "waiting": 1}
    world.finish("x1")
    world.finish("x2")
    world.signal("parks", "go", None)
    world.finish("parks", None, world.take()[-1].fence)
    assert counts(world) == EMPTY | {"running": 1, "completed": 3}


def test_counts_equal_a_count_of_what_is_retained_after_every_step(world: World) -> None:
    world.worker()
    seen: set[str] = set()

    def check() -> None:
        expected = dict(EMPTY)
        for pid in seen:
            expected[world.status(pid)] += 1
        assert counts(world) == expected

    for n in range(6):
        seen.add(f"p{n}")
        world.start(f"p{n}", kind="external" if n % 2 else "engine")
        check()
    claims = world.take()
    check()
    world.finish("p0", None, claims[0].fence)
    check()
    world.do(processes.release(claims[1].fence))
    check()
    world.finish("p1")
    world.do(processes.cancel("p3", "enough", grace_ms=10))
    world.clock.advance("1s")
    world.tick()
    check()
    assert {world.status(pid) for pid in seen} == {"completed", "queued", "running", "cancelled"}


def test_a_page_can_be_narrowed_by_kind_session_and_signal(world: World) -> None:
    world.start("engine", wake="chat/1")
    world.start("tool", kind="tool_call")
    started(world, "other")
    assert ids(page(world, "running", 10)) == ["other"]
    assert ids(page(world, "queued", 10, kind="t")) == ["tool"]
    assert ids(page(world, "queued", 10, kind="e", session_id="chat/1")) == ["engine"]
    assert ids(page(world, "queued", 10, session_id="chat/2")) == []


def test_those_that_wait_for_a_signal_are_found_by_its_name(world: World) -> None:
    for pid, name in (("p", "go"), ("q", "stop")):
        fence = world.running(pid)
        world.open(fence, Wait(f"slot-{pid}", f"wait-{name}", pid, f"s:{name}", 1))
        world.do(processes.park(fence, [pid], "{}"))
    assert ids(page(world, "waiting", 10, waiting="go")) == ["p"]
    assert ids(page(world, "waiting", 10, waiting="never")) == []


def test_pages_hold_no_more_than_their_limit_and_every_row_once(world: World) -> None:
    started(world, *"abcdefg")
    assert pages(world, "running", 2) == [["g", "f"], ["e", "d"], ["c", "b"], ["a"]]


def test_rows_of_one_millisecond_are_paged_by_id_each_once(world: World) -> None:
    for pid in "abcdefg":
        world.start(pid, kind="external")
    assert [row for found in pages(world, "running", 2) for row in found] == list("gfedcba")


@pytest.mark.parametrize("ended", ["g", "a"], ids=["already shown", "still to come"])
def test_a_process_that_ends_during_a_scan_is_not_shown_again(world: World, ended: str) -> None:
    started(world, *"abcdefg")
    first = page(world, "running", 2)
    world.finish(ended)
    second = page(world, "running", 10, first)
    assert ids(first) == ["g", "f"]
    assert ids(second) == [pid for pid in "edcba" if pid != ended]


def test_a_process_that_starts_during_a_scan_is_found_by_the_next_one(world: World) -> None:
    started(world, *"abc")
    first = page(world, "running", 2)
    started(world, "new")
    assert ids(page(world, "running", 10, first)) == ["a"]
    assert ids(page(world, "running", 10)) == ["new", "c", "b", "a"]


def test_a_waiting_process_counts_as_live_and_is_in_its_own_list(world: World) -> None:
    fence = world.running("p")
    world.wait_for(fence, "go")
    world.do(processes.park(fence, ["go.1"], "{}"))
    assert counts(world) == EMPTY | {"waiting": 1}
    assert (ids(page(world, "waiting", 10)), ids(page(world, "running", 10)), ids(page(world, "queued", 10))) == (
        ["p"],
        [],
        [],
    )


def test_a_narrow_list_over_many_rows_ends_its_scan_without_losing_one(world: World) -> None:
    world.start("first", kind="external", wake="chat/1")
    for n in range(300):
        world.clock.advance("1ms")
        world.start(f"p{n}", kind="external")
    one = page(world, "running", 5, session_id="chat/1")
    assert (ids(one), one.score != "") == ([], True)
    assert ids(page(world, "running", 5, one, session_id="chat/1")) == ["first"]


def test_a_follower_sees_every_event_of_a_process_once_and_in_order(world: World) -> None:
    world.start("x", kind="external")
    for n in range(48):
        world.append("x", "log", n)

    def follow() -> Program[list[int]]:
        seen: list[int] = []
        cursor = 0
        while True:
            view = yield processes.read("x", after=cursor, count=2)
            if not view.events:
                return seen
            seen.extend(json.loads(event.payload) for event in view.events)
            cursor = view.events[-1].sequence
            yield Change("x", 0, 1000)

    assert world.go(follow()) == list(range(48))
