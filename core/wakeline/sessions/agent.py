"""An agent: the function that runs a session's turns, one at a time.

Invariant: the agent's name is the kind of its sessions and the first part of their ids.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from wakeline.names import check_name


class Agent:
    """What `@app.agent` makes of a function."""

    def __init__(self, function: Callable[..., Any], *, name: str | None = None, queue: str | None = None, max_entries: int = 256) -> None:
        self.name = check_name(name or function.__name__, "agent")
        self.function = function
        self.is_async = inspect.iscoroutinefunction(function)
        self.queue = queue
        self.max_entries = max_entries

    def __repr__(self) -> str:
        return f"<Agent {self.name}>"
