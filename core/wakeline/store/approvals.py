"""Approvals in the store: asking one, and the list of those that can be answered.

Invariant: the list is an index that the scripts keep which ask, answer, close and end; what it says of an approval was
true at one moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from wakeline.processes.reading import read_registration
from wakeline.processes.registration import Registration
from wakeline.store.calls import Call, Reply, flat
from wakeline.store.fields import ProcessFields
from wakeline.values import number


@dataclass(frozen=True, slots=True)
class Ask:
    """A question whose token is handed out before anything waits for its answer. It has its slot, what it is for
    (``x:<name>``), and the schema of an answer as hash and text. The question of an approval also has the payload
    of its event."""

    slot: str
    kind: str
    schema: tuple[str, str] | None = None
    due_ms: int | None = None
    event: str | None = None

    def wire(self) -> dict[str, Any]:
        """As its script takes it."""
        schema = {"hash": self.schema[0], "text": self.schema[1]} if self.schema else None
        wire = {"id": self.slot, "kind": self.kind, "schema": schema, "due_ms": self.due_ms, "event": self.event}
        return {key: value for key, value in wire.items() if value is not None}


class Place(NamedTuple):
    """Where a page of the list ends."""

    since: str
    slot: str


@dataclass(frozen=True, slots=True)
class OpenApproval(ProcessFields):
    """One that can be answered: its slot, its place in the list, the process that asks, what it is for."""

    slot: str
    since: str
    process_id: str
    kind: str
    due_ms: int | None
    event: str
    """The payload of its approval.requested; '' of one that a release before asked."""
    schema: str
    """The JSON Schema of an answer, as text; '' where any is taken."""
    fields: Mapping[str, str]
    registration: Registration

    @property
    def since_ms(self) -> int:
        """When it was asked."""
        return int(float(self.since))

    @property
    def session(self) -> str | None:
        """The session whose turn asks, or that the process wakes."""
        return self.fields.get("sid") or self.wake_session


@dataclass(frozen=True, slots=True)
class ApprovalPage:
    """Some of them, and where to go on from; there may be fewer than were asked for while more follow."""

    rows: tuple[OpenApproval, ...]
    following: Place | None


def _row(row: Reply) -> OpenApproval:
    slot, since, process_id, kind, due, event, schema, fields, spec = row
    due_ms = number(due) or None
    known = read_registration(process_id, spec)
    return OpenApproval(slot, since, process_id, kind, due_ms, event, schema, flat(fields), known)


def _page(reply: Reply) -> ApprovalPage:
    return ApprovalPage(tuple(_row(row) for row in reply[0]), Place(reply[1], reply[2]) if reply[2] else None)


def page(limit: int, after: Place | None = None) -> Call[ApprovalPage]:
    """Approvals that can be answered, those that were asked first first."""
    args: dict[str, Any] = {"limit": limit}
    if after is not None:
        args |= {"since": after.since, "id": after.slot}
    return Call("approval_list", args, _page)


@dataclass(frozen=True, slots=True)
class PastApproval:
    """An approval that was answered; when (ms), where that is known."""

    at_ms: int | None


def one(slot: str) -> Call[OpenApproval | PastApproval | None]:
    """One that is open, or was answered; None where it can be answered no more for another reason, or never was."""

    def decode(reply: Reply) -> OpenApproval | PastApproval | None:
        for row in _page(reply).rows:
            return row
        return PastApproval(number(reply[3]) or None) if reply[3] else None

    return Call("approval_list", {"limit": 1, "one": slot}, decode)
