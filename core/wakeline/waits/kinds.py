"""What a wait is for: one word for each code of the store.

Invariant: the same word in events, on the command line and in read models.
"""

from __future__ import annotations

KINDS = {"s": "signal", "t": "timer", "c": "child", "x": "completion", "a": "answer", "e": "children"}
"""By the code that the store keeps: a signal; a time; the end of a process; what a pending call or an approval is
completed with; the answer of a session;
the ends of the children that a body's end waits for."""


def kind_of(stored: str) -> tuple[str, str]:
    """Kind and name of a wait as the store keeps it (``s:go`` is the signal go); a code of a later release is its own
    word."""
    code, _, name = stored.partition(":")
    return KINDS.get(code, code or "unknown"), name
