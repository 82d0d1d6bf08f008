"""What a run tells other processes, and its own log: signals, cancels, events. Each is an effect written by the verb's
own script.

Invariant: the message and the journal row that says it was sent are written by one script, under the run's fence.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from wakeline import typed
from wakeline.attachments.attachment import owner_of_process, owner_of_session
from wakeline.effects.envelope import Envelope
from wakeline.errors import InvalidPayload, PayloadSchemaMismatch, Stopped
from wakeline.names import check_key, check_signal_name, signal_event_type, signal_replay_key
from wakeline.processes.schema import fits_schema
from wakeline.run.host import RunState
from wakeline.run.run import Run
from wakeline.run.waits import WaitCall
from wakeline.shown import logger
from wakeline.store import ends, events, processes, signals
from wakeline.store.events import Appended
from wakeline.store.fields import Slot
from wakeline.store.journal import Row
from wakeline.values import MAX_PAYLOAD, check_size, check_text, content_json, to_json
from wakeline.verbs.events import NewEvent, new_event
from wakeline.verbs.payload_types import TakenTypes, engine_of, fitting_the_wait, signal_of
from wakeline.verbs.processes import MAX_REASON
from wakeline.waits.resolutions import Ok, Resolution

log = logger("wakeline.run")


class Told(NamedTuple):
    """What was written: the event's sequence there, and when this run recorded it (ms)."""

    sequence: int
    at_ms: int


async def never(_: str) -> Any:
    """The ``perform`` of an effect that its verb's own script records."""
    raise AssertionError("this effect is written by its own script")


def with_sequence(row: Row) -> Row:
    """The row of an outcome that only the script knows: it fills the sequence in."""
    before, _, after = row.text.partition('"\\u0000"')
    return Row(row.key, before, after=after)


def taken_types(run: Run) -> TakenTypes:
    """Of the process of a run."""
    return TakenTypes(run.registration, run.engine)


def emitted(run: Run, event_type: str, payload: Any) -> NewEvent:
    """An event that running work appends to its own process, as `new_event`."""
    return new_event(run.process_id, taken_types(run), event_type, payload)


async def append_event(run: Run, event: NewEvent, replay_key: str | None = None) -> Told:
    """Append an event to the run's own process. With a replay key, the same one again is the same event. One that ends
    the process ends the run."""
    replay_key = replay_key or event.replay_key
    envelope = Envelope(kind="emit", name=f"emit:{event.type}", args=event.data)
    key = run.journal.key_of(envelope)

    async def write(row_of: Callable[[Any], Row]) -> Any:
        if run.registration.wake_target is not None:
            await run.passing.pass_on(
                event.text, owner_of_session(run.registration.wake_target.session_id), partly=True
            )
        effect = run.journal.effect_of(with_sequence(row_of("\x00")))
        # Only an event with a key of its own is ever compared.
        canonical = content_json(event.data) if replay_key is not None else None
        call = events.append(
            run.process_id,
            event.type,
            event.text,
            replay_key=replay_key,
            canonical=canonical,
            wake=event.wake,
            end=event.end,
            effect=effect,
        )
        done: Appended = await run.journal.send(effect, call)
        return done.sequence

    told = await _told(run, envelope, key, write)
    if event.end is not None:
        run.life.end(RunState.ENDED)
        raise Stopped
    return told


async def send_signal(run: Run, process_id: str, name: str, payload: Any, signal_id: str | None) -> Told:
    """Send a signal to another process, once whatever happens. Without an id of its own it has one of the run's
    making."""
    async with run.journal.asking():
        data = typed.asked(payload, what=f"signal {name}")
    body = to_json(data)
    check_size(f"signal {name}", body, MAX_PAYLOAD)
    envelope = _sent_as(run, check_signal_name(name), {"process": process_id, "payload": data, "key": signal_id})
    row_key = run.journal.key_of(envelope)
    signal_id = check_key(signal_id, "signal id") if signal_id is not None else f"{run.idempotency_key}:{row_key}"

    async def write(row_of: Callable[[Any], Row]) -> Any:
        await run.passing.pass_on(body, owner_of_process(process_id))
        row = with_sequence(row_of("\x00"))
        wanted: str | None = None
        fitted = data
        known, also = await _known_there(run, process_id, name)
        while True:
            effect = run.journal.effect_of(row)
            try:
                sent = await run.journal.send(
                    effect,
                    signals.signal(
                        process_id,
                        known,
                        signal_id,
                        to_json(fitted),
                        canonical=content_json(data),
                        replay_key=signal_replay_key(process_id, known, signal_id),
                        schema_hash=wanted,
                        also=also,
                        effect=effect,
                    ),
                )
                return sent.sequence
            except signals.SchemaWanted as asked:
                fitted = await _as_the_wait_takes_it(run, process_id, payload, fitted, asked, signal_event_type(known))
                wanted = asked.hash

    return await _told(run, envelope, row_key, write)


