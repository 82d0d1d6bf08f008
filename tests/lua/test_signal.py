"""process_signal: recorded once, given to the oldest open wait of its name, else kept."""

from __future__ import annotations

import pytest
from wakeline.errors import (
    LeaseLost,
    MailboxFull,
    PayloadSchemaMismatch,
    ProcessAlreadyTerminal,
    ProcessError,
    ProcessNoLongerRetained,
    ProcessNotFound,
    ReplayConflict,
    UndeclaredEvent,
)
from wakeline.store import waits
from wakeline.store.events import StaleIncarnation
from wakeline.store.journal import Effect, Row
from wakeline.store.signals import NoWaitTakesIt, SchemaWanted
from wakeline.store.waits import Opened

from tests.lua.world import WEEK_MS, World, signal, wait


def test_a_signal_resolves_the_open_wait_and_resumes_its_process(world: World) -> None:
    world.parked("p")
    sent = world.twice(signal("p", "go", "1", '{"ok":true}'), also=["replayed"])
    assert (sent.sequence, sent.taken_by) == (3, "slot")
    assert world.resolution("w1") == '{"status":"ok","value":{"ok":true}}'
    assert world.events() == ["process.started", "process.waiting", "signal.go", "process.resumed"]
    assert (world.status(), world.field("ep"), world.doorbells()) == ("queued", "2", [f"wl-{world.ns}-p-2"])


def test_a_signal_nobody_waits_for_is_kept_for_the_next_wait(world: World) -> None:
    world.start("p")
    assert world.twice(signal("p", "go", "1", "7"), also=["replayed"]).taken_by == "mail"
    assert world.mail() == ["go:1"]
    opened = world.open(world.claim("p"), wait("w1"))[0]
    assert (opened.state, opened.text, world.mail()) == ("done", '{"status":"ok","value":7}', [])


UNDECLARED = UndeclaredEvent(process_id="p", event_type="signal.go", declared=[])
MISFIT = PayloadSchemaMismatch(what="signal.go", path="$", reason="it is no number")


@pytest.mark.parametrize("refused", [UNDECLARED, MISFIT])
def test_what_its_sender_knows_to_be_wrong_is_never_kept(world: World, refused: ProcessError) -> None:
    world.start("p")
    with pytest.raises(NoWaitTakesIt):
        world.do(signal("p", "go", "1", "7", refused=refused))
    assert (world.mail(), world.events()) == ([], [])


def test_an_open_wait_takes_what_its_sender_does_not_know(world: World) -> None:
    world.parked("p")
    assert world.twice(signal("p", "go", "1", "7", refused=UNDECLARED), also=["replayed"]).taken_by == "slot"


def test_an_open_wait_of_no_type_takes_no_misfit(world: World) -> None:
    world.parked("p")
    with pytest.raises(NoWaitTakesIt):
        world.do(signal("p", "go", "1", "7", refused=MISFIT))
    assert world.status() == "waiting"


def test_an_open_wait_of_another_type_is_asked_about_a_misfit(world: World) -> None:
    fence = world.running("p")
    world.open(fence, wait("a", schema=("s1", '{"type":"string"}')))
    with pytest.raises(SchemaWanted) as asked:
        world.do(signal("p", "go", "1", "7", refused=MISFIT))
    assert (asked.value.schema, asked.value.hash) == ('{"type":"string"}', "s1")


def test_kept_signals_are_taken_oldest_first_by_name(world: World) -> None:
    world.start("p")
    for name, number in (("go", "1"), ("stop", "2"), ("go", "3")):
        world.signal("p", name, number, number)
    fence = world.claim("p")
    texts = [
        opened.text
        for opened in world.open(fence, wait("a", "s:go"), wait("b", "s:go"), wait("c", "s:go"), wait("d", "s:stop"))
    ]
    assert texts == ['{"status":"ok","value":1}', '{"status":"ok","value":3}', "", '{"status":"ok","value":2}']


def test_the_oldest_of_two_open_waits_is_served_first(world: World) -> None:
    fence = world.running("p")
    world.open(fence, wait("a"), wait("b"))
    world.signal("p", "go", "1", "1")
    assert (world.resolution("a"), world.resolution("b")) == ('{"status":"ok","value":1}', None)
    world.signal("p", "go", "2", "2")
    assert world.resolution("b") == '{"status":"ok","value":2}'


def test_a_run_in_memory_is_told_by_a_hint(world: World) -> None:
    fence = world.running("p")
    world.open(fence, wait("a"))
    world.signal("p")
    assert world.redis.lrange(world.key("notify:o1"), 0, -1) == [
        f'slot a {fence.claim_id} {{"status":"ok","value":1}} p'
    ]
    assert world.status() == "running"


