"""Which path a process takes if its code was changed while it ran: the answers of ``ctx.patched``.

Invariant: a process has one answer per change. True is recorded, with the next write. False follows from what the
process did behind that point, so a later run finds it again.
"""

from __future__ import annotations

from wakeline.errors import ReplayMismatch
from wakeline.names import check_label
from wakeline.run.journal import Journal
from wakeline.run.unasked import PATCHED


class Patches:
    """The changes of one run."""

    def __init__(self, journal: Journal, process_id: str) -> None:
        self._journal, self._process_id = journal, process_id
        self._known: dict[str, bool] = {}

    def is_taken(self, change: str) -> bool:
        """Whether the process takes the new path, because it has taken it before, or has done nothing yet behind this
        point."""
        if not isinstance(change, str) or change not in self._known:  # pyright: ignore[reportUnnecessaryIsInstance]
            key = f"{PATCHED}:{change}"
            if key not in self._journal.rows:
                check_label(change, "name of a change")
            self._known[change] = self._found(key)
        return self._known[change]

    def _found(self, key: str) -> bool:
        replay = self._journal.replay
        if key in replay.rows:
            replay.passed(key)
            return True
        if replay.replaying:
            return False
        self._journal.remember(key, PATCHED, key, True)
        return True

    def deprecate(self, change: str) -> None:
        """Says that the old path is gone. Raises `ReplayMismatch` if the process has taken it."""
        if not self.is_taken(change):
            raise ReplayMismatch(
                process_id=self._process_id,
                name=f"the new path of {change!r}",
                paths=(),
                total=0,
                unasked=["the old path"],
            )
