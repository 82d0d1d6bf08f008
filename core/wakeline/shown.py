"""Foreign text in a terminal or a log. Characters that a terminal obeys, or that look like other text, are shown as
escapes, and bearer tokens without what makes them good.

Invariant: every line that the command line prints or a logger of Wakeline writes has gone through here. Stored text
stays as it was given.
"""

from __future__ import annotations

import json
import logging
import re
import traceback
from datetime import UTC, datetime
from typing import Any, cast

# Controls (C0, DEL, C1), and characters that break or join lines, turn the direction of text, or are invisible. The two
# joiners of emoji and scripts are left out.
_UNSEEN = (
    r"\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    r"\ud800-\udfff\U000e0000-\U000e0fff"
)
_IN_A_LINE = re.compile(f"[{_UNSEEN}\\t\\n]")
_IN_LINES = re.compile(f"[{_UNSEEN}]")
_TOKEN = re.compile(r"\b(wt[12]\.)[\w-]{4,}(?:\.[\w-]*)*", re.ASCII)
"""A bearer token (`wakeline.waits.keys`), also one that was cut off."""
_LOGIN = re.compile(r"(://[^\s/@:]*:)[^\s@]{1,512}@")
"""Login and password of a URL. A password that was not encoded may have any character but an ``@``."""
MARGIN = "  | "
"""Stands before every line of a log entry except the first, so that no foreign text can look like an entry."""


class Lines(str):
    """A text that may have several lines in a log entry; any other text is one line there."""

    __slots__ = ()


def is_seen(text: str) -> bool:
    """Whether a text is shown as it is: one line, without characters that are obeyed or invisible."""
    return _IN_A_LINE.search(text) is None


def shown(text: str) -> str:
    """The text as one line: line breaks, tabs, escapes and invisible characters become escapes like ``\\x1b``."""
    return _IN_A_LINE.sub(_escape, masked(text))


def shown_lines(text: str) -> str:
    """The same for a text that keeps its line breaks and tabs."""
    return _IN_LINES.sub(_escape, masked(text))


def masked(text: str) -> str:
    """The text with ``wt1.…`` in place of each bearer token."""
    return _TOKEN.sub(r"\1…", text) if "wt" in text else text


def without_secrets(text: str) -> str:
    """The text with bearer tokens masked, and with ``…`` in place of each password of a URL."""
    return _LOGIN.sub(r"\1…@", masked(text)) if "@" in text else masked(text)


def without_tokens(data: Any) -> Any:
    """JSON data with each bearer token in it masked."""
    match data:
        case str():
            return masked(data)
        case dict():
            return {masked(key): without_tokens(value) for key, value in cast("dict[str, Any]", data).items()}
        case list():
            return list(map(without_tokens, data))  # pyright: ignore[reportUnknownArgumentType]
        case _:
            return data


def shown_json(text: str) -> str:
    """JSON text in which escapes of JSON stand for the same characters, so its meaning stays."""
    return _IN_A_LINE.sub(lambda found: json.dumps(found[0])[1:-1], text)


def shown_entry(text: str) -> str:
    """An entry of a log: every line except the first stands behind the margin."""
    first, *more = shown_lines(text).split("\n")
    return "\n".join([first, *(line if line.startswith(MARGIN) else MARGIN + line for line in more)])


def moment(ms: float, *, exact: bool = False) -> str:
    """A time for people, in the only printed form: ``2026-11-30 11:46:01 UTC``; ``exact`` with milliseconds."""
    try:
        at = datetime.fromtimestamp(ms / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return f"{ms:.0f} ms since 1970"  # beyond the year 9999: a caller may set such a deadline
    return f"{at:%Y-%m-%d %H:%M:%S}{f'.{at.microsecond // 1000:03d}' if exact else ''} UTC"


def logger(name: str) -> logging.Logger:
    """The logger of a name. Its entries show foreign text escaped, with any formatter."""
    made = logging.getLogger(name)
    made.addFilter(_show)
    return made


def _show(record: logging.LogRecord) -> bool:
    if not record.args:
        record.msg = shown_entry(str(record.msg))
    elif isinstance(record.args, tuple):
        record.args = tuple(_of_others(value) for value in record.args)
    else:
        record.args = {name: _of_others(value) for name, value in record.args.items()}
    if record.exc_info and not record.exc_text:
        record.exc_text = MARGIN + shown_entry("".join(traceback.format_exception(*record.exc_info)).rstrip())
    return True


def _of_others(value: object) -> object:
    if value is None or isinstance(value, (int, float)):
        return value
    return shown_entry(value) if isinstance(value, Lines) else shown(str(value))


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    named = {9: "\\t", 10: "\\n", 13: "\\r"}.get(code)
    return named or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}")
