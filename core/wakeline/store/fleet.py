"""Calls of the fleet: owners and their beats, takes, the tick, what doctor asks.

Invariant: an owner that is not registered can neither take nor claim; whoever was reaped needs a new id.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from wakeline.errors import AgentConflict, InvalidPayload
from wakeline.processes.limits import limited
from wakeline.processes.misfit import PATIENCE_MS, Misfit
from wakeline.releases import Declared
from wakeline.sessions.admission import AdmissionPolicy
from wakeline.store.calls import Call, Reply, flat
from wakeline.store.runs import Claim, claims_of
from wakeline.store.triggers import due_schedules
from wakeline.triggers.schedule import Schedule
from wakeline.values import from_json, number


@dataclass(frozen=True, slots=True)
class Introduced:
    """What a worker start heard: the time, and when the namespace was ticked last (server ms), None where that is not
    known; whether its declarations are in
    force, and then whether its schedules are still to be written.
    """

    now_ms: int
    ticked_ms: int | None
    declares: bool = False
    unwritten: bool = False
    release: str | None = None
    """What its release goes by: another name than its own where other code had that first."""


def register_owner(
    owner: str,
    queues: Sequence[str],
    *,
    lease_ms: int,
    agents: Mapping[str, str] | None = None,
    app: str | None = None,
    limits: Mapping[str, str] | None = None,
    release: str | None = None,
    declared: Declared | None = None,
    patient: bool = False,
    codes: Sequence[str] | None = None,
    build: str | None = None,
) -> Call[Introduced]:
    """A worker start introduces itself: what the turns of its ``agents`` take (`AdmissionPolicy.wire`), what its
    ``limits`` are (`Limit.wire`, empty for
    none), of which ``release`` its code is, and which ``codes`` it can run (`Registry.codes`). Agents and limits come
    into force where the release does:
    ``declared`` is all that it says, else it is made of what is given here. ``patient``: it is the job of a stock
    worker. ``build`` (`build_of`) tells its code
    from other code whose release has the same name.

    Raises `AgentConflict` where a live worker of another ``app`` runs one of them.
    """
    if declared is None and (agents or limits):
        declared = Declared(app or "-", release, limits or {}, agents or {})
    args: dict[str, Any] = {
        "owner": owner,
        "queues": list(queues),
        "lease_ms": lease_ms,
        "app": app,
        "release": release,
        "patient": patient or None,
    }
    if declared is not None:
        args |= {"declares": declared.id, "agents": dict(declared.agents), "limits": dict(declared.limits)}
    args |= {"codes": list(codes) if codes else None, "build": build if release else None}

    def decode(reply: Reply) -> Introduced:
        if reply[0] == "conflict":
            raise AgentConflict(agent=reply[1], app=app or "", other=reply[2])
        return Introduced(int(reply[1]), _ms(reply[2]), reply[3] == "1", reply[4] == "1", reply[5] or None)

    return Call("owner_register", args, decode)


@dataclass(frozen=True, slots=True)
class Taken:
    """A take's batch; ``more`` while the queues may hold more, ``reaped`` when the owner must take a new id."""

    claims: tuple[Claim, ...]
    more: bool
    reaped: bool


def take(
    owner: str,
    request: str,
    queues: Sequence[str],
    n: int,
    *,
    lease_ms: int,
    idle: bool = True,
    agents: Mapping[str, AdmissionPolicy] | None = None,
    release: str | None = None,
    proven: bool = False,
) -> Call[Taken]:
    """Take and claim up to ``n``; the same ``request`` again gives the same batch. A turn of one of ``agents`` brings
    what it takes.

    An owner that takes 0 hears no more bells. ``proven``: a run of this owner has ended or parked, which its first take
    after that says of its release.
    """
    args: dict[str, Any] = {
        "owner": owner,
        "request": request,
        "n": n,
        "queues": list(queues),
        "lease_ms": lease_ms,
        "idle": idle or None,
    }
    args |= {"release": release, "proven": proven or None}
    if agents:
        args["agents"] = {name: [policy.max_entries, policy.wire()] for name, policy in agents.items()}

    def decode(reply: Reply) -> Taken:
        if reply[0] == "reaped":
            return Taken((), False, True)
        return Taken(claims_of(reply[1]), reply[2] == "1", False)

    return Call("queue_take", args, decode)


