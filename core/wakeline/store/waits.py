"""Waits of a run: opened, read, given up, parked on, and resolved from outside.

Invariant: the first resolution stands, and a park that would miss one is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from wakeline.fixed import fixed
from wakeline.processes.lease import Fence
from wakeline.store import stand_ins
from wakeline.store.calls import Call, Reply
from wakeline.store.journal import Row, fence_wire, rows_of
from wakeline.store.replies import refuse
from wakeline.store.signals import SchemaWanted
from wakeline.values import from_json
from wakeline.waits.kinds import kept_kind


@fixed
class Wait:
    """A wait to open. ``kind``: 's:<signal name>', 't:' (timer), 'c:<process id>' (its end), 'q:<name>' (approval),
    'x:<tool>' (completion of a pending call), 'a:<n>:<session>' (what becomes of an entry), 'e:' (the end of all
    children that its own end waits for).

    Either ``for_ms`` or ``due_ms`` bounds it; the due time is fixed when the wait is first opened. ``also`` are other
    present or former names of its signal. ``event``: of an approval that was asked without one, its approval.requested.
    """

    slot: str
    replay_key: str
    group: str
    kind: str
    ordinal: int | None = None
    child_incarnation: str | None = None
    for_ms: int | None = None
    due_ms: int | None = None
    schema: tuple[str, str] | None = None
    also: tuple[str, ...] = ()
    event: str | None = None

    def wire(self) -> dict[str, Any]:
        kept_as, is_question = kept_kind(self.kind)
        wire: dict[str, Any] = {
            "id": self.slot,
            "key": self.replay_key,
            "group": self.group,
            "kind": kept_as,
            "question": is_question or None,
            "ordinal": self.ordinal,
            "child_inc": self.child_incarnation,
            "for_ms": self.for_ms,
            "due_ms": self.due_ms,
            "schema": {"hash": self.schema[0], "text": self.schema[1]} if self.schema else None,
            "also": list(self.also) or None,
            "event": self.event,
        }
        return {k: v for k, v in wire.items() if v is not None}


@fixed
class Opened:
    """What an open found: an open slot (with its due time), an existing resolution (JSON), or the recorded row (JSON).
    ``there``: the store has the slot, and keeps it until its row is written."""

    state: Literal["open", "done", "journaled"]
    text: str
    there: bool = field(default=False, compare=False)


def open_waits(fence: Fence, waits: Sequence[Wait], consumed: Sequence[Row] = ()) -> Call[list[Opened]]:
    """Open up to 256 waits of one process; raises `LeaseLost`."""
    args: dict[str, Any] = {
        "pid": fence.process_id,
        "fence": fence_wire(fence),
        "waits": [w.wire() for w in waits],
        "rows": [r.wire() for r in consumed] or None,
    }

    def decode(reply: Reply) -> list[Opened]:
        if reply[0] != "waits":
            refuse(fence.process_id, reply)
        return [Opened(row[0], row[1], row[0] == "open" or len(row) > 2) for row in reply[1]]

    return Call(
        "wait_open",
        args,
        decode,
        payloads=rows_of(fence),
        brings=stand_ins.whole,
        about=(fence.process_id,),
        grew=fence.journaled.grew,
    )


def close_waits(fence: Fence, slots: Sequence[str], consumed: Sequence[Row] = ()) -> Call[None]:
    """Close up to 256 waits. A signal that one of them had taken returns to the head of the mailbox. Raises
    `LeaseLost`."""
    args: dict[str, Any] = {
        "pid": fence.process_id,
        "fence": fence_wire(fence),
        "ids": list(slots),
        "rows": [r.wire() for r in consumed] or None,
    }

    def decode(reply: Reply) -> None:
        if reply[0] != "closed":
            refuse(fence.process_id, reply)

    return Call(
        "wait_close",
        args,
        decode,
        payloads=rows_of(fence),
        about=(fence.process_id,),
        grew=fence.journaled.grew,
    )


GONE = "-"
"""Stands for a slot that is not there."""


def read_slots(fence: Fence, slots: Sequence[str]) -> Call[tuple[str | None, list[str | None]]]:
    """The reason of a requested cancel (None without one), and for each slot its resolution as JSON (None without one,
    `GONE` if there is no such slot); raises `LeaseLost`."""

    def decode(reply: Reply) -> tuple[str | None, list[str | None]]:
        if reply[0] != "slots":
            refuse(fence.process_id, reply)
        return str(from_json(reply[3])) if reply[1] == "1" else None, [text or None for text in reply[2]]

    args = {"pid": fence.process_id, "fence": fence_wire(fence), "ids": list(slots)}
    return Call("slot_read", args, decode, brings=stand_ins.whole, about=(fence.process_id,))


@fixed
class LetGo:
    """The park was written: the process waits, and no worker holds it."""

    sequence: int


@fixed
class Met:
    """A wait was over before the park, so the body goes on."""


def park(
    fence: Fence,
    groups: Sequence[str],
    wait: str,
    consumed: Sequence[Row] = (),
    *,
    early: Sequence[str] = (),
    seen: bool = False,
) -> Call[LetGo | Met]:
    """Park a process that only waits. Any of the groups, or any of the slots ``early``, resumes it. ``seen``:
    instruments see the run, so the next one is told how long it was parked. Raises `LeaseLost`."""
    args: dict[str, Any] = {
        "pid": fence.process_id,
        "fence": fence_wire(fence),
        "groups": list(groups),
        "wait": wait,
        "rows": [r.wire() for r in consumed] or None,
        "early": list(early) or None,
        "seen": seen or None,
    }

    def decode(reply: Reply) -> LetGo | Met:
        if reply[0] == "parked":
            return LetGo(int(reply[1]))
        if reply[0] == "met":
            return Met()
        refuse(fence.process_id, reply)

    return Call(
        "process_park",
        args,
        decode,
        payloads=rows_of(fence),
        about=(fence.process_id,),
        grew=fence.journaled.grew,
    )


@dataclass(frozen=True, slots=True)
class Resolved:
    """Whether this resolution was the first; otherwise the one that stands (JSON). If it is False without a resolution,
    the slot is unknown or revoked."""

    accepted: bool
    standing: str | None

    @property
    def unknown(self) -> bool:
        return not self.accepted and self.standing is None


def resolve(
    process_id: str,
    incarnation: str,
    slot: str,
    resolution: str,
    expires_ms: int | None = None,
    *,
    by: str | None = None,
    fits: Sequence[str] = (),
) -> Call[Resolved]:
    """Resolve a slot from outside. It never raises for a bad key: unknown, revoked and ended have one answer.

    ``by`` is the id of the secret that made the token. ``fits`` are hashes of schemas that the value fits; raises
    `SchemaWanted` if the open wait asks for another.
    """

    def decode(reply: Reply) -> Resolved:
        if reply[0] == "recheck":
            raise SchemaWanted(reply[1], reply[2])
        return Resolved(reply[0] == "accepted", reply[1] if reply[0] == "already" else None)

    args = {
        "pid": process_id,
        "inc": incarnation,
        "id": slot,
        "resolution": resolution,
        "expires_ms": expires_ms,
        "fits": list(fits) or None,
    }
    payloads = {"resolution": stand_ins.of_process(process_id)}
    return Call(
        "slot_resolve", args | {"by": by}, decode, payloads=payloads, brings=stand_ins.whole, about=(process_id,)
    )
