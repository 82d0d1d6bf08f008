"""The children one run started: what it may await, signal and cancel without a grant.

Invariant: it lives in memory and is never written. A later run rebuilds it by replaying its starts.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType


class StartedProcesses:
    """Process ids with the incarnation that each start answered. All contexts of the run share one."""

    def __init__(self) -> None:
        self._incarnations: dict[str, str] = {}
        self.known: Mapping[str, str] = MappingProxyType(self._incarnations)
        """The incarnation of each process id that was added, for reading."""

    def add(self, process_id: str, incarnation: str) -> None:
        """Adds a start that was answered or found in the journal, or a process that this one started according to the
        store."""
        self._incarnations[process_id] = incarnation
