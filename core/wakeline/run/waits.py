"""A wait as a body asks for it, before the store knows of it, and what its resolution means for the body.

Invariant: values alone; what becomes of a wait is the run's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from wakeline import arguments
from wakeline.effects.envelope import Envelope
from wakeline.errors import InvalidDuration, WaitCancelled, WaitFailed, WaitTimeout
from wakeline.store.processes import Row
from wakeline.store.runs import Wait
from wakeline.verbs.options import MISSING
from wakeline.waits.identity import WaitIdentity
from wakeline.waits.resolutions import Cancelled, Err, Ok, Resolution, TimedOut


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


def child_read(call: WaitCall, resolution: Resolution) -> list[Row]:
    """A child that was awaited under another key than its own has been read too: retention keeps it no longer for this parent."""
    child = call.target.kind.removeprefix("c:")
    read = call.target.child_incarnation and isinstance(resolution, Ok) and call.key != f"result:{child}"
    return [Row(f"@read:{child}", "1")] if read else []


def settle(what: str, resolution: Resolution, kind: Any, default: Any = MISSING) -> Any:
    """A resolution as a value or the error it means."""
    match resolution:
        case Ok(value):
            return arguments.load(value, kind, what)
        case Err(code, message, _):
            raise WaitFailed(what=what, failure_code=code, failure_message=message)
        case TimedOut():
            if default is MISSING:
                raise WaitTimeout(what=what)
            return default
        case Cancelled():
            raise WaitCancelled(what=what)


def moment_ms(when: datetime) -> int:
    """A moment (naive ones are local) in ms since 1970; raises `InvalidDuration` for one before that."""
    try:
        ms = int(when.timestamp() * 1000)
    except (AttributeError, OverflowError, ValueError, OSError) as error:
        raise InvalidDuration(value=when) from error
    if ms < 0:
        raise InvalidDuration(value=when)
    return ms
