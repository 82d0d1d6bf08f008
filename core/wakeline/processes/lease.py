"""The fence that every write of a run carries, and how many failed attempts a process gets.

Invariant: a write is let through only if incarnation, epoch and claim id are those of the run that holds the process
now. Scripts decide this (`holds` in store/lua/lib/process.lua); `wakeline.testing.model.lease` states the rule for
tests.
"""

from __future__ import annotations

from dataclasses import field
from typing import Any

from wakeline.fixed import fixed

MAX_ATTEMPTS = 5
"""How many failed attempts without progress abandon a process, by default."""
MOST_ATTEMPTS = 1_000
"""The largest number of attempts that may be asked for."""


@fixed
class Fence:
    """What a run shows with every write: the process, its incarnation and epoch, the claim, and the owner."""

    process_id: str
    incarnation: str
    epoch: int
    claim_id: str
    owner: str
    said: dict[str, Any] = field(init=False, repr=False, compare=False, default_factory=dict[str, Any])
    """What the store has made of it for its scripts: all writes of a run say the same."""
