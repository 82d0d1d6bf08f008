"""Notices that a body keeps the event loop to itself, and logs which body and where. All else in its worker stands
still meanwhile.

Invariant: it only logs. It does not interrupt the body. The heartbeat comes from elsewhere, so the work is not given
away for it.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from types import FrameType, TracebackType
from typing import Any, cast

from wakeline.run.run import Run
from wakeline.shown import logger
from wakeline.telemetry.instruments import Instruments
from wakeline.telemetry.seen import BlockedSeen

log = logger("wakeline.worker")
BLOCKED_S = 1.0
LOOK_S = 0.2
OURS = ("wakeline.", "wakeline_workers.", "asyncio.", "concurrent.", "threading")


class Watchdog:
    """A thread that watches one event loop: a context manager, entered on the loop. ``runs`` are what the loop runs, by
    claim."""

    def __init__(
        self, runs: Mapping[str, Run], instruments: Instruments, *, warn: Callable[[str], None] = log.warning
    ) -> None:
        self._runs = runs
        self._instruments = instruments
        self._warn = warn
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._turned = time.monotonic()
        self._over = threading.Event()
        self._handle: asyncio.TimerHandle | None = None
        self._thread = threading.Thread(target=self._watch, name="wakeline-watchdog", daemon=True)

    def __enter__(self) -> Watchdog:
        self._turn()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._handle is not None:
            self._handle.cancel()

    def _turn(self) -> None:
        self._turned = time.monotonic()
        self._handle = self._loop.call_later(LOOK_S, self._turn)

    def _watch(self) -> None:
        told = 0.0
        while not self._over.wait(LOOK_S):
            turned = self._turned
            blocked = time.monotonic() - turned
            if blocked >= BLOCKED_S and told != turned:
                told = turned
                frames: Mapping[int, FrameType] = cast(
                    "Any", sys
                )._current_frames()  # there is no public access to another thread's stack
                run, place = self._run(), where(frames.get(self._loop_thread))
                who = "something" if run is None else f"{run.name} ({run.process_id})"
                self._warn(f"{who} has kept the event loop for {blocked:.1f} s, {place}; {ADVICE}")
                if self._instruments.blocks:
                    self._instruments.blocked(BlockedSeen(run.process_id if run else "", blocked, place))

    def _run(self) -> Run | None:
        task = asyncio.current_task(self._loop)
        return next((run for run in list(self._runs.values()) if task is not None and run.owns(task)), None)


ADVICE = (
    "nothing else runs in this worker meanwhile. Await it, hand it to ctx.step as a plain function, or make the body a"
    " `def`"
)


def where(frame: FrameType | None) -> str:
    """The innermost line of the user's own code, or the innermost of all."""
    if frame is None:
        return "at an unknown place"
    own = next(
        (found for found in _frames(frame) if not f"{found.f_globals.get('__name__', '')}.".startswith(OURS)), frame
    )
    return f"at {own.f_code.co_filename}:{own.f_lineno} in {own.f_code.co_name}"


def _frames(frame: FrameType | None) -> Iterable[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back
