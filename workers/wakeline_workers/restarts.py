"""When a worker process that ended is followed by another one.

Invariant: code that ends its worker again and again costs no more than a few starts a minute, and never the worker
processes beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

GIVE_UP = 5
"""So many failed starts in a row while no other worker process serves, and a supervisor ends: starting again would
change nothing."""
STEADY_S = 10.0
"""A worker process that served for so long did not die of what it did first."""
FIRST_S = 0.1
LONGEST_S = 15.0
DOUBLINGS = 10


@dataclass(frozen=True, slots=True)
class Ending:
    """How a worker process ended: whether with an error, and for how long it had served (None: it never did)."""

    failed: bool
    served_s: float | None


class Restarts:
    """Counts deaths in a row, and says how long the next start waits. Times are seconds of one clock."""

    def __init__(self) -> None:
        self.failed_starts = 0
        self._quick_deaths = 0
        self._due: list[float] = []

    def ended(self, ending: Ending, now: float) -> float:
        """A worker process ended and is to be followed by another: after how many seconds."""
        if not ending.failed or (ending.served_s is not None and ending.served_s >= STEADY_S):
            self.failed_starts = self._quick_deaths = 0
        elif ending.served_s is None:
            self.failed_starts += 1
        else:
            self.failed_starts = 0
            self._quick_deaths += 1
        # One death may be the fault of anything, so what it ran is not kept waiting for it.
        doublings = max(self.failed_starts, self._quick_deaths - 1)
        pause = min(FIRST_S * 2 ** min(doublings, DOUBLINGS), LONGEST_S) if doublings > 0 else 0.0
        self._due.append(now + pause)
        return pause

    @property
    def pending(self) -> bool:
        """Whether a start waits."""
        return bool(self._due)

    def take_due(self, now: float) -> int:
        """How many starts are due; they wait no more."""
        before = len(self._due)
        self._due = [one for one in self._due if one > now]
        return before - len(self._due)
