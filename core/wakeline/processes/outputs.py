"""How a process ended, as a caller that awaits it learns it.

Invariant: it is exactly one of four forms, and their JSON never changes, because scripts write some and histories keep
all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, assert_never, cast, get_args

from wakeline import values
from wakeline.errors import FailureClass, InvalidPayload, ProcessAbandoned, ProcessCancelled, ProcessFailed
from wakeline.fixed import fixed
from wakeline.values import Json

TerminalState = Literal["completed", "failed", "cancelled", "abandoned"]
FAILURE_CLASSES: tuple[str, ...] = get_args(FailureClass)


@fixed
class Success:
    """It ended with a value."""

    value: Json = None


@dataclass(frozen=True, slots=True)
class Failure:
    """It ended with an error: a class (whose fault), a stable code, a message, and further data of what was raised."""

    failure_class: FailureClass
    code: str
    message: str
    raw: Json = None


@dataclass(frozen=True, slots=True)
class CancelledOutput:
    """It was cancelled; the message is the reason that was given."""

    message: str


@dataclass(frozen=True, slots=True)
class AbandonedOutput:
    """It was given up, and it is not known how far it got. The evidence says who wrote this, and why."""

    evidence: Json


AwaitOutput = Success | Failure | CancelledOutput | AbandonedOutput


def state_of(output: AwaitOutput) -> TerminalState:
    """The terminal status that goes with an output."""
    match output:
        case Success():
            return "completed"
        case Failure():
            return "failed"
        case CancelledOutput():
            return "cancelled"
        case AbandonedOutput():
            return "abandoned"
        case _:
            assert_never(output)


def to_data(output: AwaitOutput) -> dict[str, Any]:
    """The output as JSON data, tagged by `type`."""
    match output:
        case Success(value):
            return {"type": "success", "value": value}
        case Failure(failure_class, code, message, raw):
            failure = {"type": "failure", "class": failure_class, "code": code, "message": message}
            return failure | ({"raw": raw} if raw is not None else {})
        case CancelledOutput(message):
            return {"type": "cancelled", "message": message}
        case AbandonedOutput(evidence):
            return {"type": "abandoned", "evidence": evidence}
        case _:
            assert_never(output)


def parse(data: Any) -> AwaitOutput | None:
    """The output in JSON data; None if the data is something else."""
    match data:
        case {"type": "success"}:
            return Success(data.get("value"))
        case {"type": "failure", "class": str(kind), "code": str(code), "message": str(message)} if (
            kind in FAILURE_CLASSES
        ):
            return Failure(cast("FailureClass", kind), code, message, data.get("raw"))
        case {"type": "cancelled", "message": str(message)}:
            return CancelledOutput(message)
        case {"type": "abandoned", "evidence": evidence}:
            return AbandonedOutput(evidence)
        case _:
            return None


def from_data(data: Any) -> AwaitOutput:
    """The output in JSON data; raises `InvalidPayload` if the data is something else."""
    output = parse(data)
    if output is None:
        raise InvalidPayload(
            what="The await output", reason=f"{data!r} is none of success, failure, cancelled, abandoned"
        )
    return output


def to_json(output: AwaitOutput) -> str:
    """The output as JSON text, such as `{"type":"success","value":1}`."""
    return values.to_json(to_data(output), "The await output")


def output_of(payload: str) -> AwaitOutput:
    """The output that a terminal event's payload (JSON text) carries as `await_output`; raises `InvalidPayload`."""
    data = values.from_json(payload, "The payload of a terminal event")
    return from_data(data.get("await_output") if isinstance(data, dict) else None)  # pyright: ignore[reportUnknownMemberType]


def raise_for(process_id: str, output: AwaitOutput) -> Any:
    """The value of a success; else raises `ProcessFailed`, `ProcessCancelled` or `ProcessAbandoned`."""
    match output:
        case Success(value):
            return value
        case Failure(failure_class, code, message):
            raise ProcessFailed(
                process_id=process_id, failure_class=failure_class, failure_code=code, failure_message=message
            )
        case CancelledOutput(message):
            raise ProcessCancelled(process_id=process_id, reason=message)
        case AbandonedOutput(evidence):
            raise ProcessAbandoned(process_id=process_id, evidence=evidence)
        case _:
            assert_never(output)
