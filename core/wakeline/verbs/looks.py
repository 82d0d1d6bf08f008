"""Verbs that only look: status, result, events, lists.

Invariant: nothing here writes. A wait reads the state again after each hint of a change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from wakeline.errors import InvalidArguments, ProcessNoLongerRetained, ProcessNotFound, WaitTimeout
from wakeline.observe.effects import EffectView, effect_view, effects_of
from wakeline.observe.events import EventPage, EventView, event_view
from wakeline.observe.processes import ENDED, LIVE, ProcessView, Status, held_up, process_of, status_of
from wakeline.observe.reasons import leaves_room
from wakeline.observe.waits import ProcessWait, waits_with_process
from wakeline.pages import Page, first_of
from wakeline.processes.lifecycle import TERMINAL
from wakeline.processes.outputs import AwaitOutput, output_of, raise_for
from wakeline.store import journal, processes, queues
from wakeline.store.calls import Change, Program
from wakeline.tools.tool import Duration
from wakeline.values import check_number, parse_duration
from wakeline.verbs.caller import Caller

R = TypeVar("R")
S = TypeVar("S", bound=Status)
EVENTS_AT_ONCE = 256
ROWS_AT_ONCE = 256


def status(process_id: str) -> Program[Status]:
    """One look; raises `ProcessNotFound`, `ProcessNoLongerRetained`."""
    stored: processes.StoredProcess = yield processes.read(process_id)
    return status_of(stored, stored.now_ms)


def process(process_id: str) -> Program[ProcessView]:
    """All that is known of a process; raises `ProcessNotFound`, `ProcessNoLongerRetained`."""
    stored: processes.StoredProcess = yield processes.read(process_id, count=1, tail=True, detail=True)
    [view] = yield from _held_up([(process_of(stored), stored.registration.queue)])
    return view


def waits(limit: int) -> Program[Page[ProcessWait]]:
    """What waiting processes wait for, of at most ``limit`` processes; the last one that began to wait comes first."""
    waiting = yield from page(("waiting",), limit=limit)
    found: list[ProcessWait] = []
    for status in waiting:
        try:
            stored: processes.StoredProcess = yield processes.read(status.id, detail=True)
        except (ProcessNotFound, ProcessNoLongerRetained):
            continue  # it ended and was pruned between the two looks
        found += waits_with_process(stored)
    return Page(found, more=waiting.more)


def _held_up(found: Sequence[tuple[S, str]]) -> Program[list[S]]:
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
    return load(raise_for(process_id, output))


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
        yield Change(process_id, view.sequence, left, "end")


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


def effects(process_id: str, after: int, limit: int) -> Program[Page[EffectView]]:
    """What a process has recorded in this generation, in order, behind effect number ``after``, at most ``limit``."""
    check_number("after", after, least=0)
    check_number("limit", limit, least=0)
    keys: dict[str, journal.RecordedKey] = {}
    cursor = "0"
    while True:
        cursor, found = yield journal.list_keys(process_id, cursor)
        keys |= {one.key: one for one in found}
        if cursor == "0":
            break
    behind = [one for one in effects_of(list(keys.values())) if one.n > after or not after]
    rows: dict[str, journal.RecordedRow] = {}
    missing = [key for one in behind[:limit] for key in one.keys]
    while missing:
        read: list[journal.RecordedRow] = yield journal.list_rows(process_id, missing[:ROWS_AT_ONCE])
        rows |= {row.key: row for row in read}
        missing = missing[len(read) :]
    views = [effect_view(one, rows) for one in behind[:limit]]
    return Page([view for view in views if view is not None], more=len(behind) > limit)


def listed(
    status: str | None,
    *,
    limit: int,
    kind: str | None = None,
    session: str | None = None,
    waiting: str | None = None,
) -> Program[Page[Status]]:
    """Processes of a status ('live', 'any', or one), newest first within each; raises `InvalidArguments` for
    another word."""
    wanted = {"live": LIVE, "any": LIVE + ENDED, None: LIVE + ENDED} | {one: (one,) for one in LIVE + ENDED}
    if status not in wanted:
        raise InvalidArguments(
            name="processes", reason=f"status is live, any, or one of {', '.join(LIVE + ENDED)}; not {status!r}"
        )
    found = yield from page(wanted[status], limit=limit, kind=kind, session=session, waiting=waiting)
    return found


def page(
    statuses: Sequence[str],
    *,
    limit: int,
    kind: str | None = None,
    session: str | None = None,
    waiting: str | None = None,
) -> Program[Page[Status]]:
    """Processes of these statuses, newest first within each, at most ``limit``."""
    check_number("limit", limit, least=0)
    found: dict[str, tuple[Status, str]] = {}
    score, member = "+inf", ""
    while statuses and len(found) <= limit:
        page: processes.ListPage = yield processes.list_page(
            statuses,
            limit=limit + 1 - len(found),
            score=score,
            member=member,
            kind=kind,
            session_id=session,
            waiting=waiting,
        )
        # A process that moved between two pages is shown once, as it was first seen.
        for row in page.rows:
            found.setdefault(row.process_id, (status_of(row, page.now_ms), row.registration.queue))
        if not page.score:
            break
        statuses, score, member = statuses[page.done :], page.score, page.member
    shown = yield from _held_up(list(found.values()))
    return first_of(shown, limit)
