"""A process as its caller deals with it: ask it to end, say whom it wakes, report the end of work outside.

Invariant: what is given is checked before anything is sent. An ended process is never changed.
"""

from __future__ import annotations

from typing import Any

from wakeline import typed
from wakeline.attachments.attachment import owner_of_process
from wakeline.names import check_key, split_session_id
from wakeline.processes.outputs import AwaitOutput, Failure, Success
from wakeline.processes.outputs import to_json as output_json
from wakeline.store import ends, processes
from wakeline.store.calls import Program
from wakeline.values import MAX_PAYLOAD, check_size, check_text, content_json, to_json
from wakeline.verbs.attachments import handed
from wakeline.verbs.caller import Caller
from wakeline.verbs.options import WakeTarget, session_named
from wakeline.verbs.recorder import Recorder, known, written

MAX_REASON = 64 * 1024
REQUESTED = "requested"
"""What the row of a cancel holds."""


def check_reason(reason: str) -> str:
    """The reason of a cancel; raises `InvalidPayload`, `PayloadTooLarge`."""
    check_size("the reason", to_json(check_text("the reason", reason)), MAX_REASON)
    return reason


def cancel(caller: Caller, process_id: str, reason: str, *, effect: Recorder | None = None) -> Program[str]:
    """Ask a process to end. Returns its present status."""
    check_reason(reason)
    status = yield from written(
        lambda made: ends.cancel(process_id, reason, grace_ms=caller.grace_ms, effect=made),
        effect,
        known(effect, REQUESTED),
    )
    return status


def retarget(process_id: str, target: WakeTarget | str | None) -> Program[None]:
    """Give a process another wake target, or none. An audit event records it."""
    session = session_named(target, "wake target")[0] if target is not None else None
    if session is not None:
        split_session_id(session)
    yield processes.retarget(process_id, session)


def finish_external(process_id: str, output: AwaitOutput) -> Program[int]:
    """Report the end of outside work; the sequence of its end."""
    status = "completed" if isinstance(output, Success) else "failed" if isinstance(output, Failure) else "cancelled"
    text = output_json(output)
    check_size(f"the result of {process_id}", text, MAX_PAYLOAD)
    yield from handed(text, owner_of_process(process_id))
    canonical = content_json(output.value) if isinstance(output, Success) else text
    sequence: int = yield ends.finish(process_id, status, text, canonical=canonical)
    return sequence


def succeed_external(process_id: str, value: Any) -> Program[int]:
    """Report success of external work."""
    return finish_external(process_id, Success(typed.asked(value, what=f"the result of {process_id}")))


def fail_external(process_id: str, code: str, message: str) -> Program[int]:
    """Report failure of external work."""
    failure = Failure("external", check_key(code, "failure code"), check_text("the message", message))
    return finish_external(process_id, failure)
