"""A run as instruments see it: the facts of its claim, and what became of it in words.

Invariant: made only where an instrument wants to see runs; the run itself reads nothing of it.
"""

from __future__ import annotations

from typing import cast

from wakeline.processes.inputs import EngineInput, SessionTurn, ToolCall
from wakeline.processes.outputs import Failure
from wakeline.run.outcomes import Ended, Outcome, Swallowed, TurnFailed, Unfit
from wakeline.store.claims import Claim
from wakeline.telemetry.seen import RunKind, RunOutcome, RunSeen, code_of


def run_seen(claim: Claim) -> RunSeen:
    """What is seen of a run of this claim."""
    registration, fence = claim.registration, claim.fence
    readable = claim.unread is None
    return RunSeen(
        process_id=claim.process_id,
        name=registration.identity.kind,
        kind=_kind(claim),
        label=registration.identity.label,
        engine_version=claim.engine_version,
        session_id=claim.session_id,
        attempt=claim.attempt if readable else 1,
        generation=claim.generation if readable else 1,
        epoch=fence.epoch,
        owner=fence.owner,
        claimed_ms=claim.now_ms,
    )


def _kind(claim: Claim) -> RunKind:
    match claim.registration.input:
        case EngineInput():
            return "engine"
        case ToolCall():
            return "tool"
        case SessionTurn():
            return "turn"
        case _:
            return "unknown"


def see_end(seen: RunSeen, word: str, outcome: Outcome | None = None) -> None:
    """What became of a run, by the word that its last script answered; ``outcome``: of its body, where that ran."""
    code: str | None = None
    match outcome:
        case Ended(output=Failure(code=failure_code)) | TurnFailed(failure=Failure(code=failure_code)):
            code = failure_code
        case Swallowed():
            code = "park_swallowed"
        case Unfit(error=error):
            code = code_of(error)
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