def claim(
    process_id: str, epoch: int, owner: str, claim_id: str, *, lease_ms: int, release: str | None = None
) -> Call[Claim | None]:
    """Claim one process under a stock RQ worker; None when there is nothing to do."""
    args: dict[str, Any] = {
        "pid": process_id,
        "epoch": str(epoch),
        "owner": owner,
        "claim_id": claim_id,
        "lease_ms": lease_ms,
        "release": release,
    }
    return Call(
        "process_claim",
        args,
        lambda reply: next(iter(claims_of([reply[1]])), None) if reply[0] == "claimed" else None,
        about=(process_id,),
    )


@dataclass(frozen=True, slots=True)
class Beaten:
    """What a heartbeat heard: whether the owner lives, and what was handed back."""

    alive: bool
    handed_back: tuple[str, ...] = ()


def beat(
    owner: str,
    running: Sequence[str] | None,
    *,
    lease_ms: int,
    rq_ttl_s: int = 480,
    n: int | None = None,
    patience_ms: int = PATIENCE_MS,
) -> Call[Beaten]:
    """Heartbeat; ``running`` is what the worker runs: ids of claims, and of a take whose reply is on its way (None when
    nothing new was heard).
    ``n`` is which one it is: one more than were answered. ``patience_ms`` as for `reap`.
    """
    args: dict[str, Any] = {
        "owner": owner,
        "running": list(running) if running is not None else None,
        "lease_ms": lease_ms,
        "rq_ttl_s": rq_ttl_s,
        "n": n,
    }
    args["patience_ms"] = patience_ms

    def decode(reply: Reply) -> Beaten:
        return Beaten(True, tuple(reply[1])) if reply[0] == "alive" else Beaten(False)

    return Call("owner_beat", args, decode)


def reap(
    owner: str, writer: str = "owner_lost", *, patience_ms: int = PATIENCE_MS, proven: bool = False
) -> Call[tuple[str, ...]]:
    """Give away what a dead owner held; returns the ids of these processes. ``patience_ms``: how long losses that are
    the deploy's fault are not counted;
    ``proven`` as for `take`.
    """
    args = {"owner": owner, "writer": writer, "patience_ms": patience_ms, "proven": proven or None}
    return Call("owner_reap", args, lambda reply: tuple(reply[1]))


@dataclass(frozen=True, slots=True)
class TickReport:
    """What a tick did, when the next timer is due and what the time is (server ms), and whether more waits already."""

    fired: int
    reaped: int
    rung: int
    pruned: int
    next_due_ms: int | None
    more: bool
    now_ms: int
    schedules: tuple[tuple[Schedule, int], ...] = ()
    """Schedules that are due, each with the time it was due at."""
    undelivered: int = 0
    """Deliveries of triggers that their emitter did not settle."""
    prune_in_ms: int | None = None
    """More is over than this tick could prune: whoever ticked goes on with it (`prune`) so many ms later."""
    spared: bool = False
    """Another one ticks, so this tick did nothing; `next_due_ms` is when it would be missed."""
    unwritten: tuple[tuple[str, str], ...] = ()
    """Apps, each with the release (`Declared.id`) whose declarations came into force and are not written."""


