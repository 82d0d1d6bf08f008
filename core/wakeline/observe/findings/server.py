"""Findings about the server: its version, its memory and disk, its role and clock, and the namespace on it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from wakeline.errors import StoreError
from wakeline.observe.findings.finding import Finding, count
from wakeline.observe.findings.seen import Seen
from wakeline.store.servers import OLDEST

SKEW_MS = 1_000
CROWDED = 0.9

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

FSYNC = {
    "always": "no acknowledged write is lost, and every write waits for the disk",
    "everysec": "a crash of the server, or a power failure, loses up to 2 s of what was acknowledged",
    "no": "a crash of the server, or a power failure, loses what the system had not written yet",
}
"""What ``appendfsync`` means for what was acknowledged."""


def findings(seen: Seen) -> Iterator[Finding]:
    """All of them."""
    for found in (_server, _eviction, _memory, _writes, _aof, _role, _clock, _namespace, _secret):
        yield from found(seen)


def _server(seen: Seen) -> Iterator[Finding]:
    facts = seen.server
    product = facts.product or "redis"
    if facts.version is None:
        yield Finding("server", "note", f"server {seen.where}: version not known")
    elif tuple(int(part) for part in facts.version.split(".")[:2]) < OLDEST[product]:
        least = ".".join(map(str, OLDEST[product]))
        what = f"{facts.product} {facts.version} at {seen.where} is too old"
        yield Finding("server", "problem", what, f"use {facts.product} {least} or newer")
    else:
        yield Finding("server", "ok", f"{facts.product} {facts.version} at {seen.where}")


def _eviction(seen: Seen) -> Iterator[Finding]:
    policy = seen.server.eviction
    if policy is None:
        yield Finding("eviction", "note", "maxmemory-policy: not known; it has to be noeviction")
    elif policy == "noeviction":
        yield Finding("eviction", "ok", "maxmemory-policy noeviction: nothing durable is ever evicted")
    elif seen.allow_eviction:
        what = f"maxmemory-policy {policy} may lose durable work, and WAKELINE_ALLOW_EVICTION permits it"
        yield Finding("eviction", "warning", what, "set noeviction")
    else:
        what = f"maxmemory-policy {policy} loses durable work, and workers refuse to start"
        yield Finding("eviction", "problem", what, "set noeviction", stops_release=True)


def _memory(seen: Seen) -> Iterator[Finding]:
    facts = seen.server
    if facts.limit_bytes and facts.used_bytes is not None and facts.used_bytes > facts.limit_bytes * CROWDED:
        what = f"memory is {round(100 * facts.used_bytes / facts.limit_bytes)} % full"
        to_do = "writes are refused when it is full: give it more, or shorten WAKELINE_RETENTION"
        yield Finding("memory", "warning", what, to_do)


def _writes(seen: Seen) -> Iterator[Finding]:
    if seen.writes_refused is not None:
        yield writes_refused(seen.writes_refused)


def writes_refused(refused: StoreError) -> Finding:
    """What it means that the server refuses writes, with what it says."""
    said = str(refused.fields.get("reason", "its memory is full"))
    remedy = next((remedy for sign, remedy in REFUSALS if re.search(sign, said)), "its own log says why")
    what = f"the server takes no writes, so workers wait and nothing goes on: {said}"
    return Finding("writes", "problem", what, remedy)


def _aof(seen: Seen) -> Iterator[Finding]:
    facts = seen.server
    loses = "a restart of the server loses what happened since its last snapshot"
    if facts.aof is None:
        yield Finding("aof", "note", f"AOF: not known; without it {loses}")
    elif not facts.aof:
        yield Finding("aof", "warning", f"AOF is off: {loses}", "set appendonly yes")
    else:
        meaning = FSYNC.get(facts.fsync or "", "how often it is synced is not known")
        what = f"AOF is on, appendfsync {facts.fsync or 'not known'}: {meaning}"
        if facts.fsync == "no":
            yield Finding("aof", "warning", what, "set appendfsync everysec")
        else:
            yield Finding("aof", "ok", what)


def _role(seen: Seen) -> Iterator[Finding]:
    facts = seen.server
    if facts.role is None:
        yield Finding("role", "note", "role and replicas: not known")
    elif facts.role != "master":
        yield Finding("role", "problem", f"this server is a {facts.role} and refuses writes", "connect to its primary")
    elif facts.replicas:
        replicas = count(facts.replicas, "replica")
        follow = "which follow asynchronously: a failover loses the last moments"
        yield Finding("role", "ok", f"primary with {replicas}, {follow}")
    else:
        yield Finding("role", "note", "primary without replicas: its disk is the only copy")


def _clock(seen: Seen) -> Iterator[Finding]:
    off = seen.fleet.now_ms - seen.local_ms
    if abs(off) <= SKEW_MS:
        yield Finding("clock", "ok", f"clocks agree within {SKEW_MS} ms")
    else:
        what = f"this machine's clock is {abs(off)} ms {'behind' if off > 0 else 'ahead of'} the server's"
        harm = "moments it names are off by that, limits, timers and leases are not"
        yield Finding("clock", "warning", f"{what}: {harm}", "set it by NTP")


def _namespace(seen: Seen) -> Iterator[Finding]:
    found = seen.fleet.format
    if found is not None and found.isdigit() and int(found) > int(seen.format):
        what = f"keys have format {found}, this release writes {seen.format}"
        yield Finding("format", "problem", what, f"deploy a release that knows {found}", stops_release=True)
    else:
        yield Finding("format", "ok", f"key format {found or seen.format}")
    stored = seen.fleet.rq_prefix
    if stored is not None and stored != seen.rq_prefix:
        what = f"doorbells are under RQ prefix {stored!r}, this client uses {seen.rq_prefix!r}"
        yield Finding("rq_prefix", "problem", what, f"set RQ_KEY_PREFIX={stored} everywhere")
    counts = ", ".join(f"{number} {status}" for status, number in seen.fleet.counts.items() if number)
    yield Finding("counts", "ok", f"processes: {counts or 'none'}; {count(seen.fleet.timers, 'timer')}")


def _secret(seen: Seen) -> Iterator[Finding]:
    if seen.secret_refused is not None:
        what = f"the namespace's secret is refused, and workers refuse to start: {seen.secret_refused}"
        yield Finding("secret", "problem", what, "restore it, or `wakeline secret rotate`", stops_release=True)
