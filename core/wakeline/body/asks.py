"""Asking another session: a body puts input into its inbox and awaits what the turn that takes it returns.

Invariant: the input and its journal row are one script, the answer is that of the turn that settled this very entry,
and a crash asks once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wakeline import typed
from wakeline.attachments.attachment import owner_of_session
from wakeline.body.messages import never, with_sequence
from wakeline.effects.envelope import Envelope
from wakeline.errors import InvalidArguments, InvalidPayload, OutputMismatch
from wakeline.names import check_key, split_session_id
from wakeline.processes.outputs import from_data, raise_for
from wakeline.run.run import Run
from wakeline.run.waits import WaitFor, settle
from wakeline.store import sessions
from wakeline.store.journal import Row
from wakeline.values import content_json
from wakeline.verbs.options import WakeTarget
from wakeline.verbs.sessions import address_of, input_body
from wakeline.waits.identity import Custom


async def ask(
    run: Run,
    namespace: str,
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
    sid, queue = (session, None) if isinstance(session, str) else (session.id, session.queue)
    split_session_id(sid)
    async with run.journal.asking():
        if sid == run.claim.session_id:
            raise InvalidArguments(name="ask", reason="a turn that asks its own session would wait for its own end")
        envelope = Envelope(
            kind="ask", name=f"ask:{sid}", args={"input": typed.asked(text, what="the input"), "key": key}
        )
    row_key = run.journal.key_of(envelope)
    dedupe = check_key(key, "key of an input") if key is not None else f"{run.idempotency_key}:{row_key}"

    async def write(row_of: Callable[[Any], Row]) -> Any:
        data, body = input_body(text)
        await run.passing.pass_on(body, owner_of_session(sid))
        effect = run.journal.effect_of(with_sequence(row_of("\x00")))
        sent = await run.journal.send(
            effect,
            sessions.send(
                address_of(sid, namespace, queue), body, key=dedupe, canonical=content_json(data), effect=effect
            ),
        )
        return sent.entry

    entry = int(await run.journal.effect(envelope.kind, envelope.name, envelope.args, never, key=row_key, write=write))
    target = WaitFor(Custom(f"answer:{sid}:{entry}:{row_key}"), f"a:{entry}:{sid}", for_ms=timeout_ms)
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
