"""Direct completions: one question to a model, outside of any conversation, through a client that the app provides.

Invariant: Wakeline calls no model. It has the protocol, a client that refuses with a reason, and one that asks a tool
of the app.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from pydantic import Field, ValidationError

from wakeline.errors import CompletionsUnavailable, InvalidPayload
from wakeline.values import Stored


class CompletionRequest(Stored):
    """The question: a prompt, or messages, and options that only the client reads."""

    prompt: str = ""
    messages: list[dict[str, Any]] = Field(default_factory=list[dict[str, Any]])
    options: dict[str, Any] = Field(default_factory=dict[str, Any])


class Completion(Stored):
    """The answer; ``usage`` as the client counts it."""

    text: str
    usage: dict[str, Any] = Field(default_factory=dict[str, Any])


class CompletionClient(Protocol):
    """A client that completes. ``call_tool`` calls a tool of the run by name, and the call is recorded."""

    async def complete(
        self, request: CompletionRequest, call_tool: Callable[[str, dict[str, Any]], Awaitable[Any]]
    ) -> Completion:
        """The completion; raises `CompletionsUnavailable`, `ToolFailed`."""
        ...


class UnavailableCompletions:
    """Stands for a missing client, with the reason."""

    def __init__(self, reason: str) -> None:
        self.reason = reason

    async def complete(
        self, request: CompletionRequest, call_tool: Callable[[str, dict[str, Any]], Awaitable[Any]]
    ) -> Completion:  # noqa: ARG002
        """Raises `CompletionsUnavailable`."""
        raise CompletionsUnavailable(reason=self.reason)


class ToolCompletions:
    """Asks a tool of the app: the tool gets ``request``, and returns the text or the fields of a `Completion`. The call
    is recorded, so the model is asked once."""

    def __init__(self, tool: str) -> None:
        self.tool = tool

    async def complete(
        self, request: CompletionRequest, call_tool: Callable[[str, dict[str, Any]], Awaitable[Any]]
    ) -> Completion:
        """The answer of the tool; raises `ToolUnavailable`, `ToolFailed`, `InvalidPayload`."""
        answer = await call_tool(self.tool, {"request": request.model_dump(mode="json")})
        try:
            return Completion(text=answer) if isinstance(answer, str) else Completion.model_validate(answer)
        except ValidationError as error:
            raise InvalidPayload(
                what=f"The completion of {self.tool}", reason=error.errors(include_url=False)[0]["msg"]
            ) from error
