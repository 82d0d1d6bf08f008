"""Which process a run is of: the facts of its claim that instruments see and log entries carry.

Invariant: made only where an instrument or an entry wants them; the run itself reads nothing of them.
"""

from __future__ import annotations

from typing import Any

from wakeline.processes.inputs import EngineInput, SessionTurn, ToolCall
from wakeline.run.asides import current_effect
from wakeline.store.claims import Claim
from wakeline.telemetry.seen import RunKind, RunSeen


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


def log_facts(claim: Claim) -> dict[str, Any]:
    """What log entries say of a run of this claim, and of the effect whose code runs here."""
    seen = run_seen(claim)
    facts = {
        "process_id": seen.process_id,
        "kind": seen.kind,
        "name": seen.name,
        "label": seen.label,
        "attempt": seen.attempt,
        "epoch": seen.epoch,
        "session": seen.session_id,
        "effect": current_effect(),
        "owner": seen.owner,
        "release": claim.release,
    }
    return {name: value for name, value in facts.items() if value is not None}
