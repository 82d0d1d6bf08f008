"""Registrations that differ only in id, incarnation and arguments, as those of most claims do: what they share is read
once.

Invariant: a registration that is read by one like it equals the one that a whole reading gives. What may differ in any
other way is read whole.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

from wakeline.bounded import WEIGHT_OF_JSON, Bounded
from wakeline.errors import InvalidPayload
from wakeline.processes.inputs import EngineInput
from wakeline.processes.reading import read_registration
from wakeline.processes.registration import Registration
from wakeline.values import from_json, to_json

HEADERS = ',"options":{"headers":'
"""What comes before them, at the end of the text. With any other option the text is read whole."""
KEPT = 1024 * 1024
"""About how many bytes of registrations are kept in memory."""
_kept: Bounded[tuple[str, str, str], Registration] = Bounded(KEPT)
"""By the text around id, arguments and incarnation. None of them is kept."""


class _Parts(NamedTuple):
    """The text of a registration, cut: what all that are like it share, its arguments (JSON), and its headers (JSON,
    empty without any), which differ with each trace."""

    shared: tuple[str, str, str]
    payload: str
    headers: str


def read_claimed(process_id: str, incarnation: str, text: str) -> Registration:
    """`read_registration` of a process of an engine that was started from outside, which is read once for all that are
    like it: 3 µs instead of 14, at every run."""
    parts = _parts(process_id, incarnation, text)
    like = _kept.get(parts.shared) if parts is not None else None
    if parts is None or like is None:
        return _read(process_id, text, parts)
    try:
        payload = from_json(parts.payload)
        headers = from_json(parts.headers) if parts.headers else None
    except InvalidPayload:
        # It is cut at another place than it seemed: only valid JSON between two known texts is what stands there.
        return read_registration(process_id, text)
    assert isinstance(like.input, EngineInput), "only registrations of engines are kept"
    given = like.input.with_fields(payload=payload)
    changes: dict[str, Any] = {} if headers is None else {"options": {"headers": headers}}
    return like.with_fields(id=process_id, incarnation=incarnation, input=given, **changes)


def _read(process_id: str, text: str, parts: _Parts | None) -> Registration:
    read = read_registration(process_id, text)
    if parts is not None and _is_shared(read, parts):
        changes: dict[str, Any] = {"id": "", "incarnation": "", "input": _without_payload(read)}
        bare = read.model_copy(update=changes | ({"options": {}} if parts.headers else {}))
        _kept.put(parts.shared, bare, WEIGHT_OF_JSON * sum(map(len, parts.shared)))
    return read


def _is_shared(read: Registration, parts: _Parts) -> bool:
    """Whether others may be like it, and the parts are what they seem. Children have the ids of their parents in
    theirs, so few are alike."""
    return (
        read.unknown is None
        and read.parent is None
        and isinstance(read.input, EngineInput)
        and parts.shared[0] == f',"input":{{"type":"engine","kind":{to_json(read.input.kind)},"payload":'
        and (parts.shared[1] + parts.shared[2]).count('"incarnation":') == 1
    )


def _without_payload(read: Registration) -> EngineInput:
    return EngineInput(kind=cast("EngineInput", read.input).kind)


def _parts(process_id: str, incarnation: str, text: str) -> _Parts | None:
    """None for a text that is not as this release writes those of engines."""
    head = f'{{"id":"{process_id}"'
    if not (incarnation.isalnum() and text.startswith(head)) or '"' in process_id or "\\" in process_id:
        return None
    # Quotes within a JSON string are escaped, so these are names, and the first payload is that of the input.
    begin = text.find('"payload":', len(head)) + 10
    end = text.rfind('},"identity":{')
    at = text.find(f'"incarnation":"{incarnation}"', end) + 15
    if begin < 10 or end < begin or at < 15:
        return None
    rest, headers = text[at + len(incarnation) :], ""
    if (place := rest.rfind(HEADERS)) >= 0:
        rest, headers = rest[:place] + "}", rest[place + len(HEADERS) :].removesuffix("}}")
        if not headers:
            return None
    return _Parts((text[len(head) : begin], text[end:at], rest), text[begin:end], headers)
