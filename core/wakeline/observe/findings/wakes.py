"""Findings about sessions and triggers: entries that no turn will read, deliveries that start nothing."""

from __future__ import annotations

from collections.abc import Iterator

from wakeline.observe.findings.finding import Finding
from wakeline.observe.findings.seen import Seen


def findings(seen: Seen) -> Iterator[Finding]:
    """All of them."""
    if n := seen.fleet.undeliverable:
        entries = "1 entry is" if n == 1 else f"{n} entries are"
        what = f"{entries} undeliverable, failed or blocking a session: `wakeline wakes --undeliverable` says why"
        yield Finding("wakes", "warning", what, "redrive or skip")
    if n := seen.fleet.undelivered:
        deliveries = "1 delivery of a trigger is" if n == 1 else f"{n} deliveries of triggers are"
        to_do = "if it stays so, start a worker whose app has the code (`wakeline triggers`)"
        yield Finding("triggers", "warning", f"{deliveries} reserved and not started", to_do)
