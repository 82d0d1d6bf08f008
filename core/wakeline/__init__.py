"""Durable processes on Redis and RQ, and agents that wake when something happens to them.

Every error is in `wakeline.errors`; the ones a caller usually catches, or a tool raises, are here too.

A name is loaded when it is first asked for: what needs none of them, such as `wakeline --help` and `wakeline.errors`, starts at once.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wakeline.app import App
    from wakeline.attachments.attachment import Attachment
    from wakeline.body.blocking import Approval, Child, Ctx, Turn
    from wakeline.body.context import AsyncApproval, AsyncChild, AsyncCtx
    from wakeline.body.turn import AsyncTurn, InboxItem
    from wakeline.client.aio import AsyncApp, AsyncExternal, AsyncHandle, AsyncSession
    from wakeline.client.handles import External, Handle
    from wakeline.client.sessions import Session
    from wakeline.engines.declared import Event, Signal
    from wakeline.engines.engine import Engine
    from wakeline.errors import (
        NonRetryable,
        ProcessAbandoned,
        ProcessCancelled,
        ProcessFailed,
        ProcessNotFound,
        RetryAfter,
        SessionDeleted,
        StepFailed,
        ToolFailed,
        WaitCancelled,
        WaitTimeout,
        WakelineError,
    )
    from wakeline.observe.processes import Status
    from wakeline.observe.sessions import Message, SessionReport
    from wakeline.pages import Page
    from wakeline.processes.limits import Limit
    from wakeline.sessions.agent import Agent
    from wakeline.sessions.life import InboxEntry
    from wakeline.store.processes import StoredEvent
    from wakeline.tools.tool import AsyncTool, Tool, ToolCall, current

__all__ = [
    # declaring
    "App", "Agent", "AsyncTool", "Attachment", "Engine", "Event", "Limit", "Signal", "Tool",
    # in a body
    "AsyncApproval", "AsyncChild", "AsyncCtx", "AsyncTurn", "Approval", "Child", "Ctx", "InboxItem", "ToolCall", "Turn", "current",
    # from outside, blocking and awaited
    "External", "Handle", "Session", "AsyncApp", "AsyncExternal", "AsyncHandle", "AsyncSession",
    # what they show
    "InboxEntry", "Message", "Page", "SessionReport", "Status", "StoredEvent",
    # raised by tools
    "NonRetryable", "RetryAfter",
    # caught by callers and bodies
    "WakelineError", "ProcessAbandoned", "ProcessCancelled", "ProcessFailed", "ProcessNotFound", "SessionDeleted", "StepFailed", "ToolFailed",
    "WaitCancelled", "WaitTimeout",
]  # fmt: skip

_HOMES = {
    "wakeline.app": "App",
    "wakeline.attachments.attachment": "Attachment",
    "wakeline.body.blocking": "Approval Child Ctx Turn",
    "wakeline.body.context": "AsyncApproval AsyncChild AsyncCtx",
    "wakeline.body.turn": "AsyncTurn InboxItem",
    "wakeline.client.aio": "AsyncApp AsyncExternal AsyncHandle AsyncSession",
    "wakeline.client.handles": "External Handle",
    "wakeline.client.sessions": "Session",
    "wakeline.engines.declared": "Event Signal",
    "wakeline.engines.engine": "Engine",
    "wakeline.errors": "NonRetryable ProcessAbandoned ProcessCancelled ProcessFailed ProcessNotFound RetryAfter "
    "SessionDeleted StepFailed ToolFailed WaitCancelled WaitTimeout WakelineError",
    "wakeline.observe.processes": "Status",
    "wakeline.observe.sessions": "Message SessionReport",
    "wakeline.pages": "Page",
    "wakeline.processes.limits": "Limit",
    "wakeline.sessions.agent": "Agent",
    "wakeline.sessions.life": "InboxEntry",
    "wakeline.store.processes": "StoredEvent",
    "wakeline.tools.tool": "AsyncTool Tool ToolCall current",
}
"""The names of each module, for run time. A test compares them with the imports above, which are for type checkers."""

if not TYPE_CHECKING:  # a type checker would take any name for one that is here

    def __getattr__(name):
        """A public name, or a module of this package that is not imported yet."""
        from importlib import import_module
        from importlib.util import find_spec

        home = next((module for module, names in _HOMES.items() if name in names.split()), None)
        if home is not None:
            found = globals()[name] = getattr(import_module(home), name)
            return found
        if find_spec(f"{__name__}.{name}") is not None:
            return import_module(f"{__name__}.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__():
        return sorted({*globals(), *__all__})
