"""Sleeping: a wait for a timer.

Invariant: the due time is fixed when the wait is opened first, so a crash waits the remainder only.
"""

from __future__ import annotations

from typing import Any

from wakeline.effects.envelope import Envelope
from wakeline.run.run import Run
from wakeline.run.waits import WaitFor, settle
from wakeline.waits.identity import Timer
from wakeline.waits.kinds import WaitKind


async def sleep_for(run: Run, ms: int) -> None:
    """Sleeps for a time from when the wait is opened."""
    await _sleep(run, "sleep", {"for_ms": ms}, for_ms=ms)


async def sleep_until(run: Run, due_ms: int) -> None:
    """Sleeps until a moment."""
    await _sleep(run, "sleep_until", {"due_ms": due_ms}, due_ms=due_ms)


async def _sleep(run: Run, name: str, args: Any, *, for_ms: int | None = None, due_ms: int | None = None) -> None:
    key = run.journal.key_of(Envelope(kind="wait", name=name, args=args))
    target = WaitFor(Timer(f"{run.idempotency_key}:{key}"), WaitKind.TIMER.of(), for_ms=for_ms, due_ms=due_ms)
    [resolution] = await run.waits.for_all([run.waits.call("wait", name, args, target, key=key)])
    settle(name, resolution, Any)
