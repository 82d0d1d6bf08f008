"""What became of an event that should have woken a session: one sentence."""

from __future__ import annotations

from collections.abc import Sequence

from wakeline.observe.entries import EntryView
from wakeline.store.processes import StoredProcess


def targets_of(view: StoredProcess) -> list[str]:
    """The sessions that a process wakes, or was started to wake."""
    first = view.registration.wake_target
    return sorted({target for target in (view.wake_session, first.session_id if first else None) if target is not None})


def woke(view: StoredProcess, entry: EntryView, told: str) -> str:
    """The sentence for an event with an entry; ``told`` is what became of that."""
    return f"{_event(view)} woke {entry.session_id}, as its entry {entry.n}: {told}"


def superseded(view: StoredProcess, entry: EntryView) -> str:
    """The sentence for a wake that a later wake of its key swallowed."""
    later = f"a later wake of its key took its place, as entry {entry.n} of {entry.session_id}"
    return f"{_event(view)} was superseded: {later}"


def no_wake(view: StoredProcess, targets: Sequence[str]) -> str:
    """The sentence for an event without an entry in any inbox."""
    if not targets:
        return f"{_event(view)} wakes no session: the process has none to wake"
    why = "its type means none, its condition was not met, or it is forgotten"
    return f"{_event(view)} is no wake that {', '.join(targets)} keeps: {why}"


def _event(view: StoredProcess) -> str:
    event = view.events[0]
    return f"event {event.sequence} of {view.process_id} ({event.type})"
