"""What started what, and where it runs: session scopes, execution scopes, originators, causes, lineage.

Invariant: an execution scope's `id` is not unique across kinds. Stored keys use its `journal_key`, from which the scope
can be read back.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, ClassVar, Literal, Self, assert_never
from urllib.parse import quote

from pydantic import Field, field_validator

from wakeline.errors import InvalidId, MissingExecutionScopeId
from wakeline.names import ProcessId, split_session_id
from wakeline.values import Stored, Tagged


class SessionScope(Stored):
    """A session, or one of its agent frames. An empty frame means none."""

    session_id: str
    agent_frame_id: str | None = None

    @field_validator("session_id")
    @classmethod
    def _is_agent_and_key(cls, value: str) -> str:
        split_session_id(value)
        return value

    @field_validator("agent_frame_id")
    @classmethod
    def _empty_is_none(cls, value: str | None) -> str | None:
        return value or None

    @property
    def scope_id(self) -> str:
        """`session:<sid>` or `session:<sid>/frame:<fid>`."""
        agent, key = split_session_id(self.session_id)
        frame = f"/frame:{self.agent_frame_id}" if self.agent_frame_id else ""
        return f"session:{agent}/{key.replace('%', '%25').replace('/', '%2F')}{frame}"

    @classmethod
    def parse(cls, scope_id: str) -> Self:
        """The scope that a scope id names; raises `InvalidId`."""
        wrong = InvalidId(kind="session scope", value=scope_id, grammar="session:<agent>/<key>[/frame:<frame>]")
        head, _, rest = scope_id.partition(":")
        agent, _, tail = rest.partition("/")
        key, slash, frame = tail.partition("/")
        if (
            head != "session"
            or (slash and not frame.removeprefix("frame:"))
            or (frame and not frame.startswith("frame:"))
        ):
            raise wrong
        return cls(
            session_id=f"{agent}/{key.replace('%2F', '/').replace('%25', '%')}",
            agent_frame_id=frame.removeprefix("frame:"),
        )


@dataclass(frozen=True, slots=True)
class _Scope:
    kind: ClassVar[str]

    def __post_init__(self) -> None:
        for field in fields(self):
            if not str(getattr(self, field.name)).strip():
                raise MissingExecutionScopeId(kind=self.kind, component=field.name)

    @property
    def components(self) -> tuple[str, ...]:
        """Every component, in order."""
        return tuple(str(getattr(self, field.name)) for field in fields(self))

    @property
    def id(self) -> str:
        """The last component: for display, never for storage."""
        return self.components[-1]

    @property
    def journal_key(self) -> str:
        """Kind and components, each percent-quoted, so that no two scopes share a key."""
        return ":".join([self.kind, *(quote(component, safe="") for component in self.components)])


class _NoTurn:
    __slots__ = ()

    @property
    def turn_id(self) -> None:
        """None: this is no turn."""
        return


class _NoSession(_NoTurn):
    __slots__ = ()

    @property
    def session_id(self) -> None:
        """None: this belongs to no session."""
        return


@dataclass(frozen=True, slots=True)
class TurnScope(_Scope):
    """One turn of a session."""

    kind: ClassVar[str] = "turn"
    session_id: str
    turn_id: str


@dataclass(frozen=True, slots=True)
class ProcessScope(_Scope, _NoSession):
    """One process."""

    kind: ClassVar[str] = "process"
    process_id: str


@dataclass(frozen=True, slots=True)
class QueueDrainScope(_Scope, _NoTurn):
    """One pass over a session's queue."""

    kind: ClassVar[str] = "queue_drain"
    session_id: str
    drain_id: str


@dataclass(frozen=True, slots=True)
class SessionDeleteScope(_Scope, _NoTurn):
    """The deletion of a session."""

    kind: ClassVar[str] = "session_delete"
    session_id: str


@dataclass(frozen=True, slots=True)
class RuntimeOperationScope(_Scope, _NoSession):
    """An operation of the runtime itself."""

    kind: ClassVar[str] = "runtime_operation"
    operation_id: str


ExecutionScope = TurnScope | ProcessScope | QueueDrainScope | SessionDeleteScope | RuntimeOperationScope


class HostOriginator(Tagged):
    """Started by code that holds the app; the label groups hosts."""

    type: Literal["host"] = "host"
    label: str | None = None

    @property
    def id(self) -> str:
        """`host` or `host:<label>`."""
        return f"host:{self.label}" if self.label else "host"


class SessionOriginator(Tagged):
    """Started from a session, or from one of its frames."""

    type: Literal["session"] = "session"
    scope: SessionScope

    @property
    def id(self) -> str:
        """The scope id of the session."""
        return self.scope.scope_id


