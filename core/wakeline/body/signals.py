"""Signals of a body: sending one to another process, and waiting for one.

Invariant: a signal and the journal row that says it was sent are one script. A wait takes each signal once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wakeline.body.messages import Told, taken_types, told
from wakeline.effects.envelope import Envelope
from wakeline.errors import InvalidPayload
from wakeline.names import all_of, check_signal_name, signal_event_type
from wakeline.processes.schema import fits_schema
from wakeline.run.guards import MarkGuard
from wakeline.run.run import Run
from wakeline.run.waits import WaitCall, WaitFor, schema_of_answer, settle
from wakeline.shown import logger
from wakeline.store.fields import Slot
from wakeline.tools.tool import Duration
from wakeline.values import parse_duration
from wakeline.verbs import signals
from wakeline.waits.identity import ProcessSignal
from wakeline.waits.kinds import WaitKind
from wakeline.waits.resolutions import Ok, Resolution

log = logger("wakeline.run")


async def send_signal(run: Run, process_id: str, name: str, payload: Any, signal_id: str | None) -> Told:
    """Send a signal to another process, once, even after a crash. Without a signal id the run makes one."""
    async with run.journal.asking():
        outgoing = signals.checked(name, payload, signal_id)
    envelope = _sent_as(run, name, {"process": process_id, "payload": outgoing.data, "key": signal_id})
    row_key = run.journal.key_of(envelope)
    key = outgoing.key or f"{run.idempotency_key}:{row_key}"
    return await told(
        run, envelope, row_key, lambda effect: signals.send(run.caller, process_id, outgoing, key=key, effect=effect)
    )


def _sent_as(run: Run, name: str, args: Any) -> Envelope:
    """The envelope under which this call is recorded, if the process made it under a former name of the signal;
    otherwise the present one."""
    names = (*run.registry.former_names_of_signal(name), name)
    envelopes = [Envelope(kind="signal", name=f"signal:{one}", args=args) for one in names]
    return next((one for one in envelopes[:-1] if run.journal.is_recorded(one)), envelopes[-1])


async def wait_for_signal(
    run: Run, name: str, kind: Any, *, timeout: Duration | None, default: Any, was: Sequence[str] | str
) -> Any:
    """The next signal of a name: the oldest one kept, or the next one sent. One of another type that was sent before
    anything waited is dropped. Raises `WaitTimeout` unless ``default`` is given, `WaitCancelled`, `UndeclaredEvent`."""
    names = signal_names(run, name, was)
    wanted = kind if kind is not None else _kind_of(run, names[-1])
    name, also = signal_known_as(run, names)
    for_ms = parse_duration(timeout) if timeout is not None else None
    while True:
        ordinal = run.journal.ordinal(name)
        identity = ProcessSignal(run.process_id, run.fence.incarnation, run.claim.generation, name, ordinal)
        target = WaitFor(
            identity,
            WaitKind.SIGNAL.of(name),
            ordinal=ordinal,
            for_ms=for_ms,
            schema=schema_of_answer(wanted),
            also=also,
        )
        call = run.waits.call("wait", f"wait:{name}", {"ordinal": ordinal}, target)
        async with run.journal.asking():
            check_served(run, name, call)
        [resolution] = await run.waits.for_all([call])
        try:
            with MarkGuard(call.envelope, call.key):
                return settle(f"signal {name}", resolution, wanted, default)
        except InvalidPayload as misfit:
            drop_signal(run, name, call, misfit, resolution)


def _kind_of(run: Run, name: str) -> Any:
    return run.engine.signals.get(name, Any) if run.engine is not None else Any


def signal_names(run: Run, name: str, was: Sequence[str] | str = ()) -> tuple[str, ...]:
    """All names of a signal, former and present, oldest first: those in the wait, and those that the engine
    declares."""
    check_signal_name(name)
    declared = run.engine.names_of_signal(name) if run.engine is not None else (name,)
    return tuple(dict.fromkeys((*all_of(was, f"signal {name}"), *declared)))


def signal_known_as(run: Run, names: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """The name under which this process waits for a signal, and its other names. It is the name of an earlier wait, or
    else one that the process was started with."""
    known = names[-1]
    if len(names) > 1:
        standing = {Slot(fields).kind for fields in run.claim.slots.values()}
        waits = (one for one in names if WaitKind.SIGNAL.of(one) in standing)
        started_with = (
            one for one in (known, *names[:-1]) if run.registration.event_type(signal_event_type(one)) is not None
        )
        known = run.journal.used(names, ("wait:",)) or next(waits, None) or next(started_with, known)
    return known, tuple(one for one in names if one != known)


def check_served(run: Run, name: str, call: WaitCall) -> None:
    """Raises `UndeclaredEvent` for a wait that no signal can end, because every sender is refused. A wait that is over
    keeps its outcome."""
    types, event_type = taken_types(run), signal_event_type(name)
    if (
        call.key in run.journal.rows
        or Slot(run.claim.slots.get(call.slot, {})).resolution is not None
        or types.declares(event_type)
    ):
        return
    raise types.undeclared(event_type)


def drop_signal(run: Run, name: str, call: WaitCall, misfit: InvalidPayload, resolution: Resolution) -> None:
    """Handles a signal of another type than its wait. If it was sent before the process waited, it is dropped
    permanently. If it was right for a release that has had the process, it is kept for that release, and the run ends.
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
    """Whether an earlier run waited for it, so that its sender knew the type, or it has the type that was declared when
    the process was started."""
    if call.key in run.claim.journal or call.slot in run.claim.slots:
        return True
    declared = next((one for one in run.registration.event_types if one.name == signal_event_type(name)), None)
    return (
        declared is not None and isinstance(resolution, Ok) and fits_schema(declared.payload_schema, resolution.value)
    )
