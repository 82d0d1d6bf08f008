"""process_append: one event and the wake it means, replayed by key, refused after the end."""

from __future__ import annotations

import pytest
from wakeline.errors import (
    LeaseLost,
    NotExternal,
    ProcessAlreadyTerminal,
    ProcessNoLongerRetained,
    ProcessNotFound,
    ReplayConflict,
)
from wakeline.store import events, processes
from wakeline.store.events import Appended, StaleIncarnation, WakeText
from wakeline.store.journal import Effect, Row

from tests.lua.world import START_MS, SUCCESS, WEEK_MS, World, wait


def test_an_event_is_numbered_and_timed(world: World) -> None:
    world.start("p")
    assert world.do(events.append("p", "log", '"a"')) == Appended(1, START_MS, False, None)
    assert world.do(events.append("p", "log", '"b"')) == Appended(2, START_MS, False, None)
    assert world.redis.xrange(world.key("events:p"))[0] == ("1-0", {"t": "log", "p": '"a"', "at": str(START_MS)})


def test_an_append_with_a_replay_key_sent_twice_is_one_event(world: World) -> None:
    world.start("p")
    world.twice(events.append("p", "log", '"a"', replay_key="k"), also=["replayed"])
    assert world.events() == ["log"]


def test_the_same_replay_key_with_other_content_is_a_conflict(world: World) -> None:
    world.start("p")
    world.do(events.append("p", "log", '"a"', replay_key="k"))
    before = world.snapshot()
    with pytest.raises(ReplayConflict):
        world.do(events.append("p", "log", '"b"', replay_key="k"))
    assert world.snapshot() == before


@pytest.mark.parametrize("key", ["cancel", "external_ref", "signal.go:1"])
def test_a_producers_replay_key_never_meets_one_of_the_systems(world: World, key: str) -> None:
    world.start("p", kind="external")
    world.do(events.append("p", "log", '"a"', replay_key=key))
    world.do(processes.set_external_ref("p", '{"id":1}'))
    world.signal("p", "go", "1")
    world.cancel("p")
    assert world.do(events.append("p", "log", '"a"', replay_key=key)).sequence == 1
    assert world.events() == ["log", "process.external_ref_set", "signal.go", "process.cancel_requested"]


def test_after_the_end_only_a_replay_is_answered(world: World) -> None:
    world.start("p", kind="external")
    world.do(events.append("p", "log", '"a"', replay_key="k"))
    world.finish("p")
    assert world.do(events.append("p", "log", '"a"', replay_key="k")).replayed
    with pytest.raises(ProcessAlreadyTerminal):
        world.do(events.append("p", "log", '"a"', replay_key="k2"))


def test_a_process_nobody_knows_or_that_was_pruned_is_refused(world: World) -> None:
    with pytest.raises(ProcessNotFound):
        world.do(events.append("p", "log", "1"))
    world.start("p", kind="external")
    world.finish("p")
    world.pass_ms(WEEK_MS)
    world.tick()
    with pytest.raises(ProcessNoLongerRetained):
        world.do(events.append("p", "log", "1"))


def test_an_append_checked_against_another_incarnation_is_stale(world: World) -> None:
    world.start("p")
    with pytest.raises(StaleIncarnation):
        world.do(events.append("p", "log", "1", incarnation="inc00002"))
    assert world.events() == []


def test_an_outside_report_needs_an_external_process(world: World) -> None:
    world.start("p")
    with pytest.raises(NotExternal):
        world.do(events.append("p", "log", "1", external=True))
    assert world.events() == []


def test_a_bodys_event_and_its_row_are_one_step(world: World) -> None:
    fence = world.running("p")
    effect = Effect(fence, Row("emit:1", '{"seq":', after="}"))
    world.twice(events.append("p", "log", "1", effect=effect), also=["replayed"])
    assert world.journal() == {"emit:1": '{"seq":2}'}
    assert world.events() == ["process.started", "log"]


def test_a_bodys_event_under_a_lost_fence_is_refused(world: World) -> None:
    fence = world.running("p")
    world.lose()
    before = world.snapshot()
    with pytest.raises(LeaseLost):
        world.do(events.append("p", "log", "1", effect=Effect(fence, Row("emit:1", "1"))))
    assert world.snapshot() == before


def test_an_event_that_means_a_wake_puts_it_into_the_inbox(world: World) -> None:
    world.start("p", wake="bot/1")
    call = events.append("p", "wake", '"hey"', replay_key="k", wake=WakeText("hey"))
    assert world.do(call).entry == 1
    before = world.snapshot()
    assert world.do(call).entry is None
    assert world.snapshot() == before
    assert world.entries() == [
        (
            "delivered",
            '{"kind":"wake","process_id":"p","incarnation":"inc00001","sequence":1,"event_type":"wake",'
            f'"at_ms":{START_MS},"input":"hey"}}',
            0,
        )
    ]


def test_wakes_of_one_key_coalesce_while_pending_and_keep_their_place(world: World) -> None:
    world.start("p", wake="bot/1")
    for n, (text, same) in enumerate([("old", "stock"), ("other", None), ("new", "stock")]):
        world.do(events.append("p", "wake", "1", replay_key=str(n), wake=WakeText(text, same)))
    first, second = world.entries()
    assert (first[0], '"input":"new"' in first[1], first[2]) == ("delivered", True, 1)
    assert '"input":"other"' in second[1]


def ending_with_a_wake(world: World, pid: str, sid: str) -> None:
    ends = {"status": "completed", "output": SUCCESS}
    world.script(
        "process_append", pid=pid, type="done", payload="1", hash="h", wake={"input": '"again"', "sid": sid}, ends=ends
    )
    assert world.status(pid) == "completed"
    assert [
        kept
        for kept in ("queued", "running", "waiting")
        if world.redis.zscore(world.key(f"idx:{kept}"), pid) is not None
    ] == []
    assert [timer for timer in world.redis.zrange(world.key("timers"), 0, -1) if timer.endswith(f":{pid}")] == []


def test_an_event_that_ends_a_process_which_its_own_wake_resumes_ends_it_all_the_same(world: World) -> None:
    # It awaits an entry that the agent's policy of today does not admit: to deliver the wake gives that entry up, which
    # resumes it.
    world.parked("p", "o1", wait("w1", "x:"), wake="bot/2")
    world.redis.xadd(world.key("inbox:bot/2"), {"k": "send"}, id="1-0")
    world.redis.hset(world.key("sess:bot/2"), "n", "1")
    world.redis.hset(world.key("wakes:bot/2"), mapping={"1": "{}", "1:s": "delivered", "1:a": "w1"})
    world.redis.hset(world.key("agents"), "bot", '{"k":"w"}')
    ending_with_a_wake(world, "p", "bot/2")
    assert world.events() == ["process.started", "process.waiting", "done", "process.resumed", "process.completed"]


def test_an_event_that_ends_a_turn_which_its_own_wake_interrupts_leaves_no_timer_of_the_cancel(world: World) -> None:
    world.redis.hset(world.key("agents"), "bot", '{"a":"i"}')
    world.start("src", wake="bot/1")
    world.worker()
    world.script("process_append", pid="src", type="x", payload="1", hash="h", wake={"input": '"hi"'})
    [turn] = [claim.process_id for claim in world.take() if claim.process_id != "src"]
    world.redis.hset(world.key(f"journal:{turn}"), "@inbox", "1")
    ending_with_a_wake(world, turn, "bot/1")
    assert world.events(turn) == ["done", "process.cancel_requested", "process.started", "process.completed"]
