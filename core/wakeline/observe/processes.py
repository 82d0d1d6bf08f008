"""A process as seen from outside at one moment.

Invariant: pure; what the store holds of a process is turned into words here, and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass

from wakeline.processes.misfit import Misfit
from wakeline.store import processes

LIVE, ENDED = ("running", "waiting", "queued"), ("completed", "failed", "cancelled", "abandoned")


@dataclass(frozen=True, slots=True)
class Status:
    """A process as seen from outside at one moment."""

    id: str
    status: str
    kind: str
    label: str | None
    created_ms: int
    updated_ms: int
    sequence: int
    waiting_for: tuple[str, ...]
    owner: str | None
    release: str | None = None
    """Of the code that ran it last (`Settings.release`)."""
    unread: str | None = None
    """What of it this release cannot read, or the worker that took it last could not: it waits for a release that
    can."""
    misfit: Misfit | None = None
    """Of a queued process that waits for code that fits: why the last code did not."""
    losses: int = 0
    """How often in a row it was lost with its worker."""
    runs_again_ms: int | None = None
    """When a queued process that was lost more than twice is run again, with nothing beside it (server ms)."""


def status_of(row: processes.ProcessRow) -> Status:
    """A row of the store as the outside sees it."""
    identity = row.registration.identity
    waits = row.waiting_for
    by = (row.owner, row.release)
    unread = row.registration.unknown or (row.left_unread if row.status == "queued" else None)
    misfit = row.misfit if row.status == "queued" else None
    times = (row.created_ms, row.updated_ms, row.sequence)
    return Status(
        row.process_id,
        row.status,
        identity.kind,
        identity.label,
        *times,
        waits,
        *by,
        unread,
        misfit,
        row.losses,
        row.runs_again_ms,
    )
