"""Hooks around every tool call of an app.

Invariant: they run once per call, inside its journaled effects, so a replay does not run them again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from wakeline.tools.outcome import ToolOutcome


@dataclass(frozen=True, slots=True)
class ToolRequest:
    """A call as a hook sees it: the tool's name, its arguments as JSON data, the process it runs in."""

    tool: str
    args: dict[str, Any]
    process_id: str


BeforeHook = Callable[[ToolRequest], Any]
"""It may return None, other arguments (a dict), or an outcome that replaces the call. An exception of it fails the
call. It may be ``async def``."""
AfterHook = Callable[[ToolRequest, ToolOutcome], Any]
"""It may return None, or another outcome. It may be ``async def``."""


@dataclass(slots=True)
class Hooks:
    """The hooks of an app, in the order they were declared."""

    before: list[BeforeHook] = field(default_factory=list[BeforeHook])
    after: list[AfterHook] = field(default_factory=list[AfterHook])
