"""What doctor concludes from what it saw: one finding a line, each with what to do.

Invariant: pure. What is not known is said to be not known, and never counts as a problem.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from wakeline.engines.registry import Registry
from wakeline.errors import StoreError
from wakeline.releases import Declared, content_of, release_named
from wakeline.store.connection import OLDEST
from wakeline.store.fields import LOST_WITH_OTHERS
from wakeline.store.fleet import Due, FleetView, MisfitView, RewindView, ServerFacts
from wakeline.store.keys import split_queue
from wakeline.store.queues import LimitState, QueueState
from wakeline.store.rewinds import lost_writes

REWOUND_FOR_MS = 24 * 3_600_000
SKEW_MS = 1_000
CROWDED = 0.9
NAMED = 5
NAMESAKE = re.compile(r"(.*) \(code [0-9a-f]{8}\)")
"""What a release goes by whose name other code had first."""
STOOD_FOR_MS = 24 * 3_600_000
LATE_MS = 1_000
"""A tick is due once a second: what is due for longer is late."""

REFUSALS = (
    ("memory", "give it more (maxmemory), or shorten WAKELINE_RETENTION"),
    (
        "MISCONF|persist|snapshot|AOF",
        "make room on its disk, and see in its log that snapshots and AOF are written again",
    ),
    ("NOREPLICAS|good replicas", "bring a replica back, or lower min-replicas-to-write"),
    ("READONLY|read[ -]only", "it is a replica: connect to its primary"),
)
"""What a server says that takes no writes, and what to do."""

UNHEARD = "the server takes no writes, so no heartbeat and no tick comes to it"

STANDING = {
    "waits": ("process", "parked on nothing"),
    "runs": ("process", "run by no worker"),
    "lines": ("process", "waiting at a limit in no line"),
    "places": ("place", "of a limit held by nobody"),
    "cells": ("cell", "of a rate given to nobody"),
    "timers": ("process", "queued for a time ahead without a timer"),
    "indexes": ("process", "listed under another status"),
    "bells": ("process", "queued without a doorbell"),
    "deadlines": ("wait", "without the timer of its deadline"),
    "signals": ("wait", "that no sender of its signal would find"),
}
"""What stands still, as the store names it: what, and how."""


@dataclass(frozen=True, slots=True)
class Finding:
    """``ok`` and ``note`` ask for nothing, ``warning`` for a thought, ``problem`` for action; some of the last stop a
    release."""

    code: str
    level: Literal["ok", "note", "warning", "problem"]
    message: str
    stops_release: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """What doctor looked at, beside what this client is set to."""

    where: str
    server: ServerFacts
    fleet: FleetView
    local_ms: int
    registry: Registry
    rq_prefix: str
    format: str
    allow_eviction: bool
    states: tuple[QueueState, ...] = ()
    limits: tuple[LimitState, ...] = ()
    secret_refused: str | None = None
    lease_ms: int = 5_000
    writes_refused: StoreError | None = None
    declared: Declared | None = None

    @property
    def alive(self) -> tuple[str, ...]:
        """Owners whose lease runs."""
        return tuple(owner for owner, expiry, _ in self.fleet.owners if expiry > self.fleet.now_ms)

    @property
    def ticks(self) -> bool:
        """Whether a worker or a clock ticks: the jobs of stock workers do only while there are any."""
        last = self.fleet.ticked
        lives = last is not None and (last.kind == "clock" or (last.kind == "worker" and bool(self.alive)))
        return last is not None and lives and self.fleet.now_ms - last.at_ms <= 2 * self.lease_ms

    @property
    def unheard(self) -> bool:
        """The server takes no writes, so no heartbeat and no tick comes to it: what seems to be gone may be there."""
        return self.writes_refused is not None or self.server.role not in (None, "master")

    @property
    def workers(self) -> tuple[str, ...]:
        """Everybody who takes work, stock RQ workers included."""
        return tuple(sorted({name for queue in self.fleet.queues for name in queue.workers} | set(self.alive)))


def findings(seen: Seen) -> list[Finding]:
    """All of them: the server first, then the namespace, then the fleet and its work."""
    about_the_server = [
        *_server(seen),
        *_writes(seen),
        *_durability(seen.server),
        *_clock(seen),
        *_namespace(seen),
        *_secret(seen),
    ]
    about_the_fleet = [
        *_rewound(seen),
        *_workers(seen),
        *_declarations(seen),
        *_ticks(seen),
        *_queues(seen),
        *_doorbells(seen),
        *_standing(seen),
    ]
    return [
        *about_the_server,
        *about_the_fleet,
        *_wakes(seen),
        *_triggers(seen),
        *_unread(seen),
        *_code(seen),
        *_misfits(seen),
        *_lost(seen),
    ]


def _server(seen: Seen) -> Iterator[Finding]:
    facts = seen.server
    if facts.version is None:
        yield Finding("server", "note", f"server {seen.where}: version not known")
    elif tuple(int(part) for part in facts.version.split(".")[:2]) < OLDEST[facts.product or "redis"]:
        least = ".".join(map(str, OLDEST[facts.product or "redis"]))
        yield Finding(
            "server",
            "problem",
            f"{facts.product} {facts.version} at {seen.where} is too old; use {facts.product} {least} or newer",
        )
    else:
        yield Finding("server", "ok", f"{facts.product} {facts.version} at {seen.where}")
    if facts.eviction is None:
        yield Finding("eviction", "note", "maxmemory-policy: not known; it has to be noeviction")
    elif facts.eviction == "noeviction":
        yield Finding("eviction", "ok", "maxmemory-policy noeviction: nothing durable is ever evicted")
    elif seen.allow_eviction:
        yield Finding(
            "eviction",
            "warning",
            f"maxmemory-policy {facts.eviction} may lose durable work, and WAKELINE_ALLOW_EVICTION permits it; set"
            " noeviction",
        )
    else:
        yield Finding(
            "eviction",
            "problem",
            f"maxmemory-policy {facts.eviction} loses durable work, and workers refuse to start; set noeviction",
            True,
        )
    if facts.limit_bytes and facts.used_bytes is not None and facts.used_bytes > facts.limit_bytes * CROWDED:
        share = round(100 * facts.used_bytes / facts.limit_bytes)
        yield Finding(
            "memory",
            "warning",
            f"memory is {share} % full; writes are refused when it is full: give it more, or shorten"
            " WAKELINE_RETENTION",
        )


def _writes(seen: Seen) -> Iterator[Finding]:
    error = seen.writes_refused
    if error is not None:
        said = str(error.fields.get("reason", "its memory is full"))
        remedy = next((remedy for sign, remedy in REFUSALS if re.search(sign, said)), "its own log says why")
        yield Finding(
            "writes", "problem", f"the server takes no writes, so workers wait and nothing goes on: {said}; {remedy}"
        )


def _secret(seen: Seen) -> Iterator[Finding]:
    if seen.secret_refused is not None:
        what = (
            f"the namespace's secret is refused, and workers refuse to start: {seen.secret_refused}; restore it, or"
            " `wakeline secret rotate`"
        )
        yield Finding("secret", "problem", what, True)


def _durability(facts: ServerFacts) -> Iterator[Finding]:
    if facts.aof is None:
        yield Finding(
            "aof",
            "note",
            "AOF: not known; without it a restart of the server loses what happened since its last snapshot",
        )
    elif not facts.aof:
        yield Finding(
            "aof",
            "warning",
            "AOF is off: a restart of the server loses what happened since its last snapshot; set appendonly yes",
        )
    else:
        meaning = {
            "always": "no acknowledged write is lost, and every write waits for the disk",
            "everysec": "a crash of the server loses nothing acknowledged, a power failure up to 2 s",
            "no": (
                "a crash of the server loses nothing acknowledged, a power failure what the system had not written yet;"
                " set appendfsync everysec"
            ),
        }.get(facts.fsync or "", "how often it is synced is not known")
        level: Literal["ok", "warning"] = "warning" if facts.fsync == "no" else "ok"
        yield Finding("aof", level, f"AOF is on, appendfsync {facts.fsync or 'not known'}: {meaning}")
    if facts.role is None:
        yield Finding("role", "note", "role and replicas: not known")
    elif facts.role != "master":
        yield Finding("role", "problem", f"this server is a {facts.role} and refuses writes; connect to its primary")
    elif facts.replicas:
        yield Finding(
            "role",
            "ok",
            f"primary with {_count(facts.replicas, 'replica')}, which follow asynchronously: a failover loses the last"
            " moments",
        )
    else:
        yield Finding("role", "note", "primary without replicas: its disk is the only copy")


def _clock(seen: Seen) -> Iterator[Finding]:
    off = seen.fleet.now_ms - seen.local_ms
    if abs(off) <= SKEW_MS:
        yield Finding("clock", "ok", f"clocks agree within {SKEW_MS} ms")
    else:
        what = f"this machine's clock is {abs(off)} ms {'behind' if off > 0 else 'ahead of'} the server's"
        yield Finding(
            "clock",
            "warning",
            f"{what}: moments it names are off by that, limits, timers and leases are not; set it by NTP",
        )


def _rewound(seen: Seen) -> Iterator[Finding]:
    at = seen.fleet.rewound_ms
    if at is not None and seen.fleet.now_ms - at < REWOUND_FOR_MS:
        seconds, lost = (seen.fleet.now_ms - at) // 1000, seen.fleet.rewind
        ago = f"{_count(seconds, 'second') if seconds < 60 else _count(seconds // 60, 'minute')} ago"
        if lost is None:
            what = f"{ago} the store was found to have lost its last seconds, by a failover or a restore"
        elif lost.emptied:
            also = ", and to have gone back by a crash, a failover or a restore" if lost.gone_back else ""
            what = f"{ago} the store was found emptied, or another one in its place{also}{_gone(lost)}"
        else:
            what = f"{ago} the store was found to have gone back by a crash, a failover or a restore{_gone(lost)}"
        yield Finding(
            "rewound",
            "warning",
            f"{what}; what was started, signalled or emitted then may be gone: send it again, with the same ids and"
            " keys",
        )


def _gone(lost: RewindView) -> str:
    if not lost.writes:
        return ""
    finders = (
        "1 client or worker that was running"
        if lost.clients == 1
        else f"{lost.clients} clients or workers that were running"
    )
    return (
        f": {lost_writes(lost.writes, lost.first_ms, lost.last_ms)}, {'is' if lost.writes == 1 else 'are'} gone, as"
        f" {finders} found"
    )


def _namespace(seen: Seen) -> Iterator[Finding]:
    found = seen.fleet.format
    if found is not None and found.isdigit() and int(found) > int(seen.format):
        yield Finding(
            "format",
            "problem",
            f"keys have format {found}, this release writes {seen.format}; deploy a release that knows {found}",
            True,
        )
    else:
        yield Finding("format", "ok", f"key format {found or seen.format}")
    stored = seen.fleet.rq_prefix
    if stored is not None and stored != seen.rq_prefix:
        yield Finding(
            "rq_prefix",
            "problem",
            f"doorbells are under RQ prefix {stored!r}, this client uses {seen.rq_prefix!r}; set RQ_KEY_PREFIX={stored}"
            " everywhere",
        )
    counts = ", ".join(f"{count} {status}" for status, count in seen.fleet.counts.items() if count)
    yield Finding("counts", "ok", f"processes: {counts or 'none'}; {_count(seen.fleet.timers, 'timer')}")


def _workers(seen: Seen) -> Iterator[Finding]:
    fleet = seen.fleet
    for owner, expiry, held in fleet.owners:
        if expiry <= fleet.now_ms:
            ticked = (
                "the next tick gives them away"
                if seen.ticks or seen.alive
                else "nobody ticks: start `wakeline worker` or `wakeline clock`"
            )
            fate = UNHEARD if seen.unheard else ticked
            yield Finding(
                "expired",
                "warning",
                f"owner {owner} has not been heard of for {(fleet.now_ms - expiry) // 1000} s and holds {held}; {fate}",
            )
    lost = sum(held for _, expiry, held in fleet.owners if expiry <= fleet.now_ms)
    work = fleet.counts["queued"] + fleet.counts["waiting"] + lost
    if seen.workers:
        held = sum(count for owner, _, count in fleet.owners if owner in seen.alive)
        yield Finding("workers", "ok", f"{_count(len(seen.workers), 'worker')} alive, {held} running in them")
    elif seen.unheard:
        yield Finding("workers", "note", f"workers alive: not known; {UNHEARD}")
    elif work:
        remedy = (
            "start `wakeline worker`; where one is started, it begins a worker process within 15 s after the last one"
            " died, and its log says of what"
        )
        yield Finding(
            "workers",
            "problem",
            f"{_count(work, 'process')} and no worker alive: nothing runs and no timer fires; {remedy}",
        )
    else:
        yield Finding("workers", "note", "no worker alive, and no work; start `wakeline worker` before there is some")
    releases = Counter(fleet.releases[owner] for owner in seen.alive if owner in fleet.releases)
    if len(releases) > 1:
        shares = ", ".join(f"{release} ({_count(n, 'worker')})" for release, n in sorted(releases.items()))
        yield Finding(
            "releases",
            "note",
            f"releases run side by side: {shares}; any that has a process's code runs it (`wakeline show` says which"
            " did)",
        )
    yield from _namesakes(seen)
    yield Finding(
        "threads", "note", "threads left behind by bodies that did not stop: not known here; workers log them"
    )


def _namesakes(seen: Seen) -> Iterator[Finding]:
    """Deployments with one name and different code: the first has the name, and of the others it is said with it what
    tells their code."""
    alive = Counter(seen.fleet.releases[owner] for owner in seen.alive if owner in seen.fleet.releases)
    found: defaultdict[str, list[str]] = defaultdict(list)
    for release in sorted(alive):
        if (namesake := NAMESAKE.fullmatch(release)) is not None:
            found[namesake[1]].append(f"{release} ({_count(alive[release], 'worker')})")
    for name, others in found.items():
        first = f"{name} ({_count(alive[name], 'worker')})"
        what = f"deployments with different code have one name: {first}, which had it first, and {', '.join(others)}"
        yield Finding(
            "release_names",
            "warning",
            f"{what}; each counts as a release of its own; give each deployment a WAKELINE_RELEASE of its own",
        )


def _declarations(seen: Seen) -> Iterator[Finding]:
    """Whether releases that run side by side declare the same schedules, limits and turns of agents."""
    fleet = seen.fleet
    serving = Counter(fleet.serves[owner] for owner in seen.alive if owner in fleet.serves)
    for app, in_force in sorted(fleet.in_force.items()):
        found = {release: n for row, n in serving.items() for name, _, release in [row.partition(" ")] if name == app}
        said = f"those of release {release_named(in_force)} are in force"
        if len({content_of(release) for release in found}) > 1:
            shares = ", ".join(
                sorted(f"{release_named(release)} ({_count(n, 'worker')})" for release, n in found.items())
            )
            remedy = "the others' once it has left, or by `wakeline release`"
            yield Finding(
                "declarations",
                "warning",
                f"releases side by side declare different schedules, limits or agents: {shares}; {said}, {remedy}",
            )
        elif seen.declared and seen.declared.app == app and content_of(in_force) != seen.declared.content:
            remedy = "this code's once its workers start, or by `wakeline release`"
            yield Finding(
                "declarations",
                "note",
                f"this code declares other schedules, limits or agents than are in force; {said}, {remedy}",
            )


def _ticks(seen: Seen) -> Iterator[Finding]:
    """Whether what time does is done: by a worker or a clock, or only when a job of a stock worker comes."""
    fleet, last = seen.fleet, seen.fleet.ticked
    late = [
        (due, noun)
        for due, noun in ((fleet.timers_due, "timer"), (fleet.schedules_due, "schedule"))
        if _late_ms(seen, due) > LATE_MS
    ]
    told = " and ".join(
        f"{_count(due.number, noun)} overdue, the first by {_late_ms(seen, due) // 1000} s" for due, noun in late
    )
    if seen.ticks:
        assert last is not None
        if any(_late_ms(seen, due) > 2 * seen.lease_ms for due, _ in late):
            yield Finding(
                "ticks",
                "warning",
                f"a {last.kind} ticks, and does not keep up: {told}; look at its log, or start more workers",
            )
        else:
            yield Finding("ticks", "ok", f"a {last.kind} ticks: timers, schedules and lost work are looked after")
        return
    if seen.unheard:
        yield Finding("ticks", "note", f"ticks: not known{f' ({told})' if told else ''}; {UNHEARD}")
        return
    if last is None or last.kind != "stock":
        who = "nobody ticks" + (f", for {(fleet.now_ms - last.at_ms) // 1000} s now" if last else "")
    else:
        who = f"only jobs of stock workers tick, the last one {(fleet.now_ms - last.at_ms) // 1000} s ago"
    remedy = "start `wakeline worker`, or `wakeline clock` where only stock workers run"
    if late:
        yield Finding("ticks", "problem", f"{who}: {told}; {remedy}")
    elif fleet.timers or fleet.todo:
        waits = f"{_count(fleet.timers, 'timer')} will be late" if fleet.timers else "work that was begun is not ended"
        yield Finding("ticks", "warning", f"{who}: {waits}; {remedy}")
    elif seen.workers:
        yield Finding("ticks", "note", f"{who}; {remedy} before there are timers")


def _late_ms(seen: Seen, due: Due) -> int:
    return 0 if due.since_ms is None else seen.fleet.now_ms - due.since_ms


def _queues(seen: Seen) -> Iterator[Finding]:
    for queue in seen.fleet.queues:
        text = (
            f"queue {queue.name}: {_count(queue.length, 'doorbell')}, {_count(len(queue.workers), 'worker')},"
            f" {queue.idle} idle"
        )
        if queue.length and not queue.workers and seen.workers:
            # With no worker at all one finding says so for every queue.
            yield Finding(
                "queue", "problem", f"{text}; nobody takes from it: start `wakeline worker -Q {_named(queue.name)}`"
            )
        else:
            yield Finding("queue", "ok", text)
    for state in seen.states:
        if state.paused:
            name = _named(state.name)
            what = (
                f"queue {state.name} is paused, and {state.waiting} {'waits' if state.waiting == 1 else 'wait'} in it"
            )
            yield Finding("paused", "note", f"{what}: `wakeline queues resume {name}` lets workers take again")
    for limit in seen.limits:
        if limit.waiting:
            who, wait = _count(limit.waiting, "process"), "waits" if limit.waiting == 1 else "wait"
            what = (
                f"{who} {wait} for a place under the limit of {limit.name}, which {limit.running}"
                f" {'has' if limit.running == 1 else 'have'}"
            )
            yield Finding("held", "note", f"{what}; that is what it is for, `wakeline queues` shows it")


def _doorbells(seen: Seen) -> Iterator[Finding]:
    taken = {queue.name for queue in seen.fleet.queues if queue.workers}
    causes: dict[str, list[str]] = defaultdict(list)
    for row in seen.fleet.stuck:
        if row.failed:
            cause = "RQ took them and failed: a stock worker needs `-S json`, and this app in WAKELINE_APP"
        elif row.queue in taken:
            cause = (
                "they were popped and lost, as a killed stock worker does, or the workers are behind: look at their"
                " logs"
            )
        else:
            cause = f"no worker takes from queue {row.queue}"
        causes[cause].append(row.process_id)
    for cause, pids in causes.items():
        yield Finding("doorbells", "problem", f"nobody answers the doorbells of {_some(pids)}; {cause}")
    lost = [row.process_id for row in seen.fleet.queued if row.lost and not row.rings]
    if lost and not seen.ticks and not seen.unheard:
        what = (
            f"no doorbell is there for {_some(lost)}, and nobody ticks, so none is rung again; start `wakeline worker`"
            " or `wakeline clock`"
        )
        yield Finding("no_doorbell", "problem", what)


def _standing(seen: Seen) -> Iterator[Finding]:
    """What a release of before, or a store that lost its tail, left so that nothing would ever come to it again."""
    now = _told(seen.fleet.standing)
    if now and (seen.ticks or seen.alive):
        yield Finding(
            "standing",
            "warning",
            f"standing still: {now}; an earlier release left that so, or a restore; ticks find it and put it right",
        )
    elif now and seen.unheard:
        yield Finding(
            "standing", "warning", f"standing still: {now}; ticks put that right once the server takes writes"
        )
    elif now:
        yield Finding(
            "standing",
            "problem",
            f"standing still: {now}; ticks put that right, and nobody ticks: start `wakeline worker` or `wakeline"
            " clock`",
        )
    for word, recent in (("in the last day", True), ("before that", False)):
        found = {
            what: one.number
            for what, one in seen.fleet.stood.items()
            if (seen.fleet.now_ms - one.at_ms < STOOD_FOR_MS) is recent
        }
        if found:
            thought = recent and set(found) != {"bells"}  # a stock worker that is killed loses doorbells
            what = f"what stood still and was put right, the last of it {word}: {_told(found)}; it goes on"
            yield Finding("stood", "warning" if thought else "note", what)


def _told(counts: Mapping[str, int]) -> str:
    known = ((number, *STANDING[what]) for what, number in counts.items() if what in STANDING)
    return ", ".join(f"{_count(number, noun)} {how}" for number, noun, how in known)


def _wakes(seen: Seen) -> Iterator[Finding]:
    n = seen.fleet.undeliverable
    if n:
        entries = "1 entry is" if n == 1 else f"{n} entries are"
        yield Finding(
            "wakes",
            "warning",
            f"{entries} undeliverable, failed or blocking a session: `wakeline wakes --undeliverable` says why; redrive"
            " or skip",
        )


def _triggers(seen: Seen) -> Iterator[Finding]:
    n = seen.fleet.undelivered
    if n:
        what = "1 delivery of a trigger is" if n == 1 else f"{n} deliveries of triggers are"
        yield Finding(
            "triggers",
            "warning",
            f"{what} reserved and not started; if it stays so, start a worker whose app has the code (`wakeline"
            " triggers`)",
        )


def _unread(seen: Seen) -> Iterator[Finding]:
    reasons: dict[str, list[str]] = defaultdict(list)
    for row in seen.fleet.queued:
        if row.unread is not None:
            reasons[row.unread].append(row.process_id)
    for reason, pids in reasons.items():
        what = f"workers cannot read what is stored of {_some(pids)}, and hand it back: {reason}"
        yield Finding("unread", "problem", f"{what}; deploy the release that wrote it, or a later one")


def _missing(seen: Seen) -> dict[str, list[str]]:
    """Bodies that this app does not have, and the queued processes that need them."""
    registry = seen.registry
    tables: dict[str, tuple[str, Container[str]]] = {
        "tool_call": ("tool", registry.tools),
        "session_turn": ("agent", registry.agents),
    }
    missing: dict[str, list[str]] = defaultdict(list)
    for row in seen.fleet.queued:
        if row.unread is not None:
            continue  # it needs another release first
        if row.input == "engine" and not registry.has_engine(row.needs, row.version):
            missing[f"engine {row.needs!r}" + (f" version {row.version!r}" if row.version else "")].append(
                row.process_id
            )
        elif (
            row.input in tables
            and row.needs not in tables[row.input][1]
            and registry.current(row.needs) not in registry.tools
        ):
            missing[f"{tables[row.input][0]} {row.needs!r}"].append(row.process_id)
    return missing


def _code(seen: Seen) -> Iterator[Finding]:
    for name, pids in _missing(seen).items():
        yield Finding(
            "code",
            "problem",
            f"no code here for {name}, needed by {_some(pids)}; include its module, or deploy the release that has it",
        )


def _misfits(seen: Seen) -> Iterator[Finding]:
    """What waits for code that fits, by why and what it is. Code that this app lacks too is named already."""
    named = {pid for pids in _missing(seen).values() for pid in pids}
    groups: dict[tuple[str, str, str], list[MisfitView]] = defaultdict(list)
    for row in seen.fleet.misfits:
        if row.misfit.kind != "missing" or row.process_id not in named:
            groups[row.misfit.kind, row.input, row.needs].append(row)
    for (_, kind, name), rows in groups.items():
        who, waits = _some([row.process_id for row in rows]), "wait" if len(rows) > 1 else "waits"
        what = f"{who} of {kind.removeprefix('session_').removesuffix('_call')} {name!r} {waits} for code that fits"
        first = f"{rows[0].process_id}: " if len(rows) > 1 else ""
        yield Finding(
            "misfit", "problem", f"{what}; {first}{rows[0].misfit.message} `wakeline cancel` ends what should not wait"
        )
    hidden = seen.fleet.misfit_count - len(seen.fleet.misfits)
    if hidden > 0:
        yield Finding(
            "misfit",
            "problem",
            f"{hidden} more {'waits' if hidden == 1 else 'wait'} for code that fits: `wakeline ps --status queued`"
            " names them",
        )


def _lost(seen: Seen) -> Iterator[Finding]:
    """What was lost with its workers more often than chance would have it, under a release that gets other work
    done."""
    unfit = {row.process_id for row in seen.fleet.misfits}
    for row in seen.fleet.queued:
        if row.losses > LOST_WITH_OTHERS and row.process_id not in unfit:
            seconds = max(0, row.due_ms - seen.fleet.now_ms + 999) // 1000
            what = (
                f"{row.process_id} was lost with its worker {row.losses} times in a row, and runs again alone"
                f" {f'in {seconds} s' if seconds else 'now'}"
            )
            end = "after the eleventh loss it is abandoned"
            yield Finding(
                "lost",
                "problem",
                f"{what}; {end}. The log of the worker says how it died; roll back, deploy a fix, or `wakeline"
                " cancel` it",
            )


def _named(queue: str) -> str:
    """A queue as commands take it: without the namespace, which stands for its own queue."""
    namespace, own = split_queue(queue)
    return own or namespace


def _some(pids: list[str]) -> str:
    shown = ", ".join(pids[:NAMED])
    return f"{shown} and {len(pids) - NAMED} more" if len(pids) > NAMED else shown


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}{'es' if noun.endswith('s') else 's'}"
