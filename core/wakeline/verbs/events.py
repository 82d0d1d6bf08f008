"""An event as a producer asks for it: a body, the code of a tool, someone outside.

Invariant: type, schema and size are checked here, before anything is sent; what the event means is decided with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wakeline import typed
from wakeline.errors import ReservedEvent
from wakeline.names import LIFECYCLE_TYPES, SIGNAL_PREFIX, check_event_type, terminal_replay_key
from wakeline.processes.events import EventType, Terminal, check_append
from wakeline.store.events import WakeText
from wakeline.values import MAX_PAYLOAD, check_size, to_json
from wakeline.verbs.payload_types import TakenTypes


@dataclass(frozen=True, slots=True)
class NewEvent:
    """One event that may be appended: its type, its payload as JSON data and text, the wake and the end it means."""

    type: str
    data: Any
    text: str
    wake: WakeText | None = None
    end: Terminal | None = None
    replay_key: str | None = None
    """Of an end: one per type, so that a repeated one is recognised."""


def check_producer_type(event_type: str) -> str:
    """The event type, if producers may write it at all; raises `InvalidId`, `ReservedEvent`."""
    # A signal has to find its wait or the mailbox: only the verb does that.
    if check_event_type(event_type) in LIFECYCLE_TYPES or event_type.startswith(SIGNAL_PREFIX):
        raise ReservedEvent(event_type=event_type)
    return event_type


def new_event(process_id: str, types: TakenTypes, event_type: str, payload: Any) -> NewEvent:
    """An event of a process; raises `InvalidId`, `ReservedEvent`, `UndeclaredEvent`, `PayloadSchemaMismatch`,
    `InvalidPayload`, `PayloadTooLarge`."""
    if not types.declares(check_producer_type(event_type)):
        raise types.undeclared(event_type)
    what = f"event {event_type}"
    data = typed.asked(payload, what=what)
    check_size(what, to_json(data), MAX_PAYLOAD)

    def key_of(declared: EventType) -> str | None:
        return terminal_replay_key(process_id, event_type) if declared.ends else None

    declared, data, meaning = types.check(
        event_type, payload, data, lambda declared, given: check_append(declared, given, key_of(declared))
    )
    text = to_json(data)
    wake = WakeText(meaning.wake.text, meaning.wake.key) if meaning.wake else None
    return NewEvent(event_type, data, text, wake, meaning.terminal, key_of(declared))
