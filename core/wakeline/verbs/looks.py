"""Verbs that only look: status, result, events, lists.

Invariant: nothing here writes but what makes later looks shorter (ADR 17). A wait reads the state again after each hint
of a change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

from wakeline.errors import (
    ProcessFailed,
    ProcessNoLongerRetained,
    ProcessNotFound,
    RedisRefused,
    StoreOutOfMemory,
    WaitTimeout,
    WritesRefused,
)
from wakeline.observe.effects import EffectView, effect_view, effects_of
from wakeline.observe.events import EventPage, EventView, event_view
from wakeline.observe.follows import Reached
from wakeline.observe.processes import ProcessView, Status, held_up, process_of, status_of
from wakeline.observe.query import ProcessQuery
from wakeline.observe.reasons import leaves_room
from wakeline.observe.runs import run_of
from wakeline.observe.setbacks import trace_in
from wakeline.observe.waits import ProcessWait, waits_with_process
from wakeline.pages import Page, first_of, no_place, place_of
from wakeline.processes.lifecycle import TERMINAL
from wakeline.processes.outputs import AwaitOutput, from_data, output_of, raise_for
from wakeline.shown import logger
from wakeline.store import entries, journal, processes, queues
from wakeline.store.calls import Change, Program
from wakeline.store.tails import ToldEnd
from wakeline.tools.tool import Duration
from wakeline.values import check_number, parse_duration
from wakeline.verbs.caller import Caller

log = logger("wakeline.verbs")
R = TypeVar("R")
S = TypeVar("S", bound=Status)
EVENTS_AT_ONCE = 256
ROWS_AT_ONCE = 256
PLACES_SHOWN = 3
"""How many that have a place under a limit are named."""


def status(process_id: str) -> Program[Status]:
    """One look; raises `ProcessNotFound`, `ProcessNoLongerRetained`."""
    stored: processes.StoredProcess = yield processes.read(process_id, brief=True)
    return status_of(stored, stored.now_ms)


def process(process_id: str) -> Program[ProcessView]:
    """All that is known of a process; raises `ProcessNotFound`, `ProcessNoLongerRetained`."""
    stored: processes.StoredProcess = yield processes.read(process_id, count=1, tail=True, detail=True)
    [view] = yield from held_up_by_queues([(process_of(stored), stored.registration.queue)])
    waits_for_place = view.because is not None and view.because.code == "held"
    if view.status != "running" and not waits_for_place:
        return view
    meant = {"limit": stored.held_at or ""} if waits_for_place else {"process_id": process_id}
    runs, taken = yield queues.runs(most=PLACES_SHOWN, **meant)
    return replace(view, runs=tuple(map(run_of, runs)), places_taken=taken)


def waits(limit: int, after: str | None = None) -> Program[Page[ProcessWait]]:
    """What waiting processes wait for, of at most ``limit`` processes; the last one that began to wait comes first."""
    waiting = yield from page(ProcessQuery(status="waiting"), limit=limit, after=after)
    found: list[ProcessWait] = []
    for status in waiting:
        try:
            stored: processes.StoredProcess = yield processes.read(status.id, detail=True)
        except (ProcessNotFound, ProcessNoLongerRetained):
            continue  # it ended and was pruned between the two looks
        found += waits_with_process(stored)
    return Page(found, more=waiting.more, following=waiting.next)


def held_up_by_queues(found: Sequence[tuple[S, str]]) -> Program[list[S]]:
    """The same views, with the reason of their queues for being queued. Each comes with RQ's name of its queue. One
    call looks at the queues of those whose record leaves room for it."""
    asked = sorted({queue for one, queue in found if one.status == "queued" and leaves_room(one.because)})
    if not asked:
        return [one for one, _ in found]
    states, _ = yield queues.list_queues(asked)
    known = {state.name: state for state in states}
    return [held_up(one, known[queue]) if queue in known else one for one, queue in found]


def result(caller: Caller, process_id: str, timeout: Duration | None, load: Callable[[Any], R]) -> Program[R]:
    """Wait for the end. Raises `ProcessFailed`, `ProcessCancelled`, `ProcessAbandoned`, `WaitTimeout`,
    `ProcessNotFound`."""
    output = yield from await_output(caller, process_id, None if timeout is None else parse_duration(timeout))
    try:
        value = raise_for(process_id, output)
    except ProcessFailed as failed:
        with suppress(ProcessNotFound, ProcessNoLongerRetained):  # it was pruned between the two looks
            view: processes.StoredLog = yield processes.read_log(process_id, count=1, tail=True)
            if view.status == "failed" and (trace := trace_in(event_view(view.events[-1]))):
                failed.add_note(f"In {process_id}:\n{trace}")
        raise
    return load(value)


def await_output(caller: Caller, process_id: str, timeout_ms: int | None) -> Program[AwaitOutput]:
    """The await output, once the process has ended."""
    deadline = None if timeout_ms is None else caller.now_ms() + timeout_ms
    while True:
        view: processes.StoredLog = yield processes.read_log(process_id, count=1, tail=True)
        if view.status in TERMINAL:
            return output_of(view.events[-1].payload)
        left = None if deadline is None else deadline - caller.now_ms()
        if left is not None and left <= 0:
            raise WaitTimeout(what=f"process {process_id}")
        told: ToldEnd | None = yield Change(process_id, view.sequence, left, "end")
        if told is not None and told.incarnation == view.incarnation:
            return from_data(told.output)  # written once: there is nothing to read again


def events(process_id: str, after: int, *, follow: bool, told: EventView | None = None) -> Program[EventPage]:
    """The events after a sequence, in pages; ``follow`` waits for the first one of a page until the process has ended.

    ``told`` is the last event that a follower was told. If the store went back and has another one there, or none, the
    follower is told what was written since, under the numbers that it has now.
    """
    check_number("after", after, least=0)
    while True:
        last = told if told is not None and told.sequence == after else None
        first = after if last is None else after - 1
        view: processes.StoredLog = yield processes.read_log(process_id, after=first, count=EVENTS_AT_ONCE)
        found, more = list(view.events), len(view.events) == EVENTS_AT_ONCE
        if last is not None:
            if found and (found[0].sequence, found[0].at_ms) == (after, last.at_ms):
                del found[0]
            else:
                view = yield processes.read_log(process_id, count=EVENTS_AT_ONCE, tail=True)
                found, more = [one for one in view.events if one.at_ms > last.at_ms], False
                after, told = view.sequence, None
        reached = found[-1].sequence if found else after
        over = view.status in TERMINAL and reached >= view.sequence
        if found or over or not follow:
            return EventPage(tuple(map(event_view, found)), reached, more or (follow and not over))
        yield Change(process_id, after)


def effects(process_id: str, after: int | str, limit: int) -> Program[Page[EffectView]]:
    """What a process has recorded in this generation, in order, behind effect number ``after``, at most ``limit``; or
    what a reader with this cursor did not have yet."""
    reached = Reached.of(after)
    check_number("limit", limit)
    keys: dict[str, journal.RecordedKey] = {}
    cursor = "0"
    while True:
        cursor, found = yield journal.list_keys(process_id, cursor)
        keys |= {one.key: one for one in found}
        if cursor == "0":
            break
    own = effects_of(list(keys.values()))
    behind = [one for one in own if reached.is_ahead(one.n)]
    shown, more = behind[:limit], len(behind) > limit
    rows: dict[str, journal.RecordedRow] = {}
    missing = [key for one in shown for key in one.keys]
    while missing:
        read: list[journal.RecordedRow] = yield journal.list_rows(process_id, missing[:ROWS_AT_ONCE])
        rows |= {row.key: row for row in read}
        missing = missing[len(read) :]
    views = [effect_view(one, rows) for one in shown]
    numbers = {one.n for one in keys.values()}
    got = reached.with_page(
        [one.n for one in shown], numbers - {one.n for one in own}, shown[-1].n if more else max(numbers, default=0)
    )
    return Page([view for view in views if view is not None], more=more, following=got.cursor)


def listed(which: ProcessQuery, *, limit: int, after: str | None = None) -> Program[Page[Status]]:
    """Processes that are meant, newest first within each status. Raises `InvalidArguments`, `InvalidId`,
    `InvalidDuration`, and `SessionNotFound` for a session that never was."""
    found = yield from page(which, limit=limit, after=after)
    if which.session is not None and not found and after is None:
        yield entries.look(which.session, limit=0)
    return found


def children(process_id: str, *, status: str | None, limit: int, after: str | None = None) -> Program[Page[Status]]:
    """The processes that a process started, newest first within each status. Raises `ProcessNotFound`,
    `ProcessNoLongerRetained`, and `InvalidArguments` for a bad status, limit or cursor."""
    which = ProcessQuery(status=status, parent=process_id)
    found = yield from page(which, limit=limit, after=after)
    if after is None:
        # Also where some were found: whether it raises must not depend on what its children do.
        yield processes.read_log(process_id)
    return found


def indexed(status: str, behind: str, stale: Sequence[Sequence[str]]) -> Program[None]:
    """What lists look in is brought up to date, in slices. The list is right without it, and longer on its way."""
    try:
        while (yield processes.index(status, behind, stale)):
            stale = ()
    except (WritesRefused, StoreOutOfMemory, RedisRefused) as refused:
        log.debug("an index of filters is not written: %s", refused)


def page(which: ProcessQuery, *, limit: int, after: str | None = None) -> Program[Page[Status]]:
    """Processes that are meant, newest first within each status, at most ``limit``, behind a cursor."""
    statuses, by = which.statuses, which.wire()
    check_number("limit", limit)
    score, member = "+inf", ""
    if after is not None:
        reached, _, rest = after.partition(":") if isinstance(after, str) else ("", "", "")  # pyright: ignore[reportUnnecessaryIsInstance]
        if reached not in statuses:
            raise no_place(after)
        statuses = statuses[list(statuses).index(reached) :]
        score, member = place_of(rest)
    return (yield from rows(statuses, by, limit=limit, score=score, member=member))


def rows(
    statuses: Sequence[str], by: Mapping[str, Any], *, limit: int, score: str = "+inf", member: str = ""
) -> Program[Page[Status]]:
    """Processes of these statuses in their order, newest first within each, behind a place in the first of them;
    ``by`` as `processes.list_page` takes it."""
    found: dict[str, tuple[Status, str]] = {}
    places: list[str] = []
    while statuses and len(found) <= limit:
        page: processes.ListPage = yield processes.list_page(
            statuses,
            limit=limit + 1 - len(found),
            score=score,
            member=member,
            **by,
        )
        # A process that moved between two pages is shown once, as it was first seen.
        for row, at in zip(page.rows, page.scores, strict=True):
            if row.process_id not in found:
                found[row.process_id] = (status_of(row, page.now_ms), row.registration.queue)
                places.append(f"{row.status}:{at}:{row.process_id}")
        if page.score:
            statuses, score, member = statuses[page.done :], page.score, page.member
        if page.stale or (page.score and page.behind):
            yield from indexed(statuses[0], page.behind, page.stale)
        if not page.score:
            break
    shown = yield from held_up_by_queues(list(found.values()))
    return first_of(shown, limit, places)
