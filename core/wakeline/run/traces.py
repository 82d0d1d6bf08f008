"""What a log shows of an error in user code: the user's lines, without those of their callers."""

from __future__ import annotations

import os
from importlib.util import find_spec
from traceback import StackSummary, TracebackException

from wakeline.processes.failures import fit

LONGEST_TRACE = 16_384
_BETWEEN = ("wakeline", "wakeline_workers", "pydantic", "asyncio", "concurrent")
_INSIDE = tuple(
    os.path.join(path, "")
    for name in _BETWEEN
    if (spec := find_spec(name))
    for path in spec.submodule_search_locations or ()
)
"""The folders of the packages between a worker and a body. Their lines do not help to find an error in the body."""


def trace_of(error: BaseException) -> str:
    """The traceback of an error and its causes, behind a line break, with only the lines of user code. It is empty if
    no line is the user's, or if the error's own text cannot be made.
    """
    try:
        trace = TracebackException.from_exception(error)
        return fit("\n" + "".join(trace.format()).rstrip(), LONGEST_TRACE) if _trim(trace) else ""
    except Exception:  # noqa: BLE001 - notes, texts and chains are the user's and may raise too; the error is still recorded
        return ""


def _trim(trace: TracebackException) -> bool:
    """Whether a user's line is left in it, or in its causes."""
    left, found = [trace], False
    while left:
        one = left.pop()
        one.stack = StackSummary.from_list([frame for frame in one.stack if not frame.filename.startswith(_INSIDE)])
        found = found or bool(one.stack)
        left += [part for part in (one.__cause__, one.__context__, *(one.exceptions or ())) if part is not None]
    return found
