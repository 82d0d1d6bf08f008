"""The wake that an event of a process causes in a session, and its place in the inbox."""

from __future__ import annotations

from dataclasses import dataclass, replace

from wakeline.causality import CausalRef, Invocation, SessionScope, event_invocation
from wakeline.processes.events import ProcessEvent
from wakeline.wakes.wake import wake_id


@dataclass(frozen=True, slots=True)
class Wake:
    """One wake: its target, its event, the text for the turn, and the key under which it coalesces (if any).

    `failure` marks the end of a process that did not complete; `at_ms` is the event's time.
    """

    target: SessionScope
    process_id: str
    incarnation: str
    sequence: int
    event_type: str
    input: str
    at_ms: int
    key: str | None = None
    replay_key: str | None = None
    caused_by: CausalRef | None = None
    failure: bool = False

    @property
    def id(self) -> str:
        """See `wake_id`."""
        return wake_id(self.target.session_id, self.process_id, self.incarnation, self.sequence)

    @property
    def dedupe_key(self) -> str:
        """The key under which it coalesces, or one that only its event has."""
        return self.key if self.key is not None else f"{self.process_id}:{self.sequence}"

    @property
    def invocation(self) -> Invocation:
        """The lineage of its event."""
        return event_invocation(self.process_id, self.sequence, self.event_type, self.replay_key)

    def turn_text(self) -> str:
        """The text for the turn: the source of the wake, then its input."""
        return f"Wake from process {self.process_id}, event {self.sequence} ({self.event_type}):\n{self.input}"


def wake_from_event(
    event: ProcessEvent, target: SessionScope | None, incarnation: str, *, caused_by: CausalRef | None = None
) -> Wake | None:
    """The wake of an event; None if its type has none, its condition is not met, or the process wakes no session.

    `caused_by` is the cause in the process' provenance.
    """
    meant = event.semantics.wake
    if meant is None or target is None:
        return None
    end = event.semantics.terminal
    return Wake(
        target,
        event.process_id,
        incarnation,
        event.sequence,
        event.type,
        meant.text,
        event.at_ms,
        meant.key,
        event.replay_key,
        caused_by,
        failure=end is not None and end.state != "completed",
    )


@dataclass(frozen=True, slots=True)
class Placed:
    """A wake in an inbox: its place, whether a turn has it, how many later ones it swallowed."""

    n: int
    wake: Wake
    admitted: bool = False
    swallowed: int = 0


def place(inbox: tuple[Placed, ...], wake: Wake) -> tuple[Placed, ...]:
    """The inbox with one more wake in it.

    With a key it joins a pending wake of the same key, which keeps its place and takes the newer input. It never joins
    one that a turn has, and a failure and a success never join.
    """
    for index, placed in enumerate(inbox):
        if _joins(placed, wake):
            joined = replace(placed, wake=wake, swallowed=placed.swallowed + 1)
            return (*inbox[:index], joined, *inbox[index + 1 :])
    last = max((placed.n for placed in inbox), default=0)
    return (*inbox, Placed(last + 1, wake))


def _joins(placed: Placed, wake: Wake) -> bool:
    return (
        wake.key is not None
        and not placed.admitted
        and placed.wake.key == wake.key
        and placed.wake.target.session_id == wake.target.session_id
        and placed.wake.failure == wake.failure
    )
