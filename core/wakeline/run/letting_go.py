"""Lets go of what an ended run leaves behind: an error holds the frames it came through, these hold the error, and with
it all that the body had in hand.

Invariant: once a run is over, nothing that its body made is kept by what it raised; it does not wait for the collector
of cycles.
"""

from __future__ import annotations

import asyncio
import traceback
from typing import Any


def let_go(task: asyncio.Task[Any]) -> None:
    """Frees what the error of a task holds, at once or when the task is done. Nobody looks at the error's frames any
    more."""
    if not task.done():
        task.add_done_callback(let_go)
        return
    try:
        task.result()
    except BaseException as error:  # noqa: BLE001 - it was dealt with; this is about what hangs on it
        _clear(error)


def _clear(error: BaseException) -> None:
    left: list[BaseException | None] = [error]
    seen: set[int] = set()
    while left:
        one = left.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        left += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            left += one.exceptions  # pyright: ignore[reportUnknownMemberType]
        traceback.clear_frames(one.__traceback__)
