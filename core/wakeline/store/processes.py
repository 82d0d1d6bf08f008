"""Calls on processes: start, read, list, append, signal, cancel, end.

Invariant: what needs thought (types, schemas, selectors, hashes) is decided before the call; a script only compares and
writes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from wakeline.attachments.backend import Blobs
from wakeline.environments.spec import EnvironmentSpec
from wakeline.errors import (
    AttachmentCorrupt,
    AttachmentNotFound,
    ExternalRefConflict,
    MissingExecutionEnvironment,
    ProcessError,
    UndeclaredEvent,
)
from wakeline.names import word
from wakeline.processes.events import Terminal
from wakeline.processes.inputs import EngineInput, ExternalInput, ProcessInput, SessionTurn, ToolCall
from wakeline.processes.lease import Fence
from wakeline.processes.misfit import Misfit
from wakeline.processes.outputs import to_json as output_json
from wakeline.processes.reading import read_registration
from wakeline.processes.registration import Registration
from wakeline.shown import logger
from wakeline.store import environments, stand_ins
from wakeline.store.calls import Call, Parts, Program, Reply, flat
from wakeline.store.fields import ProcessFields
from wakeline.store.replies import refuse
from wakeline.values import content_hash, number, to_json
from wakeline.waits.mailbox import MAILBOX_LIMIT

log = logger("wakeline.store")
PAYLOADS_OF_SPEC = (
    ("input", "payload"),
    ("input", "metadata"),
    ("input", "call", "args"),
    ("input", "call", "prepared"),
)
"""What of a registration is replaced where it is large: one by one, so that a list of processes is read without
them."""
KIND_CODE = {ToolCall: "t", EngineInput: "e", SessionTurn: "s", ExternalInput: "x"}
KIND_CODES = {"tool": "t", "session_turn": "s", "external": "x"} | {code: code for code in KIND_CODE.values()}
"""The codes by which a listing is narrowed; any other kind is an engine's."""
RECOVERY_CODE = {"owner_bound": "b", "externally_owned": "x"}


@dataclass(frozen=True, slots=True)
class Row:
    """A journal row to write: its replay key, its text, and the slots it consumed. ``after`` (text behind the sequence)
    where the
    script fills in the sequence of the event it writes."""

    key: str
    text: str
    slots: tuple[str, ...] = ()
    after: str | None = None

    def wire(self) -> dict[str, Any]:
        out: dict[str, Any] = {"k": self.key}
        if self.after is None:
            out["v"] = self.text
        else:
            out["a"], out["b"] = self.text, self.after
        if self.slots:
            out["s"] = self.slots
        return out


@dataclass(frozen=True, slots=True)
class Effect:
    """What makes a verb an effect of a run: the fence it is written under, its row, and rows consumed since the run's
    last write."""

    fence: Fence
    row: Row | None = None
    consumed: Sequence[Row] = ()

    def wire(self) -> dict[str, Any]:
        out: dict[str, Any] = {"fence": fence_wire(self.fence)}
        if self.row:
            out["row"] = self.row.wire()
        if self.consumed:
            out["rows"] = [row.wire() for row in self.consumed]
        return out

    @property
    def payloads(self) -> dict[str, str]:
        """The payloads among what it adds to a call."""
        return rows_of(self.fence)

    @property
    def about(self) -> tuple[str, ...]:
        """What it adds to what a call is about."""
        return (self.fence.process_id,)


def rows_of(fence: Fence) -> dict[str, str]:
    """The payloads among the journal rows of a run."""
    return {"v": stand_ins.of_journal(fence)}


def fence_wire(fence: Fence) -> dict[str, Any]:
    return {"pid": fence.process_id, "inc": fence.incarnation, "ep": str(fence.epoch), "cl": fence.claim_id}


@dataclass(frozen=True, slots=True)
class SessionAddress:
    """A session as the target of a wake; with ``agent`` set the script creates it when it does not exist."""

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


@dataclass(frozen=True, slots=True)
class Registered:
    """A start's receipt: whether this call created it, its incarnation and status."""

    created: bool
    incarnation: str
    status: str


