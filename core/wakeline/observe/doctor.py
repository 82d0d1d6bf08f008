"""What doctor saw and found, as one value."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from wakeline.observe.findings import Finding, Seen, findings
from wakeline.observe.fleet import FleetView, fleet_of
from wakeline.observe.view import View
from wakeline.store.fleet import ServerFacts


@dataclass(frozen=True, slots=True)
class Diagnosis(View):
    """A look at a server, its fleet and their work, and what is concluded from it."""

    ok: bool
    """Whether there is no problem; of a release phase, whether nothing has to stop the release."""
    where: str
    """The server that was asked."""
    server: ServerFacts
    """What it says about itself."""
    clock_difference_ms: int
    """How far its clock is ahead of this machine's."""
    fleet: FleetView
    findings: tuple[Finding, ...]

    def to_data(self) -> dict[str, Any]:
        """As JSON data."""
        fleet = self.fleet.to_data()
        owners = [one.to_data() for one in self.fleet.workers if not one.stock]
        return {
            "ok": self.ok,
            "server": {"where": self.where, **asdict(self.server), "clock_difference_ms": self.clock_difference_ms},
            "namespace": {name: fleet[name] for name in ("format", "rq_prefix", "counts", "timers")},
            "owners": owners,
            "queues": fleet["queues"],
            "threads_left_behind": None,
            "findings": [one.to_data() for one in self.findings],
        }


def diagnosis(seen: Seen, *, release: bool = False) -> Diagnosis:
    """What was seen, and what is concluded from it."""
    found = findings(seen)
    failed = any(one.stops_release if release else one.level == "problem" for one in found)
    fleet = fleet_of(seen.fleet, seen.states, seen.limits)
    return Diagnosis(not failed, seen.where, seen.server, seen.fleet.now_ms - seen.local_ms, fleet, found)
