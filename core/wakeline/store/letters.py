"""How timers, todo rows and kinds of waits begin in Redis: the letter, its name in the scripts, what it means.

Invariant: letters are stored, so none changes its meaning; the scripts have the same names (lua/lib/letters.lua).
"""

from __future__ import annotations

from dataclasses import dataclass

from wakeline.waits.kinds import kind_of


@dataclass(frozen=True, slots=True)
class Letter:
    """One letter: what stands behind its colon, and what it says."""

    letter: str
    name: str
    of: str
    says: str


TIMERS: tuple[Letter, ...] = (
    Letter("s", "wait", "<slot>", "the wait is over without a resolution; a sleep is over"),
    Letter("d", "offer", "<pid>", "a queued process is offered to workers: its doorbell is rung"),
    Letter("c", "grace", "<pid>", "the grace of a cancel is over: the process is ended without its body's consent"),
    Letter("e", "deadline", "<pid>", "the total time of the process is over: it fails"),
    Letter("q", "queue_timeout", "<pid>", "no worker took the process in time: it fails"),
    Letter("a", "attempt_timeout", "<pid>", "the attempt takes too long: the process fails"),
    Letter("w", "unopened", "<sid>", "wakes waited long enough for a session that was never opened: they expire"),
    Letter("r", "cells", "<limit>", "a rate may have a cell for the next process that waits"),
)
"""What the tick does when a member of the set of timers is due."""

LEFT: tuple[Letter, ...] = (
    Letter("c", "cancel_waits", "<pid>", "resolve more waits of a process that was asked to end"),
    Letter("k", "cancel_children", "<pid>", "ask more children to end that the end of a process waits for"),
    Letter("w", "tell_waiters", "<pid>", "tell more processes that wait for the end of this one"),
    Letter("d", "drop_waits", "<pid>", "remove more waits of a process that ended"),
    Letter("p", "end_children", "<pid>", "ask more children to end whose parent ended"),
    Letter("n", "begin_turn", "<sid>", "look further in the inbox for an entry that the agent admits"),
    Letter("g", "clear_session", "<sid>", "remove more of a session that was deleted"),
    Letter(
        "m", "look_at_misfits", "<n> <release>", "offer more processes that wait for code that fits, from the nth on"
    ),
)
"""What is left of a script that touched as many items as one script may; the tick goes on with it."""

WAITS: tuple[Letter, ...] = tuple(
    Letter(letter, str(kind_of(letter)[0]), of, says)
    for letter, of, says in (
        ("s", "<signal>", "a signal of this name"),
        ("t", "", "a time"),
        ("c", "<pid>", "the end of a process"),
        ("x", "<key>", "the completion of a pending call, or the answer to an approval"),
        ("a", "<entry>:<sid>", "what the turn returns that settles an entry"),
        ("e", "", "the ends of the children that the end of a body waits for"),
    )
)
"""What a slot waits for: its field ``k``."""


def rows() -> list[str]:
    """The three tables as lines of a document."""
    lines: list[str] = []
    for title, letters in (("a timer", TIMERS), ("a row of `todo`", LEFT), ("the kind of a wait", WAITS)):
        lines += [f"| {title} | name in the scripts | what it says |", "|---|---|---|"]
        lines += [f"| `{one.letter}:{one.of}` | {one.name} | {one.says} |" for one in letters] + [""]
    return lines[:-1]
