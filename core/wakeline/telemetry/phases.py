"""The named moments of a run and of a tick: where traces, metrics and crash tests attach.

Invariant: one list for all three. The code that runs reaches every phase, and a test kills a worker at each of them.
"""

from __future__ import annotations

from enum import StrEnum


class Phase(StrEnum):
    """A moment of a run; `meaning` says in one line what is true when it is reached."""

    claimed = "claimed", "the claim script answered: this run holds the lease, nothing of the body ran yet"
    body_started = "body_started", "the context is rebuilt and the body is about to be called"
    admitted = "admitted", "the batch of a turn is fixed, its body has not seen it"
    effect_before_run = "effect_before_run", "no journal row exists and the effect's own code is about to run"
    effect_after_run = "effect_after_run", "the effect's code returned, and nothing is recorded yet"
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


START_CHILD, AWAIT_HANDLE = "process.start_child", "process.await_handle"
"""The stretches that the runtime itself names; code of an app may name others."""
