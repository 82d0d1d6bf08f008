"""Probes for tests."""

from __future__ import annotations

from wakeline.phases import Phase


class RecordingProbe:
    """A probe that keeps what it was told, in order, for tests."""

    def __init__(self) -> None:
        self.reached: list[tuple[Phase, str]] = []

    def reach(self, phase: Phase, process_id: str) -> None:
        """Appends the phase and its process to `reached`."""
        self.reached.append((phase, process_id))

    def phases(self, process_id: str | None = None) -> list[Phase]:
        """The phases reached, of one process or of all."""
        return [phase for phase, of in self.reached if process_id is None or of == process_id]
