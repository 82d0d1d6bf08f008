"""Answers: by the bearer token that a body handed out, or by the id that the list of open approvals shows.

Invariant: an approval is good for one answer, of the type that its open wait asks for.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from wakeline import typed
from wakeline.attachments.attachment import owner_of_process
from wakeline.bounded import WEIGHT_OF_JSON
from wakeline.errors import ApprovalAnswered, ApprovalNotOpen, AwaitEventUnknownOrRevoked, InvalidId
from wakeline.names import called
from wakeline.observe.approvals import ApprovalView
from wakeline.processes.schema import fits_schema
from wakeline.store import approvals, waits
from wakeline.store.approvals import OpenApproval, PastApproval
from wakeline.store.calls import Program
from wakeline.store.signals import SchemaWanted
from wakeline.store.waits import Resolved
from wakeline.telemetry.headers import Headers
from wakeline.values import MAX_PAYLOAD, check_size, from_json
from wakeline.verbs.attachments import handed
from wakeline.verbs.caller import Caller
from wakeline.verbs.payload_types import against, fitting
from wakeline.verbs.sendings import told
from wakeline.waits.keys import Keyring, TokenContent, token_version
from wakeline.waits.resolutions import Ok
from wakeline.waits.resolutions import to_json as resolution_json


def resolve(caller: Caller, keyring: Keyring, token: str, value: Any) -> Program[bool]:
    """Resolve a bearer token; False when it was resolved before. Raises `AwaitEventUnknownOrRevoked`, and
    `PayloadSchemaMismatch` for an answer of another type than the open wait asks for: the token stays good for another
    answer.
    """
    content, by = keyring.read(token)
    done = yield from _resolve(caller, content, value, by)
    if done.unknown:
        raise AwaitEventUnknownOrRevoked()
    return bool(done.accepted)


def answer(caller: Caller, approval: ApprovalView | str, value: Any) -> Program[bool]:
    """Answer an open approval; False if another answer came at the same moment and was first. Raises
    `ApprovalAnswered` if it was answered before, `ApprovalNotOpen` if it is not listed for another reason, and
    `PayloadSchemaMismatch`."""
    slot = approval.id if isinstance(approval, ApprovalView) else _checked_id(approval)
    row: OpenApproval | PastApproval | None = yield approvals.one(slot)
    if isinstance(row, PastApproval):
        raise ApprovalAnswered(approval=slot, answered_at_ms=row.at_ms)
    if row is None:
        raise ApprovalNotOpen(approval=slot)
    content = TokenContent(row.process_id, row.incarnation, slot, row.due_ms)
    done = yield from _resolve(caller, content, value, None)
    if done.unknown:
        raise ApprovalNotOpen(approval=slot)
    return bool(done.accepted)


def _checked_id(given: str) -> str:
    """The text as the id of an approval; raises `InvalidId`, which does not repeat a token."""
    version = token_version(given)
    if version is not None:
        grammar = (
            "an id that `wakeline approvals` shows; a bearer token, as this one, goes to `wakeline resolve` or"
            " app.resolve()"
        )
        raise InvalidId(kind="approval id", value=f"{version}.…", grammar=grammar)
    if not isinstance(given, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidId(kind="approval id", value=given, grammar="an id that app.approvals() shows")
    return called(given)  # any text may be asked for; one that is no id is of no approval


def _resolve(caller: Caller, content: TokenContent, value: Any, by: str | None) -> Program[Resolved]:
    program = partial(_resolve_with, caller, content, value, by)
    if not caller.instruments.sendings:
        return program(None)
    return told(caller.instruments, program, "resolve", content.process_id, "resolve")


def _resolve_with(
    caller: Caller, content: TokenContent, value: Any, by: str | None, headers: Headers | None
) -> Program[Resolved]:
    data = typed.dump(value, what="the resolution")
    text = resolution_json(Ok(data))
    check_size("the resolution", text, MAX_PAYLOAD)
    yield from handed(text, owner_of_process(content.process_id))
    fits = [known for known, schema in caller.asked.items() if fits_schema(schema, data)]
    while True:
        try:
            resolving = waits.resolve(
                content.process_id, content.incarnation, content.key_id, text, content.expires_ms, by=by, fits=fits
            )
            done: Resolved = yield resolving.with_headers(headers)
            return done
        except SchemaWanted as wanted:
            schema = from_json(wanted.schema)
            data, _ = fitting(value, data, against(schema, "the answer"))
            text = resolution_json(Ok(data))
            fits.append(wanted.hash)
            caller.asked.put(wanted.hash, schema, WEIGHT_OF_JSON * len(wanted.schema))
