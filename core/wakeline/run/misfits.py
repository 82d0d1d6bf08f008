"""Code that does not fit a process. This module tells it from a failure of the body, and gives the process back, to
wait for other code.

Invariant: only what such a run recorded while it went on is kept, so code that fits finds all as it was.
"""

from __future__ import annotations

from wakeline.bounded import Bounded
from wakeline.errors import LeaseLost, ReplayMismatch, WakelineError
from wakeline.processes.failures import bare, described, fit
from wakeline.processes.misfit import LONGEST_WHAT, PATIENCE_MS, Misfit, MisfitKind
from wakeline.run.fitting import Fitting
from wakeline.run.traces import trace_of
from wakeline.shown import Lines, logger
from wakeline.store import ends
from wakeline.store.awaited import AsyncStore
from wakeline.store.claims import Claim

log = logger("wakeline.runner")
UNREAD_DELAY_MS = 5_000
LONGEST_REASON = 500
TOLD = 256 * 1024
"""How many bytes are kept to know what was logged once and is not logged again."""


class Misfits:
    """Gives processes back that the code does not fit. ``patience_ms`` is how long a process waits for better code if
    the code here fails or cannot read it; then the process fails."""

    def __init__(self, store: AsyncStore, patience_ms: int = PATIENCE_MS) -> None:
        self._store = store
        self._patience_ms = patience_ms
        self._told: Bounded[str, bool] = Bounded(TOLD)

    def fitting(self, claim: Claim) -> Fitting:
        """The judge of a claim."""
        return Fitting(claim, self._patience_ms)

    async def leave_unread(self, claim: Claim, reason: str) -> str:
        """Gives back unchanged what this release cannot read, because a later one wrote it. It is logged once, and
        doctor names it."""
        told = f"{claim.process_id} {claim.fence.incarnation} {reason}"
        if self._told.get(told) is None:
            self._told.put(told, True, len(told))
            log.warning(
                "%s: not run here, and handed back as it is: %s; it waits for a release that can read it",
                claim.process_id,
                reason,
            )
        try:
            return await self._store.execute(
                ends.release(claim.fence, delay_ms=UNREAD_DELAY_MS, unrun=True, unread=reason[:LONGEST_REASON])
            )
        except LeaseLost:
            return "lost"

    async def hand_back(
        self, claim: Claim, kind: MisfitKind, error: BaseException, *, unrun: bool = False, acted: bool = False
    ) -> str:
        """Gives a process back to the queue. Another release that has not looked takes it; or it is looked at again
        after a delay, or when another release comes. ``acted``: its run has recorded something."""
        acted = claim.under_another_release and (acted or claim.recorded_more)
        found = Misfit(
            kind,
            fit(_what(error), LONGEST_WHAT),
            claim.release,
            claim.now_ms,
            acted=acted,
            got_here=claim.got_here_under,
        ).after(claim.misfit, in_a_round=claim.in_a_round)
        log.warning(
            "%s waits for code that fits: %s%s",
            claim.process_id,
            found.message,
            Lines(trace_of(error)) if kind == "bug" else "",
        )
        try:
            return await self._store.execute(
                ends.release(claim.fence, delay_ms=found.delay_ms, unrun=unrun, misfit=found)
            )
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
