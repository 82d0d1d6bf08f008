"""The end of a parent that waits for children: process_register, wait_open, process_finish, process_cancel and tick
together."""

from __future__ import annotations

from wakeline.processes.lease import Fence
from wakeline.store.journal import Effect, Row
from wakeline.store.waits import Wait

from tests.lua.world import SUCCESS, WEEK_MS, World, consumed

END = Wait(slot="end", replay_key="end:children", group="end", kind="e:")
NULL = '{"status":"ok","value":null}'


def child(world: World, fence: Fence, pid: str, policy: str = "await", kind: str = "external") -> None:
    world.twice(
        world.registering(
            pid, kind=kind, parent="parent", on_parent_end=policy, effect=Effect(fence, Row(f"start:{pid}", "1"))
        ),
        also=["existing"],
    )


def waiting(world: World, *pids: str) -> Fence:
    """A parent whose body has ended, parked until these children have."""
    fence = world.running("parent")
    for pid in pids:
        child(world, fence, pid)
    assert [opened.state for opened in world.open(fence, END)] == ["open"]
    world.park(fence, "end")
    assert world.status("parent") == "waiting"
    return fence


def awaited(world: World) -> set[str]:
    return set(world.redis.smembers(world.key("awaited:parent")))


def test_a_start_sent_twice_is_waited_for_once_and_only_where_it_says_so(world: World) -> None:
    fence = world.running("parent")
    child(world, fence, "a")
    child(world, fence, "b", "detach")
    child(world, fence, "c", "request_cancel")
    assert awaited(world) == {"a"}


def test_with_no_child_left_the_wait_is_over_at_once(world: World) -> None:
    fence = world.running("parent")
    child(world, fence, "a")
    world.finish("a")
    [opened] = world.open(fence, END)
    assert (opened.state, opened.text, awaited(world)) == ("done", NULL, set())


def test_the_last_of_them_to_end_resumes_the_parent_however_it_ends(world: World) -> None:
    waiting(world, "a", "b", "c")
    world.finish("b", status="failed", output='{"type":"failure","class":"external","code":"c","message":"m"}')
    world.finish("a", status="cancelled", output='{"type":"cancelled","message":"m"}')
    assert world.status("parent") == "waiting"
    world.finish("c")
    assert (world.status("parent"), world.resolution("end")) == ("queued", NULL)


def test_more_than_a_script_touches_are_one_slot_and_one_resume(world: World) -> None:
    pids = [f"c{n}" for n in range(300)]
    waiting(world, *pids)
    assert world.redis.smembers(world.key("waits:parent")) == {"end"}
    for pid in pids:
        world.finish(pid)
    assert world.events("parent") == ["process.started", "process.waiting", "process.resumed"]


def test_a_cancel_goes_on_to_the_children_and_their_end_is_still_waited_for(world: World) -> None:
    waiting(world, "a", "b")
    world.cancel("parent")
    assert (world.status("parent"), world.resolution("end")) == ("waiting", None)
    world.tick()
    assert [world.events(pid) for pid in ("a", "b")] == [["process.cancel_requested"]] * 2
    world.tick()
    assert world.events("a") == ["process.cancel_requested"]
    for pid in ("a", "b"):
        world.finish(pid)
    assert world.status("parent") == "queued"


def test_a_cancel_reaches_more_children_than_one_script_touches(world: World) -> None:
    pids = [f"c{n}" for n in range(300)]
    waiting(world, *pids)
    world.cancel("parent")
    while world.tick().more:
        pass
    assert all(world.events(pid) == ["process.cancel_requested"] for pid in pids)


def test_a_cancel_before_the_body_ended_leaves_the_children_to_it_until_then(world: World) -> None:
    fence = world.running("parent")
    child(world, fence, "a")
    world.cancel("parent")
    world.tick()
    assert world.events("a") == []
    assert [opened.state for opened in world.open(fence, END)] == ["open"]
    world.tick()
    assert world.events("a") == ["process.cancel_requested"]


def test_a_parent_that_ends_without_having_waited_asks_them_to_end(world: World) -> None:
    waiting(world, "a", "b")
    world.cancel("parent", grace_ms=0)
    world.tick()
    assert world.status("parent") == "cancelled"
    assert [world.events(pid) for pid in ("a", "b")] == [["process.cancel_requested"]] * 2
    assert (awaited(world), world.field("aw", "parent")) == (set(), None)
    world.finish("a")
    assert world.status("parent") == "cancelled"


def test_a_child_of_an_earlier_generation_is_waited_for_too(world: World) -> None:
    fence = world.running("parent")
    child(world, fence, "a")
    world.redis.delete(world.key("children:parent"))  # what continue_as_new does
    assert [opened.state for opened in world.open(fence, END)] == ["open"]
    world.park(fence, "end")
    world.finish("a")
    assert world.status("parent") == "queued"


def test_a_child_whose_result_was_read_under_another_key_is_not_kept_for_its_parent(world: World) -> None:
    fence = world.running("parent")
    child(world, fence, "read", "detach")
    child(world, fence, "unread", "detach")
    for pid in ("read", "unread"):
        world.finish(pid)
    world.open(fence, rows=(consumed("w", SUCCESS), Row("@read:read", "1")))
    world.pass_ms(WEEK_MS + 1)
    world.beat()
    world.tick()
    assert [world.redis.exists(world.key(f"proc:{pid}")) for pid in ("read", "unread")] == [0, 1]
