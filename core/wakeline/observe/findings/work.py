"""Findings about queues, limits and doorbells: what waits, and whether a worker comes for it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from wakeline.observe.findings.finding import Finding, count, named, some
from wakeline.observe.findings.seen import Seen


def findings(seen: Seen) -> Iterator[Finding]:
    """All of them."""
    yield from _queues(seen)
    yield from _limits(seen)
    yield from _doorbells(seen)


def summed_up(found: Sequence[Finding]) -> list[Finding]:
    """The findings for people: one stands for all queues that are fine, if they are several."""
    fine = [one for one in found if (one.code, one.level) == ("queue", "ok")]
    if len(fine) < 2:
        return list(found)
    workers = tuple(dict.fromkeys(name for one in fine for name in one.workers))
    what = f"{count(len(fine), 'queue')} with {count(len(workers), 'worker')}; `wakeline queues` lists them"
    whole = Finding("queue", "ok", what, queues=tuple(name for one in fine for name in one.queues), workers=workers)
    rest = [whole if one is fine[0] else one for one in found]
    return [one for one in rest if one is whole or (one.code, one.level) != ("queue", "ok")]


def _queues(seen: Seen) -> Iterator[Finding]:
    for queue in seen.fleet.queues:
        bells, workers = count(queue.length, "doorbell"), count(len(queue.workers), "worker")
        what = f"queue {queue.name}: {bells}, {workers}, {queue.idle} idle"
        about, takers = (queue.name,), queue.workers
        if queue.length and not queue.workers and seen.workers:
            # With no worker at all one finding says so for every queue.
            to_do = f"no worker takes from it: start `wakeline worker -Q {named(queue.name)}`"
            yield Finding("queue", "problem", what, to_do, queues=about)
        else:
            yield Finding("queue", "ok", what, queues=about, workers=takers)
    for state in seen.states:
        if state.paused:
            waits = f"{state.waiting} {'waits' if state.waiting == 1 else 'wait'} in it"
            way = f"`wakeline queues resume {named(state.name)}` lets workers take again"
            yield Finding("paused", "note", f"queue {state.name} is paused, and {waits}: {way}", queues=(state.name,))


def _limits(seen: Seen) -> Iterator[Finding]:
    for limit in seen.limits:
        if limit.waiting:
            who, wait = count(limit.waiting, "process"), "waits" if limit.waiting == 1 else "wait"
            held = f"which {limit.running} {'has' if limit.running == 1 else 'have'}"
            what = f"{who} {wait} for a place under the limit of {limit.name}, {held}"
            yield Finding("held", "note", f"{what}; that is what it is for, `wakeline queues` shows it")


def _doorbells(seen: Seen) -> Iterator[Finding]:
    taken = {queue.name for queue in seen.fleet.queues if queue.workers}
    causes: dict[str, list[str]] = defaultdict(list)
    for row in seen.fleet.stuck:
        if row.failed:
            cause = "RQ took them and failed: a stock worker needs `-S json`, and this app in WAKELINE_APP"
        elif row.queue in taken:
            lost = "they were popped and lost, as a killed stock worker does"
            cause = f"{lost}, or the workers are behind: look at their logs"
        else:
            cause = f"no worker takes from queue {row.queue}"
        causes[cause].append(row.process_id)
    for cause, pids in causes.items():
        what = f"no worker answers the doorbells of {some(pids)}"
        yield Finding("doorbells", "problem", what, cause, processes=tuple(pids))
    gone = [row.process_id for row in seen.fleet.queued if row.lost and not row.rings]
    if gone and not seen.ticks and not seen.unheard:
        what = f"no doorbell is there for {some(gone)}, and nothing ticks, so none is rung again"
        to_do = "start `wakeline worker` or `wakeline clock`"
        yield Finding("no_doorbell", "problem", what, to_do, processes=tuple(gone))
