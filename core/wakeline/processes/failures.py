"""What user code raised, in the form that a failure holds: a bounded code and message, and the errors inside of a
group.

Invariant: any error gives a code and a message that can be recorded and logged, even if its own text cannot be made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from wakeline.errors import ControlFlow, WakelineError

LONGEST_CODE, LONGEST_MESSAGE = 128, 10_000
MOST_NAMED = 32
"""How many errors of a group its message names."""


class Escaped(Exception):
    """Carries what user code raised and what neither a task nor a future can carry: it would end the event loop, get
    lost, or look like a cancel."""

    def __init__(self, original: BaseException) -> None:
        super().__init__(original)
        self.original = original


def bare(error: BaseException) -> BaseException:
    """What was raised, without its carrier."""
    return error.original if isinstance(error, Escaped) else error


def parts_of(group: BaseException) -> Sequence[BaseException]:
    """The direct errors of a group; an empty sequence for any other error."""
    return cast("BaseExceptionGroup[BaseException]", group).exceptions if isinstance(group, BaseExceptionGroup) else ()


def leaves_of(error: BaseException) -> list[BaseException]:
    """The errors in a group and in its inner groups, in order, in the form in which they may leave a body. Any other
    error gives itself."""
    left, found = [error], list[BaseException]()
    while left:
        one = left.pop()
        parts = parts_of(bare(one))
        left += reversed(parts)
        if not parts:
            found.append(one if isinstance(one, Exception | ControlFlow) else Escaped(one))
    return found


def described(error: BaseException) -> tuple[str, str]:
    """Code and message of what was raised, fit to be recorded: bounded, and without lone surrogates, even if its own
    text cannot be made."""
    error = bare(error)
    name = type(error).__name__
    own = getattr(error, "code", None)
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 - a broken __str__ must not hide that something failed
        message = f"{name} (it cannot be shown as text)"
    if isinstance(error, BaseExceptionGroup):
        message += ": " + "; ".join(": ".join(described(leaf)) for leaf in leaves_of(error)[:MOST_NAMED])  # pyright: ignore[reportUnknownArgumentType]
    # The `code` of SystemExit may be a text for the terminal.
    coded = isinstance(error, WakelineError) or (isinstance(error, Exception) and isinstance(own, str) and own)
    code = own if coded else name
    return fit(str(code), LONGEST_CODE), fit(message or name, LONGEST_MESSAGE)


def fit(text: str, longest: int) -> str:
    """The text in a form that can be recorded and logged: of bounded length, and without lone surrogates."""
    if len(text) > longest:
        text = f"{text[:longest]}… ({len(text)} characters)"
    return text.encode("utf-8", "backslashreplace").decode()
