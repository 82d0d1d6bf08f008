"""What a process waits for at one moment."""

from __future__ import annotations

from dataclasses import dataclass

from wakeline.observe.view import View
from wakeline.store.fields import Slot
from wakeline.store.processes import StoredProcess
from wakeline.waits.kinds import kind_of


@dataclass(frozen=True, slots=True)
class WaitView(View):
    """One open wait of a process."""

    kind: str
    """signal, timer, child, approval, answer (of a session), completion (of a call that answered "pending"), or
    children (its body has ended)."""
    name: str | None
    """The name of the signal, the child, the approval or the tool; None for a wait without one."""
    due_ms: int | None
    """When it gives up (server ms); None if it has no time."""
    since_ms: int | None = None
    """When it was opened (server ms); None if a release before this one opened it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessWait(WaitView):
    """One open wait, and the process that waits."""

    process_id: str
    process_kind: str
    """As `Status.kind`."""


def waits_of(view: StoredProcess) -> list[WaitView]:
    """What a process waits for; the wait that is due soonest comes first. The view has to be read with ``detail``."""
    found: list[WaitView] = []
    for slot in map(Slot, view.slots.values()):
        if not slot.is_open:
            continue
        kind, name = kind_of(slot.kind)
        # The release before did not mark a question as one: the row of its asking tells.
        was_asked = any(key.startswith(f"approval:{name}:") for key in view.journal)
        if kind == "completion" and slot.opened_ms is None and was_asked:
            kind = "approval"
        found.append(WaitView(kind, name or None, slot.due_ms, slot.opened_ms))
    return sorted(found, key=lambda wait: (wait.due_ms is None, wait.due_ms or 0, wait.kind, wait.name or ""))


def waits_with_process(view: StoredProcess) -> list[ProcessWait]:
    """The same, each with the process that waits."""
    kind = view.registration.identity.kind
    return [ProcessWait(process_id=view.process_id, process_kind=kind, **wait.to_data()) for wait in waits_of(view)]
