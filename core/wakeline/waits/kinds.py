"""What a wait is for: one word for each code of the store.

Invariant: the same word in events, on the command line and in read models.
"""

from __future__ import annotations

KINDS = {
    "s": "signal",
    "t": "timer",
    "c": "child",
    "q": "approval",
    "x": "completion",
    "a": "answer",
    "e": "children",
}
"""The word for each code of a wait. It is for a signal, a time, the end of a process, the answer to a question, the
completion of a pending call, the answer of a session, or the ends of the children that the end of a body waits for."""


def kind_of(stored: str) -> tuple[str, str]:
    """Kind and name of a stored wait (``s:go`` is the signal go). A code of a later release is its own word."""
    code, _, name = stored.partition(":")
    return KINDS.get(code, code or "unknown"), name
