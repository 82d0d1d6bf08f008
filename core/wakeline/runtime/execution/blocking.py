"""The execution context of a ``def`` body: the awaited verbs, blocking its thread until the loop has the outcome.

Invariant: no logic here; facts are those of the context inside.
"""

from __future__ import annotations

import inspect
from functools import wraps
from typing import Any

from wakeline.runtime.bridge import Bridge
from wakeline.runtime.execution.context import ExecutionContext


class BlockingExecutionContext:
    """`ExecutionContext` with blocking verbs: same names, same parameters."""

    def __init__(self, inner: ExecutionContext, bridge: Bridge) -> None:
        self.inner = inner
        """The context itself, for what type checkers should see."""
        self._bridge = bridge

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.inner, name)
        if inspect.iscoroutinefunction(found):

            @wraps(found)
            def verb(*args: Any, **kwargs: Any) -> Any:
                return self._bridge.block(found(*args, **kwargs))

            return verb
        if name.startswith("with_"):

            def another(*args: Any, **kwargs: Any) -> BlockingExecutionContext:
                return BlockingExecutionContext(found(*args, **kwargs), self._bridge)

            return another
        return found
