"""Stand-ins: a payload over 64 KB is stored like an attachment, and a short JSON object stands for it in calls, logs
and journals.

Invariant: no code above the store sees a stand-in. A text that looks like one is stored in the same way, so text of
users is never taken for one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar, cast

from wakeline.attachments.backend import Blobs
from wakeline.errors import InvalidPayload
from wakeline.processes.lease import Fence
from wakeline.store import attachments
from wakeline.store.calls import Call, Parts, Program, Reply
from wakeline.values import from_json, to_json

T = TypeVar("T")
LONGEST_INLINE = 64 * 1024
"""The longest payload, in bytes, that stays in its call."""
MARK = "__claim__"
"""The name by which a stored stand-in is recognised; the first release wrote it."""
MEDIA_TYPE = "application/json"
_STAND_IN = re.compile(r'\{"__claim__":"(sha256:[0-9a-f]{64})"\}')


# -- who owns what is stored for a payload (lib/attachments.lua says how long each one lives)


def of_process(process_id: str) -> str:
    """Owns the input and the events of a process, until it is pruned."""
    return f"payload:{process_id}"


def of_journal(fence: Fence) -> str:
    """Owns what a run recorded, as long as its generation lives."""
    return f"journal:{fence.process_id}"


def of_session(session_id: str) -> str:
    """Owns entries and messages of a session, as long as the session lives."""
    return f"said:{session_id}"


def of_state(session_id: str) -> str:
    """Owns the state of an agent, until it is replaced."""
    return f"state:{session_id}"


def of_occurrence(occurrence_id: str) -> str:
    """Owns the payload of an occurrence, as long as the occurrence lives."""
    return f"occurrence:{occurrence_id}"


# -- into a call


def is_large(text: str) -> bool:
    """Whether a text has to be replaced; for the arguments of a whole call, whether one of them may have to be."""
    return len(text) > LONGEST_INLINE or MARK in text or (not text.isascii() and len(text.encode()) > LONGEST_INLINE)


def replaced(call: Call[T], blobs: Blobs) -> Program[Call[T]]:
    """The call with its large payloads stored, and stand-ins in their place."""
    payloads = call.payloads or {}
    args = yield from _replaced(blobs, call.args, payloads)
    return replace(call, args=cast("dict[str, Any]", args))


def _replaced(blobs: Blobs, value: Any, payloads: Mapping[str, str | Parts]) -> Program[Any]:
    if isinstance(value, Mapping):
        fields: dict[str, Any] = {}
        for name, one in cast("Mapping[str, Any]", value).items():
            owner = payloads.get(name)
            if isinstance(owner, Parts):
                fields[name] = (yield from _parts_replaced(blobs, one, owner)) if isinstance(one, str) else one
            elif owner is not None:
                fields[name] = yield from _payload_replaced(blobs, one, owner)
            else:
                fields[name] = yield from _replaced(blobs, one, payloads)
        return fields
    if isinstance(value, list | tuple):
        rows: list[Any] = []
        for one in value:  # pyright: ignore[reportUnknownVariableType]
            rows.append((yield from _replaced(blobs, one, payloads)))
        return rows
    return value


def _payload_replaced(blobs: Blobs, value: Any, owner: str) -> Program[Any]:
    """Replaces a payload as a text, or several as a list of texts."""
    if isinstance(value, list | tuple):
        texts: list[Any] = []
        for one in value:  # pyright: ignore[reportUnknownVariableType]
            texts.append((yield from _payload_replaced(blobs, one, owner)))
        return texts
    return (yield from _stand_in_for(blobs, value, owner)) if isinstance(value, str) else value


def _stand_in_for(blobs: Blobs, text: str, owner: str) -> Program[str]:
    if not is_large(text):
        return text
    stored = yield from attachments.put(blobs, text.encode(), MEDIA_TYPE, owner, stands_in=True)
    return f'{{"{MARK}":"{stored.id}"}}'


def _parts_replaced(blobs: Blobs, text: str, parts: Parts) -> Program[str]:
    """Replaces the payloads of a document one by one, so that the rest is read without them."""
    if parts.or_whole and not is_large(text):
        return text
    document: dict[str, Any] = from_json(text)
    taken_out: list[tuple[dict[str, Any], str, Any]] = []
    for *above, name in parts.paths:
        holder: Any = document
        for one in above:
            holder = holder.get(one) if isinstance(holder, dict) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
        if isinstance(holder, dict) and (value := cast("dict[str, Any]", holder).get(name)) is not None:
            taken_out.append((cast("dict[str, Any]", holder), name, value))
            holder[name] = None
    if parts.what is not None and MARK in to_json(document):
        raise InvalidPayload(
            what=parts.what, reason=f"{MARK} is Wakeline's own name; give the label or field another name"
        )
    for holder, name, value in taken_out:
        holder[name] = from_json((yield from _stand_in_for(blobs, to_json(value), parts.owner)))
    rest = to_json(document)
    if parts.or_whole and (len(rest.encode()) > LONGEST_INLINE or not taken_out):
        return (yield from _stand_in_for(blobs, text, parts.owner))
    return rest


# -- out of a reply


def is_stand_in(text: str) -> bool:
    """Whether a text is exactly a stand-in."""
    return text.startswith('{"__claim__":') and _STAND_IN.fullmatch(text) is not None


def stands_in(reply: Reply) -> bool:
    """Whether a reply holds a stand-in, or what looks like one."""
    if isinstance(reply, str):
        return MARK in reply
    if isinstance(reply, list):
        # A loop, because a generator would cost each claim half a µs.
        for one in reply:  # noqa: SIM110  # pyright: ignore[reportUnknownVariableType]
            if one and stands_in(one):
                return True
        return False
    return isinstance(reply, Mapping) and any(map(stands_in, cast("Mapping[str, Any]", reply).values()))


def whole(blobs: Blobs, reply: Reply) -> Program[Reply]:
    """The reply with payloads in place of their stand-ins. Raises `AttachmentNotFound`, `AttachmentCorrupt`,
    `AttachmentStoreFailed`."""
    if isinstance(reply, str):
        if MARK not in reply:
            return reply
        pieces: list[str] = []
        at = 0
        for found in _STAND_IN.finditer(reply):
            data: bytes = yield from attachments.get(blobs, found.group(1), None, stands_in=True)
            pieces += [reply[at : found.start()], data.decode()]
            at = found.end()
        return "".join([*pieces, reply[at:]])
    if isinstance(reply, Mapping):
        fields: dict[Any, Any] = {}
        for name, one in cast("Mapping[str, Any]", reply).items():
            fields[name] = yield from whole(blobs, one)
        return fields
    if isinstance(reply, list):
        rows: list[Any] = []
        for one in reply:  # pyright: ignore[reportUnknownVariableType]
            rows.append((yield from whole(blobs, one)))
        return rows
    return reply
