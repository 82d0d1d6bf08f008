"""Lets go of what an ended run leaves behind. An error holds its frames, and these hold the error and all values of the
body.

Invariant: once a run is over, its error keeps nothing of its body alive, without waiting for the collector of cycles.
"""

from __future__ import annotations

import asyncio
import traceback
from typing import Any


def let_go(task: asyncio.Task[Any]) -> None:
    """Frees what the error of a task holds, at once or when the task is done. The frames of the error are not needed
    any more."""
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
