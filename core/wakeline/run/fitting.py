"""Tells a fault of a deploy from a fault of the body. It looks at the error, at the release that got the process this
far, and at how long the process has waited.

Invariant: an error is the deploy's fault only in a run under another release than the one that got the process this
far, and only for the time of the patience.
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
"""Errors that deploys bring. If the body went on under another release, they tell more about the release than about the
body."""
handled_by_body: ContextVar[BaseException | None] = ContextVar("wakeline_handled", default=None)
"""The exception that a blocking body handles while it asks for something, since its thread is not the loop's."""


class Fitting:
    """Judges for one claim. ``patience_ms`` is how long a process waits for better code if the code here fails or
    cannot read it; then the process fails."""

    def __init__(self, claim: Claim, patience_ms: int = PATIENCE_MS) -> None:
        self._claim, self._patience_ms = claim, patience_ms

    def is_over(self, kind: MisfitKind) -> bool:
        """Whether the process has waited long enough. If code is missing or has a mismatch, it waits without a
        limit."""
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
        """The error that says that the code of the body is broken, if the handled error is or comes from one. Sound
        code does not handle such errors. None otherwise."""
        return _broken_code(handled) if self.is_bug(handled) else None


def being_handled() -> BaseException | None:
    """The exception that the awaiting code handles now, in an ``except`` or a ``finally``; None if there is none."""
    return sys.exc_info()[1] or handled_by_body.get()


def _broken_code(error: BaseException) -> BaseException | None:
    """The first of an error and its causes that sound code does not raise, and so does not handle. The failure of a
    step or a tool is an outcome, and does not count."""
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
            # Only a SyntaxError of a file: one without a file is about a text.
            return error.filename is not None and not error.filename.startswith("<")
        case _:
            return False
