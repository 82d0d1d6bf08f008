"""The record of a process, computed from its registration and its events.

Invariant: no field is written in another way. What changes without an event (owner, epoch, attempt) stands beside it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

from wakeline import names
from wakeline.causality import SessionScope
from wakeline.errors import ProcessAlreadyTerminal, TransitionRefused
from wakeline.processes.events import ProcessEvent
from wakeline.processes.inputs import EngineInput, ExternalInput, ProcessInput
from wakeline.processes.lifecycle import TERMINAL, Status
from wakeline.processes.outputs import AwaitOutput
from wakeline.processes.registration import Registration
from wakeline.testing.model.lifecycle import next_status


@dataclass(frozen=True, slots=True)
class Record:
    """One process after `sequence` events. While it waits, `wait` is what it waits for."""

    registration: Registration
    status: Status
    created_at_ms: int
    updated_at_ms: int
    sequence: int = 0
    wait: Any = None
    external_ref: Any = None
    cancel_requested: str | None = None
    wake_target: SessionScope | None = None
    generation: int = 1
    input: ProcessInput | None = None
    engine_version: str | None = None
    output: AwaitOutput | None = None

    @property
    def id(self) -> str:
        """The process id."""
        return self.registration.id

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self.status in TERMINAL


def fold(registration: Registration, created_at_ms: int, events: Iterable[ProcessEvent]) -> Record:
    """The record after these events, in order from the first; raises like `apply`."""
    # No worker starts an external process: it runs outside from its registration on.
    status: Status = "running" if isinstance(registration.input, ExternalInput) else "queued"
    new = Record(
        registration,
        status,
        created_at_ms,
        created_at_ms,
        wake_target=registration.wake_target,
        input=registration.input,
        engine_version=registration.engine_version,
    )
    return reduce(apply, events, new)


def apply(record: Record, event: ProcessEvent) -> Record:
    """The record after one more event.

    Raises `ProcessAlreadyTerminal` after the end, and `TransitionRefused` if the event may not follow, or is not the
    next one.
    """
    if record.ended:
        raise ProcessAlreadyTerminal(process_id=record.id, status=record.status)
    status = next_status(record.status, event.type)
    if status is None or event.sequence != record.sequence + 1:
        raise TransitionRefused(process_id=record.id, status=record.status, event=f"{event.sequence} {event.type}")
    after = replace(record, status=status, sequence=event.sequence, updated_at_ms=event.at_ms)
    end = event.semantics.terminal
    if end is not None:
        return replace(after, status=end.state, output=end.output, wait=None)
    return _with_fact(after, event)


def _with_fact(record: Record, event: ProcessEvent) -> Record:
    payload = event.payload
    match event.type:
        case names.PROCESS_WAITING:
            return replace(record, wait=payload)
        case names.PROCESS_RESUMED:
            return replace(record, wait=None)
        case names.PROCESS_CANCEL_REQUESTED:
            return replace(record, cancel_requested=record.cancel_requested or str(payload.get("reason", "")))
        case names.PROCESS_EXTERNAL_REF_SET:
            return replace(record, external_ref=payload)
        case names.PROCESS_RETARGETED:
            target = payload["wake_target"]
            return replace(record, wake_target=SessionScope.model_validate(target) if target else None)
        case names.PROCESS_CONTINUED:
            return replace(record, generation=payload["generation"], input=_next_input(record.input, payload),
                           engine_version=payload.get("version", record.engine_version))  # fmt: skip
        case _:
            return record


def _next_input(current: ProcessInput | None, payload: Any) -> ProcessInput | None:
    if isinstance(current, EngineInput) and "input" in payload:
        return EngineInput(kind=current.kind, payload=payload["input"])
    return current
