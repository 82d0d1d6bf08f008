"""What a process waits for, as seen from outside at one moment."""

from __future__ import annotations

from dataclasses import dataclass

from wakeline.store.fields import Slot
from wakeline.store.processes import ProcessView
from wakeline.waits.kinds import kind_of


@dataclass(frozen=True, slots=True)
class WaitView:
    """One open wait: 'signal', 'timer', 'child', 'approval', 'answer' (of a session), 'completion' (of a tool that
    answered "pending"), or
    'children' (its body has ended); its name; and when it gives up (ms), if ever."""

    kind: str
    name: str | None
    due_ms: int | None


def waits_of(view: ProcessView) -> list[WaitView]:
    """What a process waits for, soonest due first; the view has to be read with ``detail``."""
    found: list[WaitView] = []
    for slot in map(Slot, view.slots.values()):
        if not slot.is_open:
            continue
        kind, name = kind_of(slot.kind)
        if kind == "completion" and any(key.startswith(f"approval:{name}:") for key in view.journal):
            kind = "approval"
        found.append(WaitView(kind, name or None, slot.due_ms))
    return sorted(found, key=lambda wait: (wait.due_ms is None, wait.due_ms or 0, wait.kind, wait.name or ""))
