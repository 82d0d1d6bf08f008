"""An agent: the function that runs a session's turns, one at a time.

Invariant: the agent's name is the kind of its sessions and the first part of their ids.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from wakeline.arguments import check_body
from wakeline.errors import BodyInvalid
from wakeline.names import check_agent, check_queue

MOST_ENTRIES = 256
"""What one turn may take at most: the script that fixes its batch is bounded."""


class Agent:
    """What `@app.agent` makes of a function."""

    def __init__(self, function: Callable[..., Any], *, name: str | None = None, queue: str | None = None, max_entries: int = MOST_ENTRIES) -> None:
        self.name = check_agent(name if name is not None else function.__name__)
        check_body(self.name, function)
        if not isinstance(max_entries, int) or not 1 <= max_entries <= MOST_ENTRIES:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise BodyInvalid(name=self.name, reason=f"its max_entries is {max_entries!r}, it has to be 1 to {MOST_ENTRIES}")
        self.function = function
        self.is_async = inspect.iscoroutinefunction(function)
        self.queue = check_queue(queue) if queue is not None else None
        self.max_entries = max_entries

    def __repr__(self) -> str:
        return f"<Agent {self.name}>"
