"""Claims: what a worker takes to run, with all that it needs, so that it reads nothing more.

Invariant: a claim says what this release cannot read of it, and that ends no worker.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from wakeline.attachments.backend import Blobs
from wakeline.errors import InvalidPayload
from wakeline.fixed import fixed
from wakeline.processes.alike import read_claimed
from wakeline.processes.lease import Fence, Journaled
from wakeline.processes.registration import Registration
from wakeline.sessions.admission import AdmissionPolicy
from wakeline.shown import logger
from wakeline.store import stand_ins
from wakeline.store.calls import Call, Program, Reply, flat
from wakeline.store.fields import ProcessFields
from wakeline.store.sessions import Batch, batch_of
from wakeline.values import from_json, number
from wakeline.waits.resolutions import TIMED_OUT, is_known

log = logger("wakeline.runs")
_READ_LATER = frozenset({"at", "ls", "gen", "why"})
"""Fields that are read when they are asked for, and are tried when the claim comes. Most claims have none."""
LONGEST_APART_MS = 60_000
"""No run keeps others out of its worker for longer (ms)."""


@fixed
class Claim(ProcessFields):
    """All a worker needs to run a process: fence, registration, input of this generation, journal, slots.

    ``complete`` is False if journal and slots were too large for the reply; then `read_journal` brings them.
    """

    fence: Fence
    fields: Mapping[str, str]
    registration: Registration
    input: str | None
    journal: dict[str, str]
    slots: Mapping[str, Mapping[str, str]]
    complete: bool
    now_ms: int
    heard_ns: int
    """When this process received ``now_ms``, by ``time.monotonic_ns``."""
    batch: Batch | None = None
    """For a session's turn, its batch, if the claim fixed it."""
    held: Reply | None = None
    """The claim as it came, if it has stand-ins; see `made_whole`."""
    unread: str | None = None
    """What this release cannot read of it; then it is not run here."""

    @property
    def process_id(self) -> str:
        return self.fence.process_id

    @property
    def generation(self) -> int:
        return int(self.fields.get("gen", "1"))

    @property
    def engine_version(self) -> str | None:
        """The version of the engine of this generation."""
        return self.fields.get("ver")

    @property
    def code(self) -> str | None:
        """What it takes to run it, without a version; None for a session's turn."""
        return self.fields.get("cd")

    @property
    def owner_bound(self) -> bool:
        """Whether the work is never handed to another worker."""
        return self.fields.get("rc") == "b"

    @property
    def under_another_release(self) -> bool:
        """Whether the code that runs it now is of another release than the one that got it this far."""
        return self.fields.get("pr") not in (None, self.fields.get("rel", ""))

    @property
    def got_here_under(self) -> str | None:
        """The release under which it got this far, if that is another one than runs it now and has a name."""
        return self.fields.get("pr") or None if self.under_another_release else None

    @property
    def of_several_releases(self) -> bool:
        """Whether more than one release has had it, so that its stored data may have types that this code does not
        have."""
        return "sr" in self.fields or self.under_another_release

    @property
    def recorded_more(self) -> bool:
        """Whether something was recorded after the release that got it this far."""
        return self.under_another_release and len(self.journal) > int(self.fields.get("sr", len(self.journal)))

    @property
    def in_a_round(self) -> bool:
        """Whether another present release has just looked at it, so that this look belongs to the same round."""
        return "uf" in self.fields

    @property
    def attempt(self) -> int:
        """The number of the attempt, from 1. Failed attempts and losses since the last progress count."""
        return 1 + int(self.fields.get("at", "0")) + int(self.fields.get("ls", "0"))

    @property
    def alone(self) -> bool:
        """Whether it runs apart from others, because it was lost twice, counted or not."""
        return self.runs_beside is not None

    @property
    def moment_ms(self) -> int:
        """For how long it runs apart (ms). What has lasted for much longer than each of its lost runs is not what ended
        their workers."""
        return min(2 * number(self.fields.get("la"), LONGEST_APART_MS) + 1_000, LONGEST_APART_MS)

    @property
    def cancel_reason(self) -> str:
        """The reason that the sender of the cancel gave."""
        return str(from_json(self.fields["why"])) if "why" in self.fields else "requested"

    @property
    def session_id(self) -> str | None:
        """The session whose turn this is."""
        return self.fields.get("sid")


def claims_of(rows: Sequence[Any]) -> tuple[Claim, ...]:
    """The claims of a take. A claim without a fence, which no release writes, is left to its lease, because it can be
    neither run nor handed back."""
    found: list[Claim] = []
    for row in rows:
        try:
            found.append(claim_of(row))
        except (KeyError, ValueError, TypeError, IndexError, InvalidPayload) as error:
            log.error(
                "%s: it was claimed and cannot be read (%s: %s); its lease decides", row[0], type(error).__name__, error
            )
    return tuple(found)


_NOTHING_RAN = ("", (), (), "1")
"""What a claim does not say of a process of which nothing ran yet: input of a generation, journal, waits; all of it."""


