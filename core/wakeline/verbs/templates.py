"""Starts that differ only in id and arguments: their common part is put together and checked once.

Invariant: a filled template equals the registration that `registration_of` makes, to the byte of its text and its hash.
"""

from __future__ import annotations

from typing import Any

from wakeline.names import new_incarnation
from wakeline.processes.inputs import EngineInput
from wakeline.processes.registration import Registration
from wakeline.values import content_hash, content_json, to_json

BLANK = "BLANK"
"""A blank to fill in. Nothing within a JSON string can look like it, because quotes are escaped there."""


class Template:
    """A checked registration of an engine, with blanks for id, incarnation and payload."""

    def __init__(self, made: Registration) -> None:
        assert isinstance(made.input, EngineInput)
        self._kind = made.input.kind
        blank = made.model_copy(
            update={"id": BLANK, "incarnation": BLANK, "input": EngineInput(kind=self._kind, payload=BLANK)}
        )
        self._blank = blank
        head, rest = blank.text.split(f'"payload":"{BLANK}"', 1)
        before, after = rest.split(f'"incarnation":"{BLANK}"', 1)
        self._head = head.removeprefix(f'{{"id":"{BLANK}"') + '"payload":'
        self._middle, self._tail = before + '"incarnation":"', '"' + after

    def fill(self, process_id: str, payload: dict[str, Any], text: str) -> Registration:
        """The registration of a start; ``text`` is the payload's JSON, and both were checked."""
        incarnation = new_incarnation()
        canonical = (
            f'{{"kind":{to_json(self._kind)},"payload":{content_json(payload) if payload else "{}"},"type":"engine"}}'
        )
        return self._blank.model_copy(
            update={
                "id": process_id,
                "incarnation": incarnation,
                "input": EngineInput(kind=self._kind, payload=payload),
                "text": f'{{"id":{to_json(process_id)}{self._head}{text}{self._middle}{incarnation}{self._tail}',
                "content_hash": content_hash("registration", process_id, canonical, self._blank.identity.kind),
            }
        )
