"""Asking another session: a body sends input to its inbox, and awaits the return value of the turn that takes it.

Invariant: one script writes the input and its journal row. The answer is that of the turn that settled this entry. A
crash does not ask again.
"""

from __future__ import annotations

from typing import Any

from wakeline import typed
from wakeline.effects.envelope import Envelope
from wakeline.errors import InvalidArguments, InvalidPayload, OutputMismatch
from wakeline.names import check_key, split_session_id
from wakeline.processes.outputs import from_data, raise_for
from wakeline.run.recorder import written
from wakeline.run.run import Run
from wakeline.run.waits import WaitFor, settle
from wakeline.verbs import sessions
from wakeline.verbs.options import WakeTarget, session_named
from wakeline.verbs.recorder import Recorder
from wakeline.waits.identity import Custom
from wakeline.waits.kinds import WaitKind


async def ask(
    run: Run,
    session: WakeTarget | str,
    text: Any,
    *,
    output: Any,
    key: str | None,
    timeout_ms: int | None,
    default: Any,
) -> Any:
    """The answer, checked against ``output``. Raises `ProcessFailed`, `OutputMismatch`, `WaitFailed` (undeliverable),
    `WaitTimeout`."""
    sid, queue = session_named(session)
    split_session_id(sid)
    async with run.journal.asking():
        if sid == run.claim.session_id:
            raise InvalidArguments(name="ask", reason="a turn that asks its own session would wait for its own end")
        envelope = Envelope(
            kind="ask", name=f"ask:{sid}", args={"input": typed.asked(text, what="the input"), "key": key}
        )
    row_key = run.journal.key_of(envelope)
    dedupe = check_key(key, "key of an input") if key is not None else f"{run.idempotency_key}:{row_key}"

    async def sent(effect: Recorder) -> int:
        return await run.store.run(sessions.send(run.caller, sid, queue, text, dedupe, effect=effect))

    entry = int(await written(run, envelope, row_key, sent))
    target = WaitFor(Custom(f"answer:{sid}:{entry}:{row_key}"), WaitKind.ANSWER.of(f"{entry}:{sid}"), for_ms=timeout_ms)
    [resolution] = await run.waits.for_all([run.waits.call("await", f"answer:{sid}", {"entry": entry}, target)])
    data = settle(f"the answer of session {sid}", resolution, Any, default)
    if data is default:
        return data
    value = raise_for(f"session {sid}", from_data(data))
    try:
        with run.journal.reading():
            return typed.load(value, output, f"the answer of session {sid}")
    except InvalidPayload as broken:
        raise OutputMismatch(session_id=sid, reason=str(broken.fields["reason"])) from broken
