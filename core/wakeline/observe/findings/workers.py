"""Findings about workers: which live, which are gone, and what the store they live on has lost."""

from __future__ import annotations

from collections.abc import Iterator

from wakeline.observe.findings.finding import Finding, count
from wakeline.observe.findings.seen import UNHEARD, Seen
from wakeline.store.fleet import StoredRewind
from wakeline.store.rewinds import lost_writes

REWOUND_FOR_MS = 24 * 3_600_000
STARTED = (
    "start `wakeline worker`; where one runs, it begins a worker process within 15 s after the last one died,"
    " and its log says of what"
)


def findings(seen: Seen) -> Iterator[Finding]:
    """Which workers live, and which are gone."""
    yield from _expired(seen)
    yield from _alive(seen)


def _expired(seen: Seen) -> Iterator[Finding]:
    now = seen.fleet.now_ms
    for owner, expiry, held in seen.fleet.owners:
        if expiry > now:
            continue
        what = f"owner {owner} has not been heard of for {(now - expiry) // 1000} s and holds {held}"
        if seen.unheard:
            fate = UNHEARD
        elif seen.ticks or seen.alive:
            fate = "the next tick gives them away"
        else:
            fate = "nothing ticks: start `wakeline worker` or `wakeline clock`"
        yield Finding("expired", "warning", what, fate, workers=(owner,))


def _alive(seen: Seen) -> Iterator[Finding]:
    fleet = seen.fleet
    lost = sum(held for _, expiry, held in fleet.owners if expiry <= fleet.now_ms)
    work = fleet.counts["queued"] + fleet.counts["waiting"] + lost
    if seen.workers:
        held = sum(number for owner, _, number in fleet.owners if owner in seen.alive)
        what = f"{count(len(seen.workers), 'worker')} alive, {held} running in them"
        yield Finding("workers", "ok", what, workers=seen.workers)
    elif seen.unheard:
        yield Finding("workers", "note", f"workers alive: not known; {UNHEARD}")
    elif work:
        what = f"{count(work, 'process')} and no worker alive: nothing runs and no timer fires"
        yield Finding("workers", "problem", what, STARTED)
    else:
        yield Finding("workers", "note", "no worker alive, and no work", "start `wakeline worker` before there is some")


def rewound(seen: Seen) -> Iterator[Finding]:
    """Whether the store lost something of late."""
    at = seen.fleet.rewound_ms
    if at is None or seen.fleet.now_ms - at >= REWOUND_FOR_MS:
        return
    seconds, lost = (seen.fleet.now_ms - at) // 1000, seen.fleet.rewind
    ago = f"{count(seconds, 'second') if seconds < 60 else count(seconds // 60, 'minute')} ago"
    if lost is None:
        what = f"{ago} the store was found to have lost its last seconds, by a failover or a restore"
    elif lost.emptied:
        also = ", and to have gone back by a crash, a failover or a restore" if lost.gone_back else ""
        what = f"{ago} the store was found emptied, or another one in its place{also}{_gone(lost)}"
    else:
        what = f"{ago} the store was found to have gone back by a crash, a failover or a restore{_gone(lost)}"
    to_do = "what was started, signalled or emitted then may be gone: send it again, with the same ids and keys"
    yield Finding("rewound", "warning", what, to_do)


def _gone(lost: StoredRewind) -> str:
    if not lost.writes:
        return ""
    one = lost.clients == 1
    finders = "1 client or worker that was running" if one else f"{lost.clients} clients or workers that were running"
    writes = lost_writes(lost.writes, lost.first_ms, lost.last_ms)
    return f": {writes}, {'is' if lost.writes == 1 else 'are'} gone, as {finders} found"
