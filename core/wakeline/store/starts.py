"""Starts: a registration with its record, its doorbell and what it wakes, in one script.

Invariant: schemas, hashes and the unique key are decided before. The script only compares and writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from wakeline.environments.spec import EnvironmentSpec
from wakeline.errors import MissingExecutionEnvironment
from wakeline.fixed import fixed
from wakeline.processes.code import engine_code, tool_code
from wakeline.processes.inputs import EngineInput, ProcessInput, ToolCall
from wakeline.processes.registration import Registration
from wakeline.store import environments, stand_ins
from wakeline.store.calls import Call, Parts, Reply
from wakeline.store.codes import INPUTS, RECOVERY
from wakeline.store.journal import Effect
from wakeline.store.replies import refuse

PAYLOADS_OF_SPEC = (
    ("input", "payload"),
    ("input", "metadata"),
    ("input", "call", "args"),
    ("input", "call", "prepared"),
)
"""The parts of a registration that are replaced if they are large, one by one, so that a list of processes is read
without them."""
_RECOVERY = {one.name: one.letters for one in RECOVERY}


@dataclass(frozen=True, slots=True)
class SessionAddress:
    """A session as the target of a wake. With ``agent`` the script creates it if it does not exist."""

    session_id: str
    agent: str | None = None
    queue: str | None = None
    salt: str | None = None

    def wire(self, *, ends: bool = False) -> dict[str, Any]:
        out: dict[str, Any] = {"sid": self.session_id}
        if self.agent:
            out |= {"agent": self.agent, "queue": self.queue, "salt": self.salt}
        if ends:
            out["ends"] = True
        return out


@fixed
class Registered:
    """The receipt of a start: whether this call created the process, its incarnation and status."""

    created: bool
    incarnation: str
    status: str


@dataclass(frozen=True, slots=True)
class Unique:
    """A unique key that a start asks for. ``instead`` is the process whose place it takes, which was asked to end."""

    key: str
    instead: str | None = None

    def wire(self) -> dict[str, Any]:
        return {"key": self.key} | ({"instead": self.instead} if self.instead else {})


class UniqueTaken(LookupError):
    """A living process has the unique key; nothing was written."""

    def __init__(self, process_id: str, incarnation: str) -> None:
        super().__init__(process_id)
        self.process_id, self.incarnation = process_id, incarnation


def code_of(given: ProcessInput) -> str | None:
    """The code that an input needs, without a version; None for work that no worker runs, and for a turn, whose session
    names its agent."""
    match given:
        case EngineInput(kind=kind):
            return engine_code(kind)
        case ToolCall(call=call):
            return tool_code(call.tool_name)
        case _:
            return None


def register(
    registration: Registration,
    *,
    wake: SessionAddress | None = None,
    delay_ms: int | None = None,
    at_ms: int | None = None,
    environment: EnvironmentSpec | None = None,
    delivery: Mapping[str, Any] | None = None,
    effect: Effect | None = None,
) -> Call[Registered]:
    """Start a process (idempotent by id and content). ``environment`` is given if this start captured it. ``delivery``
    is the one of a trigger that it settles. It begins after ``delay_ms``, or at ``at_ms`` (since 1970), by the server's
    clock.

    Raises `ProcessConflict`, `ProcessNoLongerRetained`, `MissingExecutionEnvironment`; under an effect `LeaseLost`,
    `with_unique` `UniqueTaken`.
    """
    r = registration
    target = wake or (SessionAddress(r.wake_target.session_id) if r.wake_target else None)
    args = _arguments(r, target, delay_ms=delay_ms, at_ms=at_ms, environment=environment, delivery=delivery)
    if effect:
        args |= effect.wire()

    def decode(reply: Reply) -> Registered:
        return _registered(r.id, r.content_hash, r.env_ref, effect.fence.process_id if effect else r.id, reply)

    woken = (target.session_id,) if target else ()
    about = (
        r.id,
        *((r.parent,) if r.parent else ()),
        *woken,
        *((str(delivery["occ"]),) if delivery else ()),
        *(effect.about if effect else ()),
    )
    payloads = {"spec": _spec_of(r.id), **(effect.payloads if effect else {})}
    grew = effect.grew if effect else None
    return Call("process_register", args, decode, payloads=payloads, about=about, grew=grew)


def _spec_of(process_id: str) -> Parts:
    return Parts(stand_ins.of_process(process_id), PAYLOADS_OF_SPEC, "The registration")


def _registered(process_id: str, content_hash: str, env_ref: str | None, holder: str, reply: Reply) -> Registered:
    if reply[0] in ("created", "existing"):
        return Registered(reply[0] == "created", reply[1], reply[2])
    if reply[0] == "taken":
        raise UniqueTaken(reply[1], reply[2])
    if reply[0] == "no_env":
        raise MissingExecutionEnvironment(ref=env_ref)
    refuse(process_id, reply, given=content_hash[:16], holder=holder)


def _arguments(
    r: Registration,
    target: SessionAddress | None,
    *,
    delay_ms: int | None,
    at_ms: int | None,
    environment: EnvironmentSpec | None,
    delivery: Mapping[str, Any] | None,
) -> dict[str, Any]:
    by = r.provenance.originator.id
    return {
        "pid": r.id,
        "spec": r.to_json(),
        "hash": r.content_hash[:16],
        "inc": r.incarnation,
        "kind": INPUTS[type(r.input)].letters,
        "queue": r.queue,
        "ma": None if r.max_attempts == 5 else r.max_attempts,
        "rc": _RECOVERY.get(r.recovery),
        "delay_ms": delay_ms,
        "at_ms": at_ms,
        "deadline_ms": r.deadline_ms,
        "queue_timeout_ms": r.queue_timeout_ms,
        "attempt_timeout_ms": r.attempt_timeout_ms,
        "parent": r.parent,
        "limit": r.limit,
        "by": None if by == "host" else by,
        "version": r.engine_version,
        "code": code_of(r.input),
        "bound": True if r.parent and r.on_parent_end == "request_cancel" else None,
        "awaits": True if r.parent and r.on_parent_end == "await" else None,
        "detached": True if r.parent and r.is_detached_by_hand else None,
        "wake": target.wire(ends=r.wake_end) if target else None,
        "env": environments.wire(r.env_ref, environment),
        "delivery": delivery,
    }


class AlikeStarts:
    """Starts that differ in id, incarnation and arguments alone, and wake nothing: what each sends is what the first
    one sent, with these in it."""

    def __init__(self, registration: Registration, environment: EnvironmentSpec | None) -> None:
        args = _arguments(registration, None, delay_ms=None, at_ms=None, environment=environment, delivery=None)
        self._args = {name: value for name, value in args.items() if value is not None}
        self._env_ref = registration.env_ref

    def call(self, process_id: str, incarnation: str, spec: str, content_hash: str) -> Call[Registered]:
        """One of them, as `register` makes it."""

        def decode(reply: Reply) -> Registered:
            return _registered(process_id, content_hash, self._env_ref, process_id, reply)

        args = {**self._args, "pid": process_id, "spec": spec, "hash": content_hash[:16], "inc": incarnation}
        return Call("process_register", args, decode, payloads={"spec": _spec_of(process_id)}, about=(process_id,))


def with_unique(call: Call[Registered], unique: Unique) -> Call[Registered]:
    """The same start, with a unique key."""
    about = (*call.about, unique.instead) if unique.instead else call.about
    return replace(call, args={**call.args, "unique": unique.wire()}, about=about)
