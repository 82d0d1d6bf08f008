"""Log entries that say which process they are about: text for people, one JSON object a line for collectors.

Invariant: an entry of the user's own loggers is treated like one of ours. It carries the process whose code wrote it,
and is left out while a body only repeats what it did before.
"""

from __future__ import annotations

import json
import logging
import math
import os
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

from wakeline.errors import SettingsInvalid, WakelineError
from wakeline.settings import LOG_FORMATS
from wakeline.shown import masked, moment, shown_entry, shown_json
from wakeline.telemetry.logged import of_entry
from wakeline.tools.tool import current_body, current_call, current_run

LONGEST = 4_000
"""The most bytes of a JSON entry. Several processes write to one pipe, which keeps up to 4,096 bytes in one piece
(PIPE_BUF of pipe(7))."""
CUT = " … (cut)"
MOST = 2**63
"""An integer that is larger is a text: few readers of JSON have room for it."""
OF_PROCESS = "wakeline_process"
"""The attribute of a log record with the facts of the process whose code wrote it."""
_PLAIN = {
    *vars(logging.LogRecord("", 0, "", 0, "", None, None)),
    "message",
    "asctime",
    "taskName",
    "of_process",
    OF_PROCESS,
}


def configure(
    level: str = "INFO", format: Literal["auto", "text", "json"] = "auto", stream: TextIO | None = None
) -> None:
    """Entries of all loggers go to ``stream`` (standard error) from now on. A worker does this itself, with the values
    of ``WAKELINE_LOG`` and ``WAKELINE_LOG_FORMAT``.

    ``auto`` is text on a terminal and JSON elsewhere. Like `logging.basicConfig` it does nothing if the root logger has
    handlers. Raises `SettingsInvalid` for another format. A program with handlers of its own adds a `ProcessFilter` to
    each of them, and a `JsonFormatter` where it wants one.
    """
    if format not in LOG_FORMATS:
        raise SettingsInvalid(name="format", value=str(format), reason=f"it is one of {', '.join(LOG_FORMATS)}")
    target = stream or sys.stderr
    handle_entries(level, target, as_json=_is_json(format, target))


def handle_entries(level: str, stream: TextIO | None = None, *, as_json: bool) -> None:
    """Makes the handler of the root logger, if that has none."""
    if logging.getLogger().handlers:
        return
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.addFilter(ProcessFilter())
    handler.setFormatter(JsonFormatter() if as_json else TextFormatter())
    logging.basicConfig(level=level, handlers=[handler])


def is_json(stream: TextIO) -> bool:
    """Whether entries of this OS process are JSON, as its environment says, if they go to this stream."""
    return _is_json(os.environ.get("WAKELINE_LOG_FORMAT", "auto"), stream)


def log_failure(log: logging.Logger, error: BaseException | None, what: str, *args: object) -> None:
    """Logs that something failed: one line for an error of Wakeline, which says what happened and what to do, and its
    traceback at DEBUG. Any other error is logged with its traceback."""
    if isinstance(error, WakelineError):
        log.error(f"{what}: %s", *args, error)
        log.debug("the traceback of that", exc_info=error)
    else:
        log.error(what, *args, exc_info=error)


def _is_json(format: str, stream: TextIO) -> bool:
    return format == "json" or (format != "text" and not stream.isatty())


class ProcessFilter(logging.Filter):
    """Gives each record the facts of the process whose code wrote it, for `JsonFormatter` and `TextFormatter`. Drops
    what a body says again while it replays.

    Steps and tools do not run in a replay, so what they log stays, and so does what Wakeline itself logs.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if not hasattr(record, OF_PROCESS):
            setattr(record, OF_PROCESS, dict(_facts()))
        return is_ours(record.name) or not repeats()


def repeats() -> bool:
    """Whether the code that calls this is a body that has not come to the end of what it did before."""
    body = current_body.get()
    return body is not None and body.is_replaying


def is_ours(name: str) -> bool:
    """Whether a logger of this name is one of Wakeline itself. ``wakeline.body`` is the body's."""
    return name.startswith("wakeline") and not name.startswith("wakeline.body") and name[8:9] in ("", ".", "_")