def tick(
    *,
    beat_ms: int,
    lease_ms: int,
    stale_ms: int,
    retention_ms: int,
    tombstone_ms: int,
    limit: int = 100,
    by: str | None = None,
    spare_ms: int | None = None,
    patience_ms: int = PATIENCE_MS,
) -> Call[TickReport]:
    """Due timers, expired owners, lost doorbells, unfinished bounded work, retention: one bounded script.

    ``by`` is who ticks: `worker`, `clock` or `stock`, and its owner id. With ``spare_ms`` it does nothing where another
    one ticked less than that ago.
    ``patience_ms`` as for `reap`.
    """
    args: dict[str, Any] = {
        "beat_ms": beat_ms,
        "lease_ms": lease_ms,
        "stale_ms": stale_ms,
        "retention_ms": retention_ms,
        "tombstone_ms": tombstone_ms,
    }
    args |= {"limit": limit, "by": by, "spare_ms": spare_ms, "patience_ms": patience_ms}

    def decode(reply: Reply) -> TickReport:
        due = int(float(reply[4])) if reply[4] not in ("", None) else None
        fired, reaped, rung, pruned = (int(count) for count in reply[:4])
        more, now, schedules, undelivered, prune_in = (
            reply[5] == "1",
            int(reply[6]),
            due_schedules(reply[7]),
            int(reply[8]),
            _ms(reply[9]),
        )
        unwritten = tuple((row[0], row[1]) for row in reply[11])
        return TickReport(
            fired, reaped, rung, pruned, due, more, now, schedules, undelivered, prune_in, reply[10] == "1", unwritten
        )

    return Call("tick", args, decode)


@dataclass(frozen=True, slots=True)
class PruneReport:
    """How many processes a slice of retention removed, and in how many ms the next one is due; None where nothing is
    left."""

    pruned: int
    next_in_ms: int | None


def prune(*, retention_ms: int, tombstone_ms: int) -> Call[PruneReport]:
    """Go on with what a tick could not prune: one slice, some milliseconds of the server's time."""
    args = {"retention_ms": retention_ms, "tombstone_ms": tombstone_ms}
    return Call("retention_prune", args, lambda reply: PruneReport(int(reply[0]), _ms(reply[1])))


def _ms(text: str) -> int | None:
    return int(float(text)) if text else None


@dataclass(frozen=True, slots=True)
class QueueView:
    """An RQ queue: its name, how many doorbells lie in it, owners that wait for work, names of the live workers (ours
    and stock ones) that take from it."""

    name: str
    length: int
    idle: int
    workers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class QueuedView:
    """A queued process: where, how often its lost doorbell was rung again, whether RQ gave that doorbell up, and the
    code it needs.

    ``input`` is 'engine', 'tool_call' or 'session_turn', ``needs`` the name of the engine, tool or agent. ``lost``: it
    has no doorbell.
    """

    process_id: str
    queue: str
    rings: int
    failed: bool
    input: str
    needs: str
    version: str | None = None
    lost: bool = False
    unread: str | None = None
    """What of it the worker that took it last could not read: it handed it back."""
    losses: int = 0
    """How often in a row it was lost with its worker."""
    due_ms: int = 0
    """When it is offered, or since when it is."""


@dataclass(frozen=True, slots=True)
class Ticked:
    """The last tick: when (server ms), and who ticked: `worker`, `clock` or `stock`, a job of a stock RQ worker."""

    at_ms: int
    kind: str


@dataclass(frozen=True, slots=True)
class Due:
    """How many timers or schedules are due, and since when the first one is (server ms)."""

    number: int
    since_ms: int | None


@dataclass(frozen=True, slots=True)
class RewindView:
    """What the store lost of what it had answered: how many writes of how many clients and workers, when (ms) the first
    and the last of them were answered
    (0: not known), and whether it is another namespace now. It may be that and have gone back, too, where both were
    within a minute.
    """

    writes: int
    clients: int
    first_ms: int
    last_ms: int
    emptied: bool
    gone_back: bool = False


def _rewind_of(fields: Mapping[str, str]) -> RewindView | None:
    if not fields:
        return None
    writes, clients, first_ms, last_ms = (int(fields[name]) for name in ("writes", "clients", "first", "last"))
    return RewindView(writes, clients, first_ms, last_ms, "emptied" in fields, "emptied" in fields and "back" in fields)


@dataclass(frozen=True, slots=True)
class Stood:
    """How many stood still for one reason and were put right by a tick, and when the last one was."""

    number: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class MisfitView:
    """A process that waits for code that fits: why, and what it is, as `QueuedView` has it."""

    process_id: str
    misfit: Misfit
    input: str
    needs: str


