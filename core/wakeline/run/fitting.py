"""What tells a fault of a deploy from one of the body: by its errors, by the release that got the process this far, and
by how long it has waited.

Invariant: an error is the deploy's fault only in a run under another release than the one that got the process this
far, and only for so long.
"""

from __future__ import annotations

import sys
from contextvars import ContextVar
from types import ModuleType

from wakeline.errors import (
    InvalidArguments,
    InvalidPayload,
    PayloadSchemaMismatch,
    ToolUnavailable,
    UndeclaredEvent,
    UnknownAgent,
    UnknownName,
    WakelineError,
)
from wakeline.processes.failures import bare, leaves_of, parts_of
from wakeline.processes.misfit import PATIENCE_MS, MisfitKind
from wakeline.run.groups import follows_cancel
from wakeline.store.claims import Claim

_BRINGS = (
    NameError,
    ImportError,
    AttributeError,
    SyntaxError,
    TypeError,
    InvalidArguments,
    InvalidPayload,
    PayloadSchemaMismatch,
    UndeclaredEvent,
    UnknownName,
    UnknownAgent,
    ToolUnavailable,
)
"""Errors that a deploy brings: of a body that went on under another release, they say more of the release than of the
body."""
handled_by_body: ContextVar[BaseException | None] = ContextVar("wakeline_handled", default=None)
"""What a blocking body handles while it asks for something: its thread is not the loop's."""


class Fitting:
    """Judges for one claim. ``patience_ms``: how long a process waits for better code than one that fails or cannot
    read, before it fails."""

    def __init__(self, claim: Claim, patience_ms: int = PATIENCE_MS) -> None:
        self._claim, self._patience_ms = claim, patience_ms

    def is_over(self, kind: MisfitKind) -> bool:
        """Whether it has waited long enough. For code that is missing, or does something else than what is recorded, it
        waits until there is some."""
        before = self._claim.misfit
        return (
            kind in ("unreadable", "bug")
            and before is not None
            and before.kind == kind
            and self._claim.now_ms - before.since_ms >= self._patience_ms
        )

    def is_bug(self, error: BaseException) -> bool:
        """Whether an error in the body is the deploy's fault, and waits."""
        if not self._claim.under_another_release or follows_cancel(error):
            return False
        brought = any(isinstance(bare(leaf), _BRINGS) for leaf in leaves_of(error)) or _broken_code(error) is not None
        return brought and not self.is_over("bug")

    def broken(self, handled: BaseException) -> BaseException | None:
        """The error that says that the code of the body is broken, where what it handles now is or comes from one: it
        handles what it does not know."""
        return _broken_code(handled) if self.is_bug(handled) else None


def being_handled() -> BaseException | None:
    """What the code that awaits this handles, in an ``except`` or a ``finally``; None where it handles nothing."""
    return sys.exc_info()[1] or handled_by_body.get()


def _broken_code(error: BaseException) -> BaseException | None:
    """Of an error and those it comes from, one that sound code does not raise and so does not handle. What a step or a
    tool failed with is an outcome."""
    left, seen = [error], set[int]()
    while left:
        one = bare(left.pop())
        if id(one) in seen or isinstance(one, WakelineError):
            continue
        seen.add(id(one))
        if _says_broken(one):
            return one
        left += [*parts_of(one), *(other for other in (one.__cause__, one.__context__) if other is not None)]
    return None


def _says_broken(error: BaseException) -> bool:
    match error:
        case NameError():
            return True
        case AttributeError():
            return isinstance(error.obj, ModuleType)
        case SyntaxError():
            # Of a file: that of a text, which has no file, is about the text.
            return error.filename is not None and not error.filename.startswith("<")
        case _:
            return False
