"""Plays of the tiny model: each ends its process in every interleaving, and breaks when a rule of its race is taken
out."""

from __future__ import annotations

from tests.lua.world import wait
from tests.races.interleavings import GRACE_MS, Actors, Play, Stage, explore
from tests.races.rules import fails_without

W1, W2 = wait("w1"), wait("w2")
TIMER = wait("t1", "t:", for_ms=1_000)
ONE_WAIT = (Stage((W1,)),)
TWO_WAITS = (Stage((W1,)), Stage((W2,)))
RACE = (Stage((W1, TIMER), "any"),)
RACE_THEN_WAIT = (*RACE, Stage((W2,)))
GATHER = (Stage((wait("w1", group="g"), wait("x", "x:ask", "g"))),)


@fails_without(
    "a park is refused where a group is met", "process_park.lua", "<= 0 then return { 'met' } end", "<= 0 then end"
)
@fails_without(
    "a wait that is journaled is never opened again", "wait_open.lua", "if row then return { 'journaled', row } end"
)
@fails_without(
    "a signal sent again is the one that was recorded", "process_signal.lua", "if known then", "if false then"
)
@fails_without(
    "a write is let through only for the run that holds the process now",
    "lib/process.lua",
    "local fits = p.st == 'running' and p.inc == f.inc and p.ep == f.ep and p.cl == f.cl",
    "local fits = p.inc == f.inc",
)
def test_two_signals_serve_two_waits_whoever_dies_and_whatever_arrives_twice() -> None:
    explored = explore(Play(TWO_WAITS, Actors(signals=("a", "b"), deaths=1, duplicates=1), remembered=2))
    assert (explored.states >= 2_000, explored.interleavings >= 200_000) == (True, True), explored


@fails_without(
    "what was lost goes back to the queue",
    "lib/reap.lua",
    "  leave_owner(pid, p, nil)\n  make_runnable(pid, p, true, due, others)",
)
def test_two_signals_serve_two_waits_although_two_workers_are_taken_for_dead() -> None:
    explored = explore(Play(TWO_WAITS, Actors(signals=("a", "b"), deaths=2)))
    assert (explored.states >= 4_000, explored.interleavings >= 50_000) == (True, True), explored


@fails_without(
    "a signal whose wait was given up goes back",
    "lib/mailbox.lua",
    "if slot.rs then letters[#letters + 1] = { string.sub(slot.k, 3), slot.rs } end",
)
@fails_without(
    "a wait that its run gave up is not opened again in that run", "wait_open.lua", "slot.z == a.fence.cl or "
)
@fails_without("a wait that is over leaves its group", "lib/slots.lua", "  leave_group(w, slot)\n")
def test_the_loser_of_a_race_keeps_no_signal_from_the_next_wait_whatever_arrives_twice() -> None:
    explored = explore(Play(RACE_THEN_WAIT, Actors(signals=("a", "b"), pauses_ms=(1_000,), duplicates=1), remembered=2))
    assert (explored.states >= 1_500, explored.interleavings >= 25_000) == (True, True), explored


@fails_without("a timer that is due resolves its slot", "lib/timers.lua", "  resolve(id, what)\n")
def test_a_race_ends_whoever_dies_and_whatever_arrives_twice() -> None:
    explored = explore(Play(RACE, Actors(signals=("a",), pauses_ms=(1_000,), deaths=1, duplicates=1)))
    assert (explored.states >= 2_500, explored.interleavings >= 50_000) == (True, True), explored


@fails_without(
    "a wait opened after the cancel is answered by it",
    "wait_open.lua",
    "elseif p.cr and not (code == WAIT.child and cancel.awaits_child(a.pid, name)) then",
    "elseif false then",
)
@fails_without(
    "a cancel answers the waits that are open", "lib/cancel.lua", "if not cancel.waits(pid) then", "if false then"
)
def test_a_cancel_or_a_signal_ends_the_process_whoever_dies_and_whatever_arrives_twice() -> None:
    explored = explore(Play(ONE_WAIT, Actors(signals=("a",), cancels=1, deaths=1, duplicates=1)))
    assert (explored.states >= 1_000, explored.interleavings >= 20_000) == (True, True), explored


@fails_without(
    "an end is written once",
    "lib/ends.lua",
    "  p.st = status\n",
    "  p.st = 'running'\n  call('HSET', proc_key(pid), 'st', 'running')\n",
)
def test_the_grace_of_a_cancel_ends_the_process_once_whoever_dies_and_whatever_arrives_twice() -> None:
    explored = explore(Play(ONE_WAIT, Actors(cancels=1, deaths=1, duplicates=1, pauses_ms=(GRACE_MS,))))
    assert (explored.states >= 1_200, explored.interleavings >= 20_000) == (True, True), explored


@fails_without(
    "the first resolution wins, and only it is counted",
    "lib/slots.lua",
    "if slot.r or slot.z then return false, slot.r end",
    "if not slot.g or slot.z then return false, slot.r end",
)
def test_a_gather_ends_between_a_signal_an_answer_and_a_cancel_whoever_dies_and_whatever_arrives_twice() -> None:
    explored = explore(Play(GATHER, Actors(signals=("a",), answers=1, cancels=1, deaths=1, duplicates=1), remembered=2))
    assert (explored.states >= 6_000, explored.interleavings >= 1_000_000) == (True, True), explored
