"""What a run tells its own log, and whom it asks to end: events and cancels. Each is an effect that the verb's own
script writes.

Invariant: the message and the journal row that says it was sent are written by one script, under the run's fence.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from wakeline.effects.envelope import Envelope
from wakeline.run.recorder import written
from wakeline.run.run import Run
from wakeline.store.calls import Program
from wakeline.verbs.events import NewEvent, append, new_event
from wakeline.verbs.payload_types import TakenTypes
from wakeline.verbs.processes import cancel, check_reason
from wakeline.verbs.recorder import Recorder


class Told(NamedTuple):
    """What was written: the sequence of the event there, and when this run recorded it (ms)."""

    sequence: int
    at_ms: int


class Sequenced(Protocol):
    """A receipt of something that stands in a log."""

    @property
    def sequence(self) -> int: ...


def taken_types(run: Run) -> TakenTypes:
    """The types that the process of a run takes."""
    return TakenTypes(run.registration, run.engine)


def woken_by(run: Run) -> str | None:
    """The session that events of a run wake, if any."""
    target = run.registration.wake_target
    return target.session_id if target is not None else None


def emitted(run: Run, event_type: str, payload: Any) -> NewEvent:
    """An event that running work appends to its own process; raises as `new_event`."""
    return new_event(run.process_id, taken_types(run), event_type, payload)


async def append_event(run: Run, event: NewEvent, replay_key: str | None = None) -> Told:
    """Append an event to the run's own process. With the same replay key it is the same event. An event that ends the
    process ends the run."""
    envelope = Envelope(kind="emit", name=f"emit:{event.type}", args=event.data)
    key = run.journal.key_of(envelope)
    own_key = replay_key or event.replay_key
    done = await told(
        run,
        envelope,
        key,
        lambda effect: append(run.caller, run.process_id, event, key=own_key, wakes=woken_by(run), effect=effect),
    )
    if event.end is not None:
        run.ended_by(event.end)
    return done


async def told(run: Run, envelope: Envelope, key: str, verb: Callable[[Recorder], Program[Sequenced]]) -> Told:
    """The place of an event or a signal in the log to which it was written."""

    async def sent(effect: Recorder) -> int:
        return (await run.store.run(verb(effect))).sequence

    sequence = int(await written(run, envelope, key, sent))
    return Told(sequence, run.journal.rows[key].at_ms)


async def request_cancel(run: Run, process_id: str, reason: str) -> str:
    """Ask another process to end. Returns its status."""
    check_reason(reason)
    envelope = Envelope(kind="cancel", name=f"cancel:{process_id}", args={"reason": reason})

    async def asked(effect: Recorder) -> str:
        return await run.store.run(cancel(run.caller, process_id, reason, effect=effect))

    return str(await written(run, envelope, None, asked))
