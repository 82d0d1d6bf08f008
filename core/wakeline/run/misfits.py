"""Code that does not fit a process: what tells it from a failure of the body, and how the process is given back to wait for other code.

Invariant: nothing of such a run is kept but what was recorded while it went on, so code that fits finds all as it was.
"""

from __future__ import annotations

from wakeline.bounded import Bounded
from wakeline.errors import (
    InvalidArguments,
    InvalidPayload,
    LeaseLost,
    PayloadSchemaMismatch,
    ReplayMismatch,
    ToolUnavailable,
    UndeclaredEvent,
    UnknownAgent,
    UnknownName,
    WakelineError,
)
from wakeline.processes.failures import bare, described, fit, leaves_of
from wakeline.processes.misfit import LONGEST_WHAT, PATIENCE_MS, Misfit, MisfitKind
from wakeline.run.groups import follows_cancel
from wakeline.run.traces import trace_of
from wakeline.shown import Lines, logger
from wakeline.store import processes
from wakeline.store.client import AsyncStore
from wakeline.store.runs import Claim

log = logger("wakeline.runner")
UNREAD_DELAY_MS = 5_000
LONGEST_REASON = 500
TOLD = 256 * 1024
"""Bytes of what was said once and is not said again."""
_BRINGS = (
    NameError,
    ImportError,
    AttributeError,
    SyntaxError,
    TypeError,
    InvalidArguments,
    InvalidPayload,
    PayloadSchemaMismatch,
    UndeclaredEvent,
    UnknownName,
    UnknownAgent,
    ToolUnavailable,
)
"""Errors that a deploy brings: of a body that went on under another release, they say more of the release than of the body."""


class Misfits:
    """Gives back what code does not fit. ``patience_ms``: how long a process waits for better code than one that fails or cannot read, before it fails."""

    def __init__(self, store: AsyncStore, patience_ms: int = PATIENCE_MS) -> None:
        self._store = store
        self._patience_ms = patience_ms
        self._told: Bounded[str, bool] = Bounded(TOLD)

    def is_bug(self, claim: Claim, error: BaseException) -> bool:
        """Whether what a body raised is the deploy's fault, and waits."""
        if not claim.under_another_release or follows_cancel(error):
            return False
        return any(isinstance(bare(leaf), _BRINGS) for leaf in leaves_of(error)) and not self.is_over(claim, "bug")

    def is_over(self, claim: Claim, kind: MisfitKind) -> bool:
        """Whether it has waited long enough. For code that is missing, or does something else than what is recorded, it waits until there is some."""
        before = claim.misfit
        return kind in ("unreadable", "bug") and before is not None and before.kind == kind and claim.now_ms - before.since_ms >= self._patience_ms

    async def leave_unread(self, claim: Claim, reason: str) -> str:
        """Gives back, as it is, what this release cannot read: a later one wrote it. It is said once, and doctor names it."""
        told = f"{claim.process_id} {claim.fence.incarnation} {reason}"
        if self._told.get(told) is None:
            self._told.put(told, True, len(told))
            log.warning("%s: not run here, and handed back as it is: %s; it waits for a release that can read it", claim.process_id, reason)
        try:
            return await self._store.execute(processes.release(claim.fence, delay_ms=UNREAD_DELAY_MS, unrun=True, unread=reason[:LONGEST_REASON]))
        except LeaseLost:
            return "lost"

    async def hand_back(self, claim: Claim, kind: MisfitKind, error: BaseException, *, unrun: bool = False) -> str:
        """Back to the queue: for another release that is there and has not looked, or to be looked at again after a while, or once another one comes."""
        found = Misfit(kind, fit(_what(error), LONGEST_WHAT), claim.release, claim.now_ms).after(claim.misfit, in_a_round=claim.in_a_round)
        log.warning("%s waits for code that fits: %s%s", claim.process_id, found.message, Lines(trace_of(error)) if kind == "bug" else "")
        try:
            return await self._store.execute(processes.release(claim.fence, delay_ms=found.delay_ms, unrun=unrun, misfit=found))
        except LeaseLost:
            return "lost"


def _what(error: BaseException) -> str:
    code, message = described(error)
    match bare(error):
        case ReplayMismatch(name=name, differences=differences) if differences:
            return f"{name}, {'; '.join(differences)}"
        case ReplayMismatch(name=name, unasked=unasked) if unasked:
            return f"it asks for {name}, which is new, and not for what it did before: {', '.join(unasked)}"
        case WakelineError():
            return message
        case _:
            return f"{code}: {message}"
