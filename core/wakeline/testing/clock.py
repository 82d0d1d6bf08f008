"""A clock that a test moves."""

from __future__ import annotations

from datetime import timedelta

from wakeline.clock import Clock
from wakeline.values import parse_duration


class VirtualClock:
    """A clock that stands still until it is moved. Scripts use it too, so a test of a week takes a millisecond."""

    def __init__(self, start_ms: int = 1_700_000_000_000) -> None:
        self._now_ms = start_ms

    def now_ms(self) -> int:
        """The time it was set to."""
        return self._now_ms

    def script_time(self) -> str:
        """The same time, as text."""
        return str(self._now_ms)

    def following(self, server_ms: int, heard_ns: int) -> Clock:  # noqa: ARG002 - scripts have this clock's time
        """Itself."""
        return self

    def advance(self, duration: timedelta | int | float | str) -> int:
        """Moves forward by a duration (never back) and returns the new time in ms."""
        self._now_ms += parse_duration(duration)
        return self._now_ms
