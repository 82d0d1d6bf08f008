"""Race 33: the store loses what it answered to a run that goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from wakeline.errors import LeaseLost
from wakeline.processes.lease import Fence
from wakeline.store import ends, events, journal, sessions, waits
from wakeline.store.blocking import SyncStore
from wakeline.store.calls import Call
from wakeline.store.journal import Effect, Row
from wakeline.store.waits import Opened

from tests.lua.world import SUCCESS, World, signal, wait
from tests.races.rules import fails_without
from tests.races.test_races_of_claims import rewind

MINUTE_MS = 60_000
HAS_ALL = (
    "a write is let through only if the store has all of the journal that the run was answered",
    "lib/process.lua",
    "  if num(p.jb, 0) < num(f.jb, 0) then return false end\n",
)


@pytest.fixture
def counting(world: World) -> Iterator[World]:
    """A worker's client, which counts its writes and is told of them."""
    store = SyncStore(world.backend, replace(world.store.address, beat_ms=MINUTE_MS))
    yield World(world.backend, world.clock, world.ns, store)
    store.close()


def there(slot: str) -> Row:
    """The row of a wait whose slot the store said it has."""
    return Row(f"wait-{slot}", "1", (slot,), there=True)


def row(key: str) -> Row:
    """A row into which its script writes."""
    return Row(key, '"', after='"')


WRITES: dict[str, Callable[[World, Fence], Call[Any]]] = {
    "record": lambda _, fence: journal.record(fence, [Row("c", "3")]),
    "open": lambda _, fence: waits.open_waits(fence, [wait("w2")]),
    "close": lambda _, fence: waits.close_waits(fence, ["w"]),
    "look": lambda _, fence: waits.read_slots(fence, ["w"]),
    "park": lambda _, fence: waits.park(fence, ["w"], "{}"),
    "start": lambda world, fence: world.registering("child", effect=Effect(fence, row("c"))),
    "signal": lambda _, fence: signal("other", "go", "1", effect=Effect(fence, row("c"))),
    "event": lambda _, fence: events.append("p", "log", "1", effect=Effect(fence, row("c"))),
    "send": lambda world, fence: sessions.send(world.session(), '{"input":1}', effect=Effect(fence, row("c"))),
    "cancel": lambda _, fence: ends.cancel("other", "why not", grace_ms=1, effect=Effect(fence, Row("c", "3"))),
    "finish": lambda _, fence: ends.finish("p", "completed", SUCCESS, fence=fence),
    "continue": lambda _, fence: ends.continue_as_new(fence, "2"),
    "try again": lambda _, fence: ends.release(fence, delay_ms=1, attempt=True),
}


@fails_without(*HAS_ALL)
def test_race_33_a_run_whose_row_was_lost_writes_nothing_more_so_its_journal_has_no_hole(counting: World) -> None:
    counting.start("other", kind="external")
    fence = counting.running("p")
    counting.open(fence, wait("w"))
    counting.do(journal.record(fence, [Row("a", "1")]))
    replica = counting.snapshot()
    counting.do(journal.record(fence, [Row("b", "22")]))
    rewind(counting, replica)
    for name, write in WRITES.items():
        with pytest.raises(LeaseLost):
            counting.do(write(counting, fence))
            pytest.fail(name)
    assert (counting.journal("p"), counting.status("p")) == ({"a": "1"}, "running")


@fails_without(*HAS_ALL)
@fails_without(
    "a run is told of what else it wrote, as of its rows",
    "process_append.lua",
    "a.had = a.had or a.now - 1",
)
def test_race_33_what_a_tool_said_that_was_lost_is_said_again_with_its_call(counting: World) -> None:
    fence = counting.running("p")
    replica = counting.snapshot()
    counting.do(events.append("p", "log", "1", effect=Effect(fence)))
    rewind(counting, replica)
    with pytest.raises(LeaseLost):
        counting.do(journal.record(fence, [Row("call", "1")]))
    assert counting.journal("p") == {}


@fails_without(*HAS_ALL)
@fails_without(
    "the length of a journal that a run was answered never falls",
    "wakeline.processes.lease:Journaled.grew",
    "max(self.length + now - was, now)",
    "max(self.length, now)",
)
def test_race_33_a_longer_row_that_was_on_its_way_hides_no_loss(counting: World) -> None:
    """Two effects side by side: the first is answered and lost, the second is sent again and arrives."""
    fence = counting.running("p")
    replica = counting.snapshot()
    late = journal.record(fence, [Row("b", '"longer"')])
    counting.do(journal.record(fence, [Row("a", "1")]))
    rewind(counting, replica)
    counting.do(late)
    with pytest.raises(LeaseLost):
        counting.do(journal.record(fence, [Row("c", "3")]))
    assert counting.journal("p") == {"b": '"longer"'}


@fails_without(
    "a row that consumed a wait is written only where the store has what resolved it",
    "lib/process.lua",
    "if not slot.r and not slot.z then return false end",
)
def test_race_33_a_signal_that_was_lost_after_a_run_took_it_is_not_recorded_as_taken(counting: World) -> None:
    fence = counting.running("p")
    assert counting.open(fence, wait("w")) == [Opened("open", "")]
    replica = counting.snapshot()
    counting.signal("p")
    rewind(counting, replica)
    with pytest.raises(LeaseLost):
        counting.do(journal.record(fence, [there("w")]))
    assert counting.signal("p").taken_by == "slot"  # sent again, it is taken once
    counting.do(journal.record(fence, [there("w")]))
    assert (counting.journal("p"), counting.mail()) == ({"wait-w": "1"}, [])


@fails_without(
    "a row that consumed a wait is written only where the store has that wait",
    "lib/process.lua",
    "elseif call('HEXISTS', ns .. 'journal:' .. f.pid, row.k) == 0 then",
    "elseif false then",
)
def test_race_33_a_signal_that_went_back_to_the_mailbox_is_not_recorded_as_taken(counting: World) -> None:
    fence = counting.running("p")
    counting.signal("p")
    replica = counting.snapshot()
    [opened] = counting.open(fence, wait("w"))
    assert (opened.state, opened.there) == ("done", True)
    rewind(counting, replica)
    with pytest.raises(LeaseLost):
        counting.do(journal.record(fence, [there("w")]))
    assert (counting.journal("p"), counting.mail()) == ({}, ["go:1"])


def test_a_row_that_consumed_a_wait_is_written_once_where_it_is_sent_again(world: World) -> None:
    fence = world.running("p")
    world.open(fence, wait("w"))
    world.signal("p")
    world.twice(journal.record(fence, [there("w")]))
    assert world.journal("p") == {"wait-w": "1"}


def test_a_run_of_which_nothing_was_lost_goes_on_after_a_rewind(counting: World) -> None:
    fence = counting.running("p")
    counting.do(journal.record(fence, [Row("a", "1")]))
    replica = counting.snapshot()
    counting.start("lost")
    rewind(counting, replica)
    counting.do(journal.record(fence, [Row("b", "2")]))
    assert counting.journal("p") == {"a": "1", "b": "2"}


def test_a_run_that_was_refused_for_a_loss_can_give_its_process_back_and_no_attempt_counts(counting: World) -> None:
    fence = counting.running("p")
    replica = counting.snapshot()
    counting.do(journal.record(fence, [Row("a", "1")]))
    rewind(counting, replica)
    assert counting.do(ends.release(fence.of_the_claim, refused=True)) == "released"
    [again] = counting.take()
    assert (again.attempt, again.fence.journaled.length) == (1, 0)
