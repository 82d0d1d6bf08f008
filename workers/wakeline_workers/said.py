"""What workers and their supervisor say on standard error: entries of loggers, and lines of their own.

Invariant: where entries are JSON, lines are, too.
"""

from __future__ import annotations

import logging
import sys
from contextlib import suppress

from wakeline.logs import JsonFormatter, handle_entries, is_json
from wakeline.shown import shown

OTHER_CODE = (
    "WAKELINE_RELEASE is %s, and other code came with that name first: this worker goes by %r, so that faults of the "
    "two are told apart. Give each deployment its own name"
)
NOT_DECLARED = "schedules, limits and agents could not be declared again; the next worker that starts does it"


def begin_log(level: str) -> None:
    """From now on entries of all loggers go to standard error, in the form that ``WAKELINE_LOG_FORMAT`` says."""
    handle_entries(level, as_json=is_json(sys.stderr))


def say(text: str, plain: str | None = None, level: str = "WARNING") -> None:
    """Writes one line to the log; ``plain`` is its form for people. A log without a reader must not end its writer."""
    with suppress(OSError, ValueError):
        said = f"wakeline: {text}" if plain is None else plain
        if is_json(sys.stderr):
            said = JsonFormatter().format(
                logging.LogRecord("wakeline.supervisor", logging.getLevelNamesMapping()[level], "", 0, text, None, None)
            )
        print(shown(said), file=sys.stderr, flush=True)
