"""How a process of ours hears that it shall end: by a flag, once, however often it is told."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

ENDING = (signal.SIGTERM, signal.SIGINT)


def on_ending(loop: asyncio.AbstractEventLoop, stop: Callable[[], object]) -> None:
    """Calls ``stop`` on the loop at SIGTERM and SIGINT. A flag, never an exception: one raised from a handler loses
    what was under way."""
    for number in ENDING:
        loop.add_signal_handler(number, stop)


def ignore_ending() -> None:
    """From here on there is nothing to hand back. A loop and an interpreter that end put the default handlers back, and
    a dyno's second SIGTERM
    would turn a clean end into a death."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)


def ignore_ending_on(loop: asyncio.AbstractEventLoop) -> None:
    """The same for a loop that has handlers of `on_ending`."""
    for number in ENDING:
        loop.remove_signal_handler(number)
    ignore_ending()
