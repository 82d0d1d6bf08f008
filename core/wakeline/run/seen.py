"""What became of a run, in the words that instruments see.

Invariant: made only where an instrument wants to see runs; the run itself reads nothing of it.
"""

from __future__ import annotations

from typing import cast

from wakeline.processes.outputs import Failure
from wakeline.run.outcomes import Ended, Outcome, Swallowed, TurnFailed, Unfit
from wakeline.telemetry.seen import RunEnd, RunOutcome, RunSeen, code_of


def see_end(
    seen: RunSeen | RunEnd, word: str, outcome: Outcome | None = None, error: BaseException | None = None
) -> None:
    """What became of a run, by the word that its last script answered. ``outcome``: of its body, where that ran, and
    ``error``: what it raised."""
    code: str | None = None
    match outcome:
        case Ended(output=Failure() as failure) | TurnFailed(failure=failure):
            code = failure.code
            seen.failed(failure.failure_class, failure.message, error)
        case Swallowed():
            code = "park_swallowed"
        case Unfit(error=unfit):
            code = code_of(unfit)
            seen.failed("internal", str(unfit), unfit)
        case _:
            pass
    match word:
        case "finished":
            seen.ended(cast("RunOutcome", outcome.status) if isinstance(outcome, Ended) else "failed", code)
        case "exhausted":
            seen.ended("failed", code)
        case "released" if isinstance(outcome, TurnFailed | Ended):
            seen.ended("retried", code)
        case "parked" | "continued" | "released" | "abandoned" | "cancelled":
            seen.ended(cast("RunOutcome", word), code)
        case _:
            seen.ended("lost")