def _facts() -> Iterator[tuple[str, Any]]:
    """What is known of the process whose code runs here: the run, in its worker; the call, also in the child process of
    an isolated tool."""
    run, call = current_run.get(), current_call.get()
    if run is not None:
        yield from run.facts().items()
    elif call is not None:
        yield "process_id", call.process_id
    if call is not None:
        yield from (("effect", call.tool), ("effect_attempt", call.attempt))
    if run is not None or call is not None:
        yield from of_entry()


class TextFormatter(logging.Formatter):
    """Entries for people, one line for each, with foreign text escaped; further lines stand behind a margin. An entry
    of a body, its steps and its tools names the process."""

    def __init__(self, template: str = "%(asctime)s %(levelname)s %(name)s%(of_process)s %(message)s") -> None:
        super().__init__(template)

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return moment(record.created * 1000, exact=True)

    def format(self, record: logging.LogRecord) -> str:
        found = getattr(record, OF_PROCESS, {}).get("process_id")
        # What Wakeline says of a process names it in its own words.
        record.of_process = f" [{found}]" if found and not is_ours(record.name) else ""
        return shown_entry(super().format(record))


class JsonFormatter(logging.Formatter):
    """Entries as JSON, each in one line of at most 4,000 bytes: ``ts``, ``level``, ``logger``, ``msg``, then what is
    known of the process (`process_id`, `kind`, `name`, `attempt`, `epoch`, `session`, `effect`, `owner`, `release`, and
    `trace_id` and `span_id` under OpenTelemetry), ``exc`` for a traceback, and what the entry was given as ``extra``;
    see docs/logs.md."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC)
        first = {
            "ts": f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "msg": _text_of(record),
        }
        first |= getattr(record, OF_PROCESS, {})
        if record.exc_info:
            first["exc"] = _traceback(self, record)
        elif record.exc_text:
            first["exc"] = record.exc_text
        if record.stack_info:
            first["stack"] = record.stack_info
        extra = {_shown(name): _plain(value) for name, value in vars(record).items() if name not in _PLAIN}
        return as_line(first, {name: value for name, value in extra.items() if name not in first})


def _text_of(record: logging.LogRecord) -> str:
    """The text of an entry. Code that logs must not fail, or lose the entry, for what it logs."""
    try:
        return record.getMessage()
    except Exception as error:  # noqa: BLE001 - code of the user, which may raise anything
        return f"{_shown(record.msg)} (its arguments do not fit: {type(error).__name__})"


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    try:
        assert record.exc_info
        return formatter.formatException(record.exc_info)
    except Exception as error:  # noqa: BLE001 - an exception of the user is shown by its code
        return f"(a traceback that cannot be shown: {type(error).__name__})"


def as_line(entry: Mapping[str, Any], extra: Mapping[str, Any]) -> str:
    """An entry as one line of JSON. Until it fits, its longest texts are cut, and then the last of ``extra`` are left
    out. Bearer tokens are masked."""
    fits = {
        name: _cut(value, LONGEST) if isinstance(value, str) else value for name, value in {**entry, **extra}.items()
    }
    while True:
        line = masked(shown_json(json.dumps(fits, ensure_ascii=False)))
        over = len(line.encode("utf-8", "backslashreplace")) - LONGEST
        if over <= 0:
            return line
        name = max(fits, key=lambda one: len(fits[one]) if isinstance(fits[one], str) else 0)
        text = str(fits[name])
        if len(text) > 4 * len(CUT):
            # A letter may be several bytes, so at most half goes at once.
            fits[name] = _cut(text, max(len(text) // 2, len(text) - over))
        else:
            for _ in range(max(1, (len(fits) - len(entry)) // 2)):  # a half at once, for there may be thousands
                fits.popitem()


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - len(CUT)] + CUT


def _plain(value: object) -> str | int | float | bool | None:
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int) and abs(value) < MOST:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return _shown(value)


def _shown(value: object) -> str:
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001 - code of the user, too
        return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"
