"""Event types, what they mean, and events.

Invariant: what an event means (an end, a wake) follows from its type and payload. It is decided once, when the event is
appended, and is kept with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal, NamedTuple, assert_never

from pydantic import Field

from wakeline import names
from wakeline.causality import Invocation, event_invocation
from wakeline.errors import ReplayKeyRequired, ReservedEvent, TerminalOutcomeMismatch
from wakeline.processes import outputs
from wakeline.processes.outputs import AbandonedOutput, AwaitOutput, CancelledOutput, Failure, Success, TerminalState
from wakeline.processes.schema import check_against, check_payload, schema_hash
from wakeline.processes.selectors import PayloadSelector, PointerSelector, Selector, select, text, truthy
from wakeline.values import Json, Stored, canonical_json, from_json, to_json


class TerminalSpec(Stored):
    """The event ends its process in this state; `output` selects the await output, which only `completed` may omit."""

    state: TerminalState
    output: Selector | None = None


class WakeSpec(Stored):
    """The event wakes the target: the condition (None: always), the text, and the key under which it coalesces."""

    when: Selector | None = None
    input: Selector
    dedupe: Literal["event_identity"] | Annotated[Selector, Field()] = "event_identity"


class Semantics(Stored):
    """What an event of a type means besides its place in the log."""

    terminal: TerminalSpec | None = None
    wake: WakeSpec | None = None


class EventType(Stored):
    """A kind of event: its name, the JSON Schema of its payload (`{}` accepts all), what it means."""

    name: str
    payload_schema: dict[str, Any] = Field(default_factory=dict)
    semantics: Semantics | None = None

    # Each signal asks for both, and to write a schema anew takes as long as the rest of a signal.
    @cached_property
    def schema_text(self) -> str:
        """The canonical JSON of its schema."""
        return canonical_json(self.payload_schema, f"The schema of {self.name}")

    @cached_property
    def schema_hash(self) -> str:
        """The hash of its schema (`processes.schema`)."""
        return schema_hash(self.payload_schema)

    def check(self, payload: Any) -> None:
        """Raises `PayloadSchemaMismatch` for a payload that does not fit."""
        if self.payload_schema:
            check_against(self.schema_text, payload, self.name)

    @property
    def ends(self) -> bool:
        """Whether an event of this type ends its process."""
        return self.semantics is not None and self.semantics.terminal is not None


class Terminal(NamedTuple):
    """An end: the state and the output that goes with it."""

    state: TerminalState
    output: AwaitOutput


class WakeInput(NamedTuple):
    """A wake: its text, and the key under which it coalesces (None: it does not coalesce)."""

    text: str
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Materialised:
    """What one event means."""

    terminal: Terminal | None = None
    wake: WakeInput | None = None

    def to_json(self) -> str | None:
        """Compact JSON as kept with the event; None if the event means nothing more."""
        data: dict[str, Any] = {}
        if self.terminal:
            data["terminal"] = {"state": self.terminal.state, "output": outputs.to_data(self.terminal.output)}
        if self.wake:
            data["wake"] = {"text": self.wake.text} | ({"key": self.wake.key} if self.wake.key is not None else {})
        return to_json(data) if data else None

    @classmethod
    def from_json(cls, stored: str) -> Materialised:
        """What was kept with an event."""
        data = from_json(stored)
        end, wake = data.get("terminal"), data.get("wake")
        return cls(
            Terminal(end["state"], outputs.from_data(end["output"])) if end else None,
            WakeInput(wake["text"], wake.get("key")) if wake else None,
        )


def _ends(state: TerminalState) -> Semantics:
    return Semantics(terminal=TerminalSpec(state=state, output=PointerSelector(pointer="/await_output")))


_CORE_SEMANTICS: dict[str, Semantics] = {
    names.PROCESS_COMPLETED: _ends("completed"),
    names.PROCESS_FAILED: _ends("failed"),
    names.PROCESS_CANCELLED: _ends("cancelled"),
    names.PROCESS_ABANDONED: _ends("abandoned"),
    names.WAKE: Semantics(wake=WakeSpec(input=PayloadSelector())),
}
CORE_TYPES: dict[str, EventType] = {
    name: EventType(name=name, semantics=_CORE_SEMANTICS.get(name))
    for name in sorted(names.LIFECYCLE_TYPES | names.PRODUCER_TYPES)
}
"""These types are in every process without a declaration. A declaration of one is refused."""


def materialise(event_type: EventType, payload: Any) -> Materialised:
    """What an event of this type with this payload means.

    Raises `SelectorMiss`, and `TerminalOutcomeMismatch` for an output of another state than the type's.
    """
    if event_type.semantics is None:
        return Materialised()
    end, wake = event_type.semantics.terminal, event_type.semantics.wake
    return Materialised(
        _terminal(event_type.name, end, payload) if end else None,
        _wake(event_type.name, wake, payload) if wake else None,
    )


def _terminal(name: str, spec: TerminalSpec, payload: Any) -> Terminal:
    value = payload if spec.output is None else select(spec.output, payload)
    output = (None if spec.output is None else outputs.parse(value)) or _wrapped(spec.state, value)
    given = outputs.state_of(output)
    if given != spec.state:
        raise TerminalOutcomeMismatch(event_type=name, declared=spec.state, given=given)
    return Terminal(spec.state, output)


def _wrapped(state: TerminalState, value: Json) -> AwaitOutput:
    match state:
        case "completed":
            return Success(value)
        case "failed":
            return Failure("execution", "process_failed", text(value), value)
        case "cancelled":
            return CancelledOutput(text(value))
        case "abandoned":
            return AbandonedOutput(value)
        case _:
            assert_never(state)


def _wake(name: str, spec: WakeSpec, payload: Any) -> WakeInput | None:
    if spec.when is not None and not truthy(select(spec.when, payload)):
        return None
    key = None if spec.dedupe == "event_identity" else text(select(spec.dedupe, payload))
    if name == names.WAKE and isinstance(payload, dict):
        # The always-present `wake` type: the payload's text where it has one, else all of it.
        return WakeInput(text(payload.get("text", payload)), key)  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
    return WakeInput(text(select(spec.input, payload)), key)


def check_append(event_type: EventType, payload: Any, replay_key: str | None) -> Materialised:
    """Checks all that has to hold before a producer appends; returns what the event means.

    Raises `ReservedEvent`, `ReplayKeyRequired`, `PayloadSchemaMismatch`, `SelectorMiss`, `TerminalOutcomeMismatch`.
    """
    if event_type.name in names.LIFECYCLE_TYPES:
        raise ReservedEvent(event_type=event_type.name)
    if event_type.ends and not replay_key:
        raise ReplayKeyRequired(event_type=event_type.name)
    check_payload(event_type.payload_schema, payload, f"event {event_type.name}")
    return materialise(event_type, payload)


@dataclass(frozen=True, slots=True)
class ProcessEvent:
    """One entry of a process' log; `sequence` counts from 1 without gaps, `at_ms` is Redis' time."""

    process_id: str
    sequence: int
    type: str
    payload: Any
    at_ms: int
    replay_key: str | None = None
    semantics: Materialised = Materialised()

    @property
    def invocation(self) -> Invocation:
        """Its lineage. It follows from the other fields, so it is not stored."""
        return event_invocation(self.process_id, self.sequence, self.type, self.replay_key)

    @classmethod
    def restore(
        cls,
        process_id: str,
        sequence: int,
        event_type: str,
        payload: str,
        at_ms: int,
        *,
        replay_key: str | None = None,
        semantics: str | None = None,
    ) -> ProcessEvent:
        """The event of a stored entry; payload and semantics are JSON. Core types have their own meaning."""
        data = from_json(payload, f"The payload of {event_type}")
        if semantics is not None:
            meaning = Materialised.from_json(semantics)
        elif event_type in CORE_TYPES:
            meaning = materialise(CORE_TYPES[event_type], data)
        else:
            meaning = Materialised()
        return cls(process_id, sequence, event_type, data, at_ms, replay_key, meaning)
