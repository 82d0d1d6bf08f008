"""Reads and lists processes, and writes the two facts about one that come from outside.

Invariant: what a later release stores in another form is shown as far as it can be read, and stops no list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from wakeline.attachments.backend import Blobs
from wakeline.errors import AttachmentCorrupt, AttachmentNotFound, ExternalRefConflict
from wakeline.processes.inputs import EngineInput
from wakeline.processes.reading import read_registration
from wakeline.processes.registration import Registration
from wakeline.shown import logger
from wakeline.store import stand_ins
from wakeline.store.calls import Call, Program, Reply, flat, moment
from wakeline.store.codes import INPUTS
from wakeline.store.events import StoredEvent, stored_event
from wakeline.store.fields import ProcessFields
from wakeline.store.replies import refuse
from wakeline.values import number, to_json

log = logger("wakeline.store")
_KINDS = {one.letters: one.letters for one in INPUTS.values()} | {
    one.name: one.letters for given, one in INPUTS.items() if given is not EngineInput
}
"""The codes by which a listing is narrowed; any other kind is the name of an engine."""


@dataclass(frozen=True, slots=True)
class ProcessRow(ProcessFields):
    """The record of a process beside its registration."""

    process_id: str
    fields: Mapping[str, str]
    registration: Registration
    offered_ms: int | None = None
    """When a queued process is offered to workers, or since when it is; None for others."""
    error: str = ""
    """What a failed process says of its error: its code, and the first line of its message."""

    @property
    def generation(self) -> int:
        """Which journal of it this is, from 1."""
        return number(self.fields.get("gen")) or 1


FIRST = 256
"""At most so many waits and children one look brings: the first by id."""


@dataclass(frozen=True, slots=True)
class StoredProcess(ProcessRow):
    """One moment of a process: row, events, journal keys, slots, children of this generation with their status."""

    events: tuple[StoredEvent, ...] = ()
    journal: tuple[str, ...] = ()
    slots: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    now_ms: int = 0
    children: Mapping[str, str] = field(default_factory=dict[str, str])
    """The first 256 by id. The status of one that is no longer retained is empty."""
    children_count: int = 0
    waits_count: int = 0
    """How many waits it has; ``slots`` has at most 256 of them."""
    setbacks: tuple[StoredEvent, ...] = ()
    """The events that tell of its setbacks: the first 3 and the latest 7."""


@dataclass(frozen=True, slots=True)
class StoredLog(ProcessFields):
    """The record of a process and some of its events, without its registration, which has its whole input."""

    process_id: str
    fields: Mapping[str, str]
    events: tuple[StoredEvent, ...] = ()


def read_log(process_id: str, *, after: int = 0, count: int = 0, tail: bool = False) -> Call[StoredLog]:
    """The record of a process, and ``count`` events after a sequence (or the last ones). Raises `ProcessNotFound`,
    `ProcessNoLongerRetained`."""

    def decode(reply: Reply) -> StoredLog:
        if reply[0] in ("not_found", "pruned"):
            refuse(process_id, reply)
        return StoredLog(process_id, flat(reply[0]), tuple(stored_event(e) for e in reply[2]))

    args = {"pid": process_id, "after": after, "count": count, "tail": tail or None, "bare": True}
    return Call("process_read", args, decode, brings=stand_ins.whole, about=(process_id,))


def read(
    process_id: str,
    *,
    after: int = 0,
    count: int = 0,
    tail: bool = False,
    detail: bool = False,
    brief: bool = False,
) -> Call[StoredProcess]:
    """One consistent look: ``count`` events after a sequence (or the last ones); with ``detail`` journal keys,
    slots and children. ``brief``: the registration of a process with a long input has none.

    Raises `ProcessNotFound`, `ProcessNoLongerRetained`."""

    def decode(reply: Reply) -> StoredProcess:
        if reply[0] in ("not_found", "pruned"):
            refuse(process_id, reply)
        return StoredProcess(
            process_id,
            flat(reply[0]),
            read_registration(process_id, reply[1]),
            moment(reply[6]),
            reply[11],
            tuple(stored_event(e) for e in reply[2]),
            tuple(reply[3]),
            {row[0]: flat(row[1]) for row in reply[4]},
            int(reply[5]),
            dict(reply[7]),
            int(reply[8]),
            int(reply[9]),
            tuple(stored_event(e) for e in reply[10]),
        )

    args = {
        "pid": process_id,
        "after": after,
        "count": count,
        "tail": tail or None,
        "detail": detail or None,
        "brief": brief or None,
    }
    brings = _without_its_input if brief else _whole_process
    return Call("process_read", args, decode, brings=brings, about=(process_id,))


def _without_its_input(blobs: Blobs, reply: Reply) -> Program[Reply]:
    rest = yield from stand_ins.whole(blobs, [reply[0], "", *reply[2:]])
    return [rest[0], reply[1], *rest[2:]]


def _whole_process(blobs: Blobs, reply: Reply) -> Program[Reply]:
    """The reply with its payloads. The input of a process may be lost while its end is known; then the stand-in is
    shown in place of the input."""
    try:
        spec = yield from stand_ins.whole(blobs, reply[1])
    except (AttachmentNotFound, AttachmentCorrupt) as lost:
        log.warning("the input of a process is lost: %s", lost)
        spec = reply[1]
    return (yield from _without_its_input(blobs, [reply[0], spec, *reply[2:]]))


@dataclass(frozen=True, slots=True)
class ListPage:
    """One page, newest first. The next one begins at ``score`` and ``member`` ('' if there is none), after ``done`` of
    the statuses."""

    rows: tuple[ProcessRow, ...]
    score: str
    member: str
    done: int
    now_ms: int = 0
    scores: tuple[str, ...] = ()
    """The place of each row in the list of its status."""
    behind: str = ""
    """The filter whose index is far behind in the status in which the next page begins."""
    stale: Sequence[Sequence[str]] = ()
    """What an index has and should not: status, word, process."""


def _row_of(row: Reply) -> ProcessRow:
    record = flat(row[1])
    offered = moment(row[3]) if record.get("st") == "queued" else None
    return ProcessRow(row[0], record, read_registration(row[0], row[2]), offered, row[4])


def list_page(
    statuses: Sequence[str],
    *,
    limit: int = 50,
    score: str = "+inf",
    member: str = "",
    kind: str | None = None,
    session_id: str | None = None,
    waiting: str | None = None,
    parent: str | None = None,
    name: str | None = None,
    labels: Mapping[str, str] | None = None,
    beginning: str | None = None,
    bounds: Mapping[str, int] | None = None,
) -> Call[ListPage]:
    """Processes of some statuses at one moment, newest first within each. ``kind`` as `Status` shows it: tool,
    session_turn, external, or an engine's name; ``beginning``: of the id, 6 characters or more. ``bounds``, of the time
    at which they came to their status: ``since``, ``until`` (ms), ``since_ago``, ``until_ago`` (ms before now)."""
    code = _KINDS.get(kind, "e") if kind is not None else None
    engine = kind if kind not in _KINDS else None
    args = {
        "statuses": list(statuses),
        "limit": limit,
        "score": score,
        "member": member,
        "kind": code,
        "engine": engine,
        "sid": session_id,
        "waiting": waiting,
        "parent": parent,
        "name": name,
        "labels": labels,
        "beginning": beginning,
        **(bounds or {}),
    }

    def decode(reply: Reply) -> ListPage:
        rows = tuple(_row_of(r) for r in reply[0])
        scores = tuple(str(r[3]) for r in reply[0])
        return ListPage(rows, reply[1], reply[2], int(reply[3]), int(reply[4]), scores, reply[5], reply[6])

    return Call("process_list", args, decode, about=(session_id,) if session_id else ())


def index(status: str, behind: str, stale: Sequence[Sequence[str]] = ()) -> Call[bool]:
    """Enter some more processes of a status into the index of a filter (as a `ListPage` names it, '' for none), and
    remove what is stale. Returns whether more are to be entered."""
    args = {"status": status, "filter": behind or None, "stale": list(stale) or None}
    return Call("process_index", args, lambda reply: reply == "1")


def list_ids(status: str, *, offset: int, limit: int) -> Call[list[tuple[str, int]]]:
    """Ids of one status, each with the time (ms) at which it got that status, latest first."""
    return Call(
        "process_ids",
        {"status": status, "offset": offset, "limit": limit},
        lambda reply: [(row[0], int(float(row[1]))) for row in reply],
    )


def set_external_ref(process_id: str, payload: str) -> Call[int | None]:
    """Record where external work was accepted; it is written once. Returns the sequence of the event; None if it was
    already there."""

    def decode(reply: Reply) -> int | None:
        if reply[0] == "written":
            return int(reply[1])
        if reply[0] == "same":
            return None
        if reply[0] == "conflict":
            raise ExternalRefConflict(process_id=process_id, existing=reply[1], given=payload)
        refuse(process_id, reply)

    args = {"pid": process_id, "fact": "external_ref", "payload": payload}
    payloads = {"payload": stand_ins.of_process(process_id)}
    return Call("process_fact", args, decode, payloads=payloads, brings=stand_ins.whole, about=(process_id,))


def retarget(process_id: str, session_id: str | None) -> Call[int | None]:
    """Give a process another wake target, or none. Returns the sequence of the audit event; None if nothing changed."""

    def decode(reply: Reply) -> int | None:
        if reply[0] == "written":
            return int(reply[1])
        if reply[0] == "same":
            return None
        refuse(process_id, reply)

    payload = to_json({"wake_target": {"session_id": session_id} if session_id else None})
    args = {"pid": process_id, "fact": "retarget", "payload": payload, "sid": session_id}
    return Call("process_fact", args, decode, about=(process_id, session_id) if session_id else (process_id,))