@dataclass(frozen=True, slots=True)
class Unique:
    """A unique key that a start asks for; ``instead``: the process whose place it takes, which was asked to end."""

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
    """What it takes to run an input, without a version; None for what no worker runs, and for a turn, whose session
    names its agent."""
    match given:
        case EngineInput(kind=kind):
            return f"e:{word(kind)}"
        case ToolCall(call=call):
            return f"t:{word(call.tool_name)}"
        case _:
            return None


def register(
    registration: Registration,
    *,
    wake: SessionAddress | None = None,
    delay_ms: int | None = None,
    environment: EnvironmentSpec | None = None,
    delivery: Mapping[str, Any] | None = None,
    effect: Effect | None = None,
) -> Call[Registered]:
    """Start a process (idempotent by id and content); ``environment`` where this start captured it, ``delivery`` the
    one of a trigger that it settles.

    Raises `ProcessConflict`, `ProcessNoLongerRetained`, `MissingExecutionEnvironment`; under an effect `LeaseLost`,
    `with_unique` `UniqueTaken`.
    """
    r, by = registration, registration.provenance.originator.id
    target = wake or (SessionAddress(r.wake_target.session_id) if r.wake_target else None)
    args: dict[str, Any] = {
        "pid": r.id,
        "spec": r.to_json(),
        "hash": r.content_hash[:16],
        "inc": r.incarnation,
        "kind": KIND_CODE[type(r.input)],
        "queue": r.queue,
        "ma": None if r.max_attempts == 5 else r.max_attempts,
        "rc": RECOVERY_CODE.get(r.recovery),
        "delay_ms": delay_ms,
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
    if effect:
        args |= effect.wire()

    def decode(reply: Reply) -> Registered:
        if reply[0] in ("created", "existing"):
            return Registered(reply[0] == "created", reply[1], reply[2])
        if reply[0] == "taken":
            raise UniqueTaken(reply[1], reply[2])
        if reply[0] == "no_env":
            raise MissingExecutionEnvironment(ref=r.env_ref)
        refuse(r.id, reply, given=r.content_hash[:16], holder=effect.fence.process_id if effect else r.id)

    woken = (target.session_id,) if target else ()
    about = (
        r.id,
        *((r.parent,) if r.parent else ()),
        *woken,
        *((str(delivery["occ"]),) if delivery else ()),
        *(effect.about if effect else ()),
    )
    spec = Parts(stand_ins.of_process(r.id), PAYLOADS_OF_SPEC, "The registration")
    return Call(
        "process_register", args, decode, payloads={"spec": spec, **(effect.payloads if effect else {})}, about=about
    )


def with_unique(call: Call[Registered], unique: Unique, effect: Effect | None = None) -> Call[Registered]:
    """The same start, asking for a unique key; under another ``effect`` of the same run where it is tried again."""
    again = {"rows": None, **effect.wire()} if effect else {}
    about = (*call.about, unique.instead) if unique.instead else call.about
    return replace(call, args={**call.args, **again, "unique": unique.wire()}, about=about)


@dataclass(frozen=True, slots=True)
class Appended:
    """An append's receipt; ``entry`` is the inbox number of the wake it caused, if any."""

    sequence: int
    at_ms: int
    replayed: bool
    entry: int | None


@dataclass(frozen=True, slots=True)
class WakeText:
    """The wake an event means: input text, coalescing key, and a target other than the process's own."""

    text: str
    same: str | None = None
    session_id: str | None = None

    def wire(self) -> dict[str, Any]:
        out: dict[str, Any] = {"input": to_json(self.text)}
        if self.same:
            out["same"] = self.same
        if self.session_id:
            out["sid"] = self.session_id
        return out


def append(
    process_id: str,
    event_type: str,
    payload: str,
    *,
    incarnation: str | None = None,
    replay_key: str | None = None,
    canonical: str | None = None,
    wake: WakeText | None = None,
    semantics: str | None = None,
    end: Terminal | None = None,
    effect: Effect | None = None,
    external: bool = False,
) -> Call[Appended]:
    """Append one event; ``payload`` is JSON, ``canonical`` its canonical form (what a replay is compared by), ``end``
    how it ends its process.

    Raises `ReplayConflict`, `ProcessAlreadyTerminal`, `ProcessNotFound`, `NotExternal`, `LeaseLost`,
    `StaleIncarnation`.
    """
    args: dict[str, Any] = {
        "pid": process_id,
        "inc": incarnation,
        "type": event_type,
        "payload": payload,
        "replay_key": replay_key,
        "hash": content_hash(event_type, canonical or payload)[:16],
        "semantics": semantics,
        "wake": wake.wire() if wake else None,
        "ends": _ends(process_id, end) if end else None,
        "external": external or None,
    }
    if effect:
        args |= effect.wire()

    def decode(reply: Reply) -> Appended:
        if reply[0] in ("appended", "replayed"):
            return Appended(int(reply[1]), int(reply[2]), reply[0] == "replayed", int(reply[3]) if reply[3] else None)
        if reply[0] == "stale":
            raise StaleIncarnation(process_id)
        refuse(process_id, reply, replay_key=replay_key)

    kept = stand_ins.of_process(process_id)
    payloads = {"payload": kept, "output": kept, **(effect.payloads if effect else {})}
    woken = (wake.session_id,) if wake and wake.session_id else ()
    return Call(
        "process_append", args, decode, payloads=payloads, about=(process_id, *woken, *(effect.about if effect else ()))
    )


def _ends(process_id: str, end: Terminal) -> dict[str, Any]:
    output = output_json(end.output)
    text = _text_of(process_id, end.state, output)
    return {"status": end.state, "output": output} | ({"text": text} if text is not None else {})


def _text_of(process_id: str, status: str, output: str) -> str | None:
    """What an end says to the session it wakes, as JSON; None where the script can say it, which has the output
    itself."""
    return to_json(f"Process {process_id} {status}: {output}") if stand_ins.is_large(output) else None


class StaleIncarnation(LookupError):
    """The sender checked types of an earlier process of this id; it reads them again and repeats the call."""


@dataclass(frozen=True, slots=True)
class Signalled:
    """A signal's receipt: its sequence, and whether a wait took it or the mailbox keeps it ('' for a replay)."""

    sequence: int
    replayed: bool
    taken_by: Literal["slot", "mail", ""]


class SchemaWanted(LookupError):
    """The open wait carries another schema than the sender checked: ``schema`` (JSON) and its ``hash``; nothing was
    written."""

    def __init__(self, schema: str, schema_hash: str) -> None:
        super().__init__(schema_hash)
        self.schema, self.hash = schema, schema_hash


class NoWaitTakesIt(LookupError):
    """No open wait takes what the sender's own declarations refuse; nothing was written."""


def signal(
    process_id: str,
    name: str,
    signal_id: str,
    payload: str,
    *,
    canonical: str,
    replay_key: str,
    incarnation: str | None = None,
    schema_hash: str | None = None,
    refused: ProcessError | None = None,
    also: Sequence[str] = (),
    effect: Effect | None = None,
) -> Call[Signalled]:
    """Send a signal, of which the sender ``also`` knows other names. Raises like `append`, and `MailboxFull`,
    `SchemaWanted`, `StaleIncarnation`; where
    what the sender knows of refuses it (``refused``: an `UndeclaredEvent`, else a misfit) and no open wait knows
    better, `NoWaitTakesIt`.
    """
    args: dict[str, Any] = {
        "pid": process_id,
        "inc": incarnation,
        "name": name,
        "signal_id": signal_id,
        "replay_key": replay_key,
        "hash": content_hash(name, canonical)[:16],
        "payload": payload,
        "schema": schema_hash,
        "also": [{"name": one, "hash": content_hash(one, canonical)[:16]} for one in also] or None,
        "limit": MAILBOX_LIMIT,
        "refused": None if refused is None else "undeclared" if isinstance(refused, UndeclaredEvent) else "misfit",
        "sender": effect.wire() if effect else None,
    }

    def decode(reply: Reply) -> Signalled:
        if reply[0] == "refused":
            raise NoWaitTakesIt(name)
        if reply[0] == "accepted":
            return Signalled(int(reply[1]), False, reply[2])
        if reply[0] == "replayed":
            return Signalled(int(reply[1]), True, "")
        if reply[0] == "recheck":
            raise SchemaWanted(reply[1], reply[2])
        if reply[0] == "stale":
            raise StaleIncarnation(process_id)
        refuse(process_id, reply, replay_key=replay_key, holder=effect.fence.process_id if effect else process_id)

    return Call(
        "process_signal", args, decode,
        payloads={"payload": stand_ins.of_process(process_id), **(effect.payloads if effect else {})},
        about=(process_id, *(effect.about if effect else ())),
    )  # fmt: skip


def cancel(process_id: str, reason: str, *, grace_ms: int, effect: Effect | None = None) -> Call[str]:
    """Request a cancel; returns the status. An ended process is no error: its status is returned."""
    args: dict[str, Any] = {
        "pid": process_id,
        "reason": to_json({"reason": reason}),
        "grace_ms": grace_ms,
        "sender": effect.wire() if effect else None,
    }

    def decode(reply: Reply) -> str:
        if reply[0] in ("requested", "already", "ended"):
            return str(reply[1])
        refuse(process_id, reply, holder=effect.fence.process_id if effect else process_id)

    payloads, also = (effect.payloads, effect.about) if effect else (None, ())
    return Call("process_cancel", args, decode, payloads=payloads, about=(process_id, *also))


@dataclass(frozen=True, slots=True)
class TurnCommit:
    """What a session's turn commits with its end: the head it read, the new state (JSON, None = unchanged), messages to
    append.

    ``frame``: the agent frame that begins; ``follow``: the input (JSON) of the turn that follows in it.
    """

    session_id: str
    revision: str
    state: str | None = None
    history: Sequence[str] = ()
    frame: str | None = None
    follow: str | None = None

    def wire(self) -> dict[str, Any]:
        wire: dict[str, Any] = {"sid": self.session_id, "rev": self.revision, "history": list(self.history)}
        wire |= {"state": self.state, "frame": self.frame, "follow": self.follow}
        return {name: value for name, value in wire.items() if value is not None}

    @property
    def payloads(self) -> dict[str, str]:
        """The payloads among what it commits."""
        said = stand_ins.of_session(self.session_id)
        return {"state": stand_ins.of_state(self.session_id), "history": said, "follow": said}


def finish(
    process_id: str,
    status: str,
    output: str,
    *,
    canonical: str | None = None,
    fence: Fence | None = None,
    text: str | None = None,
    consumed: Sequence[Row] = (),
    turn: TurnCommit | None = None,
    swallowed: bool = False,
) -> Call[int]:
    """End a process with its await output (JSON); without a fence only an external one. Returns the terminal event's
    sequence.
    ``canonical``: what a repetition of an end from outside is compared by, where that is not the output's text.

    Raises `LeaseLost`, `ProcessAlreadyTerminal`, `NotExternal`, `HeadConflict`, `ProcessNotFound`.
    """
    args: dict[str, Any] = {
        "pid": process_id,
        "status": status,
        "output": output,
        "hash": content_hash(canonical or output)[:16],
        "text": to_json(text) if text is not None else _text_of(process_id, status, output),
        "fence": fence_wire(fence) if fence else None,
        "external": None if fence else True,
        "swallowed": swallowed or None,
        "rows": [row.wire() for row in consumed] or None,
    }
    if turn:
        args["turn"] = turn.wire()

    def decode(reply: Reply) -> int:
        if reply[0] == "finished":
            return int(reply[1])
        if reply[0] == "already":
            return int(reply[2])
        refuse(process_id, reply, session_id=turn.session_id if turn else "", expected=turn.revision if turn else "")

    payloads = {
        "output": stand_ins.of_process(process_id),
        **(rows_of(fence) if fence else {}),
        **(turn.payloads if turn else {}),
    }
    return Call(
        "process_finish",
        args,
        decode,
        payloads=payloads,
        about=(process_id, turn.session_id) if turn else (process_id,),
    )


@dataclass(frozen=True, slots=True)
class Parked:
    """The process waits and nobody holds it."""

    sequence: int


@dataclass(frozen=True, slots=True)
class Met:
    """A wait was over before the park: the body goes on."""


def park(
    fence: Fence, groups: Sequence[str], wait: str, consumed: Sequence[Row] = (), *, early: Sequence[str] = ()
) -> Call[Parked | Met]:
    """Let go of a process that only waits, for any of the groups, or for any of the slots ``early``; raises
    `LeaseLost`."""
    args: dict[str, Any] = {
        "pid": fence.process_id,
        "fence": fence_wire(fence),
        "groups": list(groups),
        "wait": wait,
        "rows": [r.wire() for r in consumed] or None,
        "early": list(early) or None,
    }

    def decode(reply: Reply) -> Parked | Met:
        if reply[0] == "parked":
            return Parked(int(reply[1]))
        if reply[0] == "met":
            return Met()
        refuse(fence.process_id, reply)

    return Call("process_park", args, decode, payloads=rows_of(fence), about=(fence.process_id,))


def release(
    fence: Fence,
    *,
    delay_ms: int = 0,
    attempt: bool = False,
    output: str | None = None,
    consumed: Sequence[Row] = (),
    unrun: bool = False,
    unread: str | None = None,
    misfit: Misfit | None = None,
) -> Call[str]:
    """Hand a run back ('released'), or after a failed attempt schedule the next one;  'exhausted', 'abandoned' and
    'cancelled' (a turn that was
    asked to end, whatever it raised) mean it ended instead.

    ``unrun``: this worker lacks its code and did nothing, so that nobody has to wonder what owner-bound work did.
    ``unread``: it cannot read what is stored
    of it, for this reason, which stays with the process until it is claimed again. ``misfit``: why its code cannot go
    on with it, which is kept, and shown,
    until code that fits has gone on."""
    args: dict[str, Any] = {
        "pid": fence.process_id,
        "fence": fence_wire(fence),
        "delay_ms": delay_ms,
        "attempt": attempt or None,
        "unrun": unrun or None,
        "unread": unread,
        "misfit": misfit.to_json() if misfit is not None else None,
        "output": output,
        "text": _text_of(fence.process_id, "failed", output) if output is not None else None,
        "rows": [r.wire() for r in consumed] or None,
    }

    def decode(reply: Reply) -> str:
        if reply[0] in ("released", "exhausted", "abandoned", "cancelled"):
            return str(reply[0])
        refuse(fence.process_id, reply)

    payloads = {"output": stand_ins.of_process(fence.process_id), **rows_of(fence)}
    return Call("process_release", args, decode, payloads=payloads, about=(fence.process_id,))


def continue_as_new(
    fence: Fence, payload: str, consumed: Sequence[Row] = (), *, version: str | None = None
) -> Call[int | list[str]]:
    """Start the next generation with a new input and a fresh journal; returns its number. ``version``: of its engine,
    '' for none, None as before.

    Returns ids instead where more than 256 waits are open: these have to be closed first, and nothing but the consumed
    rows was written.
    """
    args: dict[str, Any] = {
        "pid": fence.process_id,
        "fence": fence_wire(fence),
        "input": payload,
        "rows": [r.wire() for r in consumed] or None,
        "version": version,
    }

    def decode(reply: Reply) -> int | list[str]:
        if reply[0] == "continued":
            return int(reply[1])
        if reply[0] == "open":
            return list(reply[1])
        refuse(fence.process_id, reply)

    payloads = {"input": stand_ins.of_process(fence.process_id), **rows_of(fence)}
    return Call("process_continue", args, decode, payloads=payloads, about=(fence.process_id,))


def set_external_ref(process_id: str, payload: str) -> Call[int | None]:
    """Record where outside work was accepted; write-once. Returns the event's sequence, None when it was there
    already."""

    def decode(reply: Reply) -> int | None:
        if reply[0] == "written":
            return int(reply[1])
        if reply[0] == "same":
            return None
        if reply[0] == "conflict":
            raise ExternalRefConflict(process_id=process_id, existing=reply[1], given=payload)
        refuse(process_id, reply)

    args = {"pid": process_id, "fact": "external_ref", "payload": payload}
    payloads = {"payload": stand_ins.of_process(process_id)}
    return Call("process_fact", args, decode, payloads=payloads, brings=stand_ins.whole, about=(process_id,))


def retarget(process_id: str, session_id: str | None) -> Call[int | None]:
    """Give a process another wake target, or none; returns the audit event's sequence, None when nothing changed."""

    def decode(reply: Reply) -> int | None:
        if reply[0] == "written":
            return int(reply[1])
        if reply[0] == "same":
            return None
        refuse(process_id, reply)

    payload = to_json({"wake_target": {"session_id": session_id} if session_id else None})
    args = {"pid": process_id, "fact": "retarget", "payload": payload, "sid": session_id}
    return Call("process_fact", args, decode, about=(process_id, session_id) if session_id else (process_id,))


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One entry of the log as stored: its payload is JSON text, and its semantics are those that were materialised when
    it was appended."""

    sequence: int
    type: str
    payload: str
    at_ms: int
    replay_key: str | None
    semantics: str | None


def stored_event(entry: Any) -> StoredEvent:
    """An event as it lies in the log; what a later release keeps otherwise is empty here, and stops no list."""
    values = flat(entry[1])
    sequence = int(str(entry[0]).split("-")[0])
    return StoredEvent(
        sequence,
        values.get("t", ""),
        values.get("p", "null"),
        number(values.get("at")),
        values.get("k"),
        values.get("s"),
    )


@dataclass(frozen=True, slots=True)
class ProcessRow(ProcessFields):
    """The record of a process beside its registration."""

    process_id: str
    fields: Mapping[str, str]
    registration: Registration

    @property
    def generation(self) -> int:
        """Which journal of it this is, from 1."""
        return number(self.fields.get("gen")) or 1


@dataclass(frozen=True, slots=True)
class ProcessView(ProcessRow):
    """One moment of a process: row, events, journal keys, slots."""

    events: tuple[StoredEvent, ...] = ()
    journal: tuple[str, ...] = ()
    slots: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    now_ms: int = 0


def read(
    process_id: str, *, after: int = 0, count: int = 0, tail: bool = False, detail: bool = False
) -> Call[ProcessView]:
    """One consistent look: ``count`` events after a sequence (or the last ones); with ``detail`` journal keys and
    slots.

    Raises `ProcessNotFound`, `ProcessNoLongerRetained`."""

    def decode(reply: Reply) -> ProcessView:
        if reply[0] in ("not_found", "pruned"):
            refuse(process_id, reply)
        return ProcessView(
            process_id,
            flat(reply[0]),
            read_registration(process_id, reply[1]),
            tuple(stored_event(e) for e in reply[2]),
            tuple(reply[3]),
            {row[0]: flat(row[1]) for row in reply[4]},
            int(reply[5]),
        )

    args = {"pid": process_id, "after": after, "count": count, "tail": tail or None, "detail": detail or None}
    return Call("process_read", args, decode, brings=_whole_process, about=(process_id,))


def _whole_process(blobs: Blobs, reply: Reply) -> Program[Reply]:
    """The input of a process may be lost and its end still be known: then the stand-in is shown in the place of the
    input."""
    try:
        spec = yield from stand_ins.whole(blobs, reply[1])
    except (AttachmentNotFound, AttachmentCorrupt) as lost:
        log.warning("what a process was started with is lost: %s", lost)
        spec = reply[1]
    rest = yield from stand_ins.whole(blobs, [reply[0], "", *reply[2:]])
    return [rest[0], spec, *rest[2:]]


@dataclass(frozen=True, slots=True)
class ListPage:
    """One page, newest first; ``score`` and ``member`` are where the next one begins, '' when there is none, after
    ``done`` of the statuses."""

    rows: tuple[ProcessRow, ...]
    score: str
    member: str
    done: int


def list_page(
    statuses: Sequence[str],
    *,
    limit: int = 50,
    score: str = "+inf",
    member: str = "",
    kind: str | None = None,
    session_id: str | None = None,
    waiting: str | None = None,
) -> Call[ListPage]:
    """Processes of some statuses, newest first within each, of one moment. ``kind`` as `Status` shows it: tool,
    session_turn, external, or an engine's name."""
    code = KIND_CODES.get(kind, "e") if kind is not None else None
    engine = kind if kind not in KIND_CODES else None
    args = {
        "statuses": list(statuses),
        "limit": limit,
        "score": score,
        "member": member,
        "kind": code,
        "engine": engine,
        "sid": session_id,
        "waiting": waiting,
    }

    def decode(reply: Reply) -> ListPage:
        rows = tuple(ProcessRow(r[0], flat(r[1]), read_registration(r[0], r[2])) for r in reply[0])
        return ListPage(rows, reply[1], reply[2], int(reply[3]))

    return Call("process_list", args, decode, about=(session_id,) if session_id else ())


def list_ids(status: str, *, offset: int, limit: int) -> Call[list[tuple[str, int]]]:
    """Ids of one status and when each got there (ms), latest first."""
    return Call(
        "process_ids",
        {"status": status, "offset": offset, "limit": limit},
        lambda reply: [(row[0], int(float(row[1]))) for row in reply],
    )
