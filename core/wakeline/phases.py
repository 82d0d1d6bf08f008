"""The named moments of a run and of a tick: where traces, metrics and crash tests attach.

Invariant: one list for all three. The code that runs reaches every phase, and a test kills a worker at each of them.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
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


START_CHILD, AWAIT_HANDLE = "process.start_child", "process.await_handle"
"""The stretches that the runtime itself names; code of an app may name others."""


class PhaseProbe(Protocol):
    """Something that is told when a named stretch of work begins and ends; it may raise there, as a crash would."""

    def begin(self, name: str, process_id: str) -> None:
        """The stretch begins."""
        ...

    def end(self, name: str, process_id: str, seconds: float) -> None:
        """It is over, however it ended."""
        ...


@contextmanager
def named_phase(probe: PhaseProbe | None, name: str, process_id: str) -> Generator[None]:
    """A named stretch of work; its end is told on errors too. Nothing happens without a probe."""
    if probe is None:
        yield
        return
    probe.begin(name, process_id)
    began = time.monotonic()
    try:
        yield
    finally:
        probe.end(name, process_id, time.monotonic() - began)


@dataclass(slots=True)
class Durations:
    """How often a named phase was gone through, and how long it took, in seconds."""

    count: int = 0
    total: float = 0.0
    longest: float = 0.0


class DurationProbe:
    """A probe that adds up durations by name."""

    def __init__(self) -> None:
        self.durations: dict[str, Durations] = {}

    def begin(self, name: str, process_id: str) -> None:
        """Nothing: only ends count."""

    def end(self, name: str, process_id: str, seconds: float) -> None:
        """Adds one to its name."""
        of = self.durations.setdefault(name, Durations())
        of.count, of.total, of.longest = of.count + 1, of.total + seconds, max(of.longest, seconds)
