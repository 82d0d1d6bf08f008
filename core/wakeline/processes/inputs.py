"""What a process has to do: a closed union of four inputs, and what follows from its kind.

Invariant: the union is closed. Inputs that run code here need an execution environment, the others must not have one.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, assert_never

from pydantic import Field, ValidatorFunctionWrapHandler, WrapValidator

from wakeline.values import Json, Stored, Tagged, is_marked


def _with_marks(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    checked = handler(value)
    # A copy has lost them, and they tell a repetition of the start from another one.
    return value if is_marked(value) else checked


Payload = Annotated[Json, WrapValidator(_with_marks)]


class PreparedCall(Stored):
    """A tool call on its way to a worker: its starter prepared it once, and it is frozen since."""

    call_id: str
    tool_id: str
    tool_name: str
    args: dict[str, Any] = Field(default_factory=dict)
    prepared: Json = None


class ToolCall(Tagged):
    """One call of a tool; the tool dispatcher of a worker runs it."""

    type: Literal["tool_call"] = "tool_call"
    call: PreparedCall


class EngineInput(Tagged):
    """A payload for the registered engine of this kind."""

    type: Literal["engine"] = "engine"
    kind: str
    payload: Payload = None


class SessionTurn(Tagged):
    """A turn of a session; the session's agent runs it."""

    type: Literal["session_turn"] = "session_turn"
    session_id: str
    turn_input: Json = None
    output_contract: Json = None


class ExternalInput(Tagged):
    """Work done elsewhere: no worker runs it, and its reporter says what becomes of it."""

    type: Literal["external"] = "external"
    metadata: Payload = None


ProcessInput = Annotated[ToolCall | EngineInput | SessionTurn | ExternalInput, Field(discriminator="type")]


class Identity(Stored):
    """The name of a process in lists: a kind, and a label if it has one."""

    kind: str
    label: str | None = None


def needs_environment(process_input: ProcessInput) -> bool:
    """Whether the input runs code that sees an execution environment. An input that does not must have none."""
    return isinstance(process_input, (ToolCall, EngineInput))


def default_identity(process_input: ProcessInput) -> Identity:
    """Kind and label of a process that was started without an identity."""
    match process_input:
        case ToolCall(call=call):
            return Identity(kind="tool", label=call.tool_name)
        case EngineInput(kind=kind):
            return Identity(kind=kind)
        case SessionTurn(session_id=session_id):
            return Identity(kind="session_turn", label=session_id.partition("/")[0])
        case ExternalInput(metadata=metadata):
            return Identity(kind="external", label=_external_label(metadata))
        case _:
            assert_never(process_input)


def _external_label(metadata: Json) -> str | None:
    if not isinstance(metadata, dict):
        return None
    # The first key that is present decides, even if its value is no text.
    first = next((metadata[key] for key in ("label", "name", "title") if key in metadata), None)
    return first if isinstance(first, str) else None
