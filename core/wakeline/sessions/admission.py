"""What an agent declares about its turns: which entries they take, and what an arrival does to a running turn.

Invariant: entries are taken in order of arrival, from the oldest, and a command is always alone in its turn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from wakeline.values import to_json

MOST_ENTRIES = 256
"""How many entries one turn may take at most, because the script that fixes its batch is bounded."""
Arrival = Literal["next_turn", "early", "interrupt"]
EntryKind = Literal["wake", "input", "command"]
ALL_KINDS: tuple[EntryKind, ...] = ("wake", "input", "command")


@dataclass(frozen=True, slots=True)
class AdmissionPolicy:
    """What an agent's turns take (at most ``max_entries`` entries of these ``kinds``), and how they begin, give way and
    fail.

    ``debounce_ms`` is how long a turn waits for more after an arrival, and ``debounce_max_ms`` the longest such wait.
    ``linger_ms`` is how long the next turn waits for more after a quick turn with several entries, unless a whole batch
    is there. ``max_attempts`` is how often a batch is tried before it is halved.
    """

    max_entries: int = MOST_ENTRIES
    kinds: frozenset[EntryKind] = frozenset(ALL_KINDS)
    on_arrival: Arrival = "next_turn"
    debounce_ms: int = 0
    debounce_max_ms: int = 0
    linger_ms: int = 0
    on_failure: Literal["settle", "block"] = "settle"
    max_attempts: int = 5

    def wire(self) -> str:
        """The JSON that scripts read: what differs from the defaults; empty if nothing does."""
        out: dict[str, Any] = {}
        if len(self.kinds) < len(ALL_KINDS):
            out["k"] = "".join(sorted(kind[0] for kind in self.kinds))
        if self.on_arrival != "next_turn":
            out["a"] = self.on_arrival[0]
        if self.debounce_ms:
            out |= {"d": self.debounce_ms, "x": self.debounce_max_ms}
        if self.linger_ms:
            out["l"] = self.linger_ms
            if self.max_entries < MOST_ENTRIES:
                out["n"] = self.max_entries
        if self.on_failure == "block":
            out["f"] = "b"
        if self.max_attempts != 5:
            out["t"] = self.max_attempts
        return to_json(out) if out else ""
