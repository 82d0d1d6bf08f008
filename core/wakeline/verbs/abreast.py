"""Programs side by side: what each of them asks next leaves together with what the others ask.

Invariant: each does what it would do alone, in its own order, and its error is no one else's.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import Context, copy_context
from typing import Any, TypeVar

from wakeline.errors import WakelineError
from wakeline.store.calls import Call, Program, Together
from wakeline.store.driver import Drive

T = TypeVar("T")


def abreast(programs: Sequence[Program[T]]) -> Program[list[T | WakelineError]]:
    """Drives some programs at once, in as many writes as the longest of them has steps. Results in order; the error of
    one stands in its place.

    Each has a context of its own, because an instrument may put a span around what a program sends.
    """
    found: dict[int, T | WakelineError] = {}
    going: dict[int, tuple[Drive[T], Context]] = {n: (Drive(one), copy_context()) for n, one in enumerate(programs)}
    while going:
        asked: list[tuple[Drive[T], Call[Any]]] = []
        for n, (drive, context) in list(going.items()):
            try:
                goes_on = context.run(drive.goes_on)
            except WakelineError as error:
                found[n] = error
                del going[n]
                continue
            if not goes_on:
                found[n] = drive.result
                del going[n]
            elif isinstance(drive.step, Call):
                asked.append((drive, drive.step))
            else:
                yield from _alone(drive)
        if asked:
            replies: list[Any] = yield Together([call for _, call in asked], each=True)
            for (drive, _), reply in zip(asked, replies, strict=True):
                if isinstance(reply, Exception):
                    drive.failed(reply)
                else:
                    drive.done(reply)
    return [found[n] for n in range(len(programs))]


def _alone(drive: Drive[T]) -> Program[None]:
    """A step that goes with no other, such as bytes of an attachment."""
    try:
        drive.done((yield drive.step))
    except Exception as error:  # noqa: BLE001 - handed to the program, which catches what it knows
        drive.failed(error)
