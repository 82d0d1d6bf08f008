"""The children one run started: what it may await, signal and cancel without a grant.

Invariant: memory only. A re-run regains it by replaying its starts; nothing of it is ever written.
"""

from __future__ import annotations

from collections.abc import Iterator


class StartedProcesses:
    """Process ids with the incarnation each start answered; shared by reference by all contexts of the run."""

    def __init__(self) -> None:
        self._incarnations: dict[str, str | None] = {}

    def add(self, process_id: str, incarnation: str | None = None) -> None:
        """A start that was answered, or found in the journal."""
        self._incarnations[process_id] = incarnation or self._incarnations.get(process_id)

    def incarnation(self, process_id: str) -> str | None:
        """The incarnation of a child of this run, where its start told it; None for any other process."""
        return self._incarnations.get(process_id)

    def __contains__(self, process_id: str) -> bool:
        return process_id in self._incarnations

    def __iter__(self) -> Iterator[str]:
        return iter(self._incarnations)

    def __len__(self) -> int:
        return len(self._incarnations)
