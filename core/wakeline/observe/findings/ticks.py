"""Findings about time: whether a worker or a clock ticks, and what stands still that ticks put right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from wakeline.observe.findings.finding import Finding, count
from wakeline.observe.findings.seen import UNHEARD, Seen
from wakeline.store.fleet import Due

STOOD_FOR_MS = 24 * 3_600_000
LATE_MS = 1_000
"""A tick is due once a second: what is due for longer is late."""

STANDING = {
    "waits": ("process", "parked on nothing"),
    "runs": ("process", "run by no worker"),
    "lines": ("process", "waiting at a limit in no line"),
    "places": ("place", "of a limit held by no process"),
    "cells": ("cell", "of a rate given to no process"),
    "timers": ("process", "queued for a time ahead without a timer"),
    "indexes": ("process", "listed under another status"),
    "bells": ("process", "queued without a doorbell"),
    "deadlines": ("wait", "without the timer of its deadline"),
    "approvals": ("approval", "listed and not open, or open and not listed"),
    "signals": ("wait", "that no sender of its signal would find"),
}
"""What stands still, as the store names it: what, and how."""


def ticks(seen: Seen) -> Iterator[Finding]:
    """Whether what time does is done: by a worker or a clock, or only when a job of a stock worker comes."""
    fleet, last = seen.fleet, seen.fleet.ticked
    late = [
        (due, noun)
        for due, noun in ((fleet.timers_due, "timer"), (fleet.schedules_due, "schedule"))
        if _late_ms(seen, due) > LATE_MS
    ]
    told = " and ".join(
        f"{count(due.number, noun)} overdue, the first by {_late_ms(seen, due) // 1000} s" for due, noun in late
    )
    if seen.ticks:
        assert last is not None
        if any(_late_ms(seen, due) > 2 * seen.lease_ms for due, _ in late):
            what = f"a {last.kind} ticks, and does not keep up: {told}"
            yield Finding("ticks", "warning", what, "look at its log, or start more workers")
        else:
            yield Finding("ticks", "ok", f"a {last.kind} ticks: timers, schedules and lost work are looked after")
        return
    if seen.unheard:
        yield Finding("ticks", "note", f"ticks: not known{f' ({told})' if told else ''}; {UNHEARD}")
        return
    if last is None or last.kind != "stock":
        who = "nothing ticks" + (f", for {(fleet.now_ms - last.at_ms) // 1000} s now" if last else "")
    else:
        who = f"only jobs of stock workers tick, the last one {(fleet.now_ms - last.at_ms) // 1000} s ago"
    remedy = "start `wakeline worker`, or `wakeline clock` where only stock workers run"
    if late:
        yield Finding("ticks", "problem", f"{who}: {told}", remedy)
    elif fleet.timers or fleet.todo:
        waits = f"{count(fleet.timers, 'timer')} will be late" if fleet.timers else "work that was begun is not ended"
        yield Finding("ticks", "warning", f"{who}: {waits}", remedy)
    elif seen.workers:
        yield Finding("ticks", "note", who, f"{remedy} before there are timers")


def _late_ms(seen: Seen, due: Due) -> int:
    return 0 if due.since_ms is None else seen.fleet.now_ms - due.since_ms


def standing(seen: Seen) -> Iterator[Finding]:
    """What an earlier release, or a store that lost its tail, left so that nothing would ever come to it again."""
    if now := _told(seen.fleet.standing):
        what = f"standing still: {now}"
        if seen.ticks or seen.alive:
            left = "an earlier release left that so, or a restore; ticks find it and put it right"
            yield Finding("standing", "warning", f"{what}; {left}")
        elif seen.unheard:
            yield Finding("standing", "warning", f"{what}; ticks put that right once the server takes writes")
        else:
            to_do = "ticks put that right, and nothing ticks: start `wakeline worker` or `wakeline clock`"
            yield Finding("standing", "problem", what, to_do)
    for word, recent in (("in the last day", True), ("before that", False)):
        found = {
            what: one.number
            for what, one in seen.fleet.stood.items()
            if (seen.fleet.now_ms - one.at_ms < STOOD_FOR_MS) is recent
        }
        if found:
            # A stock worker that is killed loses doorbells. What an earlier release asks is listed by the sweep alone.
            thought = recent and not set(found) <= {"bells", "approvals"}
            what = f"what stood still and was put right, the last of it {word}: {_told(found)}; it goes on"
            yield Finding("stood", "warning" if thought else "note", what)


def _told(counts: Mapping[str, int]) -> str:
    known = ((number, *STANDING[what]) for what, number in counts.items() if what in STANDING)
    return ", ".join(f"{count(number, noun)} {how}" for number, noun, how in known)