def claim_of(reply: Any) -> Claim:
    """Reads one claim of a take's reply. ``unread`` says what this release cannot read of it, and that ends no
    worker."""
    process_id, state, spec, at, *rest = reply
    fields: dict[str, str] = from_json(state, "The record of a process")
    fence = Fence(
        process_id=process_id,
        incarnation=fields["inc"],
        epoch=int(fields["ep"]),
        claim_id=fields["cl"],
        owner=fields["ow"],
        journaled=Journaled(number(fields.get("jb"))),
    )
    now, heard = int(at), time.monotonic_ns()
    registration = read_claimed(process_id, fence.incarnation, spec)
    unread = registration.unknown
    if unread is None:
        try:
            given, recorded, waits, complete, *batches = rest or _NOTHING_RAN
            slots = {row[0]: flat(row[1]) for row in waits} if waits else {}
            batch = batch_of(batches[0]) if batches else None
            held = reply if stand_ins.stands_in([spec, given, recorded, waits, *batches]) else None
            journal, whole = flat(recorded), complete == "1"
            claim = Claim(fence, fields, registration, given or None, journal, slots, whole, now, heard, batch, held)
            if not _READ_LATER.isdisjoint(fields):
                _ = claim.attempt, claim.generation, claim.cancel_reason
            unknown = unknown_resolution(slots) if slots else None
            if unknown is None:
                return claim
            return Claim(fence, fields, registration, None, {}, {}, True, now, heard, unread=unknown)
        except (KeyError, ValueError, TypeError, IndexError, InvalidPayload) as error:
            unread = f"its record: {type(error).__name__}: {error}"
    return Claim(fence, _without_counts(fields), registration, None, {}, {}, True, now, heard, unread=unread)


def unknown_resolution(slots: Mapping[str, Mapping[str, str]]) -> str | None:
    """Why slots cannot be read here; None if they can. Payloads behind stand-ins are checked once the claim is
    whole."""
    for slot in slots.values():
        text = slot.get("r", TIMED_OUT)
        if not is_known(text) and not stand_ins.is_stand_in(text):
            return f"a wait of it was resolved in a way that this release does not know: {text[:100]}"
    return None


def _without_counts(fields: Mapping[str, str]) -> dict[str, str]:
    """The fields of a process that is not run, without counts, which may be no numbers."""
    return {name: value for name, value in fields.items() if name not in _READ_LATER}


def made_whole(blobs: Blobs, claim: Claim) -> Program[Claim]:
    """The claim with its payloads in place of their stand-ins. Each run does this for itself, because a payload that
    one process cannot get must not keep a worker from the others of the same take. Raises `AttachmentError`."""
    if claim.held is None:
        return claim
    whole = yield from stand_ins.whole(blobs, claim.held)
    return replace(claim_of(whole), heard_ns=claim.heard_ns, held=None)


def handed_claim(text: str) -> Claim | None:
    """The claim that the hint of a hand-off brings (JSON). None if it cannot be read; then the next take brings it."""
    try:
        row: Any = from_json(text)
        # Lua writes an empty list as {}.
        row[5:7] = [one or [] for one in row[5:7]]
        if len(row) > 8:
            row[8][2] = row[8][2] or []
    except (InvalidPayload, TypeError, IndexError, KeyError) as error:
        log.error("a process was handed over and its claim cannot be read (%s); the next take asks for it", error)
        return None
    return next(iter(claims_of([row])), None)


@fixed
class Taken:
    """The batch of a take. ``more``: the queues may hold more. ``reaped``: the owner must take a new id."""

    claims: tuple[Claim, ...]
    more: bool
    reaped: bool


@fixed
class FreeIsolates:
    """How many isolates of an owner run nothing, and the code that runs in isolates (`Registry.isolated_codes`)."""

    number: int
    codes: tuple[str, ...]


def take(
    owner: str,
    request: str,
    queues: Sequence[str],
    n: int,
    *,
    lease_ms: int,
    idle: bool = True,
    agents: Mapping[str, AdmissionPolicy] | None = None,
    release: str | None = None,
    proven: bool = False,
    cleared: bool = False,
    isolates: FreeIsolates | None = None,
    seen: bool = False,
    following: str | None = None,
) -> Call[Taken]:
    """Take and claim up to ``n``; the same ``request`` gives the same batch. A turn of one of ``agents`` brings its
    batch.

    ``queues`` are those that the owner registered with; if they are several, the store knows them by its route.
    An owner that takes 0 hears no more bells. ``proven``: a run of this owner has ended or parked. Its first take after
    that marks its release as proven. ``cleared``: all that it runs was lost twice, and has outlived its moment
    (`Claim.moment_ms`). ``isolates``: of calls that run in children it brings no more than there are free ones; None
    if the owner has no children. ``seen``: instruments see its runs, so a claim says since when it could be taken.
    ``following``: the request of the take after this one, of an owner that runs nothing; it may be handed one process
    under that request then (`handed_claim`), and a take under it brings that again.
    """
    args: dict[str, Any] = {
        "owner": owner,
        "request": request,
        "n": n,
        "queue": queues[0] if len(queues) == 1 else None,
        "lease_ms": lease_ms,
        "idle": idle or None,
    }
    args |= {"release": release, "proven": proven or None, "cleared": cleared or None, "next": following}
    args["seen"] = seen or None
    if isolates is not None:
        args |= {"isolates": isolates.number, "isolated": f" {' '.join(isolates.codes)} "}
    if agents:
        args["agents"] = {name: [policy.max_entries, policy.wire()] for name, policy in agents.items()}

    def decode(reply: Reply) -> Taken:
        if reply[0] == "reaped":
            return Taken((), False, True)
        return Taken(claims_of(reply[1]), reply[2] == "1", False)

    return Call("queue_take", args, decode)


def claim(
    process_id: str,
    epoch: int,
    owner: str,
    claim_id: str,
    *,
    lease_ms: int,
    release: str | None = None,
    seen: bool = False,
) -> Call[Claim | None]:
    """Claim one process under a stock RQ worker; None if there is nothing to do. ``seen``: see `take`."""
    args: dict[str, Any] = {
        "pid": process_id,
        "epoch": str(epoch),
        "owner": owner,
        "claim_id": claim_id,
        "lease_ms": lease_ms,
        "release": release,
        "seen": seen or None,
    }
    return Call(
        "process_claim",
        args,
        lambda reply: next(iter(claims_of([reply[1]])), None) if reply[0] == "claimed" else None,
        about=(process_id,),
    )
