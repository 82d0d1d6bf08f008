"""The events that move a process between its statuses.

Invariant: nothing leads out of a terminal status. The owner of a process is not part of the record, so `queued` and
`running` are told apart only when it is observed.
"""

from __future__ import annotations

from typing import get_args

from wakeline import names
from wakeline.processes.lifecycle import TERMINAL, Status

STATUSES: tuple[Status, ...] = get_args(Status)
LIVE: tuple[Status, ...] = ("queued", "running", "waiting")

TERMINAL_STATUS: dict[str, Status] = {
    names.PROCESS_COMPLETED: "completed",
    names.PROCESS_FAILED: "failed",
    names.PROCESS_CANCELLED: "cancelled",
    names.PROCESS_ABANDONED: "abandoned",
}

TRANSITIONS: dict[tuple[Status, str], Status] = {
    ("queued", names.PROCESS_STARTED): "running",
    ("running", names.PROCESS_WAITING): "waiting",
    ("waiting", names.PROCESS_RESUMED): "running",
    **{
        (status, event_type): status
        for status in ("queued", "running")
        for event_type in (names.PROCESS_RECOVERED, names.PROCESS_ATTEMPT_FAILED, names.PROCESS_MISFIT)
    },
    ("running", names.PROCESS_CONTINUED): "running",
    **{
        (status, event_type): status
        for status in LIVE
        for event_type in (names.PROCESS_CANCEL_REQUESTED, names.PROCESS_EXTERNAL_REF_SET, names.PROCESS_RETARGETED)
    },
    **{(status, event_type): end for status in LIVE for event_type, end in TERMINAL_STATUS.items()},
}
"""Every lifecycle event that may follow in a status, and the status after it. All others are refused."""


def next_status(status: Status, event_type: str) -> Status | None:
    """The status after an event; None if it may not follow. Other events than lifecycle events change nothing."""
    if event_type not in names.LIFECYCLE_TYPES:
        return None if status in TERMINAL else status
    return TRANSITIONS.get((status, event_type))


def observed(status: Status, has_owner: bool, *, external: bool = False) -> Status:
    """The shown status, from record and lease together.

    A process without an owner that does not wait is queued. An external process never has an owner; it is `running`
    until its end is reported.
    """
    if status in TERMINAL or status == "waiting":
        return status
    return "running" if has_owner or external else "queued"
