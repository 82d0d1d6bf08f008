"""A schedule: the moments of a cron expression, and what becomes of moments at which no worker ran.

Invariant: moments are those of its time zone's wall clock, the same at each computation. An invalid expression is
refused where it is declared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from zoneinfo import ZoneInfo

from wakeline.errors import InvalidSchedule
from wakeline.triggers.moments import Moments
from wakeline.triggers.subscription import Subscription
from wakeline.values import Stored

SOURCE = "cron"
Missed = Literal["once", "skip", "all"]
Overlap = Literal["allow", "skip", "replace"]
LATE_MS = 60_000
"""With ``missed="skip"`` a moment is missed if no worker ticked within this time, in ms."""


class Schedule(Stored):
    """When a subscription of the source ``cron`` occurs. ``missed``: the moments at which no worker ran become one
    occurrence, none, or one each. ``overlap``: while a process still runs, the next one starts, is left out, or
    replaces it."""

    expression: str
    timezone: str = "UTC"
    missed: Missed = "once"
    overlap: Overlap = "allow"
    subscription: Subscription

    @property
    def name(self) -> str:
        """The name it is declared under."""
        return self.subscription.name

    @property
    def content_hash(self) -> str:
        """A hash that changes with each of its fields."""
        return self.subscription.content_hash + f"|{self.expression}|{self.timezone}|{self.missed}|{self.overlap}"


@dataclass(frozen=True, slots=True)
class Firing:
    """What a due schedule does. It has the moment that occurs (None if no missed moment does), and when the schedule is
    due next."""

    moment_ms: int | None
    next_ms: int


NO_ZONE = "install the package tzdata where workers run, or name another zone"
"""What to do where a zone is not known."""


def knows_zone(name: str) -> bool:
    """Whether this machine knows a time zone."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


def check_schedule(schedule: Schedule) -> Schedule:
    """The schedule, if it ever occurs; raises `InvalidSchedule`."""

    def wrong(reason: str) -> InvalidSchedule:
        return InvalidSchedule(name=schedule.name, expression=schedule.expression, reason=reason)

    if len(schedule.expression.split()) != 5:
        raise wrong("it has to have five fields: minute, hour, day of month, month, day of week")
    if not knows_zone(schedule.timezone):
        if not knows_zone("Europe/Berlin"):
            raise wrong(f"this machine does not know the time zone {schedule.timezone!r}; {NO_ZONE}")
        raise wrong(f"{schedule.timezone!r} is no time zone; write it as Europe/Berlin")
    if schedule.missed not in ("once", "skip", "all"):
        raise wrong(f"missed is {schedule.missed!r}; it has to be once, skip or all")
    if schedule.overlap not in ("allow", "skip", "replace"):
        raise wrong(f"overlap is {schedule.overlap!r}; it has to be allow, skip or replace")
    try:
        following(schedule, 0)
    except (ValueError, KeyError) as error:
        raise wrong(str(error)) from error
    return schedule


def following(schedule: Schedule, after_ms: int) -> int:
    """The first moment after a time (ms since 1970)."""
    return Moments(schedule.expression, schedule.timezone).after(after_ms // 1000) * 1000


def latest(schedule: Schedule, until_ms: int) -> int:
    """The last moment until a time, including that time (ms since 1970)."""
    return Moments(schedule.expression, schedule.timezone).until(until_ms // 1000) * 1000


def fire(schedule: Schedule, due_ms: int, now_ms: int) -> Firing:
    """What a due schedule does now."""
    after = following(schedule, due_ms)
    match schedule.missed:
        case "all":
            return Firing(due_ms, after)
        case "skip" if now_ms - due_ms > LATE_MS:
            recent = latest(schedule, now_ms)
            return Firing(
                recent if recent > due_ms and now_ms - recent <= LATE_MS else None, following(schedule, now_ms)
            )
        case _:
            return Firing(due_ms if after > now_ms else latest(schedule, now_ms), following(schedule, now_ms))
