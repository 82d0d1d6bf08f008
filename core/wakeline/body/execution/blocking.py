"""The execution context of a ``def`` body: the awaited verbs, which block its thread until the loop has the outcome.

Invariant: there is no logic here. Facts are those of the context inside.
"""

from __future__ import annotations

import inspect
from functools import wraps
from typing import Any, cast

from wakeline.body.execution.context import ExecutionContext
from wakeline.body.execution.insession import Projection, SessionGraph
from wakeline.body.execution.triggers import TriggerStore
from wakeline.run.bridge import Bridge
from wakeline.run.environments import Environments
from wakeline.verbs.attachments import AsyncAttachments

SPEAKING = (Projection, SessionGraph, TriggerStore, Environments, AsyncAttachments)
"""The members of a context that have their own awaited verbs."""


def _blocking(awaited: Any, bridge: Bridge) -> Any:
    @wraps(awaited)
    def verb(*args: Any, **kwargs: Any) -> Any:
        return bridge.block(awaited(*args, **kwargs))

    return verb


class _Blocked:
    def __init__(self, inner: Any, bridge: Bridge) -> None:
        self._inner, self._bridge = inner, bridge

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        return _blocking(found, self._bridge) if inspect.iscoroutinefunction(found) else found


class BlockingExecutionContext:
    """`ExecutionContext` with blocking verbs: same names, same parameters."""

    def __init__(self, inner: ExecutionContext, bridge: Bridge) -> None:
        self.inner = inner
        """The context itself, for type checkers."""
        self._bridge = bridge

    def __getattr__(self, name: str) -> Any:
        found: Any = getattr(self.inner, name)
        if inspect.iscoroutinefunction(found):
            return _blocking(found, self._bridge)
        if isinstance(found, SPEAKING):
            return _Blocked(cast("Any", found), self._bridge)
        if name.startswith("with_"):

            def another(*args: Any, **kwargs: Any) -> BlockingExecutionContext:
                return BlockingExecutionContext(found(*args, **kwargs), self._bridge)

            return another
        return found
