"""Calls of a run: what a claim brings, its journal, its waits, outside resolutions.

Invariant: every write carries the run's fence; a lost fence is `LeaseLost`, whatever else is wrong.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from wakeline.attachments.backend import Blobs
from wakeline.errors import InvalidPayload
from wakeline.processes.lease import Fence
from wakeline.processes.reading import read_registration
from wakeline.processes.registration import Registration
from wakeline.shown import logger
from wakeline.store import stand_ins
from wakeline.store.calls import Call, Program, Reply, flat
from wakeline.store.fields import ProcessFields
from wakeline.store.processes import Row, SchemaWanted, fence_wire, rows_of
from wakeline.store.replies import refuse
from wakeline.store.sessions import Batch, batch_of
from wakeline.values import from_json
from wakeline.waits.resolutions import TIMED_OUT, is_known

log = logger("wakeline.runs")


@dataclass(frozen=True, slots=True)
class Claim(ProcessFields):
    """All a worker needs to run a process: fence, registration, input of this generation, journal, slots.

    ``complete`` is False where journal and slots were too large for the reply: `read_journal` brings them.
    """

    fence: Fence
    fields: Mapping[str, str]
    registration: Registration
    input: str | None
    journal: Mapping[str, str]
    slots: Mapping[str, Mapping[str, str]]
    complete: bool
    now_ms: int
    heard_ns: int
    """When this process heard ``now_ms``, by ``time.monotonic_ns``."""
    batch: Batch | None = None
    """Of a session's turn: what it takes, where the claim fixed it."""
    held: Reply | None = None
    """The claim as it came, where stand-ins are in it: see `made_whole`."""
    unread: str | None = None
    """What of it this release cannot read, so that it is not run here."""

    @property
    def process_id(self) -> str:
        return self.fence.process_id

    @property
    def generation(self) -> int:
        return int(self.fields.get("gen", "1"))

    @property
    def engine_version(self) -> str | None:
        """The version of the engine that this generation is for."""
        return self.fields.get("ver")

    @property
    def owner_bound(self) -> bool:
        """True for work that is never handed to another worker."""
        return self.fields.get("rc") == "b"

    @property
    def under_another_release(self) -> bool:
        """Whether the code that runs it now is of another release than the one under which it got this far."""
        return self.fields.get("pr") not in (None, self.fields.get("rel", ""))

    @property
    def of_several_releases(self) -> bool:
        """Whether more than one release has had it, so that what is stored of it may be of a type that this code does
        not have."""
        return "sr" in self.fields or self.under_another_release

    @property
    def recorded_more(self) -> bool:
        """Whether something was recorded since the release that got it this far was left."""
        return self.under_another_release and len(self.journal) > int(self.fields.get("sr", len(self.journal)))

    @property
    def in_a_round(self) -> bool:
        """Whether another release that is there has looked at it just now, so that this look is of the same round."""
        return "uf" in self.fields

    @property
    def attempt(self) -> int:
        """1 for the first try; failed attempts and losses since the last progress count."""
        return 1 + int(self.fields.get("at", "0")) + int(self.fields.get("ls", "0"))

    @property
    def alone(self) -> bool:
        """Lost twice, counted or not: nothing else may run beside it."""
        crash = self.misfit
        return (
            int(self.fields.get("ls", "0")) + (crash.looks if crash is not None and crash.kind == "crash" else 0) >= 2
        )

    @property
    def cancel_reason(self) -> str:
        """Why a cancel was requested, as its sender said it."""
        return str(from_json(self.fields["why"])) if "why" in self.fields else "requested"

    @property
    def session_id(self) -> str | None:
        """The session whose turn this is."""
        return self.fields.get("sid")


def claims_of(rows: Sequence[Any]) -> tuple[Claim, ...]:
    """The claims of a take. One without a fence, which no release writes, is left to its lease: it can be neither run
    nor handed back."""
    found: list[Claim] = []
    for row in rows:
        try:
            found.append(claim_of(row))
        except (KeyError, ValueError, TypeError, IndexError) as error:
            log.error(
                "%s: it was claimed and cannot be read (%s: %s); its lease decides", row[0], type(error).__name__, error
            )
    return tuple(found)


def claim_of(reply: Any) -> Claim:
    """Reads one claim of a take's reply. What of it this release cannot read is said by ``unread``, and ends no
    worker."""
    fields = flat(reply[1])
    fence = Fence(
        process_id=reply[0],
        incarnation=fields["inc"],
        epoch=int(fields["ep"]),
        claim_id=fields["cl"],
        owner=fields["ow"],
    )
    now, heard = int(reply[7]), time.monotonic_ns()
    registration = read_registration(reply[0], reply[2])
    claim = Claim(fence, fields, registration, None, {}, {}, True, now, heard, unread=registration.unknown)
    if claim.unread is not None:
        return replace(claim, fields=_without_counts(fields))
    try:
        _ = claim.attempt, claim.generation, claim.cancel_reason
        slots = {row[0]: flat(row[1]) for row in reply[5]}
        if (unknown := unknown_resolution(slots)) is not None:
            return replace(claim, unread=unknown)
        batch = batch_of(reply[8]) if len(reply) > 8 else None
        held = reply if any(map(stand_ins.stands_in, (*reply[2:6], *reply[8:]))) else None
        return replace(
            claim,
            input=reply[3] or None,
            journal=flat(reply[4]),
            slots=slots,
            complete=reply[6] == "1",
            batch=batch,
            held=held,
        )
    except (KeyError, ValueError, TypeError, IndexError, InvalidPayload) as error:
        return replace(claim, fields=_without_counts(fields), unread=f"its record: {type(error).__name__}: {error}")


