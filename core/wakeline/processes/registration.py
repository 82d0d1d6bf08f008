"""Registrations: what a process is, fixed when it starts.

Invariant: written once and never changed. Two registrations of one id are equal if id, input and identity kind are
equal. All else is kept from the first, so that a resend after a deploy is no conflict.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NotRequired, Self, TypedDict, Unpack

from pydantic import Field, PrivateAttr, ValidationError

from wakeline import names
from wakeline.causality import Provenance, SessionScope
from wakeline.environments.spec import EMPTY_ENVIRONMENT
from wakeline.errors import InvalidPayload, RegistrationInvalid
from wakeline.processes.events import CORE_TYPES, EventType
from wakeline.processes.inputs import (
    EngineInput,
    ExternalInput,
    Identity,
    ProcessInput,
    ToolCall,
    default_identity,
    needs_environment,
)
from wakeline.processes.lease import MAX_ATTEMPTS, MOST_ATTEMPTS
from wakeline.processes.producing import Producible, type_for
from wakeline.processes.schema import check_schema
from wakeline.telemetry.headers import Headers, headers_of
from wakeline.values import Stored, content_hash, content_json, is_marked, means

Recovery = Literal["rerunnable", "owner_bound", "externally_owned"]
ParentEnd = Literal["detach", "request_cancel", "await"]
SHAPE = 1
"""The number of the shape of a stored registration (docs/formats.md)."""


@dataclass(frozen=True, slots=True)
class Carried:
    """The identity of the call that a process carries out: its idempotency key, and the number of the first attempt
    made here.

    ``hooked``: the call went through hooks and ``prepare`` in the process that asked for it.
    """

    key: str
    attempt: int = 1
    hooked: bool = False

    def to_data(self) -> dict[str, object]:
        """As it is stored. The name ``admitted`` is that of earlier releases."""
        return {"key": self.key, "attempt": self.attempt, "admitted": self.hooked}


class Registration(Stored):
    """A process as it was asked for; limits in ms, from the moment it was registered.

    `prepare` makes and checks it. `wake_end`: its end wakes the target by default. `strict_signals`: only declared
    signals are taken.
    """

    schema_version: Literal[1] = 1
    id: str
    input: ProcessInput
    identity: Identity
    event_types: tuple[EventType, ...] = ()
    provenance: Provenance
    env_ref: str | None = EMPTY_ENVIRONMENT
    wake_target: SessionScope | None = None
    wake_end: bool = False
    recovery: Recovery = "rerunnable"
    max_attempts: int = MAX_ATTEMPTS
    queue: str
    deadline_ms: int | None = None
    attempt_timeout_ms: int | None = None
    queue_timeout_ms: int | None = None
    on_parent_end: ParentEnd = "detach"
    labels: dict[str, str] = Field(default_factory=dict)
    incarnation: str
    strict_signals: bool = False
    parent: str | None = None
    engine_version: str | None = None
    limit: str | None = None
    """The limit its runs are under (`Limit.id_for`)."""
    options: dict[str, Any] = Field(default_factory=dict)
    """``call``: the call of a body that it carries out (`carried`). ``headers``: what instruments gave its start, and
    ``retried``: what they gave the first start of what it repeats."""
    _unknown: str | None = PrivateAttr(None)
    _known: bool = PrivateAttr(True)

    @property
    def unknown(self) -> str | None:
        """In words, what this release does not know of the stored text; None if it knows all."""
        # Not by its name: pydantic looks for a private name in ways that take 2 % of a no-op.
        return None if self.__pydantic_private__ is None else self.__pydantic_private__["_unknown"]

    @property
    def known(self) -> bool:
        """Whether its fields are those of the stored text; False if the text could not be read at all."""
        return self._known

    def with_unknown(self, reason: str, *, known: bool = True) -> Self:
        """The same registration, marked as read from a text that has more than this release knows."""
        read = self.model_copy()
        read._unknown, read._known = reason, known
        return read

    @cached_property
    def content_hash(self) -> str:
        """The SHA-256 of what a resend has to repeat: id, input and identity kind."""
        return content_hash("registration", self.id, content_json(self._content, "The input"), self.identity.kind)

    @property
    def _content(self) -> dict[str, Any]:
        content = self.input.model_dump(exclude_defaults=True)
        match self.input:
            case ToolCall(call=call):
                # The prepared value is made of the arguments, perhaps with the time: a resend prepares again.
                content["call"].pop("prepared", None)
                return content | {"call": content["call"] | ({"args": call.args} if call.args else {})}
            case EngineInput(payload=payload) if payload is not None:
                return content | {"payload": payload}
            case ExternalInput(metadata=metadata) if metadata is not None:
                return content | {"metadata": metadata}
            case _:
                return content

    @property
    def is_marked(self) -> bool:
        """Whether its input has sets, or numbers and moments that have several texts."""
        return is_marked(self._content)

    def repeats(self, stored: Registration) -> bool:
        """Whether it asks for what a release before this one stored, which kept and hashed sets in the order of its
        process."""
        return (self.id, self.identity.kind) == (stored.id, stored.identity.kind) and means(
            stored._content, self._content
        )

    @property
    def carried(self) -> Carried | None:
        """The call of a body that it carries out; None if it was started as a process."""
        match self.options.get("call"):
            case {"key": str(key), "attempt": int(attempt), "admitted": bool(hooked)}:
                return Carried(key, attempt, hooked)
            case _:
                return None

    @property
    def is_detached_by_hand(self) -> bool:
        """Whether its starter gave ``on_parent_end="detach"`` explicitly: then a cancel of its parent does not go on to
        it."""
        return self.on_parent_end == "detach" and "on_parent_end" in self.model_fields_set

    @property
    def headers(self) -> Headers | None:
        """What instruments gave its start."""
        return headers_of(self.options.get("headers")) if self.options else None

    @property
    def retried_headers(self) -> Headers | None:
        """What they gave the first start of what it repeats."""
        return headers_of(self.options.get("retried")) if self.options else None

    def with_headers(self, headers: Headers) -> Self:
        """The same registration with what instruments gave its start. It is no part of its content."""
        options = self.options | {"headers": dict(headers)}
        return self.with_fields(options=options, content_hash=self.content_hash)

    def event_type(self, name: str) -> EventType | None:
        """The type under which a producer may append; None if it is not declared, or only the runtime writes it.

        Core types `log`, `progress` and `wake` are always there; so is every signal where signals are not strict.
        """
        return type_for(name, self.event_types, strict_signals=self.strict_signals)

    @property
    def producible(self) -> Producible:
        """The part that producers have to know."""
        engine = (self.input.kind, self.engine_version) if isinstance(self.input, EngineInput) else None
        return Producible(self.id, self.incarnation, self.event_types, self.strict_signals, engine)

    @cached_property
    def text(self) -> str:
        """Compact JSON, without fields that have their default."""
        return self.model_dump_json(exclude_defaults=True)

    def to_json(self) -> str:
        """`text`."""
        return self.text

    @classmethod
    def from_json(cls, text: str | bytes) -> Registration:
        """A stored registration; raises `InvalidPayload` if the text is invalid."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise InvalidPayload(what="The registration", reason=str(error)) from error


