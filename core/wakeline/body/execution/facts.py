"""The parts of an execution context: identity, lineage, services, and the accessors over them.

Invariant: it is frozen, and ``with_…`` makes another context. All of them share the children that this run started, by
reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Self

from wakeline.cancellation import CancellationToken
from wakeline.causality import (
    ExecutionScope,
    Invocation,
    Originator,
    ProcessScope,
    RuntimeOperationScope,
    SessionScope,
    SpawnProvenance,
    effect_invocation,
)
from wakeline.engines.registry import Registry
from wakeline.environments.spec import EMPTY, EnvironmentSpec
from wakeline.errors import ProcessExecutionUnavailable
from wakeline.names import EPHEMERAL_AGENT
from wakeline.processes.registration import Registration
from wakeline.run.activity import TurnEventSender
from wakeline.run.dispatch import ToolDispatch
from wakeline.run.environments import Environments
from wakeline.run.run import Run
from wakeline.run.started import StartedProcesses
from wakeline.store.awaited import AsyncStore
from wakeline.telemetry.instrument import Instrument
from wakeline.telemetry.instruments import Instruments
from wakeline.telemetry.seen import StretchSeen


@dataclass(frozen=True, slots=True)
class ExecutionIdentity:
    """Which work this is: the session under which it acts, its agent frame ("" for none), the scope of its effects, and
    its process if it is one."""

    session_id: str
    scope: ExecutionScope
    agent_frame_id: str = ""
    process_id: str | None = None


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where it comes from: its chain's originator and wake target, its captured environment, and the invocation that
    started it.

    ``env_ref`` is the environment of its process. ``env_spec`` is its content, or what a start from here would capture.
    """

    originator: Originator | None = None
    wake_target: SessionScope | None = None
    env_ref: str | None = None
    env_spec: EnvironmentSpec = EMPTY
    parent_invocation: Invocation | None = None


@dataclass(frozen=True, slots=True)
class ProcessEventContext:
    """What a run needs to append to its own log. One script writes the event, its wake and the journal row, so it needs
    only the store."""

    process_id: str
    incarnation: str
    store: AsyncStore


