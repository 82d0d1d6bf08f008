"""Exception groups: which error of a group decides the outcome of a run, a call or a step.

Invariant: an error means the same alone, in a group, and in a group of groups, because a body may wait in
`asyncio.TaskGroup` or without one.
"""

from __future__ import annotations

import asyncio
import concurrent.futures

from wakeline.errors import (
    LeaseLost,
    OperationCancelled,
    Parked,
    ProcessEnded,
    ReplayMismatch,
    Stopped,
    StoreError,
    ToolFailed,
    WaitCancelled,
)
from wakeline.processes.failures import bare, leaves_of, parts_of

CANCELS = (WaitCancelled, OperationCancelled)
"""The errors that the context itself raises because of a cancel."""
_FOLLOWS = (
    WaitCancelled
    | OperationCancelled
    | ToolFailed
    | ProcessEnded
    | asyncio.CancelledError
    | concurrent.futures.CancelledError
)
_FIRST: tuple[type[BaseException], ...] = (Parked, Stopped, LeaseLost, StoreError, ReplayMismatch)
"""Not decided by the body: the run is over, or cannot go on here. These come before all others, so that nothing is
recorded for them."""


def deciding(error: BaseException) -> BaseException:
    """The error that decides. In a group it is the one that ends the run, or the only one besides those of a cancel, or
    the group itself."""
    if not isinstance(bare(error), BaseExceptionGroup):
        return error
    leaves = leaves_of(error)
    for kind in _FIRST:
        for leaf in leaves:
            if isinstance(leaf, kind):
                return leaf
    real = [leaf for leaf in leaves if not isinstance(leaf, CANCELS)]
    if len(real) > 1:
        return error
    return (real or leaves)[0]


def follows_cancel(error: BaseException) -> bool:
    """Whether an error may be only the effect of a cancel on a body: what the body awaited was cancelled or failed, or
    ``raise … from`` says so.

    An error of the body's own is no such effect, nor is a group that contains one.
    """
    left, opened = [error], set[int]()
    while left:
        one, seen = bare(left.pop()), set[int]()
        while not isinstance(one, BaseExceptionGroup | _FOLLOWS):
            seen.add(id(one))
            if one.__cause__ is None or id(one.__cause__) in seen:
                return False
            one = bare(one.__cause__)
        if isinstance(one, BaseExceptionGroup) and id(one) not in opened:  # pyright: ignore[reportUnknownArgumentType]
            opened.add(id(one))  # pyright: ignore[reportUnknownArgumentType]
            left += parts_of(one)  # pyright: ignore[reportUnknownArgumentType]
    return True
