"""Durable processes on Redis and RQ, and agents that wake when something happens to them.

Every error is in `wakeline.errors`. Those that callers often catch, or tools raise, are here too. What verbs show of
the store is in `wakeline.observe`, the types of `ctx.execution` are in `wakeline.execution`, and what an app can be
extended with is in `wakeline.extending`.

A name is loaded when it is first asked for, so `wakeline --help` and `wakeline.errors` load fast.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wakeline.app import App
    from wakeline.attachments.attachment import Attachment
    from wakeline.body.approvals import AsyncApproval
    from wakeline.body.awaited import AsyncChild
    from wakeline.body.blocking import Approval, Child, Ctx, Turn
    from wakeline.body.context import AsyncCtx
    from wakeline.body.current import current_context
    from wakeline.body.execution import BlockingExecutionContext, ExecutionContext
    from wakeline.body.triggers import AsyncBodyTrigger, BodyTrigger
    from wakeline.body.turn import AsyncTurn, Inbox, InboxItem
    from wakeline.cancellation import CancellationToken
    from wakeline.client.aio import AsyncApp
    from wakeline.client.externals import AsyncExternal, External
    from wakeline.client.handles import AsyncHandle, Handle
    from wakeline.client.many import AsyncMany, Many
    from wakeline.client.sessions import AsyncSession, Session
    from wakeline.client.starters import AsyncStarter, Starter
    from wakeline.client.triggers import AsyncTrigger, Trigger
    from wakeline.engines.declared import Event, Signal
    from wakeline.engines.engine import Engine
    from wakeline.environments.spec import EnvironmentSpec
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
    from wakeline.observe.effects import EffectView
    from wakeline.observe.entries import EntryView
    from wakeline.observe.events import EventView
    from wakeline.observe.processes import ProcessView, Status
    from wakeline.observe.sessions import Message, SessionView
    from wakeline.observe.triggers import SubscriptionView
    from wakeline.pages import Page
    from wakeline.processes.limits import Limit
    from wakeline.processes.outputs import CancelledOutput, Failure, Success
    from wakeline.sessions.agent import Agent
    from wakeline.settings import Settings
    from wakeline.store.triggers import Subscribed
    from wakeline.tools.tool import AsyncTool, CurrentCall, Tool, current
    from wakeline.triggers.schedule import Schedule
    from wakeline.verbs.attachments import AsyncAttachments, Attachments
    from wakeline.verbs.choosing import ManyOptions
    from wakeline.verbs.options import StartOptions, WakeTarget
    from wakeline.verbs.triggers import Receipt

__all__ = [
    # declaring
    "App",
    "Agent",
    "AsyncTool",
    "Attachment",
    "Engine",
    "EnvironmentSpec",
    "Event",
    "Limit",
    "Schedule",
    "Settings",
    "Signal",
    "Tool",
    # in a body
    "AsyncApproval",
    "AsyncChild",
    "AsyncCtx",
    "AsyncTurn",
    "Approval",
    "Child",
    "Ctx",
    "Inbox",
    "InboxItem",
    "CurrentCall",
    "Turn",
    "current",
    "current_context",
    "AsyncAttachments",
    "AsyncBodyTrigger",
    "Attachments",
    "BlockingExecutionContext",
    "BodyTrigger",
    "CancellationToken",
    "ExecutionContext",
    # from outside, blocking and awaited
    "External",
    "Handle",
    "Many",
    "ManyOptions",
    "Session",
    "Starter",
    "StartOptions",
    "Trigger",
    "WakeTarget",
    "AsyncApp",
    "AsyncExternal",
    "AsyncHandle",
    "AsyncMany",
    "AsyncSession",
    "AsyncStarter",
    "AsyncTrigger",
    # what they show
    "CancelledOutput",
    "EffectView",
    "EventView",
    "Failure",
    "EntryView",
    "Message",
    "Page",
    "ProcessView",
    "Receipt",
    "SessionView",
    "Status",
    "Subscribed",
    "SubscriptionView",
    "Success",
    # raised by tools
    "NonRetryable",
    "RetryAfter",
    # caught by callers and bodies
    "WakelineError",
    "ProcessAbandoned",
    "ProcessCancelled",
    "ProcessFailed",
    "ProcessNotFound",
    "SessionDeleted",
    "StepFailed",
    "ToolFailed",
    "WaitCancelled",
    "WaitTimeout",
]

_HOMES = {
    "wakeline.app": "App",
    "wakeline.attachments.attachment": "Attachment",
    "wakeline.body.blocking": "Approval Child Ctx Turn",
    "wakeline.body.approvals": "AsyncApproval",
    "wakeline.body.awaited": "AsyncChild",
    "wakeline.body.context": "AsyncCtx",
    "wakeline.body.turn": "AsyncTurn Inbox InboxItem",
    "wakeline.client.aio": "AsyncApp",
    "wakeline.client.externals": "AsyncExternal External",
    "wakeline.client.handles": "AsyncHandle Handle",
    "wakeline.client.many": "AsyncMany Many",
    "wakeline.client.sessions": "AsyncSession Session",
    "wakeline.client.starters": "AsyncStarter Starter",
    "wakeline.engines.declared": "Event Signal",
    "wakeline.engines.engine": "Engine",
    "wakeline.errors": (
        "NonRetryable ProcessAbandoned ProcessCancelled ProcessFailed ProcessNotFound RetryAfter "
        "SessionDeleted StepFailed ToolFailed WaitCancelled WaitTimeout WakelineError"
    ),
    "wakeline.observe.effects": "EffectView",
    "wakeline.observe.events": "EventView",
    "wakeline.observe.processes": "ProcessView Status",
    "wakeline.observe.sessions": "Message SessionView",
    "wakeline.pages": "Page",
    "wakeline.processes.limits": "Limit",
    "wakeline.sessions.agent": "Agent",
    "wakeline.observe.entries": "EntryView",
    "wakeline.tools.tool": "AsyncTool CurrentCall Tool current",
    "wakeline.body.current": "current_context",
    "wakeline.body.execution": "BlockingExecutionContext ExecutionContext",
    "wakeline.body.triggers": "AsyncBodyTrigger BodyTrigger",
    "wakeline.cancellation": "CancellationToken",
    "wakeline.client.triggers": "AsyncTrigger Trigger",
    "wakeline.environments.spec": "EnvironmentSpec",
    "wakeline.processes.outputs": "CancelledOutput Failure Success",
    "wakeline.settings": "Settings",
    "wakeline.observe.triggers": "SubscriptionView",
    "wakeline.store.triggers": "Subscribed",
    "wakeline.triggers.schedule": "Schedule",
    "wakeline.verbs.attachments": "AsyncAttachments Attachments",
    "wakeline.verbs.choosing": "ManyOptions",
    "wakeline.verbs.options": "StartOptions WakeTarget",
    "wakeline.verbs.triggers": "Receipt",
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
