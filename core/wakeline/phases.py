"""The named moments of a run and of a tick: where traces, metrics and crash tests attach.

Invariant: one list for all three. A phase without a crash test fails the test suite.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol


class Phase(StrEnum):
    """A moment of a run; `meaning` says in one line what is true when it is reached."""

    claimed = "claimed", "the claim script answered: this run holds the lease, nothing of the body ran yet"
    body_started = "body_started", "the context is rebuilt and the body is about to be called"
    admitted = "admitted", "the batch of a turn is fixed, its body has not seen it"
    effect_before_run = "effect_before_run", "no journal row exists and the effect's own code is about to run"
    effect_after_run = "effect_after_run", "the effect's code returned or raised, and nothing is recorded yet"
    effect_recorded = "effect_recorded", "the journal row is written"
    wait_opened = "wait_opened", "the slot of a wait is open, its due time recorded"
    parking = "parking", "the park script is about to be sent"
    parked = "parked", "the park script answered: the lease is released, the process waits"
    finishing = "finishing", "the body ended and the script of the terminal event is about to be sent"
    finished = "finished", "the terminal event is written, the lease released"
    handing_back = "handing_back", "the run is about to give its process back, as at a SIGTERM"
    taking = "taking", "a worker is about to take a batch"
    taken = "taken", "a batch is taken, no run of it has started"
    beat = "beat", "a heartbeat is about to be sent; no process belongs to it"
    tick = "tick", "one round of timers and sweeps is about to start; no process belongs to it"

    meaning: str

    def __new__(cls, value: str, meaning: str) -> Phase:
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member


class Probe(Protocol):
    """Something that is told about phases, and may raise, block or kill there."""

    def reach(self, phase: Phase, process_id: str) -> None:
        """Called when a phase is reached; `process_id` is "" where no process belongs to it."""
        ...


class NullProbe:
    """A probe that does nothing."""

    def reach(self, phase: Phase, process_id: str) -> None:
        """Nothing."""


class RecordingProbe:
    """A probe that keeps what it was told, in order, for tests."""

    def __init__(self) -> None:
        self.reached: list[tuple[Phase, str]] = []

    def reach(self, phase: Phase, process_id: str) -> None:
        """Appends the phase and its process to `reached`."""
        self.reached.append((phase, process_id))

    def phases(self, process_id: str | None = None) -> list[Phase]:
        """The phases reached, of one process or of all."""
        return [phase for phase, of in self.reached if process_id is None or of == process_id]
