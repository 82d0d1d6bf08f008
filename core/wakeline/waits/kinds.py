"""What a wait is for: one word for each kind, and the letter by which the store keeps it.

Invariant: the same word in events, on the command line and in read models; the letters are named here alone.
"""

from __future__ import annotations

from enum import StrEnum


class WaitKind(StrEnum):
    """What a wait is for. A timer is a moment, a child the end of a process, and an approval the answer to a question.
    A completion is the result of a pending call, and an answer that of a session. Children are those whose ends the end
    of a body waits for."""

    SIGNAL = "signal"
    TIMER = "timer"
    CHILD = "child"
    APPROVAL = "approval"
    COMPLETION = "completion"
    ANSWER = "answer"
    CHILDREN = "children"

    def of(self, name: str = "") -> str:
        """A wait of this kind by its letter: ``s:go`` is the signal go."""
        return f"{_LETTERS[self]}:{name}"


_LETTERS = {
    WaitKind.SIGNAL: "s",
    WaitKind.TIMER: "t",
    WaitKind.CHILD: "c",
    WaitKind.APPROVAL: "q",
    WaitKind.COMPLETION: "x",
    WaitKind.ANSWER: "a",
    WaitKind.CHILDREN: "e",
}
_KINDS = {letter: kind for kind, letter in _LETTERS.items()}


def kind_of(stored: str) -> tuple[WaitKind | str, str]:
    """Kind and name of a stored wait. A letter of a later release is its own word."""
    letter, _, name = stored.partition(":")
    return _KINDS.get(letter, letter or "unknown"), name


def kept_kind(stored: str) -> tuple[str, bool]:
    """How a wait is kept, and whether it is a question. Scripts have one letter for all that an outsider answers, as
    every release takes it; a field of the slot tells a question from a pending call."""
    kind, name = kind_of(stored)
    return (WaitKind.COMPLETION.of(name), True) if kind is WaitKind.APPROVAL else (stored, False)


def as_question(kept: str) -> str:
    """The other way round, of a slot that has the field."""
    return WaitKind.APPROVAL.of(kind_of(kept)[1])
