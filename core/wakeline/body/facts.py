"""What a body knows and says without awaiting: who it is, and values that are the same in each replay.

Invariant: nothing here is an effect; a replay finds the same. Facts stay true after the run; what is said then is
refused.
"""

from __future__ import annotations

import logging
import random
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

from wakeline.errors import InvalidArguments
from wakeline.logs import repeats
from wakeline.run.run import Run
from wakeline.shown import logger, shown


def _said_once(_: logging.LogRecord) -> bool:
    return not repeats()


class BodyFacts:
    """The part of a context that is never awaited."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def _for(self, verb: str) -> Run:
        """The run, for a verb of this context. Raises `ProcessExecutionUnavailable` once the body has ended."""
        self.run.life.check_in_use(f"ctx.{verb}")
        return self.run

    @property
    def id(self) -> str:
        """The id of this process."""
        return self.run.process_id

    @property
    def cancelled(self) -> bool:
        """True once a cancel was requested. Waits that are opened from then on raise `WaitCancelled`, except for the
        end of its own child."""
        return self.run.cancelled

    @property
    def stopping(self) -> bool:
        """True once this worker is shutting down: at its next effect the body is handed to another worker."""
        return self.run.life.stopping

    @property
    def attempt(self) -> int:
        """Which attempt this is."""
        return self.run.claim.attempt

    @property
    def idempotency_key(self) -> str:
        """A key that is the same over attempts and hand-backs, and differs between generations."""
        return self.run.idempotency_key

    @property
    def log(self) -> logging.Logger:
        """A logger that is silent while the body replays, so that a line is logged once."""
        found = logger(f"wakeline.body.{shown(self.run.registration.identity.kind)}")
        found.addFilter(_said_once)
        return found

    def _seed(self, what: str) -> str:
        return f"{self.idempotency_key}:{what}:{self.run.journal.repetition(what)}"

    def now(self) -> datetime:
        """The time of the latest recorded outcome: the same after a crash."""
        ms = self.run.journal.last_at_ms or self.run.claim.created_ms
        return datetime.fromtimestamp(ms / 1000).astimezone()

    def uuid(self) -> uuid.UUID:
        """A fresh UUID, the same after a crash."""
        return uuid.uuid5(uuid.NAMESPACE_URL, self._seed("uuid"))

    def random(self) -> float:
        """A number in [0, 1), the same after a crash."""
        return random.Random(self._seed("random")).random()  # noqa: S311 - reproducible on purpose

    def patched(self, change: str) -> bool:
        """True in processes that reach this point for the first time with the new code; older processes keep the old
        path.

        A process has one answer per change, also in loops and in tasks side by side. A process that waits just behind
        this point is past it.
        """
        return self._for("patched").patches.is_taken(change)

    def deprecated_patch(self, change: str) -> None:
        """Replaces ``patched`` once the old path is gone from the code. Raises `ReplayMismatch` in a process that is
        past this point on the old path."""
        self._for("deprecated_patch").patches.deprecate(change)

    def defer(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Run a function when the process ends (not when it parks). The last deferred one runs first. Compensation
        belongs here."""
        run = self._for("defer")
        if not callable(function):  # pyright: ignore[reportUnnecessaryComparison]
            raise InvalidArguments(
                name="defer", reason=f"it takes a function and its arguments, and {function!r} cannot be called"
            )
        run.defers.add(function, args, kwargs)
