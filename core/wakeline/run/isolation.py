"""What a run and the child process that runs a tool's code say to each other.

Invariant: JSON values alone; what code in the child says (an event, an occurrence, a note) is checked here, by the run,
while the code waits for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from wakeline.cancellation import CancellationToken

Say = Callable[[str, list[Any]], None]
"""What the code does besides ending: the name of a verb of `ToolCall` (append, tell_trigger, leave_note) and its
arguments; raises what it raises."""


@dataclass(frozen=True, slots=True)
class IsolatedCall:
    """All that the child needs to know of a call."""

    tool: str
    args: Mapping[str, Any]
    process_id: str
    idempotency_key: str
    attempt: int
    token: str = field(repr=False)
    prepared: Any
    environment: str
    """Canonical JSON of the execution environment."""
    owner: str
    givers: list[str]
    """Whose attachments it puts and reads."""

    def wire(self) -> dict[str, Any]:
        """As it is sent."""
        return asdict(self)


class IsolatedFailure(Exception):
    """What code in a child raised, where it is no error of Wakeline's; and the end of the child itself."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Returned:
    """What the code returned, as JSON data that was already dumped by its type."""

    value: Any


class Isolation(Protocol):
    """Runs a tool's code in a process that can be killed."""

    async def call(
        self, call: IsolatedCall, say: Say, cancellation: CancellationToken, *, grace_ms: int, timeout_ms: int | None
    ) -> Any:
        """`Returned`, or the `Pending` that the code returned. Cancelled (a lost lease), it kills the child, as it does
        when the code took longer than the
        timeout (counted from when it has a child: waiting for one is not its fault), and after a cancel's grace. Raises
        `TimeoutError`, `IsolatedFailure`,
        and the errors of Wakeline that the code raised.
        """
        ...