def test_a_hint_carries_no_resolution_that_is_long(world: World) -> None:
    fence = world.running("p")
    world.open(fence, wait("a"), wait("b"))
    for n, length in enumerate((4096, 4097)):
        frame = len('{"status":"ok","value":""}')
        world.signal("p", "go", str(n), '"' + "x" * (length - frame) + '"')
    assert [len(hint) > 4096 for hint in world.redis.lrange(world.key("notify:o1"), 0, -1)] == [True, False]


def test_one_signal_id_with_other_content_is_a_conflict(world: World) -> None:
    world.start("p")
    world.signal("p", payload="1")
    before = world.snapshot()
    with pytest.raises(ReplayConflict):
        world.signal("p", payload="2")
    assert world.snapshot() == before


def test_a_full_mailbox_refuses_and_an_open_wait_still_takes(world: World) -> None:
    fence = world.running("p")
    for number in range(1024):
        world.redis.rpush(world.key("mail:p"), f"other:{number}")
    with pytest.raises(MailboxFull):
        world.signal("p")
    assert world.events() == []
    world.open(fence, wait("a"))
    assert world.signal("p").taken_by == "slot"


def test_a_signal_checked_against_another_schema_is_to_be_checked_again(world: World) -> None:
    fence = world.running("p")
    world.open(fence, wait("a", schema=("h1", '{"type":"string"}')))
    before = world.snapshot()
    for checked in (None, "h2"):
        with pytest.raises(SchemaWanted) as wanted:
            world.signal("p", schema_hash=checked)
        assert (wanted.value.schema, wanted.value.hash) == ('{"type":"string"}', "h1")
    assert world.snapshot() == before
    assert world.signal("p", schema_hash="h1").taken_by == "slot"


def test_signals_to_nobody_are_refused(world: World) -> None:
    with pytest.raises(ProcessNotFound):
        world.signal("p")
    world.start("p", kind="external")
    with pytest.raises(StaleIncarnation):
        world.signal("p", incarnation="inc00002")
    world.finish("p")
    with pytest.raises(ProcessAlreadyTerminal):
        world.signal("p")
    world.pass_ms(WEEK_MS)
    world.tick()
    with pytest.raises(ProcessNoLongerRetained):
        world.signal("p")


def test_a_resend_is_answered_after_the_end_too(world: World) -> None:
    world.start("p", kind="external")
    assert world.signal("p").sequence == 1
    world.finish("p")
    assert (world.signal("p").sequence, world.signal("p").replayed) == (1, True)


def test_a_bodys_signal_writes_its_row_in_the_same_step(world: World) -> None:
    world.start("other", kind="external")
    fence = world.running("p")
    effect = Effect(fence, Row("signal:1", '{"seq":', after="}"))
    world.twice(signal("other", "go", "1", effect=effect), also=["replayed"])
    assert world.journal() == {"signal:1": '{"seq":1}'}
    world.lose()
    with pytest.raises(LeaseLost):
        world.signal("other", "go", "2", effect=effect)
    assert world.events("other") == ["signal.go"]


def test_a_process_may_signal_itself(world: World) -> None:
    fence = world.running("p")
    world.open(fence, wait("a"))
    sent = world.signal("p", effect=Effect(fence, Row("signal:1", '{"seq":', after="}")))
    assert (sent.taken_by, world.journal()) == ("slot", {"signal:1": '{"seq":2}'})
    assert world.events() == ["process.started", "signal.go"]


def test_a_signal_whose_wait_was_given_up_is_before_a_later_one_of_its_other_name(world: World) -> None:
    fence = world.running("p")
    world.open(fence, wait("w1", also=("run",)))
    world.signal("p", "run", "a", '"first"')
    world.signal("p", "run", "b", '"second"')
    world.do(waits.close_waits(fence, ["w1"]))
    assert world.mail() == ["go:2", "run:3"]
    opened = world.open(fence, wait("w2", also=("run",)), wait("w3", also=("run",)))
    assert [found.text for found in opened] == ['{"status":"ok","value":"first"}', '{"status":"ok","value":"second"}']


def test_a_wait_that_code_with_one_name_opened_takes_what_came_under_the_other_since(world: World) -> None:
    fence = world.running("p")
    assert world.open(fence, wait("w1"))[0].state == "open"
    assert world.signal("p", "run", "a", "7").taken_by == "mail"
    for _ in range(2):
        assert world.open(fence, wait("w1", also=("run",)))[0] == Opened("done", '{"status":"ok","value":7}')
    assert (world.mail(), world.field("n:go"), world.field("o:w1")) == ([], None, None)


def test_the_other_names_of_its_signals_go_with_the_waits_of_a_process(world: World) -> None:
    fence = world.running("p")
    world.open(fence, wait("w1", also=("run",)))
    assert world.field("l:run") == "go"
    world.finish("p", fence)
    assert world.field("l:run") is None
