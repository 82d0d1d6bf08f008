"""Exception groups: which of the errors in one decides what becomes of a run, a call or a step.

Invariant: an error means the same alone, in a group, and in a group of groups: a body may wait in `asyncio.TaskGroup`
or without one.
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
"""What the context itself raises because of a cancel."""
_FOLLOWS = (
    WaitCancelled
    | OperationCancelled
    | ToolFailed
    | ProcessEnded
    | asyncio.CancelledError
    | concurrent.futures.CancelledError
)
_FIRST: tuple[type[BaseException], ...] = (Parked, Stopped, LeaseLost, StoreError, ReplayMismatch)
"""Not the body's word: the run is over, or cannot go on here. Before all else, so that nothing is recorded for it."""


def deciding(error: BaseException) -> BaseException:
    """The error that decides: of a group the one that ends the run, else the only one beside those of a cancel, else
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
    """Whether an error may be nothing but what a cancel does to a body: what it awaited was cancelled, or failed, or it
    says so with ``raise … from``.

    An error of the body's own is none, and a group with one in it is none.
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