def unknown_resolution(slots: Mapping[str, Mapping[str, str]]) -> str | None:
    """Why slots cannot be read here; None where they can. What a stand-in stands for is judged once the claim is
    whole."""
    for slot in slots.values():
        text = slot.get("r", TIMED_OUT)
        if not is_known(text) and not stand_ins.is_stand_in(text):
            return f"a wait of it was resolved in a way that this release does not know: {text[:100]}"
    return None


def _without_counts(fields: Mapping[str, str]) -> dict[str, str]:
    """Fields of what is not run: nothing is reckoned with what may be no numbers."""
    return {name: value for name, value in fields.items() if name not in ("at", "ls", "gen", "why")}


def made_whole(blobs: Blobs, claim: Claim) -> Program[Claim]:
    """The claim with its payloads in the place of their stand-ins. Each run does this for itself: what one process
    needs and cannot get must not keep
    a worker from the others of the same take. Raises `AttachmentError`."""
    if claim.held is None:
        return claim
    whole = yield from stand_ins.whole(blobs, claim.held)
    return replace(claim_of(whole), heard_ns=claim.heard_ns, held=None)


def record(fence: Fence, rows: Sequence[Row], asks: Sequence[tuple[str, tuple[str, str]]] = ()) -> Call[None]:
    """Record outcomes; what is recorded never runs again. ``asks``: slots of questions, each with hash and text of the
    schema of its answer.

    Raises `LeaseLost`."""

    def decode(reply: Reply) -> None:
        if reply[0] != "recorded":
            refuse(fence.process_id, reply)

    args: dict[str, Any] = {"pid": fence.process_id, "fence": fence_wire(fence), "rows": [r.wire() for r in rows]}
    if asks:
        args["asks"] = [{"id": slot, "schema": {"hash": schema[0], "text": schema[1]}} for slot, schema in asks]
    return Call("journal_record", args, decode, payloads=rows_of(fence), about=(fence.process_id,))


def read_journal(fence: Fence) -> Call[tuple[dict[str, str], dict[str, dict[str, str]]]]:
    """Journal and slots of a claimed process; raises `LeaseLost`."""

    def decode(reply: Reply) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
        if reply[0] != "rows":
            refuse(fence.process_id, reply)
        return flat(reply[1]), {row[0]: flat(row[1]) for row in reply[2]}

    return Call(
        "journal_read",
        {"pid": fence.process_id, "fence": fence_wire(fence)},
        decode,
        brings=stand_ins.whole,
        about=(fence.process_id,),
    )


@dataclass(frozen=True, slots=True)
class Wait:
    """A wait to open. ``kind``: 's:<signal name>', 't:' (timer), 'c:<process id>' (its end), 'x:<key>' (outside
    completion),
    'a:<n>:<session>' (what becomes of an entry), 'e:' (the end of all children that its own end waits for).

    Either ``for_ms`` or ``due_ms`` bounds it; the due time is fixed when the wait is first opened. ``also``: other
    names that its signal has or had.
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

    def wire(self) -> dict[str, Any]:
        wire: dict[str, Any] = {
            "id": self.slot,
            "key": self.replay_key,
            "group": self.group,
            "kind": self.kind,
            "ordinal": self.ordinal,
            "child_inc": self.child_incarnation,
            "for_ms": self.for_ms,
            "due_ms": self.due_ms,
            "schema": {"hash": self.schema[0], "text": self.schema[1]} if self.schema else None,
            "also": list(self.also) or None,
        }
        return {k: v for k, v in wire.items() if v is not None}


@dataclass(frozen=True, slots=True)
class Opened:
    """What opening found: an open slot (with its due time), a resolution that is already there (JSON), or the journaled
    row (JSON)."""

    state: Literal["open", "done", "journaled"]
    text: str


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
        return [Opened(row[0], row[1]) for row in reply[1]]

    return Call("wait_open", args, decode, payloads=rows_of(fence), brings=stand_ins.whole, about=(fence.process_id,))


def close_waits(fence: Fence, slots: Sequence[str], consumed: Sequence[Row] = ()) -> Call[None]:
    """Give up to 256 waits up; a signal one of them had taken returns to the head of the mailbox. Raises
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

    return Call("wait_close", args, decode, payloads=rows_of(fence), about=(fence.process_id,))


def read_slots(fence: Fence, slots: Sequence[str]) -> Call[tuple[str | None, list[str | None]]]:
    """(the reason of a requested cancel, or None; resolution as JSON or None for each slot); raises `LeaseLost`."""

    def decode(reply: Reply) -> tuple[str | None, list[str | None]]:
        if reply[0] != "slots":
            refuse(fence.process_id, reply)
        return str(from_json(reply[3])) if reply[1] == "1" else None, [text or None for text in reply[2]]

    args = {"pid": fence.process_id, "fence": fence_wire(fence), "ids": list(slots)}
    return Call("slot_read", args, decode, brings=stand_ins.whole, about=(fence.process_id,))


@dataclass(frozen=True, slots=True)
class Resolved:
    """Whether this resolution was the first; otherwise the one that stands (JSON). Both None/False: unknown or
    revoked."""

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
    """Resolve a slot from outside; never raises for a bad key: unknown, revoked and ended are one answer. ``by``: id of
    the secret that made the token.
    ``fits``: hashes of schemas that the value fits; raises `SchemaWanted` where the open wait asks for another.
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
