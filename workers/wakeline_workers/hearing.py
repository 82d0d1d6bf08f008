"""What a worker does when it hears a hint.

Invariant: a hint may be lost or late, so nothing rests on it: the state in the store decides.
"""

from __future__ import annotations

from collections.abc import Callable

from wakeline.run.host import RunState
from wakeline.run.run import Run
from wakeline.runner import Runner
from wakeline.store.claims import Claim, handed_claim
from wakeline.store.codes import Hint, HintVerb, hint_of


class Hearing:
    """The hints of one worker. It tells a run what concerns that, and the worker the rest: ``ring`` (there is work),
    ``timer`` (one is due then, server ms), ``begin`` (a process was claimed for it)."""

    def __init__(
        self,
        runner: Runner,
        *,
        ring: Callable[[], object],
        timer: Callable[[int], object],
        begin: Callable[[Claim], object],
    ) -> None:
        self._runner = runner
        self._ring, self._timer, self._begin = ring, timer, begin

    def heed(self, message: str) -> None:
        """Does what a hint says."""
        hint = hint_of(message)
        if hint.verb == HintVerb.BELL:
            self._ring()
        elif hint.verb == HintVerb.CLAIM:
            claim = handed_claim(hint.claim)
            if claim is not None:
                self._begin(claim)
        elif hint.due_ms is not None:
            self._timer(hint.due_ms)
        elif (run := self._listener(hint)) is None:
            pass
        elif hint.verb == HintVerb.LOST:
            run.life.end(RunState.LOST)
        elif hint.resolution is None or not run.waits.hinted(hint.slot, hint.claim_id or "", hint.resolution):
            run.life.spawn(run.waits.look())  # of a cancel, too: the look brings its reason

    def _listener(self, hint: Hint) -> Run | None:
        """The run that a hint is for. A hint that names no claim is good for any run of its process."""
        if hint.claim_id is not None:
            return self._runner.runs.get(hint.claim_id)
        return next(
            (
                run
                for run in self._runner.runs.values()
                if run.life.state is RunState.RUNNING and run.claim.process_id == hint.process_id
            ),
            None,
        )
