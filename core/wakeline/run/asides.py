"""Where in a run an effect is asked for: by the body's own task, by a task beside it, or inside another effect. Also
which tasks beside it were cancelled.

Invariant: a task beside the body may be cancelled at any time, so not every replay asks again for its records. What an
effect asks for inside itself is not asked for again once the effect is recorded.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any

from wakeline.effects.journal import BESIDE, BODY, INSIDE

GONE = "@gone:"
"""The prefix, in the journal, of the key of an effect or a wait that the body gave up. The row says after how many
ms."""
_inside: ContextVar[str | None] = ContextVar("wakeline_inside_effect", default=None)


def current_effect() -> str | None:
    """The name of the effect whose code runs here; None outside of one."""
    return _inside.get()


class inside_effect:
    """Effects that are asked for inside are a part of the running effect of this name."""

    __slots__ = ("_mark", "_name")

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        self._mark = _inside.set(self._name)

    def __exit__(self, *_: object) -> None:
        _inside.reset(self._mark)


def _asking() -> asyncio.Task[Any] | None:
    """The task that asks; None in the thread of a blocking body."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


class Asides:
    """The tasks of a run that ask beside its body. ``spawned`` are the tasks that the run itself made. A blocking body
    has no others."""

    def __init__(self, spawned: set[asyncio.Task[Any]], *, blocking: bool) -> None:
        self._spawned = spawned
        self._blocking = blocking
        self._watched: set[asyncio.Task[Any]] = set()
        self._cancelled = self._lost = False
        self.body: asyncio.Task[Any] | None = None
        """The body's own task, once it exists."""

    def place(self) -> int:
        """The place from which the current code asks. A task beside the body is watched from now on."""
        if _inside.get() is not None:
            return INSIDE
        task = _asking()
        if task is None or task is self.body or (task not in self._spawned if self._blocking else self.body is None):
            return BODY
        if task not in self._watched:
            self._watched.add(task)
            task.add_done_callback(self._done)
        return BESIDE

    @property
    def is_over(self) -> bool:
        """Whether the body has ended. The body did not cause later cancels."""
        return self.body is not None and self.body.done()

    def lose(self, task: asyncio.Task[Any]) -> None:
        """Notes that a race cancels one of its contenders. The row of the race records when, so a replay does it at the
        same place."""
        if task in self._watched:
            self._watched.discard(task)
            self._lost = True

    @property
    def any_cancelled(self) -> bool:
        """Whether a task beside the body was cancelled, by no race."""
        return self._cancelled or any(task.cancelling() for task in self._watched)

    @property
    def any_given_up(self) -> bool:
        """Whether a task beside the body was cancelled, or has lost a race."""
        return self._lost or self.any_cancelled

    def _done(self, task: asyncio.Task[Any]) -> None:
        if task in self._watched:
            self._watched.discard(task)
            self._cancelled = self._cancelled or task.cancelled() or bool(task.cancelling())
