"""Counting, listing and paging (P111 to P114, P129 to P137, P208)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from wakeline.errors import InvalidArguments
from wakeline.observe.query import ProcessQuery
from wakeline.store import ends, fleet, processes, waits
from wakeline.store.processes import ListPage
from wakeline.store.waits import Wait
from wakeline.verbs import looks

if TYPE_CHECKING:
    from tests.contract.conftest import World

EMPTY = {"queued": 0, "running": 0, "waiting": 0, "completed": 0, "failed": 0, "cancelled": 0, "abandoned": 0}


def counts(world: World) -> dict[str, int]:
    return world.do(fleet.read_fleet([])).counts


def page(world: World, status: str, limit: int, after: ListPage | None = None, **only: str) -> ListPage:
    place = {"score": after.score, "member": after.member} if after else {}
    return world.do(processes.list_page([status], limit=limit, **place, **only))  # type: ignore[arg-type]


def ids(found: ListPage) -> list[str]:
    return [row.process_id for row in found.rows]


def pages(world: World, status: str, limit: int) -> list[list[str]]:
    """A whole scan, page by page."""
    found = [page(world, status, limit)]
    while found[-1].score:
        assert len(found) < 10, "a scan without an end"
        found.append(page(world, status, limit, found[-1]))
    return [ids(each) for each in found]


def started(world: World, *pids: str, **over: object) -> None:
    """Each a second after the one before, so that newest first is an order."""
    for pid in pids:
        world.start(pid, **({"kind": "external"} | over))
        world.clock.advance("1s")


def test_a_list_over_statuses_is_of_one_moment_and_goes_on_where_it_ended(world: World) -> None:
    started(world, "x1", "x2", "x3")
    world.finish("x2")
    started(world, "q1", "q2", kind="engine")
    statuses = ["queued", "running", "waiting", "completed"]
    whole = world.do(processes.list_page(statuses))
    assert (ids(whole), whole.score, whole.done) == (["q2", "q1", "x3", "x1", "x2"], "", 4)
    first = world.do(processes.list_page(statuses, limit=3))
    assert (ids(first), first.done) == (["q2", "q1", "x3"], 1)
    rest = world.do(processes.list_page(statuses[first.done :], score=first.score, member=first.member))
    assert (ids(rest), rest.done) == (["x1", "x2"], 3)


def test_a_fresh_namespace_counts_nothing(world: World) -> None:
    assert counts(world) == EMPTY


def test_processes_are_counted_by_status_and_leave_their_count_when_they_end(world: World) -> None:
    fence = world.running("parks")
    world.wait_for(fence, "go")
    world.do(waits.park(fence, ["go.1"], "{}"))
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
    world.do(ends.release(claims[1].fence))
    check()
    world.finish("p1")
    world.do(ends.cancel("p3", "enough", grace_ms=10))
    world.clock.advance("1s")
    world.tick()
    check()
    assert {world.status(pid) for pid in seen} == {"completed", "queued", "running", "cancelled"}


def test_each_filter_narrows_a_page_by_itself(world: World) -> None:
    world.start("engine", wake="chat/1")
    world.start(
        "engine-of-another-name", input={"type": "engine", "kind": "jobs", "payload": None}, identity={"kind": "jobs"}
    )
    world.start("tool", kind="tool_call")
    started(world, "other")
    assert ids(page(world, "running", 10)) == ["other"]
    assert ids(page(world, "queued", 10, kind="tool")) == ["tool"]
    assert ids(page(world, "queued", 10, kind="job")) == ["engine"]
    assert ids(page(world, "queued", 10, kind="jobs")) == ["engine-of-another-name"]
    assert ids(page(world, "queued", 10, kind="jo")) == []
    assert ids(page(world, "queued", 10, session_id="chat/1")) == ["engine"]
    assert ids(page(world, "queued", 10, session_id="chat/2")) == []
    assert ids(page(world, "queued", 10, session_id="chat/")) == []


def waiting(world: World, pid: str, name: str = "go", **over: object) -> None:
    """A process that is parked on a signal."""
    fence = world.running(pid, **over)
    world.open(fence, Wait(f"slot-{pid}", f"wait-{name}", pid, f"s:{name}", 1))
    world.do(waits.park(fence, [pid], "{}"))


def test_all_filters_together_select_the_one_row_that_meets_them_all(world: World) -> None:
    jobs = {"input": {"type": "engine", "kind": "jobs", "payload": None}, "identity": {"kind": "jobs"}}
    waiting(world, "it", wake="chat/1")
    waiting(world, "other-signal", "stop", wake="chat/1")
    waiting(world, "other-session", wake="chat/2")
    waiting(world, "other-engine", wake="chat/1", **jobs)
    waiting(world, "tool", wake="chat/1", kind="tool_call")
    world.start("other-status", wake="chat/1")
    assert ids(page(world, "waiting", 10, kind="job", session_id="chat/1", waiting="go")) == ["it"]


def test_a_word_that_is_no_status_is_refused(world: World) -> None:
    started(world, "x")
    with pytest.raises(InvalidArguments, match="status is live, any, or one of"):
        world.go(looks.listed(ProcessQuery(status="asleep"), limit=5))
    found = {
        word: [row.id for row in world.go(looks.listed(ProcessQuery(status=word), limit=5))]
        for word in ("running", "live", "any", "waiting")
    }
    assert found == {"running": ["x"], "live": ["x"], "any": ["x"], "waiting": []}


def test_those_that_wait_for_a_signal_are_found_by_its_name(world: World) -> None:
    waiting(world, "p", "go")
    waiting(world, "q", "stop")
    assert ids(page(world, "waiting", 10, waiting="go")) == ["p"]
    assert ids(page(world, "waiting", 10, waiting="never")) == []


def test_pages_hold_no_more_than_their_limit_and_every_row_once(world: World) -> None:
    started(world, *"cafbegd")
    assert pages(world, "running", 2) == [["d", "g"], ["e", "b"], ["f", "a"], ["c"]]


def test_rows_of_one_millisecond_are_paged_by_id_each_once(world: World) -> None:
    for pid in "abcdefg":
        world.start(pid, kind="external")
    assert [row for found in pages(world, "running", 2) for row in found] == list("gfedcba")


@pytest.mark.parametrize("ended", ["g", "c"], ids=["already shown", "still to come"])
def test_a_process_that_ends_during_a_scan_is_not_shown_again(world: World, ended: str) -> None:
    started(world, *"cafbegd")
    first = page(world, "running", 2)
    world.finish(ended)
    second = page(world, "running", 10, first)
    assert ids(first) == ["d", "g"]
    assert ids(second) == [pid for pid in "ebfac" if pid != ended]


def test_a_process_that_starts_during_a_scan_is_found_by_the_next_one(world: World) -> None:
    started(world, *"bca")
    first = page(world, "running", 2)
    started(world, "d")
    assert ids(page(world, "running", 10, first)) == ["b"]
    assert ids(page(world, "running", 10)) == ["d", "a", "c", "b"]


def test_a_waiting_process_counts_as_live_and_is_in_its_own_list(world: World) -> None:
    fence = world.running("p")
    world.wait_for(fence, "go")
    world.do(waits.park(fence, ["go.1"], "{}"))
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
