"""Durable processes on Redis and RQ, and agents that wake when something happens to them.

Every error is in `wakeline.errors`; the ones a caller usually catches, or a tool raises, are here too.
"""

from wakeline.app import App
from wakeline.attachments.attachment import Attachment
from wakeline.body.blocking import Approval, Child, Ctx, Turn
from wakeline.body.context import AsyncApproval, AsyncChild, AsyncCtx
from wakeline.body.turn import AsyncTurn, InboxItem
from wakeline.client.aio import AsyncApp, AsyncExternal, AsyncHandle, AsyncSession
from wakeline.client.handles import External, Handle
from wakeline.client.sessions import Session
from wakeline.engines.declared import Event
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
from wakeline.processes.limits import Limit
from wakeline.sessions.agent import Agent
from wakeline.sessions.life import InboxEntry
from wakeline.store.processes import StoredEvent
from wakeline.tools.tool import AsyncTool, Tool, ToolCall, current

__all__ = [
    # declaring
    "App", "Agent", "AsyncTool", "Attachment", "Engine", "Event", "Limit", "Tool",
    # in a body
    "AsyncApproval", "AsyncChild", "AsyncCtx", "AsyncTurn", "Approval", "Child", "Ctx", "InboxItem", "ToolCall", "Turn", "current",
    # from outside, blocking and awaited
    "External", "Handle", "Session", "AsyncApp", "AsyncExternal", "AsyncHandle", "AsyncSession",
    # what they show
    "InboxEntry", "Message", "SessionReport", "Status", "StoredEvent",
    # raised by tools
    "NonRetryable", "RetryAfter",
    # caught by callers and bodies
    "WakelineError", "ProcessAbandoned", "ProcessCancelled", "ProcessFailed", "ProcessNotFound", "SessionDeleted", "StepFailed", "ToolFailed",
    "WaitCancelled", "WaitTimeout",
]  # fmt: skip
