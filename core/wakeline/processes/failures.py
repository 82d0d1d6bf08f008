"""What user code raised, as a failure can hold it: a code and a message, bounded, and the errors inside of a group.

Invariant: any error gives a code and a message that can be recorded and logged, also where its own text cannot be had.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from wakeline.errors import ControlFlow, WakelineError

LONGEST_CODE, LONGEST_MESSAGE = 128, 10_000
MOST_NAMED = 32
"""Of a group's errors so many are named in its message."""


class Escaped(Exception):
    """What user code raised and neither a task nor a future can carry: it would end the event loop, get lost, or look
    like a cancel."""

    def __init__(self, original: BaseException) -> None:
        super().__init__(original)
        self.original = original


def bare(error: BaseException) -> BaseException:
    """What was raised, without what carried it here."""
    return error.original if isinstance(error, Escaped) else error


def parts_of(group: BaseException) -> Sequence[BaseException]:
    """The errors right in a group; of any other error none."""
    return cast("BaseExceptionGroup[BaseException]", group).exceptions if isinstance(group, BaseExceptionGroup) else ()


def leaves_of(error: BaseException) -> list[BaseException]:
    """The errors in a group, and in the groups in it, in order and as they may leave a body; of any other error
    itself."""
    left, found = [error], list[BaseException]()
    while left:
        one = left.pop()
        parts = parts_of(bare(one))
        left += reversed(parts)
        if not parts:
            found.append(one if isinstance(one, Exception | ControlFlow) else Escaped(one))
    return found


def described(error: BaseException) -> tuple[str, str]:
    """Code and message of whatever was raised, fit to be recorded: bounded, without lone surrogates, also where its own
    text cannot be had."""
    error = bare(error)
    name = type(error).__name__
    own = getattr(error, "code", None)
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 - a broken __str__ must not hide that something failed
        message = f"{name} (it cannot be shown as text)"
    if isinstance(error, BaseExceptionGroup):
        message += ": " + "; ".join(": ".join(described(leaf)) for leaf in leaves_of(error)[:MOST_NAMED])  # pyright: ignore[reportUnknownArgumentType]
    # What SystemExit calls its code is a text for the terminal.
    coded = isinstance(error, WakelineError) or (isinstance(error, Exception) and isinstance(own, str) and own)
    code = own if coded else name
    return fit(str(code), LONGEST_CODE), fit(message or name, LONGEST_MESSAGE)


def fit(text: str, longest: int) -> str:
    """A text as it can be recorded and logged: of bounded length, without lone surrogates."""
    if len(text) > longest:
        text = f"{text[:longest]}… ({len(text)} characters)"
    return text.encode("utf-8", "backslashreplace").decode()