class Choices(TypedDict):
    """What a registration may say besides id, input, provenance and queue."""

    identity: NotRequired[Identity | None]
    event_types: NotRequired[tuple[EventType, ...]]
    env_ref: NotRequired[str | None]
    wake_target: NotRequired[SessionScope | None]
    wake_end: NotRequired[bool]
    recovery: NotRequired[Recovery]
    max_attempts: NotRequired[int]
    deadline_ms: NotRequired[int | None]
    attempt_timeout_ms: NotRequired[int | None]
    queue_timeout_ms: NotRequired[int | None]
    on_parent_end: NotRequired[ParentEnd | None]
    labels: NotRequired[dict[str, str]]
    incarnation: NotRequired[str | None]
    strict_signals: NotRequired[bool]
    parent: NotRequired[str | None]
    engine_version: NotRequired[str | None]
    limit: NotRequired[str | None]
    options: NotRequired[dict[str, Any]]


def prepare(
    *, id: str, input: ProcessInput, provenance: Provenance, queue: str, **choices: Unpack[Choices]
) -> Registration:
    """A complete and checked registration. Identity, incarnation and recovery are filled in if they were left out.

    `queue` is the name in RQ, with the namespace. Raises `RegistrationInvalid`, `InvalidId`, `InvalidPayload`.
    """
    given: dict[str, Any] = {name: value for name, value in choices.items() if value is not None}
    given.setdefault("env_ref", None)
    if "identity" not in given:
        given["identity"] = default_identity(input)
    if "incarnation" not in given:
        given["incarnation"] = names.new_incarnation()
    if "recovery" not in given and isinstance(input, ExternalInput):
        given["recovery"] = "externally_owned"
    return checked({"id": id, "input": input, "provenance": provenance, "queue": queue, **given})


def checked(fields: Mapping[str, Any]) -> Registration:
    """The registration of these fields, checked. Raises `RegistrationInvalid`, `InvalidId`, `InvalidPayload`."""
    try:
        registration = Registration(**fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise RegistrationInvalid(reason=f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    names.check_process_id(registration.id, system=True)
    names.check_queue_name(registration.queue)
    for reason in _complaints(registration):
        raise RegistrationInvalid(reason=reason)
    for event_type in registration.event_types:
        check_schema(event_type.payload_schema, f"event {event_type.name}")
    # Also checks that the input is JSON: model_dump_json would write null for a NaN.
    _ = registration.content_hash
    return registration


def _complaints(registration: Registration) -> list[str]:
    r = registration
    found = _event_type_complaints(r.event_types)
    if needs_environment(r.input) and not r.env_ref:
        found.append(f"a {r.input.type} needs a captured execution environment (env_ref)")
    if not needs_environment(r.input) and r.env_ref:
        found.append(f"a {r.input.type} must not have an execution environment (env_ref)")
    if isinstance(r.input, ExternalInput) != (r.recovery == "externally_owned"):
        found.append("external processes, and only these, are externally_owned")
    if not 1 <= r.max_attempts <= MOST_ATTEMPTS:
        found.append(f"max_attempts is {r.max_attempts}, it has to be 1 to {MOST_ATTEMPTS}")
    for name in ("attempt_timeout_ms", "queue_timeout_ms", "deadline_ms"):
        limit = getattr(r, name)
        if limit is not None and limit <= 0:
            found.append(f"{name} is {limit}, it has to be above 0")
    return found


def _event_type_complaints(event_types: tuple[EventType, ...]) -> list[str]:
    found: list[str] = []
    seen: set[str] = set()
    for event_type in event_types:
        name = names.check_event_type(event_type.name)
        if name in CORE_TYPES:
            found.append(f"event type {name!r} is always present and cannot be declared")
        if name in seen:
            found.append(f"event type {name!r} is declared twice")
        seen.add(name)
        end = event_type.semantics.terminal if event_type.semantics else None
        if end and end.state != "completed" and end.output is None:
            found.append(f"event type {name!r} ends as {end.state} and has to select an output")
    return found
