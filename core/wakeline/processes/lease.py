"""The fence that every write of a run carries, and how many failed attempts a process gets.

Invariant: a write is let through only if incarnation, epoch and claim id are those of the run that holds the process
now, and if the store has all that the run was answered. Scripts decide this (`holds` in store/lua/lib/process.lua);
`wakeline.testing.model.lease` states the rule for tests.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from wakeline.fixed import fixed

MAX_ATTEMPTS = 5
"""How many failed attempts without progress abandon a process, by default."""
MOST_ATTEMPTS = 1_000
"""The largest number of attempts that may be asked for."""


@dataclass(slots=True)
class Journaled:
    """How much of its journal a run was answered, in bytes. A store that has less went back."""

    length: int = 0

    def grew(self, was: int, now: int) -> None:
        """Takes the answer to a write: how long the journal was before it, and is. Where it was shorter than what was
        answered before, both count: the store lacks the difference."""
        self.length = max(self.length + now - was, now)


@fixed
class Fence:
    """What a run shows with every write: the process, its incarnation and epoch, the claim, the owner, and what it was
    answered so far."""

    process_id: str
    incarnation: str
    epoch: int
    claim_id: str
    owner: str
    journaled: Journaled = field(default_factory=Journaled, compare=False, repr=False)
    said: dict[str, Any] = field(init=False, repr=False, compare=False, default_factory=dict[str, Any])
    """What the store has made of it for its scripts: all writes of a run say the same, but for what was answered."""

    @property
    def of_the_claim(self) -> Fence:
        """The fence of a run that only gives its claim back, also where the store has lost something."""
        return Fence(self.process_id, self.incarnation, self.epoch, self.claim_id, self.owner)
