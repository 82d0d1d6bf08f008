"""The children one run started: what it may await, signal and cancel without a grant.

Invariant: memory only. A re-run regains it by replaying its starts; nothing of it is ever written.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType


class StartedProcesses:
    """Process ids with the incarnation each start answered; shared by reference by all contexts of the run."""

    def __init__(self) -> None:
        self._incarnations: dict[str, str] = {}
        self.known: Mapping[str, str] = MappingProxyType(self._incarnations)
        """What was added so far, for reading: process id to incarnation."""

    def add(self, process_id: str, incarnation: str) -> None:
        """A start that was answered, or found in the journal; or a process that the store says was started by this
        one."""
        self._incarnations[process_id] = incarnation
