"""Sendings: what a verb sends that a later run acts on, with instruments around it.

Invariant: an app without an instrument of sendings sends what it always did. What instruments give is stored beside
what is sent, and compared with nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from wakeline.store.calls import Program
from wakeline.telemetry.headers import Headers
from wakeline.telemetry.instruments import Instruments
from wakeline.telemetry.seen import SendingSeen, Verb
from wakeline.tools.tool import current_run

T = TypeVar("T")


def told(
    instruments: Instruments,
    program: Callable[[Headers | None], Program[T]],
    verb: Verb,
    target: str,
    name: str,
    *,
    queue: str | None = None,
    key: str | None = None,
) -> Program[T]:
    """A program that sends, with instruments around it: it is made of what they give."""
    run = current_run.get()
    seen = SendingSeen(run.process_id if run is not None else "", name, verb, target, queue, key)
    with instruments.sending(seen) as headers:
        return (yield from program(headers))
