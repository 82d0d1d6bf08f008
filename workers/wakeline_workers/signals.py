"""How a process of Wakeline learns that it has to end: by a flag, once, however many signals come."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

ENDING = (signal.SIGTERM, signal.SIGINT)


def on_ending(loop: asyncio.AbstractEventLoop, stop: Callable[[], object]) -> None:
    """Calls ``stop`` on the loop at SIGTERM and SIGINT. It is a flag and no exception, because an exception raised in a
    handler loses work."""
    for number in ENDING:
        loop.add_signal_handler(number, stop)


def ignore_ending() -> None:
    """Ignores both signals, since nothing is left to hand back. An ending loop or interpreter restores the default
    handlers, and then a dyno's second SIGTERM would turn a clean end into a death."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)


def ignore_ending_on(loop: asyncio.AbstractEventLoop) -> None:
    """The same for a loop that has handlers of `on_ending`."""
    for number in ENDING:
        loop.remove_signal_handler(number)
    ignore_ending()
