"""Which entries of an inbox a turn takes.

Invariant: entries are taken in order of arrival, from the oldest, and a command is always alone in its turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

EntryKind = Literal["wake", "input", "command"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of an inbox: its number, what it is, its body (JSON text), how many later ones it swallowed."""

    n: int
    kind: EntryKind
    body: str = ""
    swallowed: int = 0


@dataclass(frozen=True, slots=True)
class AdmissionPolicy:
    """What an agent's turns take: at most so many entries, of these kinds."""

    max_entries: int = 256
    kinds: frozenset[EntryKind] = frozenset({"wake", "input", "command"})


def admissible(entry: Entry, policy: AdmissionPolicy) -> bool:
    """Whether any turn of this agent takes such an entry."""
    return entry.kind in policy.kinds


def admit(entries: Sequence[Entry], policy: AdmissionPolicy | None = None) -> list[Entry]:
    """The entries the next turn takes, in order; empty when there is nothing to take.

    Wakes and inputs share a turn up to the next command. Entries no turn takes are passed over, not waited for.
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