Originator = Annotated[HostOriginator | SessionOriginator, Field(discriminator="type")]
"""Where the first process of a chain was started from."""


class TurnCause(Tagged):
    """Caused by a turn."""

    type: Literal["turn"] = "turn"
    session_id: str
    turn_id: str


class EffectCause(Tagged):
    """Caused by an effect of a turn or of a session."""

    type: Literal["effect"] = "effect"
    session_id: str
    turn_id: str | None = None
    effect_id: str


class ToolCallCause(Tagged):
    """Caused by a tool call."""

    type: Literal["tool_call"] = "tool_call"
    session_id: str
    call_id: str


class ProcessCause(Tagged):
    """Caused by a process."""

    type: Literal["process"] = "process"
    process_id: str


class ProcessEventCause(Tagged):
    """Caused by one event of a process."""

    type: Literal["process_event"] = "process_event"
    process_id: str
    sequence: int


class TriggerOccurrenceCause(Tagged):
    """Caused by an occurrence of a trigger."""

    type: Literal["trigger_occurrence"] = "trigger_occurrence"
    occurrence_id: str


class SessionNodeCause(Tagged):
    """Caused by a node of a session's history."""

    type: Literal["session_node"] = "session_node"
    session_id: str
    node_id: str


CausalRef = Annotated[
    TurnCause
    | EffectCause
    | ToolCallCause
    | ProcessCause
    | ProcessEventCause
    | TriggerOccurrenceCause
    | SessionNodeCause,
    Field(discriminator="type"),
]


class Provenance(Stored):
    """Where a process comes from: metadata without behaviour."""

    originator: Originator = HostOriginator()
    caused_by: CausalRef | None = None


@dataclass(frozen=True, slots=True)
class SpawnProvenance:
    """What a running process hands to its children: the originator and wake target of its own chain.

    It is never part of a public request, so no caller can say that another one started its process.
    """

    originator: Originator
    wake_target: SessionScope | None = None


class ProcessEventSubject(Tagged):
    """An event of a process, as the subject of an invocation."""

    type: Literal["process_event"] = "process_event"
    process_id: str
    sequence: int
    event_type: str


class EffectSubject(Tagged):
    """An effect, as the subject of an invocation."""

    type: Literal["effect"] = "effect"
    effect_id: str
    kind: str


class Invocation(Stored):
    """The lineage of one event or effect: where it happened, what it is, what caused it, under which replay key."""

    scope: str
    subject: Annotated[ProcessEventSubject | EffectSubject, Field(discriminator="type")]
    caused_by: CausalRef | None = None
    replay_key: str | None = None


def event_invocation(process_id: str | ProcessId, sequence: int, event_type: str, replay_key: str | None) -> Invocation:
    """The lineage of a process event: always in scope `runtime`, caused by its process."""
    return Invocation(
        scope="runtime",
        subject=ProcessEventSubject(process_id=process_id, sequence=sequence, event_type=event_type),
        caused_by=ProcessCause(process_id=process_id),
        replay_key=replay_key,
    )


def start_invocation(process_id: str, caused_by: CausalRef | None) -> Invocation | None:
    """The invocation that started a process, from its registration; None if host code started it.

    The effect id of a start follows from the child's id, so it is not stored with the child.
    """
    if caused_by is None:
        return None
    effect = f"process:start:{process_id}"
    return Invocation(
        scope=_scope_of(caused_by),
        subject=EffectSubject(effect_id=effect, kind="start"),
        caused_by=caused_by,
        replay_key=effect,
    )


def _scope_of(cause: CausalRef) -> str:
    match cause:
        case ProcessCause(process_id=process_id) | ProcessEventCause(process_id=process_id):
            return ProcessScope(process_id).journal_key
        case TurnCause(session_id=session_id, turn_id=turn_id):
            return TurnScope(session_id, turn_id).journal_key
        case EffectCause(session_id=session_id, turn_id=str(turn_id)):
            return TurnScope(session_id, turn_id).journal_key
        case TriggerOccurrenceCause(occurrence_id=occurrence_id):
            return RuntimeOperationScope(occurrence_id).journal_key
        case EffectCause() | ToolCallCause() | SessionNodeCause():
            return "runtime"
        case _:
            assert_never(cause)


def effect_invocation(
    scope: ExecutionScope, kind: str, replay_key: str, *, process_id: str | None, parent: Invocation | None
) -> Invocation:
    """The lineage of one effect: its scope and replay key. Its cause is its process, or what caused its parent."""
    cause = ProcessCause(process_id=process_id) if process_id is not None else parent.caused_by if parent else None
    return Invocation(
        scope=scope.journal_key,
        subject=EffectSubject(effect_id=replay_key, kind=kind),
        caused_by=cause,
        replay_key=replay_key,
    )
