"""What a log shows of an error in user code: the user's lines, without those of whoever called them."""

from __future__ import annotations

from importlib.util import find_spec
from traceback import StackSummary, TracebackException

from wakeline.runtime.containing import fit

LONGEST_TRACE = 16_384
_BETWEEN = ("wakeline", "wakeline_workers", "pydantic", "asyncio", "concurrent")
_INSIDE = tuple(path for name in _BETWEEN if (spec := find_spec(name)) for path in spec.submodule_search_locations or ())
"""Where the packages between a worker and a body lie: their lines say nothing about what went wrong in it."""


def trace_of(error: BaseException) -> str:
    """The traceback of an error and of what caused it, with the lines of user code only, behind a line break; empty where no line is the user's."""
    trace = TracebackException.from_exception(error)
    if not _trim(trace):
        return ""
    return fit("\n" + "".join(trace.format()).rstrip(), LONGEST_TRACE)


def _trim(trace: TracebackException) -> bool:
    """Whether a user's line is left in it, or in what it came from."""
    trace.stack = StackSummary.from_list([frame for frame in trace.stack if not frame.filename.startswith(_INSIDE)])
    causes = [_trim(cause) for cause in (trace.__cause__, trace.__context__) if cause is not None]
    return bool(trace.stack) or any(causes)
