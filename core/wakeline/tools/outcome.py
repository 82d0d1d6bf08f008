"""What became of a tool call, as a value: what a tool may return instead of raising, a hook sees, and a batch gives.

Invariant: the same three forms in which a process ends, so that one vocabulary says how work went.
"""

from __future__ import annotations

from typing import Any, assert_never, cast

from wakeline.errors import FailureClass, ToolFailed
from wakeline.processes.outputs import CancelledOutput, Failure, Success

ToolOutcome = Success | Failure | CancelledOutput
CANCELLED = "cancelled"


def is_outcome(value: Any) -> bool:
    """Whether what a tool or a hook returned is an outcome, and no plain result."""
    return isinstance(value, Success | Failure | CancelledOutput)


def value_of(tool: str, outcome: ToolOutcome) -> Any:
    """The value of a success; raises `ToolFailed` for the rest. An outcome that says failed is final: it was meant."""
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
