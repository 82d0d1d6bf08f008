"""Findings about schedules: what keeps them from being due."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from wakeline.observe.findings.finding import Finding, some
from wakeline.observe.findings.seen import Seen
from wakeline.triggers.schedule import NO_ZONE, knows_zone


def findings(seen: Seen) -> Iterator[Finding]:
    """Time zones that this machine lacks, and most often each machine with this image."""
    lacking: dict[str, list[str]] = defaultdict(list)
    for schedule in seen.schedules:
        if not knows_zone(schedule.schedule.timezone):
            lacking[schedule.schedule.timezone].append(schedule.name)
    for zone, names in lacking.items():
        what = f"this machine does not know the time zone {zone!r} of schedule {some(tuple(names))}"
        yield Finding("zone", "problem", f"{what}: a worker on such a machine does not start it", NO_ZONE)
