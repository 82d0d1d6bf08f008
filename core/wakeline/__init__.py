"""Durable processes on Redis and RQ, and agents that wake when something happens to them."""

from wakeline.app import App
from wakeline.client.handles import External, Handle
from wakeline.client.sessions import Session
from wakeline.engines.engine import Engine, Event
from wakeline.errors import NonRetryable, RetryAfter, WakelineError
from wakeline.runtime.blocking import Ctx, Turn
from wakeline.runtime.context import AsyncCtx
from wakeline.runtime.turn import AsyncTurn
from wakeline.tools.tool import Tool, current

__all__ = [
    # declaring
    "App", "Event", "Engine", "Tool",
    # bodies
    "AsyncCtx", "AsyncTurn", "Ctx", "Turn", "current",
    # talking to what runs
    "External", "Handle", "Session",
    # errors
    "NonRetryable", "RetryAfter", "WakelineError",
]  # fmt: skip
