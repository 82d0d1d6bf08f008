"""A user's terminal: a command that believes it has one, what it showed, keys and signals for it."""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
import time
from types import TracebackType

from tests.e2e.shop import MODULE

PATIENCE_S = 30
CODES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
"""What draws: a place, a colour, what is to be cleared."""


class Terminal:
    """A command in a terminal of so many columns and lines. Leaving it ends the command."""

    def __init__(self, *words: str, columns: int = 80, lines: int = 24, **env: str) -> None:
        self._leader, follower = os.openpty()
        self.resize(columns, lines)
        kept = {
            name: value
            for name, value in os.environ.items()
            if name not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES")
        }
        self.process = subprocess.Popen(
            [*MODULE, *words],
            stdin=follower,
            stdout=follower,
            stderr=follower,
            env=kept | {"TERM": "xterm"} | env,
            start_new_session=True,
            preexec_fn=_own_terminal,
        )
        os.close(follower)
        self.said = b""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        os.close(self._leader)

    def resize(self, columns: int, lines: int) -> None:
        """Gives the terminal another size, as a person who drags its corner."""
        fcntl.ioctl(self._leader, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def type(self, keys: str) -> None:
        """Presses keys; Ctrl-C is ``\\x03``."""
        os.write(self._leader, keys.encode())

    def read(self, seconds: float = 0.1) -> str:
        """All that it showed until now."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and select.select([self._leader], [], [], left)[0]:
            try:
                self.said += os.read(self._leader, 65_536)
            except OSError:  # its last writer is gone
                break
        return self.said.decode(errors="replace")

    def until(self, wanted: str, *, after: int = 0) -> str:
        """Reads until a text is shown behind so many characters."""
        end = time.monotonic() + PATIENCE_S
        while wanted not in (said := self.read())[after:]:
            assert time.monotonic() < end, f"{wanted!r} is not in {said[after:][-2_000:]!r}"
            assert self.process.poll() is None or wanted in self.read(0.5)[after:], (
                f"{wanted!r} is not in {said[-2_000:]!r}"
            )
        return said

    def modes(self) -> list[object]:
        """How the terminal treats keys."""
        return list(termios.tcgetattr(self._leader))

    def left(self, seconds: float = PATIENCE_S) -> int:
        """Its exit code, once it ends by itself."""
        end = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < end, f"it goes on: {self.said!r}"
            self.read(0.02)
        self.read(0.2)
        return self.process.returncode

    def interrupt(self) -> None:
        """Ctrl-C from outside."""
        self.process.send_signal(signal.SIGINT)


def _own_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def shown_in(columns: int, *words: str, code: int = 0, **env: str) -> list[str]:
    """The lines that a command shows in a terminal, colours included."""
    with Terminal(*words, columns=columns, **env) as terminal:
        assert terminal.left() == code, terminal.said
        return terminal.said.decode().replace("\r\n", "\n").splitlines()


def plain(text: str) -> str:
    """A text without what draws."""
    return CODES.sub("", text)
