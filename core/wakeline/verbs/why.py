"""Why: of a process and of the child that it waits for, of a schedule, and of what an address names.

Invariant: it only looks. A chain of children is followed for a few steps, so a circle has an end.
"""

from __future__ import annotations

from contextlib import suppress

from wakeline.errors import (
    EntryNotFound,
    EventNotFound,
    InvalidId,
    ProcessNoLongerRetained,
    ProcessNotFound,
    SessionNotFound,
    StoreOutOfMemory,
    WritesRefused,
)
from wakeline.names import check_process_id
from wakeline.observe.findings.finding import Finding
from wakeline.observe.findings.server import writes_refused
from wakeline.observe.why import WhyView, awaited_child, why_process, why_schedule
from wakeline.processes.lifecycle import TERMINAL
from wakeline.store import fleet
from wakeline.store.address import FORMAT
from wakeline.store.calls import Program
from wakeline.verbs import inbox, looks, triggers

DEEP = 5
"""How many children, one of the other, are looked at."""


def process(process_id: str, deep: int = DEEP) -> Program[WhyView]:
    """Why a process is as it is, and the same of a child that it waits for. Raises `ProcessNotFound`,
    `ProcessNoLongerRetained`."""
    view = yield from looks.process(process_id)
    child, of_child = awaited_child(view), None
    if child is not None and deep > 0:
        with suppress(InvalidId, ProcessNotFound, ProcessNoLongerRetained):  # it was removed between the two looks
            of_child = yield from process(child, deep - 1)
    hindrance = (yield from _hindrance()) if deep == DEEP and view.status not in TERMINAL else None
    return why_process(view, of_child, hindrance)


def _hindrance() -> Program[Finding | None]:
    """What keeps the whole namespace from going on: a server that takes no writes."""
    try:
        yield fleet.probe(FORMAT)
    except (WritesRefused, StoreOutOfMemory) as refused:
        return writes_refused(refused)
    return None


def schedule(name: str, now_ms: int) -> Program[WhyView | None]:
    """When a schedule starts something next; None if there is none of this name."""
    _, scheduled = yield from triggers.listed()
    found = next((one for one in scheduled if one.name == name), None)
    if found is None:
        return None
    last = None
    if found.last is not None:
        with suppress(ProcessNotFound, ProcessNoLongerRetained):  # retention removed it
            last = yield from looks.status(found.last)
    return why_schedule(found, last, now_ms if last is None else last.seen_ms)


def address(text: str, now_ms: int) -> Program[str]:
    """Why, in words, of what an address names.

    With a ``/`` or ``#`` it is that of a session, an entry or an event first, and else the id of a process. Without, it
    is the id of a process, or else the name of a schedule. Raises `InvalidId`, `ProcessNotFound` and the errors of
    `inbox.why_address`.
    """
    if isinstance(text, str) and not set("/#") & set(text):  # pyright: ignore[reportUnnecessaryIsInstance]
        return (yield from _process_or_schedule(text, now_ms))
    try:
        told = yield from inbox.why_address(text)
    except (InvalidId, SessionNotFound, EntryNotFound, EventNotFound, ProcessNotFound) as missing:
        try:
            found = yield from process(check_process_id(text, system=True))
        except (InvalidId, ProcessNotFound):
            raise missing from None
        return found.text
    if told.turn is None:
        return told.says
    with suppress(ProcessNotFound, ProcessNoLongerRetained):  # it ended between the two looks
        turn = yield from process(told.turn)
        return "\n".join([told.says, *turn.more_than(told.says)])
    return told.says


def _process_or_schedule(text: str, now_ms: int) -> Program[str]:
    try:
        found = yield from process(check_process_id(text, system=True))
    except ProcessNotFound:
        scheduled = yield from schedule(text, now_ms)
        if scheduled is None:
            raise
        return scheduled.text
    return found.text
