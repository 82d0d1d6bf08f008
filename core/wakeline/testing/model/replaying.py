"""What a journal row means for a body that asks for its effect again.

Invariant: a recorded outcome is final, whether error or value. Other content under the same key is an error that
outranks both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, assert_never

from wakeline import errors
from wakeline.effects.journal import JournalRow
from wakeline.errors import WakelineError


@dataclass(frozen=True, slots=True)
class RunEffect:
    """Nothing is recorded: run it and record its outcome."""


@dataclass(frozen=True, slots=True)
class ReturnOutcome:
    """It succeeded before: this is its outcome."""

    outcome: Any


@dataclass(frozen=True, slots=True)
class RaiseRecorded:
    """It failed before: this is its error."""

    error: WakelineError


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Something else was recorded under this key; the row says what."""

    row: JournalRow


Decision = RunEffect | ReturnOutcome | RaiseRecorded | Mismatch


def decide(row: JournalRow | None, envelope_hash: str) -> Decision:
    """What to do with an effect whose key has this row. It is the first that applies: mismatch, outcome, error, run."""
    if row is None:
        return RunEffect()
    if row.hash != envelope_hash:
        return Mismatch(row)
    match row.status:
        case "ok":
            return ReturnOutcome(row.outcome)
        case "err":
            return RaiseRecorded(errors.from_json(row.outcome))
        case _:
            assert_never(row.status)
