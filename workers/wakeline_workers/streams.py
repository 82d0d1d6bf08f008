"""Standard streams of a process that was started without them, or that outlives their reader."""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import suppress
from typing import Any, TextIO, cast


def hold_places() -> None:
    """Opens the closed ones of the descriptors 0 to 2 on the null device. Otherwise the next socket would get a free
    one, and what bodies print would go there."""
    for number in range(3):
        with suppress(OSError):
            os.fstat(number)
            continue
        os.open(os.devnull, os.O_RDWR)  # it gets the lowest free number
        os.set_inheritable(number, True)
    # Then only Python's own objects for them are missing.
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)  # pyright: ignore[reportUnnecessaryComparison]
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)  # pyright: ignore[reportUnnecessaryComparison]


class _Kept(io.FileIO):
    """A descriptor for output that never fails. If the reader is gone or the disk is full, the output is thrown
    away."""

    def write(self, data: Any) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        try:
            written = super().write(data)
        except OSError as error:
            if error.errno in (errno.EPIPE, errno.EIO):
                # Permanently, and for all other writers, such as programs that a body starts.
                nothing = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nothing, self.fileno())
                os.close(nothing)
            return memoryview(data).nbytes
        return 0 if written is None else written


def keep_output() -> None:
    """From here on a print of this process cannot fail because its reader is gone.

    A body that prints must not fail for that, nor a heartbeat that logs. A stream that is not the process's own (of a
    test, a notebook) is left alone.
    """
    sys.stdout = _kept(sys.stdout, 1)
    sys.stderr = _kept(sys.stderr, 2)


def _kept(stream: TextIO, number: int) -> TextIO:
    given, buffer = stream, cast("Any", getattr(stream, "buffer", None))
    if not isinstance(stream, io.TextIOWrapper) or isinstance(getattr(buffer, "raw", None), _Kept):
        return given
    try:
        own = stream.fileno() == number
        stream.flush()
    except (OSError, ValueError):
        own = False
    if not own:
        return given
    raw: Any = _Kept(number, "w", closefd=False)
    kept: TextIO = io.TextIOWrapper(io.BufferedWriter(raw), stream.encoding, stream.errors, line_buffering=True)
    return kept
