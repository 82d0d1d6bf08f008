"""The moments of a cron expression on the wall clock of a time zone.

Invariant: a pure function of expression, zone and time. A fixed time of day occurs once on each of its days, also when
clocks are set.

An expression that repeats within a day (any hour, or any minute) occurs whenever the clock shows it, so by elapsed
time. croniter reads expressions, on a clock that never changes. This module decides what changes of a zone's clock
mean.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import croniter

_cron: Any = croniter  # it says nothing of its types
_RANDOM = re.compile(r"r(\(\d+-\d+\))?(/\d+)?", re.IGNORECASE)
DAY_S, HOUR_S = 86_400, 3_600
LONGEST_S = 60 * 366 * DAY_S
"""How far back a moment is looked for: an expression repeats within 28 years, or within 40 around 2100."""


def is_random(expression: str) -> bool:
    """Whether one of its fields is random (``R``, ``R(0-29)``, ``R/15``)."""
    return any(_RANDOM.fullmatch(field) for field in expression.split())


def drawn(expression: str, name: str) -> str:
    """The expression, with values drawn from a name in place of its random fields. The same name gives the same values.
    Raises ValueError."""
    fields = expression.split()
    hashed = [re.sub("r", "H", field, flags=re.IGNORECASE) if _RANDOM.fullmatch(field) else field for field in fields]
    for place, field in enumerate(fields):
        if _RANDOM.fullmatch(field):
            # A hash of its own for each field: of one hash croniter draws no more than 240 pairs of minute and hour.
            own = hashlib.sha256(f"{place} {name}".encode()).digest()
            values, _ = _cron.croniter.expand(" ".join(hashed), hash_id=own)
            fields[place] = ",".join(map(str, values[place]))
    return " ".join(fields)


class Moments:
    """The moments of an expression in a zone, in whole seconds since 1970. Raises ValueError or KeyError for an invalid
    expression or zone."""

    def __init__(self, expression: str, timezone: str) -> None:
        self._expression, self._zone = expression, ZoneInfo(timezone)
        minutes, hours = _cron.croniter.expand(expression)[0][:2]
        minute, hour = expression.split()[:2]
        every = "*" in minutes or "*" in hours or len(minutes) == 60 or len(hours) == 24
        self._repeats = every or minute.startswith("*") or hour.startswith("*")

    def after(self, second: int) -> int:
        """The first one after a time."""
        return self._next_shown(second) if self._repeats else self._next_fixed(second)

    def until(self, second: int) -> int:
        """The last one until a time, including that time."""
        back = 60
        while self.after(second - back) > second:
            back *= 2
            if back > LONGEST_S:
                raise ValueError(f"{self._expression} did not occur before")
        low, high = self.after(second - back), second
        while high - low > 1:
            middle = (low + high) // 2
            found = self.after(middle)
            if found <= second:
                low = found
            else:
                high = middle
        return low

    def _wall(self, second: int) -> datetime:
        """The time on the clock, as if it never changed."""
        return datetime.fromtimestamp(second, self._zone).replace(tzinfo=UTC, fold=0)

    def _offset(self, second: int) -> int:
        return int((self._wall(second) - datetime.fromtimestamp(second, UTC)).total_seconds())

    def _next_wall(self, wall: datetime) -> datetime:
        found: datetime = _cron.croniter(self._expression, wall).get_next(datetime)
        return found

    def _next_fixed(self, second: int) -> int:
        wall = self._wall(second)
        while True:
            wall = self._next_wall(wall)
            moment = self._first_shown(wall)
            if moment > second:
                return moment

    def _first_shown(self, wall: datetime) -> int:
        """When the clock first shows this time; for a time that it leaves out, the moment right after the gap."""
        local = wall.replace(tzinfo=self._zone, fold=0)
        moment = int(local.timestamp())
        if self._wall(moment) == wall:
            return moment
        # Of a time in a gap, the two readings are the offset before and the one after: the change lies between them.
        other = int(local.replace(fold=1).timestamp())
        return self._change(min(moment, other) - 1, max(moment, other))

    def _next_shown(self, second: int) -> int:
        """The next real minute at which the clock shows a matching time. It searches from one change of the clock to
        the next."""
        while True:
            moment = int(self._next_wall(self._wall(second)).timestamp()) - self._offset(second)
            near = min(moment, second + 2 * DAY_S)
            changed = self._first_change(second, near)
            if changed is not None:
                second, wall = changed, self._wall(changed)
                if self._next_wall(wall - timedelta(seconds=1)) == wall:
                    return changed
            elif near == moment:
                return moment
            else:
                # The clock shows a time twice only within a day of a change, so between these two no matching time is
                # shown.
                second = max(near, moment - 2 * DAY_S)

    def _first_change(self, start: int, end: int) -> int | None:
        """The first second between two times at which the clock of the zone is set; None if there is none."""
        offset = self._offset(start)
        for step in range(start, end, HOUR_S):
            upto = min(step + HOUR_S, end)
            if self._offset(upto) != offset:
                return self._change(step, upto)
        return None

    def _change(self, before: int, after: int) -> int:
        """The second at which the offset changes, between two seconds."""
        offset = self._offset(before)
        while after - before > 1:
            middle = (before + after) // 2
            if self._offset(middle) == offset:
                before = middle
            else:
                after = middle
        return after
