"""What is wrong with a server, its fleet and their work, or may be soon: one finding each, with what to do.

Invariant: pure but for `look`. What is not known is said to be not known, and never counts as a problem.
"""

from __future__ import annotations

from wakeline.observe.findings import code, releases, schedules, server, ticks, wakes, work, workers
from wakeline.observe.findings.finding import Finding, Level
from wakeline.observe.findings.seen import Seen
from wakeline.observe.findings.work import summed_up

ORDER = (
    server.findings,
    workers.rewound,
    workers.findings,
    releases.findings,
    ticks.ticks,
    work.findings,
    ticks.standing,
    schedules.findings,
    wakes.findings,
    code.findings,
)
"""The server first, then the namespace, then the fleet and its work."""


def findings(seen: Seen) -> tuple[Finding, ...]:
    """All findings about what was seen."""
    return tuple(one for found in ORDER for one in found(seen))


__all__ = ["Finding", "Level", "Seen", "findings", "summed_up"]
