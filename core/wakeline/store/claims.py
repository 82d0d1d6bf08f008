"""The claim check: a payload over 64 KB is stored like an attachment, and what scripts, logs and journals hold is a claim to it.

Invariant: nobody above the store sees a claim. A text that looks like one is checked in itself, so what users write is never taken for one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from wakeline.attachments.backend import Blobs
from wakeline.errors import AttachmentCorrupt, AttachmentNotFound, InvalidPayload
from wakeline.shown import logger
from wakeline.store import attachments
from wakeline.store.calls import Call, Program, Reply
from wakeline.values import from_json, to_json

log = logger("wakeline.store")
LONGEST_INLINE = 64 * 1024
"""From here on a payload is checked in, in bytes of the call that carries it."""
MARK = "__claim__"
MEDIA_TYPE = "application/json"
_CLAIM = re.compile(r'\{"__claim__":"(sha256:[0-9a-f]{64})"\}')


def _process(args: Mapping[str, Any]) -> str:
    return f"payload:{args['pid']}"


def _session(args: Mapping[str, Any]) -> str:
    return f"said:{args['session']['sid'] if 'session' in args else args['sid']}"


def _journal(args: Mapping[str, Any]) -> str:
    fence = args.get("fence") or args["sender"]["fence"]
    return f"journal:{fence['pid']}"


def _turns_state(args: Mapping[str, Any]) -> str:
    return f"state:{args['turn']['sid']}"


def _turns_history(args: Mapping[str, Any]) -> str:
    return f"said:{args['turn']['sid']}"


Keeper = Callable[[Mapping[str, Any]], str]
ROWS: dict[str, Keeper] = {"v": _journal}
PAYLOADS: dict[str, dict[str, Keeper]] = {
    "journal_record": ROWS,
    "process_append": ROWS | {"payload": _process, "output": _process},
    "process_cancel": ROWS,
    "process_continue": ROWS | {"input": _process},
    "process_fact": {"payload": _process},
    "process_finish": ROWS | {"output": _process, "state": _turns_state, "history": _turns_history},
    "process_park": ROWS,
    "process_register": ROWS,
    "process_release": ROWS | {"output": _process},
    "process_signal": ROWS | {"payload": _process},
    "session_append": {"m": _session},
    "session_send": ROWS,
    "session_tell": {"event": _session},
    "slot_resolve": {"resolution": _process},
    "turn_arrivals": ROWS,
    "wait_close": ROWS,
    "wait_open": ROWS,
}
"""Which arguments of which scripts are payloads, and who keeps what is checked in for them. Scripts
read what stands around the input of a start and of an entry, so of these it is the input alone."""
BRINGS = frozenset(
    {"entry_list", "journal_read", "process_read", "session_follow", "session_read", "slot_read", "slot_resolve", "turn_admit", "turn_arrivals", "wait_open"}
)
"""Scripts whose replies may hold claims that their caller wants to see through. A take is not among them: what one of its processes needs and cannot be
had must not keep a worker from the others, so each run sees through its own (`Claim.held`)."""


def is_large(args: str) -> bool:
    """Whether the arguments of a call may hold something to check in: one look at a text, for every call that is made."""
    return len(args) > LONGEST_INLINE or MARK in args


def checked_in(call: Call[Any], blobs: Blobs) -> Program[Call[Any]]:
    """The call with its large payloads stored, and claims in their place."""
    keepers = PAYLOADS.get(call.script)
    if keepers is None:
        return call
    args: dict[str, Any] = dict(call.args)
    if call.script == "process_register":
        args["spec"] = yield from _checked_spec(blobs, args["spec"], _process(args))
    if call.script == "session_send" and "body" in args:
        args["body"] = yield from _checked_body(blobs, args["body"], _session(args))
    _keep_wake_text(call.script, args)
    checked = yield from _checked(blobs, args, args, keepers)
    return Call(call.script, cast("dict[str, Any]", checked), call.decode)


def _keep_wake_text(script: str, args: dict[str, Any]) -> None:
    """What an end says to the session it wakes is made of its output, where nobody else made it: before that is checked in."""
    if script == "process_append" and args.get("ends"):
        args["ends"] = {"text": _end_text(args["pid"], args["ends"]["status"], args["ends"]["output"]), **args["ends"]}
    elif script in ("process_finish", "process_release") and args.get("output") and args.get("text") is None:
        args["text"] = _end_text(args["pid"], args.get("status", "failed"), args["output"])


def _end_text(process_id: str, status: str, output: str) -> str:
    return to_json(f"Process {process_id} {status}: {output}")


def _checked(blobs: Blobs, value: Any, args: Mapping[str, Any], keepers: Mapping[str, Keeper]) -> Program[Any]:
    if isinstance(value, Mapping):
        out: dict[str, Any] = {}
        for name, one in cast("Mapping[str, Any]", value).items():
            if name in keepers and isinstance(one, str):
                out[name] = yield from _claim_for(blobs, one, keepers[name](args))
            elif name in keepers and isinstance(one, list | tuple):
                texts: list[Any] = []
                for text in one:  # pyright: ignore[reportUnknownVariableType]
                    texts.append((yield from _claim_for(blobs, text, keepers[name](args))) if isinstance(text, str) else text)
                out[name] = texts
            else:
                out[name] = yield from _checked(blobs, one, args, keepers)
        return out
    if isinstance(value, list | tuple):
        rows: list[Any] = []
        for one in value:  # pyright: ignore[reportUnknownVariableType]
            rows.append((yield from _checked(blobs, one, args, keepers)))
        return rows
    return value


def _claim_for(blobs: Blobs, text: str, keeper: str) -> Program[str]:
    if len(text) <= LONGEST_INLINE and MARK not in text:
        return text
    stored = yield from attachments.put(blobs, text.encode(), MEDIA_TYPE, keeper, claim=True)
    return f'{{"__claim__":"{stored.id}"}}'


def _checked_body(blobs: Blobs, text: str, keeper: str) -> Program[str]:
    body: dict[str, Any] = from_json(text)
    body["input"] = from_json((yield from _claim_for(blobs, to_json(body["input"]), keeper)))
    return to_json(body)


def _checked_spec(blobs: Blobs, text: str, keeper: str) -> Program[str]:
    """The registration with its large inputs checked in, one by one, so that a list of processes is read without them."""
    spec = from_json(text)
    given: dict[str, Any] = spec["input"]
    inside: dict[str, Any] = given.get("call", given)
    for name in ("payload", "args", "prepared", "metadata"):
        if inside.get(name) is not None:
            inside[name] = from_json((yield from _claim_for(blobs, to_json(inside[name]), keeper)))
    rest = spec | {"input": None}
    if MARK in to_json(rest):
        raise InvalidPayload(what="The registration", reason=f"{MARK} is a name of Wakeline's own; call the label or field something else")
    return to_json(spec)


def holds_claims(reply: Reply) -> bool:
    """Whether a reply has something to see through."""
    if isinstance(reply, str):
        return MARK in reply
    if isinstance(reply, Mapping):
        return any(map(holds_claims, cast("Mapping[str, Any]", reply).values()))
    return isinstance(reply, list) and any(holds_claims(one) for one in reply)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


def seen(blobs: Blobs, script: str, reply: Reply) -> Program[Reply]:
    """A reply as its caller sees it. What a process was started with may be lost and its end still be known: such a claim is shown as it is."""
    if script != "process_read" or not holds_claims(reply[1]):
        return (yield from redeemed(blobs, reply))
    try:
        spec = yield from redeemed(blobs, reply[1])
    except (AttachmentNotFound, AttachmentCorrupt) as lost:
        log.warning("what a process was started with is lost: %s", lost)
        spec = reply[1]
    rest = yield from redeemed(blobs, [reply[0], "", *reply[2:]])
    return [rest[0], spec, *rest[2:]]


def redeemed(blobs: Blobs, reply: Reply) -> Program[Reply]:
    """The reply with the payloads in the place of the claims. Raises `AttachmentNotFound`, `AttachmentCorrupt`, `AttachmentStoreFailed`."""
    if isinstance(reply, str):
        if MARK not in reply:
            return reply
        parts: list[str] = []
        at = 0
        for claim in _CLAIM.finditer(reply):
            data: bytes = yield from attachments.get(blobs, claim.group(1), None, claim=True)
            parts += [reply[at : claim.start()], data.decode()]
            at = claim.end()
        return "".join([*parts, reply[at:]])
    if isinstance(reply, Mapping):
        fields: dict[Any, Any] = {}
        for name, one in cast("Mapping[str, Any]", reply).items():
            fields[name] = yield from redeemed(blobs, one)
        return fields
    if isinstance(reply, list):
        rows: list[Any] = []
        for one in reply:  # pyright: ignore[reportUnknownVariableType]
            rows.append((yield from redeemed(blobs, one)))
        return rows
    return reply


