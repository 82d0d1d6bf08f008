"""A turn's batch and its end: which entries it takes, what becomes of them, and whether another turn follows.

Invariant: entries are taken in order of arrival, from the oldest, and a command is always alone in its turn. In one
step the end of a turn settles all its entries and decides whether another turn follows. So no entry is stranded, and no
session stays active without a turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from wakeline.sessions.admission import AdmissionPolicy, EntryKind


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of an inbox: its number, its kind, its body (JSON text), and how many later ones it swallowed."""

    n: int
    kind: EntryKind
    body: str = ""
    swallowed: int = 0


def admissible(entry: Entry, policy: AdmissionPolicy) -> bool:
    """Whether any turn of this agent takes such an entry."""
    return entry.kind in policy.kinds


def admit(entries: Sequence[Entry], policy: AdmissionPolicy | None = None) -> list[Entry]:
    """The entries that the next turn takes, in order; empty if there are none.

    Wakes and inputs share a turn, up to the next command. Entries that no turn takes are passed over.
    """
    policy = policy or AdmissionPolicy()
    batch: list[Entry] = []
    for entry in sorted(entries, key=lambda entry: entry.n):
        if not admissible(entry, policy):
            continue
        if entry.kind == "command":
            return batch or [entry]
        batch.append(entry)
        if len(batch) >= policy.max_entries:
            break
    return batch


@dataclass(frozen=True, slots=True)
class Settlement:
    """What the end of a turn does to an inbox: numbers of entries, and the batch of the next turn."""

    state: Literal["settled", "failed"]
    settled: tuple[int, ...]
    undeliverable: tuple[int, ...]
    next: tuple[Entry, ...]

    @property
    def released(self) -> bool:
        """Whether nothing is left to do in the session."""
        return not self.next


def settle(
    batch: Sequence[Entry], inbox: Sequence[Entry], *, completed: bool, policy: AdmissionPolicy | None = None
) -> Settlement:
    """The settlement of a turn that had this batch, with the inbox as it is now (batch, late arrivals, follow-ups).

    Entries of the batch are settled with any end of the turn. Entries that no turn takes are undeliverable.
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
    """The part of a batch to try next, after all attempts at the whole failed: its older half, at least one entry.

    Repetition ends at the one entry that cannot be handled, after all entries before it were handled.
    """
    return list(batch[: max(1, len(batch) // 2)])
