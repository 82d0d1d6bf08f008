"""The outcome of a tool call as a value. A tool may return one instead of raising, a hook sees it, and a batch gives
it.

Invariant: its three forms are those in which a process ends, so one vocabulary says how work ended.
"""

from __future__ import annotations

from typing import Any, assert_never, cast

from wakeline.errors import FailureClass, ToolFailed
from wakeline.processes.outputs import CancelledOutput, Failure, Success

ToolOutcome = Success | Failure | CancelledOutput
CANCELLED = "cancelled"


def is_outcome(value: Any) -> bool:
    """Whether a return value of a tool or a hook is an outcome, and no plain result."""
    return isinstance(value, Success | Failure | CancelledOutput)


def value_of(tool: str, outcome: ToolOutcome) -> Any:
    """The value of a success; raises `ToolFailed` for the rest. A failed outcome is final, because the tool chose
    it."""
    match outcome:
        case Success(value):
            return value
        case Failure(failure_class, code, message, raw):
            raise ToolFailed(
                tool=tool,
                failure_class=failure_class,
                failure_code=code,
                failure_message=message,
                final=True,
                retry_after_ms=None,
                raw=raw,
            )
        case CancelledOutput(message):
            raise ToolFailed(
                tool=tool,
                failure_class="execution",
                failure_code=CANCELLED,
                failure_message=message,
                final=True,
                retry_after_ms=None,
            )
        case _:
            assert_never(outcome)


def outcome_of(error: ToolFailed) -> ToolOutcome:
    """A failed call as a value."""
    if error.failure_code == CANCELLED:
        return CancelledOutput(error.failure_message)
    return Failure(cast("FailureClass", error.failure_class), error.failure_code, error.failure_message, error.raw)
