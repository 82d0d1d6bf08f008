"""What every engine is: a function under ``@app.engine``, or an object with these members.

Invariant: `validate_start` refuses all that can be refused, before anything is stored.
"""

from __future__ import annotations

from typing import Any, Protocol

from wakeline.processes.inputs import Identity


class EngineProtocol(Protocol):
    """Runs processes of one kind. For `App.add_engine`, which also reads ``version``, ``queue``, ``signals`` and
    ``events`` if the object has them."""

    @property
    def kind(self) -> str:
        """The name its processes are started by; stored with each."""
        ...

    def validate_start(self, payload: Any) -> None:
        """Raises for a payload that it would not run."""
        ...

    def identity(self, payload: Any) -> Identity:
        """The name of a process with this payload in lists."""
        ...

    def run(self, context: Any, payload: Any) -> Any:
        """Runs one process to its result: ``async def`` with an `AsyncCtx`, or ``def`` with a `Ctx`."""
        ...


__all__ = ["EngineProtocol", "Identity"]