def _sent_as(run: Run, name: str, args: Any) -> Envelope:
    """What this call is recorded as, where the process made it under a name that the signal had before; else what it
    asks for now."""
    envelopes = [
        Envelope(kind="signal", name=f"signal:{one}", args=args)
        for one in (*run.registry.former_names_of_signal(name), name)
    ]
    return next((one for one in envelopes[:-1] if run.journal.is_recorded(one)), envelopes[-1])


async def _known_there(run: Run, process_id: str, name: str) -> tuple[str, tuple[str, ...]]:
    """As `signal_of`. The other process is looked at where a signal of this name was renamed in some engine of this
    app, and not otherwise."""
    registry = run.registry
    if not any(len(engine.names_of_signal(name)) > 1 for engine in registry.versions.values()):
        return name, ()
    known = (await run.store.execute(processes.read(process_id, count=0))).registration.producible
    return signal_of(known, engine_of(known, registry), name)


async def _as_the_wait_takes_it(
    run: Run, process_id: str, payload: Any, data: Any, asked: signals.SchemaWanted, event_type: str
) -> Any:
    try:
        return fitting_the_wait(payload, data, asked, event_type, None)
    except PayloadSchemaMismatch:
        # Only now it matters what is declared there: whoever wrote the sender is to know both types.
        known = (await run.store.execute(processes.read(process_id, count=0))).registration.producible
        declared = TakenTypes(known, engine_of(known, run.registry)).named(event_type)
        return fitting_the_wait(payload, data, asked, event_type, declared)


def signal_names(run: Run, name: str, was: Sequence[str] | str = ()) -> tuple[str, ...]:
    """The names that a signal had and has, oldest first: as the wait says, and as the engine declares."""
    check_signal_name(name)
    declared = run.engine.names_of_signal(name) if run.engine is not None else (name,)
    return tuple(dict.fromkeys((*((was,) if isinstance(was, str) else was), *declared)))


def signal_known_as(run: Run, names: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """The name under which this process waits for a signal, and the others of it: the one it has waited under before,
    else of those it was started with."""
    known = names[-1]
    if len(names) > 1:
        standing = {Slot(fields).kind for fields in run.claim.slots.values()}
        waits = (one for one in names if f"s:{one}" in standing)
        started_with = (
            one for one in (known, *names[:-1]) if run.registration.event_type(signal_event_type(one)) is not None
        )
        known = run.journal.used(names, ("wait:",)) or next(waits, None) or next(started_with, known)
    return known, tuple(one for one in names if one != known)


def check_served(run: Run, name: str, call: WaitCall) -> None:
    """Raises `UndeclaredEvent` for a wait that no signal can end, as every sender of it is refused. One that is over
    already stays what it became."""
    types, event_type = taken_types(run), signal_event_type(name)
    if (
        call.key in run.journal.rows
        or Slot(run.claim.slots.get(call.slot, {})).resolution is not None
        or types.declares(event_type)
    ):
        return
    raise types.undeclared(event_type)


def drop_signal(run: Run, name: str, call: WaitCall, misfit: InvalidPayload, resolution: Resolution) -> None:
    """A signal that is of another type than its wait has: sent before anything waited, it is dropped, once and for all.
    One that was right for a
    release that has had the process is kept for it: the run ends.
    """
    mark = f"@dropped:{call.key}"
    if mark in run.claim.journal:
        return
    if run.claim.of_several_releases and _was_right(run, name, call, resolution):
        raise run.life.unfit("unreadable", misfit) from misfit
    run.journal.remember(mark, "dropped", mark, True)
    if call.key not in run.claim.journal:
        log.warning("%s: a signal that was sent before anything waited for it is dropped: %s", run.process_id, misfit)


def _was_right(run: Run, name: str, call: WaitCall, resolution: Resolution) -> bool:
    """Whether an earlier run waited for it, so that its sender was told the type, or it is of the type that was
    declared when the process was started."""
    if call.key in run.claim.journal or call.slot in run.claim.slots:
        return True
    declared = next((one for one in run.registration.event_types if one.name == signal_event_type(name)), None)
    return (
        declared is not None and isinstance(resolution, Ok) and fits_schema(declared.payload_schema, resolution.value)
    )


async def _told(
    run: Run, envelope: Envelope, key: str, write: Callable[[Callable[[Any], Row]], Awaitable[Any]]
) -> Told:
    sequence = int(await run.journal.effect(envelope.kind, envelope.name, envelope.args, never, key=key, write=write))
    return Told(sequence, run.journal.rows[key].at_ms)


async def request_cancel(run: Run, process_id: str, reason: str) -> str:
    """Ask another process to end; its status."""
    check_size("the reason", to_json(check_text("the reason", reason)), MAX_REASON)

    async def write(row_of: Callable[[Any], Row]) -> Any:
        effect = run.journal.effect_of(row_of("requested"))
        return await run.journal.send(
            effect, ends.cancel(process_id, reason, grace_ms=run.host.grace_ms, effect=effect)
        )

    return str(await run.journal.effect("cancel", f"cancel:{process_id}", {"reason": reason}, never, write=write))
