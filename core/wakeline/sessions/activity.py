"""What a turn says of itself while it runs: a closed vocabulary, for its followers.

Invariant: this is telemetry. Nothing that has to arrive is said here, and nothing waits for it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from wakeline.errors import InvalidPayload
from wakeline.values import Json, Tagged


class TurnStarted(Tagged):
    """A worker began, or began again, to run the turn: which attempt, and the entries it has."""

    type: Literal["turn_started"] = "turn_started"
    attempt: int
    entries: list[int]


class ToolCallStarted(Tagged):
    """A tool is called."""

    type: Literal["tool_call_started"] = "tool_call_started"
    tool: str
    attempt: int = 1


class ToolCallCompleted(Tagged):
    """An attempt of a tool call is over: without a failure, or with its code."""

    type: Literal["tool_call_completed"] = "tool_call_completed"
    tool: str
    attempt: int = 1
    failure: str | None = None


class RetryStatus(Tagged):
    """Something is tried again after a pause (ms)."""

    type: Literal["retry_status"] = "retry_status"
    attempt: int
    delay_ms: int
    reason: str


class Progress(Tagged):
    """What the body itself says: a text, and data."""

    type: Literal["progress"] = "progress"
    text: str = ""
    data: Json = None


class ActivityFailure(Tagged):
    """Something went wrong, and the turn goes on."""

    type: Literal["error"] = "error"
    code: str
    text: str


ActivityEvent = TurnStarted | ToolCallStarted | ToolCallCompleted | RetryStatus | Progress | ActivityFailure
_EVENTS: TypeAdapter[ActivityEvent] = TypeAdapter(Annotated[ActivityEvent, Field(discriminator="type")])


def event_from(data: Any) -> ActivityEvent:
    """The event in JSON data; raises `InvalidPayload`."""
    try:
        return _EVENTS.validate_python(data)
    except ValidationError as error:
        raise InvalidPayload(what="The activity", reason=error.errors(include_url=False)[0]["msg"]) from error
