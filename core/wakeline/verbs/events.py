"""Events: one program that appends them, for a body, for the code of a tool, and for a client.

Invariant: type, schema and size are checked here, before anything is sent; what the event means is decided with them.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from wakeline import typed
from wakeline.attachments.attachment import owner_of_session
from wakeline.errors import ReservedEvent
from wakeline.names import LIFECYCLE_TYPES, SIGNAL_PREFIX, check_event_type, check_key, terminal_replay_key
from wakeline.processes.events import EventType, Terminal, check_append
from wakeline.store import events
from wakeline.store.calls import Call, Program
from wakeline.store.events import Appended, StaleIncarnation, WakeText
from wakeline.store.journal import Effect
from wakeline.telemetry.headers import Headers
from wakeline.values import MAX_PAYLOAD, check_size, content_json, to_json
from wakeline.verbs.attachments import handed
from wakeline.verbs.caller import Caller
from wakeline.verbs.payload_types import TakenTypes
from wakeline.verbs.recorder import Recorder, opened, written
from wakeline.verbs.sendings import told


@dataclass(frozen=True, slots=True)
class NewEvent:
    """One event that may be appended: its type, its payload as JSON data and text, and the wake and the end that it
    means."""

    type: str
    data: Any
    text: str
    wake: WakeText | None = None
    end: Terminal | None = None
    replay_key: str | None = None
    """The replay key of an end. Each type has one, so that a repeated end is recognised."""


def check_producer_type(event_type: str) -> str:
    """The event type, if producers may write it at all; raises `InvalidId`, `ReservedEvent`."""
    # A signal has to reach its wait or the mailbox, and only the verb does that.
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


def append(
    caller: Caller,
    process_id: str,
    event: NewEvent,
    *,
    key: str | None,
    wakes: str | None = None,
    compared: bool = True,
    incarnation: str | None = None,
    external: bool = False,
    effect: Recorder | None = None,
) -> Program[Appended]:
    """Append an event that was checked. With a ``key``, the same one again is the same event.

    ``wakes``: the session that its wake goes to, which gets the attachments too. ``compared``: a repetition is
    compared by its content, and not by its text. Raises `ReplayConflict`, `ProcessAlreadyTerminal`, `NotExternal`.
    """

    def program(headers: Headers | None) -> Program[Appended]:
        return _append(process_id, event, key, wakes, compared, incarnation, external, effect, headers)

    if not caller.instruments.sendings:
        return program(None)
    return told(caller.instruments, program, "emit", process_id, event.type, key=key)


def _append(
    process_id: str,
    event: NewEvent,
    key: str | None,
    wakes: str | None,
    compared: bool,
    incarnation: str | None,
    external: bool,
    effect: Recorder | None,
    headers: Headers | None,
) -> Program[Appended]:
    woken = event.wake.session_id if event.wake is not None and event.wake.session_id is not None else wakes
    if woken is not None:
        yield from handed(event.text, owner_of_session(woken), effect, partly=True)

    def call(made: Effect | None) -> Call[Appended]:
        appending = events.append(
            process_id,
            event.type,
            event.text,
            incarnation=incarnation,
            replay_key=key,
            canonical=content_json(event.data) if compared and key is not None else None,
            wake=event.wake,
            end=event.end,
            external=external,
            effect=made,
        )
        return appending.with_headers(headers)

    return (yield from written(call, effect, opened(effect)))


def emit(
    caller: Caller,
    process_id: str,
    event_type: str,
    payload: Any,
    key: str | None,
    *,
    external: bool,
    also: tuple[EventType, ...] = (),
) -> Program[int]:
    """Append an event to a process from outside it; its sequence. ``also``: types that the caller declares beside
    those of the process."""
    check_producer_type(event_type)
    own_key = check_key(key, "key of an event") if key is not None else f"emit:{secrets.token_hex(12)}"
    while True:
        known = yield from caller.types_of(process_id)
        event = new_event(process_id, caller.taken(known, also), event_type, payload)
        try:
            done = yield from append(
                caller,
                process_id,
                event,
                key=event.replay_key or own_key,
                incarnation=known.incarnation,
                external=external,
            )
        except StaleIncarnation:
            caller.unlearn(process_id)
        else:
            return done.sequence
