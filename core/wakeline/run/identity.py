"""Which process a run is of: the facts of its claim that instruments see and log entries carry.

Invariant: made only where an instrument or an entry wants them; the run itself reads nothing of them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from wakeline.observe.processes import name_of
from wakeline.processes.inputs import EngineInput, SessionTurn, ToolCall
from wakeline.run.asides import current_effect
from wakeline.run.open_waits import earlier_slots
from wakeline.store.claims import Claim
from wakeline.store.fields import Slot
from wakeline.telemetry.headers import MOST_LINKS, headers_in, headers_of
from wakeline.telemetry.seen import (
    EndedSeen,
    EndStatus,
    LinkSeen,
    RanSeen,
    RunEnd,
    RunKind,
    RunSeen,
)
from wakeline.waits.kinds import WaitKind, kind_of
from wakeline.waits.resolutions import TIMED_OUT


def run_seen(claim: Claim) -> RunSeen:
    """What is seen of a run of this claim."""
    registration, fence = claim.registration, claim.fence
    readable = claim.unread is None
    return RunSeen(
        process_id=claim.process_id,
        name=_name(claim),
        kind=_kind(claim),
        label=registration.identity.label,
        engine_version=claim.engine_version,
        session_id=claim.session_id,
        attempt=claim.attempt if readable else 1,
        generation=claim.generation if readable else 1,
        epoch=fence.epoch,
        owner=fence.owner,
        created_ms=claim.created_ms,
        claimed_ms=claim.now_ms,
        queue=claim.queue or "",
        losses=claim.losses,
        release=claim.release,
        parent=registration.parent,
        originator=claim.originator,
        resumed_by=_resumed_by(claim),
        became_runnable_ms=claim.runnable_ms,
        queue_ms=claim.queue_ms,
        parked_ms=claim.parked_ms,
        headers=registration.headers,
        links=tuple(_links(claim))[:MOST_LINKS],
    )


def ran_seen(claim: Claim, end: RunEnd, seconds: float) -> RanSeen:
    """What is seen of a run of this claim that is over."""
    kind, outcome = _kind(claim), end.outcome or "lost"
    batch = claim.batch if kind == "turn" and not claim.has_begun else None
    return RanSeen(
        kind,
        _name(claim),
        claim.queue or "",
        outcome,
        end.code,
        seconds,
        max(0, _now_ms(claim) - claim.created_ms) / 1000 if outcome in ENDS else None,
        len(batch.entries) if batch is not None else 0,
    )


ENDS = ("completed", "failed", "cancelled", "abandoned")


def _now_ms(claim: Claim) -> int:
    """The server's time, as it followed from the claim."""
    return claim.now_ms + (time.monotonic_ns() - claim.heard_ns) // 1_000_000


def _name(claim: Claim) -> str:
    """The engine, tool or agent. What this release cannot read has the kind that its registration says."""
    return name_of(claim.registration) if claim.unread is None else claim.registration.identity.kind


def ended_seen(claim: Claim, seen: RunSeen) -> EndedSeen | None:
    """What is seen of the end of a process that this run wrote; None if it wrote none."""
    status = _end_of(seen)
    if status is None:
        return None
    return EndedSeen(
        run=seen,
        status=status,
        code=seen.code,
        failure_class=seen.failure_class,
        duration_ms=max(0, _now_ms(claim) - claim.created_ms),
        queue_ms=seen.queue_ms,
        parked_ms=seen.parked_ms,
        attempts=seen.attempt,
        losses=seen.losses,
    )


def _end_of(seen: RunSeen) -> EndStatus | None:
    match seen.outcome:
        case "completed" | "failed" | "cancelled" | "abandoned" as status:
            return status
        case _:
            return None


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


def _resumed_by(claim: Claim) -> str:
    misfit = claim.misfit
    if claim.losses or (misfit is not None and misfit.kind == "crash"):
        return "recovered"
    if claim.failed_attempts:
        return "retry"
    if not claim.has_begun:
        return "start"
    answered = next(iter(_answered(claim)), None)
    if answered is not None:
        return "timer" if answered.resolution == TIMED_OUT else shown_wait(answered.kind)
    if claim.cancel_requested:
        return "cancel"
    if not claim.complete:
        return "unknown"
    return "continued" if claim.generation_began_ms and not claim.journal else "hand_back"


def _answered(claim: Claim) -> list[Slot]:
    """The waits that are over and that no run has read yet; signals in their order."""
    found = [slot for slot in earlier_slots(claim.slots).values() if slot.resolution is not None]
    return sorted(found, key=lambda slot: slot.sequence)


def shown_wait(kept: str) -> str:
    """A kind of wait with its name, as people read it: ``signal:go``."""
    kind, name = kind_of(kept)
    return f"{kind}:{name}" if name and kind is not WaitKind.TIMER else str(kind)


def _links(claim: Claim) -> Iterator[LinkSeen]:
    """What instruments gave what led to this run beside its start."""
    if (before := headers_of(claim.headers)) is not None:
        yield LinkSeen("run", before)
    if (first := claim.registration.retried_headers) is not None:
        yield LinkSeen("retried", first)
    for slot in _answered(claim):
        if (given := headers_of(slot.headers)) is not None:
            yield LinkSeen("resumed", given)
    for entry in claim.batch.entries if claim.batch is not None else ():
        if (given := headers_in(entry.body)) is not None:
            yield LinkSeen("entry", given)


def log_facts(claim: Claim) -> dict[str, Any]:
    """What log entries say of a run of this claim, and of the effect whose code runs here."""
    identity, readable = claim.registration.identity, claim.unread is None
    facts = {
        "process_id": claim.process_id,
        "kind": _kind(claim),
        "name": _name(claim),
        "label": identity.label,
        "attempt": claim.attempt if readable else 1,
        "epoch": claim.fence.epoch,
        "session": claim.session_id,
        "effect": current_effect(),
        "owner": claim.fence.owner,
        "release": claim.release,
    }
    return {name: value for name, value in facts.items() if value is not None}
