"""Standard streams of a process that was started without them, or that outlives who reads them."""

from __future__ import annotations

import errno
import io
import logging
import os
import sys
from contextlib import suppress
from typing import Any, TextIO, cast

from wakeline.shown import moment, shown, shown_entry


def hold_places() -> None:
    """Opens what is closed of the descriptors 0 to 2 on nothing. One left free would be given to the next socket, and
    what bodies print would go there."""
    for number in range(3):
        with suppress(OSError):
            os.fstat(number)
            continue
        os.open(os.devnull, os.O_RDWR)  # the lowest that is free
        os.set_inheritable(number, True)
    # Only Python's own words for them are missing then.
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)  # pyright: ignore[reportUnnecessaryComparison]
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)  # pyright: ignore[reportUnnecessaryComparison]


class EntryFormatter(logging.Formatter):
    """Entries of every logger in a worker process or its supervisor, also of those that are not Wakeline's, with the
    text of others shown as such."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return moment(record.created * 1000, exact=True)

    def format(self, record: logging.LogRecord) -> str:
        return shown_entry(super().format(record))


def begin_log(level: str) -> None:
    """Entries of all loggers go to standard error from now on, each with its time, level and logger."""
    logging.basicConfig(level=level, stream=sys.stderr)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(EntryFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))


def say(text: str) -> None:
    """One line for whoever reads the log; a log that is read no more must not end its writer."""
    with suppress(OSError, ValueError):
        print(shown(f"wakeline: {text}"), file=sys.stderr, flush=True)


class _Kept(io.FileIO):
    """A descriptor to write to that never fails: what a reader that went away, or a full disk, does not take is thrown
    away."""

    def write(self, data: Any) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        try:
            written = super().write(data)
        except OSError as error:
            if error.errno in (errno.EPIPE, errno.EIO):
                # For good, and for whoever else writes there, such as programs that a body starts.
                nothing = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nothing, self.fileno())
                os.close(nothing)
            return memoryview(data).nbytes
        return 0 if written is None else written


def keep_output() -> None:
    """From here on nothing that this process prints can fail for want of a reader: a body that prints must not fail for
    it, nor a heartbeat that says so.

    A stream that is not the process's own (a test's, a notebook's) is left alone.
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
