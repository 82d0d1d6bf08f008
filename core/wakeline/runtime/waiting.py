"""A wait as a body asks for it, before the store knows of it.

Invariant: values alone; what becomes of a wait is the run's.
"""

from __future__ import annotations

from dataclasses import dataclass

from wakeline.effects.envelope import Envelope
from wakeline.store.runs import Wait
from wakeline.waits.identity import WaitIdentity


@dataclass(frozen=True, slots=True)
class WaitFor:
    """One thing to wait for: its identity, the store's word for it, and at most how long."""

    identity: WaitIdentity
    kind: str
    for_ms: int | None = None
    due_ms: int | None = None
    ordinal: int | None = None
    child_incarnation: str | None = None
    schema: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class WaitCall:
    """A wait as the body issues it: journal key and envelope, target, slot."""

    key: str
    envelope: Envelope
    digest: str
    target: WaitFor
    slot: str

    def wire(self, group: str) -> Wait:
        t = self.target
        return Wait(self.slot, self.key, group, t.kind, t.ordinal, t.child_incarnation, t.for_ms, t.due_ms, t.schema)
