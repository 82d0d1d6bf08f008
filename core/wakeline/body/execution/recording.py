"""Events and signals that running work writes at the low level.

Invariant: one script writes event, wake and journal row. A repeated replay key gives the event that it wrote.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from wakeline.body.execution.facts import Facts
from wakeline.body.messages import append_event, emitted
from wakeline.body.signals import send_signal
from wakeline.causality import SessionScope
from wakeline.errors import ProcessEventContextMismatch
from wakeline.names import check_key, signal_event_type, signal_replay_key
from wakeline.processes.events import ProcessEvent
from wakeline.typed import dump


@dataclass(frozen=True, slots=True)
class AppendRequest:
    """An event to append: its declared type, its payload, a replay key of the caller's, and a wake target other than
    the process's own."""

    event_type: str
    payload: Any = None
    replay_key: str | None = None
    wake_target: SessionScope | None = None


class Recording(Facts):
    """Appending events and sending signals."""

    async def append_process_event(self, request: AppendRequest, *, process_id: str | None = None) -> ProcessEvent:
        """Append an event to this process's own log, with the wake of its type. Returns the event, with the time at
        which this run recorded it.

        Raises `ProcessExecutionUnavailable` outside a process, `ProcessEventContextMismatch` for another one,
        `UndeclaredEvent`, `PayloadSchemaMismatch`, `ReplayConflict`, `ProcessAlreadyTerminal`.
        """
        run = self.in_process("append_process_event")
        own = run.process_id
        if process_id not in (None, own):
            raise ProcessEventContextMismatch(process_id=process_id, own=own)
        key = check_key(request.replay_key, "replay key") if request.replay_key is not None else None
        async with run.journal.asking():
            event = emitted(run, request.event_type, request.payload)
        if event.wake is not None and request.wake_target is not None:
            event = replace(event, wake=replace(event.wake, session_id=request.wake_target.session_id))
        told = await append_event(run, event, key)
        return ProcessEvent(own, told.sequence, event.type, event.data, told.at_ms, key)

    async def signal_process_by_id(
        self, process_id: str, signal_name: str, signal_id: str, payload: Any = None
    ) -> ProcessEvent:
        """Send a signal with the authority of the host (`signal_process` uses a handle). Returns the event, with the
        time at which this run recorded it.

        In one step the script appends the event, chooses the wait that it resolves (or keeps it), and resolves that
        wait. The same ``signal_id`` is the same event. Raises `ProcessNotFound`, `ProcessAlreadyTerminal`,
        `UndeclaredEvent`, `PayloadSchemaMismatch`, `ReplayConflict`, `MailboxFull`.
        """
        run = self.in_process("signal_process_by_id")
        told = await send_signal(run, process_id, signal_name, payload, signal_id)
        key = signal_replay_key(process_id, signal_name, signal_id)
        return ProcessEvent(process_id, told.sequence, signal_event_type(signal_name), dump(payload), told.at_ms, key)