@dataclass(frozen=True, slots=True)
class FleetView:
    """Counts by status, owners (id, expiry ms, processes held), queues, the first 256 queued processes, what the
    namespace was opened with."""

    counts: dict[str, int]
    owners: tuple[tuple[str, int, int], ...]
    timers: int
    todo: int
    queues: tuple[QueueView, ...]
    queued: tuple[QueuedView, ...]
    format: str | None
    rq_prefix: str | None
    now_ms: int
    undeliverable: int = 0
    """Inbox entries that are undeliverable, failed or blocking."""
    undelivered: int = 0
    """Deliveries of triggers that are reserved and not settled: under way, or waiting for their code."""
    rewound_ms: int | None = None
    """When a client last found that the store had gone back."""
    rewind: RewindView | None = None
    """What it had lost; None where a worker of the release before found it, which does not say."""
    releases: Mapping[str, str] = field(default_factory=dict[str, str])
    """Of which release the code of an owner is, where it said so."""
    ticked: Ticked | None = None
    timers_due: Due = Due(0, None)
    schedules_due: Due = Due(0, None)
    standing: Mapping[str, int] = field(default_factory=dict[str, int])
    """What stands still now, by what is wrong: ``waits`` (parked on nothing), ``runs`` (nobody's), ``lines`` (queued,
    in no line), ``places`` (nobody's)."""
    stood: Mapping[str, Stood] = field(default_factory=dict[str, Stood])
    """What stood still and was put right: also ``cells``, ``timers``, ``indexes``, ``bells``,
    and of waits ``deadlines`` and ``signals``."""
    serves: Mapping[str, str] = field(default_factory=dict[str, str])
    """Owner to its app and its declarations: ``<app> <Declared.id>``."""
    in_force: Mapping[str, str] = field(default_factory=dict[str, str])
    """App to the `Declared.id` whose declarations are in force."""
    misfits: tuple[MisfitView, ...] = ()
    """The first 256 processes that wait for code that fits, those that have waited longest first."""
    misfit_count: int = 0
    """How many wait so."""

    @property
    def stuck(self) -> tuple[QueuedView, ...]:
        """Processes whose doorbell had to be rung again: nobody answered it."""
        return tuple(row for row in self.queued if row.rings)


def _queued(row: Reply) -> QueuedView:
    losses, due_ms = number(row[9]), int(float(row[10]))
    return QueuedView(
        row[0],
        row[1],
        int(row[2]),
        row[3] == "1",
        row[4],
        row[5],
        row[6] or None,
        row[7] == "1",
        row[8] or None,
        losses,
        due_ms,
    )


def read_fleet(queues: Sequence[str], *, stale_ms: int = 5_000) -> Call[FleetView]:
    """One consistent picture of the namespace. A doorbell that is gone counts as lost after ``stale_ms``: until then a
    worker may be about to claim."""

    def decode(reply: Reply) -> FleetView:
        meta = flat(reply[6])
        at, _, by = meta.get("ticked", "").partition(" ")
        return FleetView(
            counts={row[0]: int(row[1]) for row in reply[0]},
            owners=tuple((row[0], int(float(row[1])), int(row[2])) for row in reply[1]),
            timers=int(reply[2]),
            todo=int(reply[3]),
            queues=tuple(QueueView(row[0], int(row[1]), int(row[2]), tuple(row[3])) for row in reply[4]),
            queued=tuple(_queued(row) for row in reply[5]),
            format=meta.get("format"),
            rq_prefix=meta.get("rq"),
            now_ms=int(reply[7]),
            undeliverable=int(reply[8]),
            undelivered=int(reply[9]),
            rewound_ms=number(meta.get("rewound")) or None,
            releases=flat(reply[10]),
            ticked=Ticked(number(at), by.split(" ")[0]) if at else None,
            timers_due=Due(int(reply[11][0]), _ms(reply[11][1])),
            schedules_due=Due(int(reply[11][2]), _ms(reply[11][3])),
            rewind=_rewind_of(flat(reply[12])),
            standing={row[0]: int(row[1]) for row in reply[13]},
            stood={row[0]: Stood(int(row[1]), int(row[2])) for row in reply[14]},
            serves=flat(reply[15]),
            in_force={name: text for name, text in flat(reply[16]).items() if ":" not in name},
            misfits=tuple(
                MisfitView(row[0], found, row[2], row[3])
                for row in reply[17]
                if (found := Misfit.from_json(row[1])) is not None
            ),
            misfit_count=int(reply[18]),
        )

    return Call("fleet_read", {"queues": list(queues), "stale_ms": stale_ms}, decode)


