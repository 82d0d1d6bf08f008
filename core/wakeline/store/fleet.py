"""The fleet for doctor: one consistent picture of a namespace, and what its server says about itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wakeline.processes.misfit import Misfit
from wakeline.store.calls import Call, Reply, flat, moment
from wakeline.values import number


@dataclass(frozen=True, slots=True)
class StoredQueue:
    """An RQ queue. It has its name, how many doorbells lie in it, how many owners wait for work, and the names of the
    live workers (ours and stock ones) that take from it."""

    name: str
    length: int
    idle: int
    workers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StoredQueued:
    """A queued process: its queue, how often its lost doorbell was rung again, whether RQ gave that doorbell up, and
    the code it needs.

    ``input`` is 'engine', 'tool_call' or 'session_turn', and ``needs`` the name of the engine, tool or agent. ``lost``:
    it has no doorbell.
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
    """What the worker that took it last could not read of it before it handed it back."""
    losses: int = 0
    """How often in a row it was lost with its worker."""
    due_ms: int = 0
    """When it is offered, or since when it is."""


@dataclass(frozen=True, slots=True)
class Ticked:
    """The last tick: when (server ms), and what ticked: `worker`, `clock` or `stock` (a job of a stock RQ worker)."""

    at_ms: int
    kind: str


@dataclass(frozen=True, slots=True)
class Due:
    """How many timers or schedules are due, and since when the first one is (server ms)."""

    number: int
    since_ms: int | None


@dataclass(frozen=True, slots=True)
class StoredRewind:
    """The answered writes that the store lost: how many, and of how many clients and workers. ``first_ms`` and
    ``last_ms`` say when the first and the last of them were answered (0 if not known). ``emptied`` says that it is
    another namespace now, and ``gone_back`` that the store lost its last writes too, within a minute.
    """

    writes: int
    clients: int
    first_ms: int
    last_ms: int
    emptied: bool
    gone_back: bool = False


def _rewind_of(fields: Mapping[str, str]) -> StoredRewind | None:
    if not fields:
        return None
    writes, clients, first_ms, last_ms = (int(fields[name]) for name in ("writes", "clients", "first", "last"))
    return StoredRewind(
        writes, clients, first_ms, last_ms, "emptied" in fields, "emptied" in fields and "back" in fields
    )


@dataclass(frozen=True, slots=True)
class Stood:
    """How many stood still for one reason and were put right by a tick, and when the last one was."""

    number: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class StoredMisfit:
    """A process that waits for code that fits: the reason, and its kind, as in `StoredQueued`."""

    process_id: str
    misfit: Misfit
    input: str
    needs: str


@dataclass(frozen=True, slots=True)
class StoredFleet:
    """Counts by status, owners (id, expiry ms, processes held), queues, the first 256 queued processes, and the
    settings of the namespace."""

    counts: dict[str, int]
    owners: tuple[tuple[str, int, int], ...]
    timers: int
    todo: int
    queues: tuple[StoredQueue, ...]
    queued: tuple[StoredQueued, ...]
    format: str | None
    rq_prefix: str | None
    now_ms: int
    undeliverable: int = 0
    """Inbox entries that are undeliverable, failed or blocked."""
    undelivered: int = 0
    """Deliveries of triggers that are reserved and not settled: under way, or waiting for their code."""
    rewound_ms: int | None = None
    """When a client last found that the store went back."""
    rewind: StoredRewind | None = None
    """What it lost; None if a worker of the release before found it, which does not tell."""
    releases: Mapping[str, str] = field(default_factory=dict[str, str])
    """The release of the code of each owner that told it."""
    ticked: Ticked | None = None
    timers_due: Due = Due(0, None)
    schedules_due: Due = Due(0, None)
    standing: Mapping[str, int] = field(default_factory=dict[str, int])
    """What stands still now, by fault: ``waits`` (parked on nothing), ``runs`` (without a worker), ``lines`` (queued,
    in no line), ``places`` (without a run)."""
    stood: Mapping[str, Stood] = field(default_factory=dict[str, Stood])
    """What stood still and was put right: also ``cells``, ``timers``, ``indexes``, ``bells``, and for waits
    ``deadlines`` and ``signals``."""
    serves: Mapping[str, str] = field(default_factory=dict[str, str])
    """Owner to its app and its declarations: ``<app> <Declared.id>``."""
    in_force: Mapping[str, str] = field(default_factory=dict[str, str])
    """App to the `Declared.id` whose declarations are in force."""
    misfits: tuple[StoredMisfit, ...] = ()
    """The first 256 processes that wait for code that fits; the longest waiting ones come first."""
    misfit_count: int = 0
    """How many wait so."""

    @property
    def stuck(self) -> tuple[StoredQueued, ...]:
        """Processes whose doorbell had to be rung again, because no worker answered it."""
        return tuple(row for row in self.queued if row.rings)


def _queued(row: Reply) -> StoredQueued:
    losses, due_ms = number(row[9]), int(float(row[10]))
    return StoredQueued(
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


def read_fleet(queues: Sequence[str], *, stale_ms: int = 5_000) -> Call[StoredFleet]:
    """One consistent picture of the namespace. A missing doorbell counts as lost after ``stale_ms``; until then a
    worker may be about to claim."""

    def decode(reply: Reply) -> StoredFleet:
        meta = flat(reply[6])
        return StoredFleet(
            counts={row[0]: int(row[1]) for row in reply[0]},
            owners=tuple((row[0], int(float(row[1])), int(row[2])) for row in reply[1]),
            timers=int(reply[2]),
            todo=int(reply[3]),
            queues=tuple(StoredQueue(row[0], int(row[1]), int(row[2]), tuple(row[3])) for row in reply[4]),
            queued=tuple(_queued(row) for row in reply[5]),
            format=meta.get("format"),
            rq_prefix=meta.get("rq"),
            now_ms=int(reply[7]),
            undeliverable=int(reply[8]),
            undelivered=int(reply[9]),
            rewound_ms=number(meta.get("rewound")) or None,
            releases=flat(reply[10]),
            ticked=_ticked(meta.get("ticked", "")),
            timers_due=Due(int(reply[11][0]), moment(reply[11][1])),
            schedules_due=Due(int(reply[11][2]), moment(reply[11][3])),
            rewind=_rewind_of(flat(reply[12])),
            standing={row[0]: int(row[1]) for row in reply[13]},
            stood={row[0]: Stood(int(row[1]), int(row[2])) for row in reply[14]},
            serves=flat(reply[15]),
            in_force={name: text for name, text in flat(reply[16]).items() if ":" not in name},
            misfits=tuple(
                StoredMisfit(row[0], found, row[2], row[3])
                for row in reply[17]
                if (found := Misfit.from_json(row[1])) is not None
            ),
            misfit_count=int(reply[18]),
        )

    return Call("fleet_read", {"queues": list(queues), "stale_ms": stale_ms}, decode)


@dataclass(frozen=True, slots=True)
class Probed:
    """What a server that takes writes told: its time (ms), and the last tick."""

    now_ms: int
    ticked: Ticked | None


def probe(format: str) -> Call[Probed]:  # noqa: A002
    """A write that changes nothing. Raises `WritesRefused` or `StoreOutOfMemory`, with the server's text, if it takes
    no writes now."""
    return Call("namespace_probe", {"format": format}, lambda reply: Probed(int(reply[1]), _ticked(reply[2])))


def _ticked(text: str) -> Ticked | None:
    at, _, by = text.partition(" ")
    return Ticked(number(at), by.split(" ")[0]) if at else None


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
