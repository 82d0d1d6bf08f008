"""The messages between a run and the child process that runs a tool's code.

Invariant: they are JSON values alone. The run checks what code in the child says (an event, an occurrence, a note)
while the code waits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from wakeline.cancellation import CancellationToken

Say = Callable[[str, list[Any]], None]
"""Called for what the code does before its end: the name of a verb (append, tell_trigger, leave_note) and its
arguments. It raises what the verb raises."""


@dataclass(frozen=True, slots=True)
class IsolatedCall:
    """All that the child needs for a call."""

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
    """The owner whose attachments it puts and reads."""
    headers: Mapping[str, str] | None = None
    """What instruments give its code."""

    def wire(self) -> dict[str, Any]:
        """The message that is sent."""
        return asdict(self)


class IsolatedFailure(Exception):
    """An error in a child that is no error of Wakeline's, or the end of the child itself."""

    def __init__(self, code: str, message: str, far_trace: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.far_trace = far_trace
        """The user's frames of what was raised in the child."""


class NotReady(Exception):
    """No child is ready to run the call, so nothing of it ran. The message says why, as the end of a sentence."""


@dataclass(frozen=True, slots=True)
class Returned:
    """The return value of the code, as JSON data that its type already made."""

    value: Any


class Isolation(Protocol):
    """Runs a tool's code in a process that can be killed."""

    async def call(
        self, call: IsolatedCall, say: Say, cancellation: CancellationToken, *, grace_ms: int, timeout_ms: int | None
    ) -> Any:
        """Runs a call; `Returned`, or the `Pending` that the code returned.

        It kills the child in three cases: it is cancelled itself (a lost lease), the code takes longer than the
        timeout, or a cancel's grace is over. The timeout counts from when the call has a child, because waiting for one
        is not its fault. Raises `TimeoutError`, `IsolatedFailure`, `NotReady`, and the errors of Wakeline that the code
        raised.
        """
        ...
