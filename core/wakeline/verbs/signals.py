"""Signals: one program that sends them, for a client and for a body.

Invariant: types are checked before anything is sent, so bad input loses nothing. The script has the last word: an open
wait may take another type than its sender knows of.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from functools import partial
from typing import Any

from wakeline import typed
from wakeline.attachments.attachment import owner_of_process
from wakeline.engines.registry import Registry
from wakeline.errors import PayloadSchemaMismatch, ProcessError, UndeclaredEvent
from wakeline.fixed import fixed
from wakeline.names import check_key, check_signal_name, signal_event_type, signal_replay_key
from wakeline.processes.events import EventType
from wakeline.processes.producing import Producible
from wakeline.store import processes, signals
from wakeline.store.calls import Call, Program
from wakeline.store.events import StaleIncarnation
from wakeline.store.journal import Effect
from wakeline.store.signals import NoWaitTakesIt, SchemaWanted, Signalled
from wakeline.telemetry.headers import Headers
from wakeline.values import MAX_PAYLOAD, check_size, content_json, to_json
from wakeline.verbs.attachments import handed
from wakeline.verbs.caller import Caller
from wakeline.verbs.payload_types import engine_of, fitting_the_wait, signal_of
from wakeline.verbs.recorder import Recorder, opened, written
from wakeline.verbs.sendings import told


@fixed
class Outgoing:
    """A signal that may be sent: its payload as it was given, as JSON data and as text, and the key that a repetition
    is known by."""

    name: str
    payload: Any
    data: Any
    text: str
    key: str | None


def checked(name: str, payload: Any, key: str | None) -> Outgoing:
    """A signal that may be sent; raises `InvalidId`, `InvalidPayload`, `PayloadTooLarge`."""
    data = typed.asked(payload, what=f"signal {check_signal_name(name)}")
    text = to_json(data)
    check_size(f"signal {name}", text, MAX_PAYLOAD)
    return Outgoing(name, payload, data, text, check_key(key, "signal id") if key is not None else None)


def signal(caller: Caller, process_id: str, name: str, payload: Any, key: str | None) -> Program[Signalled]:
    """Send a signal; the same ``key`` again is the same signal. One round trip once its types are known (two where the
    open wait carries another schema)."""
    outgoing = checked(name, payload, key)
    sent = yield from send(caller, process_id, outgoing, key=outgoing.key or secrets.token_hex(12))
    return sent


def send(
    caller: Caller, process_id: str, outgoing: Outgoing, *, key: str, effect: Recorder | None = None
) -> Program[Signalled]:
    """Send a signal that was checked. Raises `UndeclaredEvent`, `PayloadSchemaMismatch`, `ProcessAlreadyTerminal`,
    `ReplayConflict`, `MailboxFull`."""
    if not caller.instruments.sendings:
        return _send(caller, process_id, outgoing, key, effect, None)
    program = partial(_send, caller, process_id, outgoing, key, effect)
    return told(caller.instruments, program, "signal", process_id, outgoing.name, key=outgoing.key)


def _send(
    caller: Caller,
    process_id: str,
    outgoing: Outgoing,
    key: str,
    effect: Recorder | None,
    headers: Headers | None,
) -> Program[Signalled]:
    yield from handed(outgoing.text, owner_of_process(process_id), effect)
    while True:
        known = yield from _receiver(caller, process_id, outgoing.name, effect)
        judged = _judged(caller, outgoing, known, by_types=effect is None)
        try:
            sent = yield from _sent(caller, process_id, outgoing, judged, key, effect, headers)
        except StaleIncarnation:
            caller.unlearn(process_id)
        else:
            return sent


@dataclass(slots=True)
class _Judged:
    """A signal as its sender sees it, by what it knows of the receiver. It has the names of the signal there, the data
    as it fits, and the schema against which the data was checked. If it fits nothing that is declared, it has the
    reason."""

    name: str
    also: tuple[str, ...]
    data: Any
    incarnation: str | None = None
    declared: EventType | None = None
    schema: str | None = None
    refused: ProcessError | None = None


def _receiver(caller: Caller, process_id: str, name: str, effect: Recorder | None) -> Program[Producible | None]:
    """What is known of the receiver. A body leaves types to the script, so it looks only where names may differ."""
    if effect is None:
        return (yield from caller.types_of(process_id))
    return (yield from _looked(process_id)) if _is_renamed(name, caller.registry) else None


def _is_renamed(name: str, registry: Registry) -> bool:
    return any(len(engine.names_of_signal(name)) > 1 for engine in registry.versions.values())


def _looked(process_id: str) -> Program[Producible]:
    view: processes.StoredProcess = yield processes.read(process_id)
    return view.registration.producible


def _judged(caller: Caller, outgoing: Outgoing, known: Producible | None, *, by_types: bool) -> _Judged:
    if known is None:
        return _Judged(outgoing.name, (), outgoing.data)
    name, also = signal_of(known, engine_of(known, caller.registry), outgoing.name)
    if not by_types:
        return _Judged(name, also, outgoing.data)
    event_type, types = signal_event_type(name), caller.taken(known)
    found = _Judged(name, also, outgoing.data, known.incarnation, types.named(event_type))
    try:
        found.declared, found.data, _ = types.check(
            event_type,
            outgoing.payload,
            outgoing.data,
            EventType.check,
        )
    except (UndeclaredEvent, PayloadSchemaMismatch) as error:
        found.refused = error  # by the types known here; a wait that another release opened may take it
    else:
        found.schema = found.declared.schema_hash
    return found


def _sent(
    caller: Caller,
    process_id: str,
    outgoing: Outgoing,
    judged: _Judged,
    key: str,
    effect: Recorder | None,
    headers: Headers | None,
) -> Program[Signalled]:
    """The signal goes out, and again as the open wait wants it."""
    canonical = content_json(outgoing.data)  # the same for every wait: a resend is compared by it
    row = opened(effect)

    def call(made: Effect | None) -> Call[Signalled]:
        sending = signals.signal(
            process_id,
            judged.name,
            key,
            to_json(judged.data),
            canonical=canonical,
            replay_key=signal_replay_key(process_id, judged.name, key),
            incarnation=judged.incarnation,
            schema_hash=judged.schema,
            refused=judged.refused,
            also=judged.also,
            effect=made,
        )
        return sending.with_headers(headers)

    while True:
        try:
            done = yield from written(call, effect, row)
        except SchemaWanted as wanted:
            judged.data = yield from _as_wanted(caller, process_id, outgoing, judged, wanted, is_known=effect is None)
            judged.schema = wanted.hash
        except NoWaitTakesIt:
            assert judged.refused is not None
            raise judged.refused from None
        else:
            return done


def _as_wanted(
    caller: Caller, process_id: str, outgoing: Outgoing, judged: _Judged, wanted: SchemaWanted, *, is_known: bool
) -> Program[Any]:
    event_type = signal_event_type(judged.name)
    try:
        return fitting_the_wait(outgoing.payload, judged.data, wanted, event_type, judged.declared)
    except PayloadSchemaMismatch:
        if is_known:
            raise
    # Only now it matters what is declared there: the author of the sender is to know both types.
    known = yield from _looked(process_id)
    return fitting_the_wait(outgoing.payload, judged.data, wanted, event_type, caller.taken(known).named(event_type))