@dataclass(frozen=True, slots=True)
class QueueState:
    """A queue: how many doorbells and held processes wait, how many run, whether it is paused, its limit (JSON
    data)."""

    name: str
    waiting: int
    running: int
    paused: bool
    limit: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class LimitState:
    """A limit of a body, or of one key of it: how many run under it, and how many wait for a place."""

    name: str
    limit: Mapping[str, Any] | None
    running: int
    waiting: int


def _object(text: str) -> Mapping[str, Any] | None:
    """What is stored of a limit; None without one, and for what another release keeps as something else."""
    try:
        data = from_json(text) if text else None
    except InvalidPayload:
        return None
    return cast("Mapping[str, Any]", data) if isinstance(data, Mapping) else None


def declare_queues(app: str, queues: Sequence[str]) -> Call[tuple[str, ...]]:
    """The queues (RQ's names) that bodies of an app are declared for now, then those they were declared for by a
    release before."""
    return Call("queue_declare", {"app": app, "queues": list(queues)}, tuple)


def list_queues(queues: Sequence[str]) -> Call[tuple[list[QueueState], list[LimitState]]]:
    """Queues and limits as an operator sees them."""

    def decode(reply: Reply) -> tuple[list[QueueState], list[LimitState]]:
        found = [QueueState(row[0], int(row[1]), int(row[2]), row[3] == "1", _object(row[4])) for row in reply[0]]
        limits = [LimitState(limited(row[0]), _object(row[1]), int(row[2]), int(row[3])) for row in reply[1]]
        return found, sorted(limits, key=lambda one: one.name)

    return Call("queue_list", {"queues": list(queues)}, decode)


def pause(queue: str, *, paused: bool = True) -> Call[bool]:
    """Have workers leave a queue alone (or take from it again); whether that changed anything. What runs goes on."""
    return Call("queue_pause", {"queue": queue, "paused": "1" if paused else "0"}, lambda reply: reply[0] == "1")


def probe(format: str) -> Call[bool]:  # noqa: A002
    """A write that changes nothing. Raises `WritesRefused` and `StoreOutOfMemory`, with what the server says, where it
    takes none now."""
    return Call("namespace_probe", {"format": format}, lambda reply: reply[0] == "writable")


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What a server says about itself; None is "not known" (fakeredis, or INFO and CONFIG are refused)."""

    product: str | None = None
    version: str | None = None
    eviction: str | None = None
    used_bytes: int | None = None
    limit_bytes: int | None = None
    aof: bool | None = None
    fsync: str | None = None
    role: str | None = None
    replicas: int | None = None


def server_facts(info: Mapping[str, Any]) -> ServerFacts:
    """The facts in what `SyncStore.info` returned."""

    def number(name: str) -> int | None:
        return int(info[name]) if name in info else None

    valkey = info.get("valkey_version")
    return ServerFacts(
        product="valkey" if valkey else "redis" if "redis_version" in info else None,
        version=str(valkey or info.get("redis_version") or "") or None,
        eviction=info.get("maxmemory_policy"),
        used_bytes=number("used_memory"),
        limit_bytes=number("maxmemory"),
        aof=bool(info["aof_enabled"]) if "aof_enabled" in info else None,
        fsync=info.get("appendfsync"),
        role=info.get("role"),
        replicas=number("connected_slaves"),
    )
