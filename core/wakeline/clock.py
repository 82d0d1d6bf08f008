"""Time as Wakeline sees it: milliseconds since 1970, from Redis' own clock, or from a clock that a test moves
(`wakeline.testing.clock`).

Invariant: no other module asks the operating system for the time of day. A test checks this.
"""

from __future__ import annotations

import time
from typing import Protocol


def machine_ms() -> int:
    """Milliseconds since 1970 by the clock of this machine. It is for texts and names, never for what a script
    decides."""
    return time.time_ns() // 1_000_000


def machine_ns() -> int:
    """The same in nanoseconds, for spans of a trace."""
    return time.time_ns()


class Clock(Protocol):
    """The time, here and for a script."""

    def now_ms(self) -> int:
        """Milliseconds since 1970, for display and for how long a caller waits; never for what a script decides."""
        ...

    def script_time(self) -> str:
        """The first argument of a script: "" means the server's own TIME, a number is the time to use."""
        ...

    def following(self, server_ms: int, heard_ns: int) -> Clock:
        """A clock that goes on from what Redis said (ms) at a moment of this process (``time.monotonic_ns``)."""
        ...


class ServerClock:
    """The clock of production: scripts ask Redis, everything else this machine."""

    def now_ms(self) -> int:
        """Milliseconds since 1970 on this machine."""
        return machine_ms()

    def script_time(self) -> str:
        """Empty: workers with skewed clocks must agree about leases, so only the server's time decides."""
        return ""

    def following(self, server_ms: int, heard_ns: int) -> Clock:
        """Redis' time, as a run follows it."""
        return FollowingClock(server_ms, heard_ns)


class FollowingClock(ServerClock):
    """Redis' time between two replies. What a body records must not depend on the clock of this machine."""

    def __init__(self, server_ms: int, heard_ns: int) -> None:
        self._server_ms = server_ms
        self._heard_ns = heard_ns

    def now_ms(self) -> int:
        """The time that Redis said, plus the time since then."""
        return self._server_ms + (time.monotonic_ns() - self._heard_ns) // 1_000_000
