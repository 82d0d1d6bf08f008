"""Starts that differ only in id and arguments: their common part is put together and checked once.

Invariant: a filled template equals the registration that `registration_of` makes, to the byte of its text and its hash.
"""

from __future__ import annotations

from json.encoder import encode_basestring
from typing import Any, cast

from wakeline.environments.spec import EnvironmentSpec
from wakeline.names import new_incarnation
from wakeline.processes.inputs import EngineInput
from wakeline.processes.producing import Producible
from wakeline.processes.registration import Registration
from wakeline.store.calls import Call
from wakeline.store.starts import AlikeStarts, Registered
from wakeline.telemetry.headers import Headers
from wakeline.values import content_hash, content_json, to_json

BLANK = "BLANK"
"""A blank to fill in. Nothing within a JSON string can look like it, because quotes are escaped there."""


class Template:
    """A checked registration of an engine, with blanks for id, incarnation and payload. ``captured`` is the environment
    that its starts capture."""

    def __init__(self, made: Registration, captured: EnvironmentSpec | None = None) -> None:
        assert isinstance(made.input, EngineInput)
        kind = made.input.kind
        blank = made.model_copy(
            update={"id": BLANK, "incarnation": BLANK, "input": EngineInput(kind=kind, payload=BLANK)}
        )
        self.starts = AlikeStarts(blank, captured)
        self.blank = blank.model_copy()
        self.producible = blank.producible
        self.weight = self.producible.weight
        """That of what is known of each of its processes (`Producible.weight`)."""
        self.name = kind
        self._head_of_input = f'{{"kind":{to_json(kind)},"payload":'
        self._kind = blank.identity.kind
        head, rest = blank.text.split(f'"payload":"{BLANK}"', 1)
        before, after = rest.split(f'"incarnation":"{BLANK}"', 1)
        self._head = head.removeprefix(f'{{"id":"{BLANK}"') + '"payload":'
        self._middle, self._tail = before + '"incarnation":"', '"' + after

    def fill(self, process_id: str, payload: dict[str, Any], text: str) -> Filled:
        """A start; ``text`` is the payload's JSON, and both were checked."""
        incarnation = new_incarnation()
        canonical = f'{self._head_of_input}{content_json(payload) if payload else "{}"},"type":"engine"}}'
        return Filled(
            self,
            process_id,
            incarnation,
            payload,
            f'{{"id":{encode_basestring(process_id)}{self._head}{text}{self._middle}{incarnation}{self._tail}',
            content_hash("registration", process_id, canonical, self._kind),
        )


class Filled:
    """One start of a template: its id, its incarnation, the text of its registration and the hash of its content. The
    registration itself is made for those alone who ask for it, which no plain start does: it took a fifth of one."""

    __slots__ = ("_headers", "_payload", "_template", "content_hash", "id", "incarnation", "text")

    def __init__(
        self,
        template: Template,
        process_id: str,
        incarnation: str,
        payload: dict[str, Any],
        text: str,
        content_hash: str,
        headers: Headers | None = None,
    ) -> None:
        self._template, self._payload, self._headers = template, payload, headers
        self.id, self.incarnation, self.text, self.content_hash = process_id, incarnation, text, content_hash

    @property
    def registration(self) -> Registration:
        """The whole registration."""
        blank = self._template.blank
        given = cast("EngineInput", blank.input).with_fields(payload=self._payload)
        made = blank.with_fields(
            id=self.id, incarnation=self.incarnation, input=given, text=self.text, content_hash=self.content_hash
        )
        return made if self._headers is None else made.with_headers(self._headers)

    def with_headers(self, headers: Headers) -> Filled:
        """The same start with what instruments gave it: the last field of the text, which a template has not."""
        text = f'{self.text[:-1]},"options":{{"headers":{to_json(dict(headers))}}}}}'
        return Filled(self._template, self.id, self.incarnation, self._payload, text, self.content_hash, headers)

    @property
    def name(self) -> str:
        """The name of the engine that runs it."""
        return self._template.name

    @property
    def queue(self) -> str:
        """RQ's name of its queue."""
        return self._template.blank.queue

    @property
    def producible(self) -> Producible:
        """What producers may append to its process."""
        known = self._template.producible
        return Producible(self.id, self.incarnation, known.event_types, known.strict_signals, known.engine)

    @property
    def weight(self) -> int:
        """That of what is known of its process."""
        return self._template.weight

    def call(self) -> Call[Registered]:
        """The call that starts it."""
        return self._template.starts.call(self.id, self.incarnation, self.text, self.content_hash)
