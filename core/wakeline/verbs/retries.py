"""Retry: the same registration as a new process, caused by the one that ended.

Invariant: an ended record never changes. A process has one retry, so two callers get the same one.
"""

from __future__ import annotations

import re
from typing import assert_never

from wakeline.causality import ProcessCause, SessionScope
from wakeline.errors import ProcessNotEnded, ProcessNotRetryable
from wakeline.names import check_process_id, new_incarnation
from wakeline.processes.inputs import EngineInput, ExternalInput, SessionTurn, ToolCall
from wakeline.processes.lifecycle import TERMINAL
from wakeline.processes.reading import check_known
from wakeline.processes.registration import Registration
from wakeline.store.processes import StoredProcess

_RETRY = re.compile(r"~r([1-9][0-9]{0,18})$")


def retry_id(process_id: str) -> str:
    """``<id>~r1`` for a process, ``<id>~r2`` for its first retry; raises `InvalidId` if that is too long."""
    again = _RETRY.search(process_id)
    base, number = (process_id[: again.start()], int(again[1])) if again else (process_id, 0)
    return check_process_id(f"{base}~r{number + 1}", system=True)


def retry_of(view: StoredProcess) -> Registration:
    """The registration for the retry of an ended process. It begins anew, and wakes the session that the old one would
    have woken.

    Raises `ProcessNotEnded`, `ProcessNotRetryable`, `RegistrationUnreadable`, `InvalidId`.
    """
    old = view.registration
    if view.status not in TERMINAL:
        raise ProcessNotEnded(process_id=old.id, status=view.status)
    check_known(old)
    new, given = retry_id(old.id), old.input
    match given:
        case ToolCall(call=call):
            given = ToolCall(call=call.model_copy(update={"call_id": new}))
        case EngineInput():
            pass
        case SessionTurn():
            raise ProcessNotRetryable(process_id=old.id, kind="a session's turn", instead="`redrive` its entries")
        case ExternalInput():
            raise ProcessNotRetryable(
                process_id=old.id, kind="done elsewhere", instead="register the new try with `app.external`"
            )
        case _:
            assert_never(given)
    target = view.wake_session
    options = {name: value for name, value in old.options.items() if name not in ("call", "headers")}
    if "headers" in old.options:
        options.setdefault("retried", old.options["headers"])
    changes = {
        "id": new,
        "input": given,
        "incarnation": new_incarnation(),
        "provenance": old.provenance.model_copy(update={"caused_by": ProcessCause(process_id=old.id)}),
        "wake_target": SessionScope(session_id=target) if target else None,
        # No body has it as its child, because a parent that awaited the old one has had its answer.
        "parent": None,
        "options": options,
        "on_parent_end": "detach",
    }
    return old.model_copy(update=changes)
