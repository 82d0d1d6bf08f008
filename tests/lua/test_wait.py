"""wait_open, wait_close, slot_read, slot_resolve: one-shot slots, where the first resolution wins permanently."""

from __future__ import annotations

import pytest
from wakeline.errors import LeaseLost
from wakeline.store import journal, waits
from wakeline.store.journal import Row
from wakeline.store.waits import Opened

from tests.lua.world import START_MS, World, consumed, signal, wait


def test_an_open_wait_is_counted_in_its_group_and_found_by_its_signal(world: World) -> None:
    fence = world.running("p")
    opened = world.twice(waits.open_waits(fence, [wait("a", group="g"), wait("b", group="g", for_ms=9_000)]))
    assert opened == [Opened("open", ""), Opened("open", str(START_MS + 9_000))]
    assert (world.field("o:g"), world.field("n:go")) == ("2", "a,b")
    assert world.timers() == ["s:b"]


def test_a_wait_that_a_signal_answered_is_done_and_stays_done(world: World) -> None:
    world.start("p")
    world.signal("p", payload="7")
    fence = world.claim("p")
    assert world.twice(waits.open_waits(fence, [wait("a")])) == [Opened("done", '{"status":"ok","value":7}')]
    assert world.field("o:a") is None


def test_a_journaled_wait_is_not_opened_again(world: World) -> None:
    fence = world.running("p")
    world.open(fence, wait("a"))
    world.signal("p")
    world.twice(journal.record(fence, [consumed("a", '"one"')]))
    assert world.twice(waits.open_waits(fence, [wait("a")])) == [Opened("journaled", '"one"')]
    assert world.redis.exists(world.key("slot:a"), world.key("waits:p")) == 0


def test_opening_under_a_lost_fence_is_refused(world: World) -> None:
    fence = world.running("p")
    world.lose()
    before = world.snapshot()
    for call in (
        waits.open_waits(fence, [wait("a")]),
        waits.close_waits(fence, ["a"]),
        waits.read_slots(fence, ["a"]),
        journal.record(fence, []),
    ):
        with pytest.raises(LeaseLost):
            world.do(call)
    assert world.snapshot() == before


def test_a_timer_is_answered_with_null_and_a_bounded_wait_with_timeout(world: World) -> None:
    fence = world.running("p")
    world.open(fence, wait("t", "t:", for_ms=1_000), wait("s", for_ms=1_000))
    world.pass_ms(999)
    assert world.tick().fired == 0
    world.pass_ms(1)
    assert world.tick().fired == 2
    assert world.resolution("t") == '{"status":"ok","value":null}'
    assert world.resolution("s") == '{"status":"timeout"}'
    assert world.signal("p").taken_by == "mail"


def test_a_due_time_may_be_given_instead_of_a_length(world: World) -> None:
    fence = world.running("p")
    assert world.open(fence, wait("t", "t:", due_ms=START_MS + 5))[0].text == "1700000000005"


def test_a_wait_for_a_child_is_answered_by_its_end(world: World) -> None:
    world.start("c", kind="external")
    world.parked("p", "o1", wait("w", "c:c", child_incarnation="inc00001"))
    world.finish("c", output='{"type":"success","value":5}')
    assert world.resolution("w") == '{"status":"ok","value":{"type":"success","value":5}}'
    assert world.status("p") == "queued"


def test_a_wait_for_an_ended_child_is_answered_at_once(world: World) -> None:
    world.start("c", kind="external")
    world.finish("c")
    fence = world.running("p")
    opened = world.twice(waits.open_waits(fence, [wait("w", "c:c")]))
    assert opened == [Opened("done", '{"status":"ok","value":{"type":"success","value":1}}')]


def test_a_wait_for_another_incarnation_of_a_child_is_an_error(world: World) -> None:
    world.start("c", kind="external")
    fence = world.running("p")
    for call in (wait("w", "c:c", child_incarnation="inc00002"), wait("v", "c:gone")):
        assert '"code":"process_not_found"' in world.open(fence, call)[0].text


def test_waits_after_a_cancel_are_answered_cancelled_and_swallow_nothing(world: World) -> None:
    world.start("p")
    world.signal("p")
    fence = world.claim("p")
    world.cancel("p")
    assert world.open(fence, wait("a")) == [Opened("done", '{"status":"cancelled"}')]
    assert world.mail() == ["go:1"]


# -- giving up


def test_a_wait_given_up_takes_nothing(world: World) -> None:
    fence = world.running("p")
    world.open(fence, wait("a", for_ms=1_000))
    world.twice(waits.close_waits(fence, ["a"]))
    assert (world.field("o:a"), world.field("n:go"), world.timers()) == (None, None, [])
    assert world.signal("p").taken_by == "mail"


def test_signals_given_back_keep_the_order_in_which_they_were_sent(world: World) -> None:
    fence = world.running("p")
    world.open(fence, wait("a"), wait("b"))
    for number in ("1", "2", "3"):
        world.signal("p", "go", number, number)
    assert world.mail() == ["go:4"]
    world.twice(waits.close_waits(fence, ["a", "b"]))
    assert world.mail() == ["go:2", "go:3", "go:4"]


