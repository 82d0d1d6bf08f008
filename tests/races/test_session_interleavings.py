"""Plays of the tiny model of sessions: no entry is stranded, none is read twice, in any interleaving; each breaks when
a rule is taken out."""

from __future__ import annotations

from wakeline.sessions.admission import AdmissionPolicy

from tests.races.rules import fails_without
from tests.races.session_interleavings import Left, explore


@fails_without(
    "an end begins the next turn", "lib/turns.lua", "status, #batch)\n  turns.begin_next(sid, s)", "status, #batch)"
)
@fails_without(
    "who commits holds the turn", "process_finish.lua", "elseif not holds(p, a.fence, a.rows) then", "elseif false then"
)
@fails_without("an input is looked for by its key", "session_send.lua", "  if known then\n", "  if false then\n")
def test_three_inputs_are_read_once_whoever_dies_and_whatever_arrives_twice() -> None:
    explored = explore(Left(sends=("a", "b", "c"), deaths=2, duplicates=1))
    assert explored.states >= 5_000, explored


@fails_without(
    "every end of a turn settles its entries",
    "lib/ends.lua",
    "  if p.sid then turns.settle(pid, p, status, output) end\n",
)
def test_a_cancel_at_any_moment_strands_nothing() -> None:
    explored = explore(Left(sends=("a", "b"), cancels=1, deaths=1))
    assert explored.states >= 300, explored


@fails_without(
    "entries of a failed batch go back",
    "lib/turns.lua",
    "elseif poisoned and #batch > 1 then\n    give_entries_back(sid, batch)\n",
    "elseif poisoned and #batch > 1 then\n",
)
def test_failures_at_any_moment_strand_nothing() -> None:
    explored = explore(Left(sends=("a", "b", "c"), fails=3, deaths=1))
    assert explored.states >= 1_000, explored


@fails_without(
    "a deletion ends the session's turn",
    "session_delete.lua",
    """    finish(s.turn, p, 'cancelled', '{"type":"cancelled","message":"its session was deleted"}')\n""",
)
def test_a_deletion_at_any_moment_leaves_nothing() -> None:
    explored = explore(Left(sends=("a", "b", "c"), deletes=1, deaths=1, fails=1))
    assert explored.states >= 1_000, explored


def test_a_session_that_blocks_goes_on_when_told_at_any_moment() -> None:
    explored = explore(Left(sends=("a", "b", "c"), fails=3, skips=3, deaths=1), AdmissionPolicy(on_failure="block"))
    assert explored.states >= 500, explored


@fails_without(
    "entries of an interrupted turn go back",
    "lib/turns.lua",
    "    give_entries_back(sid, batch)\n    call('HINCRBY', head, 'ic', 1)",
    "    call('HINCRBY', head, 'ic', 1)",
)
def test_interruptions_at_any_moment_strand_nothing() -> None:
    explored = explore(Left(sends=("a", "b", "c"), deaths=1), AdmissionPolicy(on_arrival="interrupt"))
    assert explored.states >= 500, explored


def test_a_turn_that_waits_for_more_comes_at_any_moment() -> None:
    explored = explore(Left(sends=("a", "b"), deaths=1), AdmissionPolicy(debounce_ms=200, debounce_max_ms=1_000))
    assert explored.states >= 50, explored
