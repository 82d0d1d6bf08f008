"""The life of what a session received: what became of an entry and why, offered again, given up.

Invariant: a look writes nothing. What is offered again is a new entry.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, cast

from wakeline.errors import (
    EntryNotFound,
    EventNotFound,
    InvalidArguments,
    NothingBlocks,
    ProcessNotFound,
    SessionNotFound,
    WakelineError,
)
from wakeline.observe.entries import EntryView, entry_of, explain, why_unread
from wakeline.observe.wakes import no_wake, superseded, targets_of, woke
from wakeline.pages import Page, first_of, no_place, place_of
from wakeline.sessions.addresses import missing, readings
from wakeline.store import entries, processes, sessions
from wakeline.store.calls import Call, Program
from wakeline.store.entries import StoredInbox
from wakeline.store.journal import Effect
from wakeline.values import check_number, from_json
from wakeline.verbs.caller import Caller
from wakeline.verbs.recorder import Recorder, opened, written
from wakeline.verbs.sessions import inspect, shown_of

NUMBERED = re.compile("#[0-9]{1,15}$")


def wakes(
    caller: Caller, session: str, *, after: int | None, before: int | None, limit: int
) -> Program[Page[EntryView]]:
    """The latest entries, or those before or after a number, by number."""
    check_number("limit", limit)
    for what, given in (("after", after), ("before", before)):
        if given is not None:
            check_number(what, given, least=0)
    if after is not None and before is not None:
        raise InvalidArguments(name="wakes", reason="after= and before= exclude each other: page in one direction")
    found: list[EntryView] = []
    while len(found) <= limit:
        view: StoredInbox = yield entries.look(
            session, after=after, before=before, limit=min(limit + 1 - len(found), entries.MOST)
        )
        waits = why_unread(view.head, caller.agents)
        page = [entry_of(entry, waits) for entry in view.entries]
        found = [*found, *page] if after is not None else [*page, *found]
        if view.following is None:
            break
        after, before = (view.following, None) if after is not None else (None, view.following)
    if after is not None:
        return first_of(found, limit)
    return Page(found[-limit:], more=len(found) > limit)


def why(session: str, entry: int | None) -> Program[str]:
    """Why it does, or does not, go on; or why it did, or did not, wake for an entry."""
    told = yield from told_of(session, entry)
    return told.says


@dataclass(frozen=True, slots=True)
class Explained:
    """Why a session, or an entry of it, is as it is, and the turn that says more (None: there is none)."""

    says: str
    turn: str | None = None


def told_of(session: str, entry: int | None) -> Program[Explained]:
    """Why, in a sentence, and the turn on which it depends."""
    if entry is not None:
        check_number("entry", entry)
        seen = yield entries.look(session, limit=1, n=entry)
        found = entry_of(seen.entries[0])
        if found.state not in ("delivered", "admitted"):
            return Explained(explain(found))
        # A waiting entry waits for what its session waits for.
        view = yield from shown_of(seen)
        return Explained(f"{explain(found)}; {view.why}", view.turn)
    view = yield from inspect(session)
    return Explained(view.why, view.turn)


def why_address(address: str) -> Program[Explained]:
    """`why` for ``<agent>/<key>``, for an entry ``<agent>/<key>#<n>``, or for the wake of an event ``<process
    id>#<sequence>``.

    An address with several readings means the first that exists: the entry of a session, the event of a process, a
    session whose key ends with a number.
    """
    first: WakelineError | None = None
    for meant in readings(address):
        try:
            if meant.session is not None:
                told = yield from told_of(meant.session, meant.n)
            else:
                told = yield from _why_event(str(meant.process), meant.n or 0)
        except (SessionNotFound, EntryNotFound, EventNotFound, ProcessNotFound) as error:
            # A number that something does not have says more than an id that nothing has.
            if first is None or isinstance(first, SessionNotFound | ProcessNotFound):
                first = error if first is None or isinstance(error, EntryNotFound | EventNotFound) else first
        else:
            return told
    assert first is not None
    raise missing(address, first)


def _why_event(process_id: str, sequence: int) -> Program[Explained]:
    view: processes.StoredProcess = yield processes.read(process_id, after=sequence - 1, count=1)
    if not view.events or view.events[0].sequence != sequence:
        raise EventNotFound(process_id=process_id, sequence=sequence, status=view.status, latest=view.sequence)
    targets = targets_of(view)
    for session in targets:
        try:
            inbox: StoredInbox = yield entries.look(session, limit=1000)
        except SessionNotFound:
            continue
        for entry in map(entry_of, inbox.entries):
            if (entry.process_id, entry.sequence) == (process_id, sequence):
                told = yield from told_of(session, entry.n)
                return Explained(woke(view, entry, told.says), told.turn)
            if f"{process_id}#{sequence}" in entry.swallowed_wakes:
                return Explained(superseded(view, entry))
    return Explained(no_wake(view, targets))


def redrive(session: str, entry: int | None) -> Program[int]:
    """Offer an entry again; without a number, the one that blocks the session. Returns its new number."""
    if entry is None:
        entry = yield from _blocking(session)
    check_number("entry", entry)
    again = yield entries.redrive(session, entry)
    return int(again)


def skip(session: str) -> Program[int]:
    """Give up on the entry that blocks the session; returns its number."""
    n = yield from _blocking(session)
    skipped = yield entries.skip(session, n)
    return int(skipped)


def _blocking(session: str) -> Program[int]:
    view = yield from inspect(session)
    if view.blocked_by is None:
        raise NothingBlocks(session_id=session, state=view.status)
    return int(view.blocked_by)


def undeliverable(limit: int, session: str | None = None, after: str | None = None) -> Program[Page[EntryView]]:
    """Entries that are undeliverable, failed or blocked, of one session or of all, the latest first, behind a
    cursor."""
    check_number("limit", limit)
    found: list[EntryView] = []
    places: list[str] = []
    behind: str | None = None
    seen = 0
    if after is not None:
        many, behind = place_of(after)
        if not many.isdigit() or not NUMBERED.search(behind):
            raise no_place(after)
        seen = int(many)
    while len(found) <= limit:
        page, behind = yield entries.undeliverable(
            limit + 1 - len(found) if session is None else entries.MOST, behind=behind, seen=seen
        )
        for entry in page:
            seen += 1
            if session in (None, entry.session_id):
                found.append(entry_of(entry))
                places.append(f"{seen}:{entry.session_id}#{entry.n}")
        if behind is None:
            break
    return first_of(found, limit, places)


def arrivals(session: str, most: int, *, effect: Recorder) -> Program[list[list[Any]]]:
    """Offer the running turn what arrived meanwhile: number, body and how many it swallowed, of each entry."""

    def call(made: Effect | None) -> Call[str]:
        assert made is not None, "it is asked for by a turn alone"
        return sessions.arrivals(made, session, most)

    found = yield from written(call, effect, opened(effect))
    return cast("list[list[Any]]", from_json(found))
