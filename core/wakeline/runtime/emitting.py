"""An event as a producer asks for it: a body, the code of a tool, someone outside.

Invariant: type, schema and size are checked here, before anything is sent; what the event means is decided with them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from wakeline import arguments
from wakeline.errors import PayloadSchemaMismatch, ReservedEvent, UndeclaredEvent
from wakeline.names import LIFECYCLE_TYPES, SIGNAL_PREFIX, check_event_type, terminal_replay_key
from wakeline.processes.events import Terminal, check_append
from wakeline.processes.producing import Producible
from wakeline.processes.registration import Registration
from wakeline.processes.schema import check_payload
from wakeline.store.processes import WakeText
from wakeline.values import MAX_PAYLOAD, check_size, to_json

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One event that may be appended: its type, its payload as JSON data and text, the wake and the end it means."""

    type: str
    data: Any
    text: str
    wake: WakeText | None = None
    end: Terminal | None = None
    replay_key: str | None = None
    """Of an end: one per type, so that a repeated one is recognised."""


def fitting(payload: Any, data: Any, check: Callable[[Any], T]) -> tuple[Any, T]:
    """The data of a payload that passes a check against a schema, and what the check says: a model's fields under their own names, or else their aliases."""
    try:
        return data, check(data)
    except PayloadSchemaMismatch:
        other = arguments.outside(payload, data)
        if other is None:
            raise
        return other, check(other)


def against(schema: dict[str, Any], what: str) -> Callable[[Any], None]:
    """The check of data against a schema."""
    return lambda data: check_payload(schema, data, what)


def check_producer_type(event_type: str) -> str:
    """The event type, if producers may write it at all; raises `InvalidId`, `ReservedEvent`."""
    # A signal has to find its wait or the mailbox: only the verb does that.
    if check_event_type(event_type) in LIFECYCLE_TYPES or event_type.startswith(SIGNAL_PREFIX):
        raise ReservedEvent(event_type=event_type)
    return event_type


def occurrence(registration: Registration | Producible, event_type: str, payload: Any) -> Occurrence:
    """An event of a process; raises `InvalidId`, `ReservedEvent`, `UndeclaredEvent`, `PayloadSchemaMismatch`, `InvalidPayload`, `PayloadTooLarge`."""
    declared = registration.event_type(check_producer_type(event_type))
    if declared is None:
        raise UndeclaredEvent(process_id=registration.id, event_type=event_type, declared=sorted(t.name for t in registration.event_types))
    what = f"event {event_type}"
    data = arguments.asked(payload, what=what)
    replay_key = terminal_replay_key(registration.id, event_type) if declared.ends else None
    check_size(what, to_json(data), MAX_PAYLOAD)
    data, meaning = fitting(payload, data, lambda given: check_append(declared, given, replay_key))
    text = to_json(data)
    wake = WakeText(meaning.wake.text, meaning.wake.key) if meaning.wake else None
    return Occurrence(event_type, data, text, wake, meaning.terminal, replay_key)
