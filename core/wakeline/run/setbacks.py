"""What is kept of what went wrong in a run: of a failed attempt for the log of its process, and the effect whose error
ended a body.

Invariant: what is kept is short and has no bearer token and no password of a URL. An error keeps nothing of its run.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any, cast

from wakeline.effects.envelope import Envelope
from wakeline.effects.journal import NEVER
from wakeline.errors import FailureClass, ToolFailed, WakelineError
from wakeline.processes.failures import bare, fit
from wakeline.processes.inputs import ToolCall
from wakeline.processes.outputs import Failure
from wakeline.processes.registration import Registration
from wakeline.run.traces import trace_of
from wakeline.shown import Lines, without_secrets
from wakeline.store.journal import FailedAttempt
from wakeline.telemetry.seen import Try
from wakeline.values import to_json

LONGEST_MESSAGE = 500
_OF = "_wakeline_effect"
_PREFIX = "call:"


def said_of(failure: Failure, **more: Any) -> str:
    """What the event of a failed attempt says of its failure, as JSON."""
    message = fit(without_secrets(failure.message), LONGEST_MESSAGE)
    return to_json(more | {"code": failure.code, "class": failure.failure_class, "message": message})


def failed_attempt(
    log: logging.Logger, registration: Registration, tried: Try | None, error: WakelineError, again_ms: int | None
) -> FailedAttempt | None:
    """What the log of a process gets with the row of a failed attempt of a call, and the log of the worker now.

    None if it is no such attempt, and for the one with which the process of a tool ends: its end says all of it."""
    if tried is None or not isinstance(error, ToolFailed):
        return None
    is_last = again_ms is None or again_ms == NEVER
    if is_last and isinstance(registration.input, ToolCall):
        return None
    log.warning(
        "%s: attempt %d of tool %s failed: %s: %s; %s%s",
        registration.id,
        tried.attempt,
        tried.tool,
        error.failure_code,
        fit(without_secrets(error.failure_message), LONGEST_MESSAGE),
        "it is not tried again" if is_last else f"the next one comes in {(again_ms or 0) / 1000:.3f} s",
        Lines(trace_of(error)) if is_last else "",
    )
    failure = Failure(cast("FailureClass", error.failure_class), error.failure_code, error.failure_message)
    return FailedAttempt(tried.attempt, said_of(failure, tool=tried.tool), None if is_last else again_ms)


def mark(error: BaseException, envelope: Envelope, key: str) -> None:
    """Notes on an error which effect it came from. The first mark counts: an effect inside another one."""
    if not hasattr(error, _OF):
        with suppress(AttributeError, TypeError):  # a class of the user's may refuse it
            setattr(error, _OF, (envelope.kind, envelope.name, key))


def effect_of(error: BaseException) -> dict[str, str] | None:
    """The effect whose error this is, or from which it was raised (``raise … from``): its kind, name and replay key,
    and the tool of a call. None if the body failed by itself."""
    seen = set[int]()
    one: BaseException | None = bare(error)
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        found = getattr(one, _OF, None)
        if found is not None:
            kind, name, key = found
            tool = {"tool": name.removeprefix(_PREFIX)} if kind == "tool_call" else {}
            return {"kind": kind, "name": name, "key": key} | tool
        one = None if one.__cause__ is None else bare(one.__cause__)
    return None


def about_failure(error: BaseException) -> str | None:
    """What the event of a failed end says beside the await output: members of a JSON object, each behind a comma. None
    if there is nothing to say."""
    more = {"effect": effect_of(error), "trace": trace_of(error).lstrip("\n") or None}
    found = {name: value for name, value in more.items() if value is not None}
    return "," + to_json(found)[1:-1] if found else None
