"""When another worker process follows one that ended.

Invariant: code that ends its worker repeatedly costs at most a few starts a minute, and never the worker processes
beside it.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass

GIVE_UP = 5
"""After how many failed starts in a row, while no other worker process serves, a supervisor ends: another start would
not help."""
STEADY_S = 10.0
"""A worker process that served for this many seconds did not die of its first work."""
FIRST_S = 0.1
LONGEST_S = 15.0
DOUBLINGS = 10
FAULTS = frozenset(
    -number
    for number in (
        signal.SIGABRT,
        signal.SIGBUS,
        signal.SIGFPE,
        signal.SIGILL,
        signal.SIGSEGV,
        signal.SIGSYS,
        signal.SIGTRAP,
    )
)
"""The exit codes of a process that a fault of its own code ended. Other signals come from outside: of an operator, the
platform, or the system where memory is short."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a worker process ended: whether with an error, for how long it had served (None: it never did), and whether a
    signal from outside ended it."""

    failed: bool
    served_s: float | None
    killed: bool = False

    @classmethod
    def of(cls, code: int, served_s: float | None) -> Ending:
        """The ending of a process with this exit code; that of a signal is negative."""
        return cls(code != 0, served_s, killed=code < 0 and code not in FAULTS)


class Restarts:
    """Counts deaths in a row, and says how long the next start waits. Times are seconds of one clock."""

    def __init__(self) -> None:
        self.failed_starts = 0
        """How many starts in a row were ended by their own code. One that was killed does not count, as another may
        succeed."""
        self._quick_deaths = 0
        self._due: list[float] = []

    def ended(self, ending: Ending, now: float) -> float:
        """Notes that a worker process ended; returns after how many seconds another one starts."""
        if not ending.failed or (ending.served_s is not None and ending.served_s >= STEADY_S):
            self.failed_starts = self._quick_deaths = 0
        elif ending.served_s is None and not ending.killed:
            self.failed_starts += 1
        else:
            self._quick_deaths += 1
            if ending.served_s is not None:
                self.failed_starts = 0
        # A single death may have any cause, so its work does not wait.
        doublings = max(self.failed_starts, self._quick_deaths - 1)
        pause = min(FIRST_S * 2 ** min(doublings, DOUBLINGS), LONGEST_S) if doublings > 0 else 0.0
        self._due.append(now + pause)
        return pause

    @property
    def pending(self) -> bool:
        """Whether a start waits."""
        return bool(self._due)

    def take_due(self, now: float) -> int:
        """Returns how many starts are due, and removes them."""
        before = len(self._due)
        self._due = [one for one in self._due if one > now]
        return before - len(self._due)