def test_of_signals_given_back_the_one_sent_first_goes_to_the_next_open_wait(world: World) -> None:
    fence = world.running("p")
    world.open(fence, wait("a"), wait("b"), wait("c"))
    world.signal("p", "go", "1", "1")
    world.signal("p", "go", "2", "2")
    world.do(waits.close_waits(fence, ["b", "a"]))
    assert world.resolution("c") == '{"status":"ok","value":1}'
    assert world.mail() == ["go:3"]


def test_a_signal_given_back_goes_to_the_next_open_wait(world: World) -> None:
    fence = world.running("p")
    world.open(fence, wait("a"), wait("b"))
    world.signal("p", payload="7")
    world.twice(waits.close_waits(fence, ["a"]))
    assert world.resolution("b") == '{"status":"ok","value":7}'
    assert (world.mail(), world.field("n:go")) == ([], None)


def test_giving_up_one_wait_of_a_group_leaves_the_others_counted(world: World) -> None:
    fence = world.running("p")
    world.open(fence, wait("a", "s:x", "g"), wait("b", "s:y", "g"), wait("c", "s:z", "g"))
    world.do(waits.close_waits(fence, ["a"]))
    assert world.field("o:g") == "2"
    world.signal("p", "y")
    world.do(waits.close_waits(fence, ["b"]))
    assert world.field("o:g") == "1"
    assert isinstance(world.park(fence, "g"), waits.LetGo)
    world.signal("p", "z")
    assert world.status() == "queued"


def test_a_waiter_that_gave_up_is_not_resolved_by_its_childs_end(world: World) -> None:
    world.start("c", kind="external")
    fence = world.running("p")
    world.open(fence, wait("w", "c:c"))
    world.do(waits.close_waits(fence, ["w"]))
    world.finish("c")
    assert world.redis.exists(world.key("waiters:c"), world.key("slot:w")) == 0


# -- looking


def test_slots_are_read_with_the_cancel_mark(world: World) -> None:
    fence = world.running("p")
    world.open(fence, wait("a"), wait("b"))
    world.signal("p")
    assert world.twice(waits.read_slots(fence, ["a", "b"])) == (None, ['{"status":"ok","value":1}', None])
    world.cancel("p")
    assert world.do(waits.read_slots(fence, ["b"])) == ("asked", ['{"status":"cancelled"}'])


# -- resolving from outside


def test_the_first_outside_resolution_wins_for_ever(world: World) -> None:
    world.parked("p", "o1", wait("x1", "x:key"))
    assert world.do(waits.resolve("p", "inc00001", "x1", '{"status":"ok","value":1}')).accepted
    assert world.status() == "queued"
    before = world.snapshot()
    later = world.do(waits.resolve("p", "inc00001", "x1", '{"status":"ok","value":2}'))
    assert (later.accepted, later.standing) == (False, '{"status":"ok","value":1}')
    assert world.snapshot() == before


def test_a_resolution_before_anyone_waits_is_kept_and_can_be_consumed(world: World) -> None:
    fence = world.running("p")
    assert world.do(waits.resolve("p", "inc00001", "x1", '{"status":"ok","value":1}')).accepted
    assert world.open(fence, wait("x1", "x:key")) == [Opened("done", '{"status":"ok","value":1}')]
    world.do(journal.record(fence, [consumed("x1")]))
    assert (
        world.do(waits.resolve("p", "inc00001", "x1", '{"status":"ok","value":2}')).standing
        == '{"status":"ok","value":1}'
    )


def test_a_token_is_not_good_after_its_wait_was_given_up(world: World) -> None:
    fence = world.running("p")
    world.open(fence, wait("x1", "x:key"))
    world.do(waits.close_waits(fence, ["x1"]))
    assert world.do(waits.resolve("p", "inc00001", "x1", '{"status":"ok","value":1}')).unknown


def test_unknown_expired_foreign_and_ended_have_one_answer(world: World) -> None:
    fence = world.running("p")
    world.open(fence, wait("x1", "x:key"))
    before = world.snapshot()
    answer = '{"status":"ok","value":1}'
    assert world.raw(waits.resolve("p", "inc00002", "x1", answer)) == ["unknown"]
    assert world.raw(waits.resolve("nobody", "inc00001", "x1", answer)) == ["unknown"]
    assert world.raw(waits.resolve("p", "inc00001", "x1", answer, START_MS)) == ["unknown"]
    assert world.snapshot() == before
    assert world.do(waits.resolve("p", "inc00001", "x1", answer, START_MS + 1)).accepted
    world.finish("p", fence)
    assert world.raw(waits.resolve("p", "inc00001", "x1", answer)) == ["already", ""]
    assert world.raw(waits.resolve("p", "inc00001", "x2", answer)) == ["unknown"]


def test_a_consumed_row_travels_with_the_next_write_and_closes_its_slot(world: World) -> None:
    fence = world.running("p")
    world.open(fence, wait("a"))
    world.signal("p")
    world.twice(waits.open_waits(fence, [wait("b")], [consumed("a")]))
    assert world.journal() == {"wait-a": "1"}
    assert world.redis.smembers(world.key("waits:p")) == {"b"}
    world.do(journal.record(fence, [Row("step", "2")]))
    assert world.do(signal("p", "go", "2")).taken_by == "slot"