@dataclass(frozen=True, slots=True)
class ProcessOpScope:
    """The scope under which an operation on processes is done."""

    scope: ExecutionScope
    parent_invocation: Invocation | None
    agent_frame_id: str


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer of a verb that never raises: a value, or an error as ``{"code", "message"}``."""

    ok: bool
    value: Any


NOT_TOLD: AbstractContextManager[None] = nullcontext()


@dataclass(frozen=True, slots=True)
class Services:
    """The services of a context. Without a run it is outside a process: it can look, and start nothing durable."""

    namespace: str
    run: Run | None = None
    started: StartedProcesses = field(default_factory=StartedProcesses)
    dispatch: ToolDispatch = field(default_factory=lambda: ToolDispatch.of(Registry()))
    instruments: Instruments = field(default_factory=Instruments)
    turn_event_sender: TurnEventSender | None = None


@dataclass(frozen=True)
class Facts:
    """Identity, lineage, services and cancellation of one piece of running work, and what follows from them."""

    identity: ExecutionIdentity
    lineage: Lineage
    services: Services
    cancellation_token: CancellationToken = field(default_factory=CancellationToken)
    """The token that is cancelled with its process; outside a process it is never cancelled."""

    # -- who

    @property
    def session_id(self) -> str:
        """The session under which this work acts: the session of its turn, or an ephemeral one of the process, which
        holds no grants."""
        return self.identity.session_id

    @property
    def agent_frame_id(self) -> str:
        """The agent frame of the session; "" for none."""
        return self.identity.agent_frame_id

    @property
    def execution_scope(self) -> ExecutionScope:
        """The scope of its effects: a turn, a process, or an operation of a host."""
        return self.identity.scope

    @property
    def execution_scope_id(self) -> str:
        """The id of the scope of its effects: a turn, a process or an operation, never the session."""
        return self.identity.scope.id

    @property
    def session_scope(self) -> SessionScope:
        """The session, narrowed to its agent frame if it has one."""
        return SessionScope(session_id=self.session_id, agent_frame_id=self.agent_frame_id)

    @property
    def runtime_process_id(self) -> str | None:
        """The process of this work; None outside of one."""
        return self.identity.process_id

    # -- where from

    @property
    def process_originator(self) -> Originator | None:
        """What started its chain first; None outside a process."""
        return self.lineage.originator

    @property
    def process_wake_target(self) -> SessionScope | None:
        """The session that its chain wakes, if any."""
        return self.lineage.wake_target

    @property
    def process_env_ref(self) -> str | None:
        """The environment of its process; its children get the same."""
        return self.lineage.env_ref

    @property
    def execution_env_spec(self) -> EnvironmentSpec:
        """What this work and its children are allowed to see."""
        return self.lineage.env_spec

    @property
    def process_env_store(self) -> Environments:
        """Environments by name; raises `ProcessExecutionUnavailable` outside a process."""
        return Environments(self.in_process("process_env_store").store, self.execution_env_spec)

    @property
    def parent_invocation(self) -> Invocation | None:
        """The invocation that started this process: its causal parent."""
        return self.lineage.parent_invocation

    @property
    def process_spawn_provenance(self) -> SpawnProvenance | None:
        """What its children inherit: the originator and wake target of the chain, and never this ephemeral scope. None
        outside a process."""
        if self.process_originator is None:
            return None
        return SpawnProvenance(self.process_originator, self.process_wake_target)

    def effect_invocation(self, kind: str, replay_key: str) -> Invocation:
        """The lineage of one effect of this work."""
        return effect_invocation(
            self.execution_scope, kind, replay_key, process_id=self.runtime_process_id, parent=self.parent_invocation
        )

    def process_scope(self, parent_invocation: Invocation | None = None) -> ProcessOpScope:
        """The scope under which it operates on other processes."""
        return ProcessOpScope(self.execution_scope, parent_invocation or self.parent_invocation, self.agent_frame_id)

    # -- what it may do

    @property
    def process_event_context(self) -> ProcessEventContext | None:
        """What it needs to append events; None outside a process."""
        run = self.services.run
        return None if run is None else ProcessEventContext(run.process_id, run.fence.incarnation, run.store)

    @property
    def started_process_ids(self) -> Mapping[str, str]:
        """The children that this run started, or started again by replay, each with its incarnation. It is read-only.

        The run may await, signal and cancel them without a grant. `record_started_process` adds those of earlier
        generations.
        """
        return self.services.started.known

    def is_run_local_process(self, process_id: str) -> bool:
        """Whether this run started the process."""
        return process_id in self.started_process_ids

    def in_process(self, verb: str) -> Run:
        """The run; raises `ProcessExecutionUnavailable`, which names the verb that needs one that goes on."""
        run = self.services.run
        if run is None:
            raise ProcessExecutionUnavailable(verb=verb)
        run.life.check_in_use(verb)
        return run

    @property
    def cancelled(self) -> bool:
        """Whether this work has to stop, because a cancel was requested, or its token was cancelled."""
        return self.cancellation_token.cancelled

    @property
    def turn_phase_probe(self) -> Instrument | None:
        """What is told of named phases; None for nothing."""
        return self.services.instruments if self.services.instruments.stretches else None

    def named_phase(self, name: str) -> AbstractContextManager[object]:
        """A named stretch of this work: ``with ctx.execution.named_phase("plan"): …``. Its end is told on errors
        too."""
        instruments = self.services.instruments
        if not instruments.stretches:
            return NOT_TOLD
        return instruments.stretch(StretchSeen(self.runtime_process_id or "", name))

    # -- another context

    def with_parent_invocation(self, invocation: Invocation) -> Self:
        """This context under another causal parent."""
        return replace(self, lineage=replace(self.lineage, parent_invocation=invocation))

    def with_cancellation_token(self, token: CancellationToken) -> Self:
        """This context under another token, such as a child of its token. Its waits end when that one is cancelled."""
        return replace(self, cancellation_token=token)

    def with_turn_phase_probe(self, probe: Instrument | None) -> Self:
        """This context telling another instrument of its named stretches, or none."""
        instruments = Instruments() if probe is None else Instruments([probe])
        return replace(self, services=replace(self.services, instruments=instruments))

    def with_execution_env_spec(self, spec: EnvironmentSpec) -> Self:
        """This context with another environment to capture. A process with its own environment still hands that one
        on."""
        return replace(self, lineage=replace(self.lineage, env_spec=spec))

    def with_process_registration_context(self, registration: Registration) -> Self:
        """This context as the process of a registration: its id, originator, environment and wake target, and nothing
        else.

        With a run it takes that run's own registration and ignores the given one, so no work acts in the name of
        another process.
        """
        if self.services.run is not None:
            registration = self.services.run.registration
        return replace(
            self,
            identity=replace(self.identity, process_id=registration.id),
            lineage=replace(
                self.lineage,
                originator=registration.provenance.originator,
                env_ref=registration.env_ref,
                wake_target=registration.wake_target,
            ),
        )

    def with_process_event_context(self, run: Run) -> Self:
        """This context with the run through which it appends to its own log. It acts as that run's process and session
        from here on."""
        services = replace(self.services, run=run, started=run.started, dispatch=run.dispatch)
        return replace(self, identity=identity_of(run), services=services).with_process_registration_context(
            run.registration
        )


def identity_of(run: Run) -> ExecutionIdentity:
    """The identity of a running process; for a turn, that of its session."""
    pid = run.process_id
    frame = run.turn.frame if run.turn is not None else None
    return ExecutionIdentity(run.claim.session_id or ephemeral_session(pid), ProcessScope(pid), frame or "", pid)


def ephemeral_session(process_id: str) -> str:
    """The session id under which a process without a session acts. It ends with the process, and is never stored."""
    return f"{EPHEMERAL_AGENT}/{process_id}"


def is_ephemeral(session_id: str) -> bool:
    """Whether a session id stands for a process without a session."""
    return session_id.startswith(f"{EPHEMERAL_AGENT}/")


def host_identity(session_id: str | None, operation_id: str) -> ExecutionIdentity:
    """The identity of code outside a process, with or without a session."""
    return ExecutionIdentity(session_id or ephemeral_session(operation_id), RuntimeOperationScope(operation_id))
