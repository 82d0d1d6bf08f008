"""A view that is drawn in place in a terminal, again and again.

Invariant: the terminal is as before when the view ends: by ``q``, Ctrl-C, SIGTERM or an error, and while it is stopped
by Ctrl-Z. A row of a view is a line of a `Console`, in which no terminal obeys what others have said.
"""

from __future__ import annotations

import os
import re
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from shutil import get_terminal_size
from typing import Any

from wakeline_workers.cli.tables import columns

TERMINATED = 128 + signal.SIGTERM
ENTER, LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
"""Another screen without a cursor, and back to the one before, with its cursor."""
TOP, END_OF_LINE, BELOW = "\x1b[H", "\x1b[K", "\x1b[J"
_COLOUR = re.compile(r"\x1b\[\d*m")


class Screen:
    """A terminal that a view has for itself. Keys come at once, and a new size draws again."""

    def __init__(self) -> None:
        self._keys = sys.stdin.fileno() if sys.stdin.isatty() else None
        self._before: list[Any] | None = None
        self._woken, self._wakes = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(self._wakes, False)

    def enter(self) -> None:
        """Takes the terminal."""
        if self._keys is not None:
            self._before = termios.tcgetattr(self._keys)
            tty.setcbreak(self._keys)
        self._write(ENTER)

    def leave(self) -> None:
        """Gives it back as it was."""
        if self._keys is not None and self._before is not None:
            termios.tcsetattr(self._keys, termios.TCSANOW, self._before)
        self._write(LEAVE)

    @staticmethod
    def _write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    def draw(self, lines: Sequence[str]) -> None:
        """Shows lines in place of the last ones. How many have no room is said in the last row. The terminal itself
        breaks a line that is wider, such as a long id, which can be copied then."""
        size = get_terminal_size()
        drawn, rows = 0, 0
        for line in lines:
            rows += max(1, -(-columns(_COLOUR.sub("", line)) // max(1, size.columns)))
            if rows > size.lines:
                break
            drawn += 1
        told = list(lines[:drawn])
        if drawn < len(lines):
            told[-1:] = [f"… {len(lines) - max(0, drawn - 1)} more lines"]
        body = "\n".join(f"{line}{END_OF_LINE}" for line in told)
        self._write(f"{TOP}{body}{BELOW}")

    def wait(self, seconds: float) -> bool:
        """Waits until the next look is due, or the terminal has another size. False once ``q`` was typed."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            ready, _, _ = select.select([self._woken, *([] if self._keys is None else [self._keys])], [], [], left)
            if self._keys in ready and not self._goes_on():
                return False
            if self._woken in ready:
                os.read(self._woken, 1024)
                return True
        return True

    def _goes_on(self) -> bool:
        assert self._keys is not None
        typed = os.read(self._keys, 1024)
        if not typed:
            self._keys = None  # the terminal gives no more keys
        return b"q" not in typed.lower()

    def wake(self, *_: object) -> None:
        """Ends a wait: for a signal."""
        os.write(self._wakes, b".")

    def stop(self, *_: object) -> None:
        """Ctrl-Z: the shell gets its terminal, and this goes on when it is in front again."""
        self.leave()
        os.kill(os.getpid(), signal.SIGSTOP)
        self.enter()
        self.wake()

    def close(self) -> None:
        """Closes what a signal writes to."""
        os.close(self._woken)
        os.close(self._wakes)


def _end(*_: object) -> None:
    sys.exit(TERMINATED)


@contextmanager
def taken() -> Generator[Screen]:
    """The terminal, until the view ends."""
    screen = Screen()
    handlers = {signal.SIGWINCH: screen.wake, signal.SIGTSTP: screen.stop, signal.SIGTERM: _end}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        screen.enter()
        yield screen
    finally:
        screen.leave()
        for number, handler in before.items():
            signal.signal(number, handler)
        screen.close()
