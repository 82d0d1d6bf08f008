"""What an engine is, whoever wrote it: functions under ``@app.engine`` are one way to make one, objects with these
members another.

Invariant: everything that can be refused is refused by `validate_start`, before anything is stored.
"""

from __future__ import annotations

from typing import Any, Protocol

from wakeline.processes.inputs import Identity


class EngineProtocol(Protocol):
    """Runs processes of one kind. For `App.add_engine`; ``version``, ``queue``, ``signals`` and ``events`` are read
    from it too where it has them."""

    @property
    def kind(self) -> str:
        """The name its processes are started by; stored with each."""
        ...

    def validate_start(self, payload: Any) -> None:
        """Raises for a payload it would not run."""
        ...

    def identity(self, payload: Any) -> Identity:
        """What a process with this payload is called in lists."""
        ...

    def run(self, context: Any, payload: Any) -> Any:
        """Runs one process to its result: ``async def`` with an `AsyncCtx`, or ``def`` with a `Ctx`."""
        ...


__all__ = ["EngineProtocol", "Identity"]
