"""Plays of the tiny model: each ends its process in every interleaving, and breaks when a rule of its race is taken out."""

from __future__ import annotations

from tests.lua.world import wait
from tests.races.interleavings import Actors, Play, Stage, explore
from tests.races.rules import fails_without

W1, W2 = wait("w1"), wait("w2")
TIMER = wait("t1", "t:", for_ms=1_000)
TWO_WAITS = (Stage((W1,)), Stage((W2,)))
RACE = (Stage((W1, TIMER), "any"),)
RACE_THEN_WAIT = (*RACE, Stage((W2,)))
GATHER = (Stage((wait("w1", group="g"), wait("x", "x:ask", "g"))),)

NOT_MET = ("a park is refused where a group is met", "process_park.lua", "<= 0 then return { 'met' } end", "<= 0 then end")


@fails_without(*NOT_MET)
@fails_without(
    "a write is let through only for the run that holds the process now",
    "lib/process.lua",
    "return p.st == 'running' and p.inc == f.inc and p.ep == f.ep and p.cl == f.cl",
    "return p.inc == f.inc",
)
def test_two_signals_serve_two_waits_wherever_a_worker_is_taken_for_dead() -> None:
    explored = explore(Play(TWO_WAITS, Actors(signals=("a", "b"), deaths=1)))
    assert explored.interleavings >= 1_400


@fails_without("a wait that is journaled is never opened again", "wait_open.lua", "if row then return { 'journaled', row } end")
@fails_without(
    "a signal sent again is the one that was recorded",
    "process_signal.lua",
    "if known then",
    "if false then",
)
def test_two_signals_serve_two_waits_whatever_arrives_twice() -> None:
    explored = explore(Play(TWO_WAITS, Actors(signals=("a", "b"), duplicates=2), remembered=2))
    assert explored.interleavings >= 18_000


@fails_without(
    "a signal whose wait was given up goes back",
    "lib/slots.lua",
    "if slot.rs then letters[#letters + 1] = { string.sub(slot.k, 3), slot.rs } end",
)
def test_the_loser_of_a_race_keeps_no_signal_from_the_next_wait() -> None:
    explored = explore(Play(RACE_THEN_WAIT, Actors(signals=("a", "b"), pauses_ms=(1_000,))))
    assert explored.interleavings >= 400


@fails_without(
    "a wait that its run gave up is not opened again in that run",
    "wait_open.lua",
    "slot.z == a.fence.cl or ",
)
def test_the_loser_of_a_race_stays_closed_whatever_arrives_twice() -> None:
    explored = explore(Play(RACE, Actors(signals=("a",), pauses_ms=(1_000,), duplicates=1), remembered=2))
    assert explored.interleavings >= 1_000


@fails_without(
    "a wait that is over leaves its group",
    "lib/slots.lua",
    "  leave_group(pid, slot)\n",
)
def test_a_race_ends_wherever_a_worker_is_taken_for_dead() -> None:
    explored = explore(Play(RACE, Actors(signals=("a",), pauses_ms=(1_000,), deaths=1)))
    assert explored.interleavings >= 2_000


@fails_without(
    "a wait opened after the cancel is answered by it",
    "wait_open.lua",
    "if p.cr then",
    "if false then",
)
@fails_without(
    "a cancel answers the waits that are open",
    "lib/lifecycle.lua",
    "if not cancel_waits(pid) then",
    "if false then",
)
def test_a_cancel_ends_the_process_whenever_it_comes_whatever_arrives_twice() -> None:
    explored = explore(Play((Stage((W1,)),), Actors(cancels=1, deaths=1, duplicates=1), remembered=2))
    assert explored.interleavings >= 5_000


@fails_without(*NOT_MET)
def test_a_gather_of_a_signal_and_an_answer_ends_whoever_dies_and_whatever_arrives_twice() -> None:
    explored = explore(Play(GATHER, Actors(signals=("a",), answers=1, deaths=1, duplicates=1)))
    assert explored.interleavings >= 30_000


@fails_without(
    "the first resolution wins, and only it is counted",
    "lib/slots.lua",
    "if slot.r or slot.z then return false, slot.r end",
    "if not slot.g or slot.z then return false, slot.r end",
)
def test_a_gather_ends_between_a_signal_an_answer_and_a_cancel() -> None:
    explored = explore(Play(GATHER, Actors(signals=("a",), answers=1, cancels=1, duplicates=1)))
    assert explored.interleavings >= 2_000
