"""A race of things that a body awaits: which one was first, recorded.

Invariant: a replay has the same winner. What lost is given up: a wait that is abandoned swallows no signal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, TypeVar

from wakeline.effects.envelope import Envelope, envelope_hash
from wakeline.errors import InvalidArguments
from wakeline.run.run import Run

T = TypeVar("T")


async def first_of(run: Run, contenders: Sequence[Awaitable[Any]]) -> tuple[int, asyncio.Task[Any]]:
    """Index and task of the contender that is first; all tasks have ended."""
    if not contenders:
        raise InvalidArguments(name="race", reason="it takes what start() gave, or awaitables; give one at least")
    for one in contenders:
        if not isinstance(one, Awaitable):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidArguments(name="race", reason=f"it takes what can be awaited, not {one!r}")
    key = f"race:{run.journal.repetition('race')}"
    tasks = [run.life.spawn(_awaited(a)) for a in contenders]
    known = run.journal.rows.get(key)
    if known is not None:
        winner = int(known.outcome)
        await asyncio.wait([tasks[winner]])
    else:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        winner = next(i for i, task in enumerate(tasks) if task in done)
    envelope = Envelope(kind="race", name=key, args=None)
    if await run.journal.record_of(key, envelope, envelope_hash(envelope)) is None:
        run.journal.remember(key, "race", key, winner)
    for i, task in enumerate(tasks):
        if i != winner:
            run.journal.lose(task)
            task.cancel()
    await asyncio.wait(tasks)
    return winner, tasks[winner]


async def _awaited(awaitable: Awaitable[T]) -> T:
    return await awaitable
