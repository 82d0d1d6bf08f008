"""Refusals that several scripts share, as typed errors.

Invariant: a script answers an ordinary refusal with a tag, never with an error reply. The tag becomes an exception only
here.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from wakeline.errors import (
    HeadConflict,
    LeaseLost,
    MailboxFull,
    NotExternal,
    ProcessAlreadyTerminal,
    ProcessConflict,
    ProcessNoLongerRetained,
    ProcessNotFound,
    ReplayConflict,
    SessionDeleted,
    WakelineError,
)
from wakeline.waits.mailbox import MAILBOX_LIMIT


def refuse(process_id: str, reply: Any, **context: Any) -> NoReturn:
    """Raises the error of a refusal; ``context`` has what the script does not know (replay_key, given, holder,
    session_id, expected, entry_of)."""
    raise _refusal(process_id, reply, context)


def _refusal(process_id: str, reply: Any, context: dict[str, Any]) -> WakelineError:
    match reply[0]:
        case "not_found":
            return ProcessNotFound(process_id=process_id)
        case "pruned":
            tomb = json.loads(reply[1])
            return ProcessNoLongerRetained(
                process_id=process_id, status=tomb["status"], pruned_at_ms=tomb["pruned_at_ms"]
            )
        case "terminal" | "ended":
            return ProcessAlreadyTerminal(process_id=process_id, status=reply[1])
        case "conflict" if "given" in context:
            return ProcessConflict(process_id=process_id, existing=reply[1], given=context["given"])
        case "conflict":
            key, session_id = context.get("replay_key", ""), context.get("entry_of")
            return ReplayConflict(process_id=process_id, replay_key=key, session_id=session_id)
        case "lost" | "reaped":
            return LeaseLost(process_id=context.get("holder", process_id))
        case "full":
            return MailboxFull(process_id=process_id, limit=MAILBOX_LIMIT)
        case "not_external":
            return NotExternal(process_id=process_id)
        case "gone":
            return SessionDeleted(session_id=reply[1], deleted_at_ms=int(reply[2]))
        case "head":
            return HeadConflict(session_id=context["session_id"], expected=context["expected"], found=reply[1])
        case other:
            raise AssertionError(f"script answered {other!r}, which no reader knows")
