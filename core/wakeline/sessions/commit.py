"""The end of a turn: what becomes of its entries, and whether there is another turn.

Invariant: whoever ends a turn settles all its entries and decides release-or-next in the same step, so that no entry is
stranded and no session stays active without a turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from wakeline.sessions.admission import AdmissionPolicy, Entry, admissible, admit
from wakeline.values import content_hash


def turn_stamp(session_id: str, turn_id: str, content: str) -> str:
    """What makes a commit repeatable: the same session, turn and content (canonical JSON) have the same stamp."""
    return content_hash("turn", session_id, turn_id, content)


@dataclass(frozen=True, slots=True)
class Settlement:
    """What the end of a turn does to an inbox: numbers of entries, and the batch of the next turn."""

    state: Literal["settled", "failed"]
    settled: tuple[int, ...]
    undeliverable: tuple[int, ...]
    next: tuple[Entry, ...]

    @property
    def released(self) -> bool:
        """Whether the session has nothing left to do."""
        return not self.next


def settle(batch: Sequence[Entry], inbox: Sequence[Entry], *, completed: bool, policy: AdmissionPolicy | None = None) -> Settlement:
    """The settlement of a turn that had this batch, with the inbox as it is now (batch, late arrivals, follow-ups).

    Entries of the batch are settled however the turn ended; entries that no turn takes are undeliverable.
    """
    policy = policy or AdmissionPolicy()
    had = {entry.n for entry in batch}
    pending = [entry for entry in inbox if entry.n not in had]
    return Settlement(
        "settled" if completed else "failed",
        tuple(sorted(had)),
        tuple(sorted(entry.n for entry in pending if not admissible(entry, policy))),
        tuple(admit(pending, policy)),
    )


def isolate(batch: Sequence[Entry]) -> list[Entry]:
    """The part of a batch to try next, after all attempts at all of it failed: its older half, one entry at least.

    Repeated, it ends at the one entry that cannot be handled, and everything before it has been.
    """
    return list(batch[: max(1, len(batch) // 2)])
