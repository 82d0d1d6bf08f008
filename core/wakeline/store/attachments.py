"""Attachments: the calls, and the programs that put calls and a backend together.

Invariant: first the intent is written, then the bytes, then the owner. A crash in between leaves bytes that a sweep
removes, and never a reference to nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

from wakeline.attachments.attachment import PREFIX, Attachment, attachment_of
from wakeline.attachments.backend import BlobBackend, Blobs, new_location
from wakeline.errors import AttachmentCorrupt, AttachmentNotFound, AttachmentStoreFailed, SweepRefused
from wakeline.store.calls import Call, Outside, Program, Reply

AT_ONCE = 64
MOST_ROUNDS = 100
STRAY_MS = 24 * 3_600_000
"""The age (ms) from which bytes in a backend without a record count as strays. Younger bytes may belong to keys that a
failover is about to bring back."""


@dataclass(frozen=True, slots=True)
class Found:
    """The place of an attachment's bytes, and since when they lie there (server ms)."""

    attachment: Attachment
    place: str
    at_ms: int


def intend(attachment_id: str, owner: str, place: str, *, stands_in: bool = False) -> Call[str | None]:
    """Note an upload; returns the place of the bytes if they are already stored. ``stands_in``: a stand-in stands for
    them."""
    args = {"id": attachment_id, "owner": owner, "place": place, "stands_in": stands_in or None}
    return Call("attachment_intend", args, lambda reply: reply[1] if reply[0] == "kept" else None)


def keep(attachment: Attachment, owner: str, place: str, *, stands_in: bool = False) -> Call[str | None]:
    """Keep bytes that were uploaded. Returns their place; None if the intent was swept meanwhile."""
    args = {
        "id": attachment.id,
        "owner": owner,
        "place": place,
        "type": attachment.media_type,
        "size": attachment.size,
        "stands_in": stands_in or None,
    }
    return Call("attachment_keep", args, lambda reply: reply[1] if reply[0] == "kept" else None)


def read(attachment_id: str, owners: Sequence[str] | None, *, stands_in: bool = False) -> Call[Found | None]:
    """Where it lies, for one of these owners; None as owners is for code that holds the app. ``stands_in``: only if a
    stand-in may stand for it."""

    def decode(reply: Reply) -> Found | None:
        if reply[0] == "none":
            return None
        return Found(Attachment(id=attachment_id, media_type=reply[2], size=int(reply[3])), reply[1], int(reply[4]))

    return Call(
        "attachment_read",
        {"id": attachment_id, "owners": list(owners) if owners is not None else None, "stands_in": stands_in or None},
        decode,
    )


def share(ids: Sequence[str], givers: Sequence[str] | None, to: str, *, partly: bool = False) -> Call[None]:
    """Make another owner of attachments that one of the givers owns. It takes all, or raises `AttachmentNotFound`; with
    ``partly`` it takes those that exist."""

    def decode(reply: Reply) -> None:
        if reply[0] == "none":
            raise AttachmentNotFound(attachment_id=reply[1], owner=givers[0] if givers else "host")

    args = {"ids": list(ids), "from": list(givers) if givers is not None else None, "to": to, "partly": partly or None}
    return Call("attachment_share", args, decode)


def drop(attachment_id: str, owner: str) -> Call[bool]:
    """Give it up; returns whether it was owned."""
    return Call("attachment_drop", {"id": attachment_id, "owner": owner}, lambda reply: reply[0] == "dropped")


def owned(owner: str, *, limit: int, after: str | None = None) -> Call[list[Attachment]]:
    """The attachments of an owner, by id, behind an id."""

    def decode(reply: Reply) -> list[Attachment]:
        return [Attachment(id=row[0], media_type=row[1], size=int(row[2])) for row in reply]

    return Call("attachment_list", {"owner": owner, "limit": limit, "after": after}, decode)


# -- programs


def put(blobs: Blobs, data: bytes, media_type: str, owner: str, *, stands_in: bool = False) -> Program[Attachment]:
    """Keep bytes for an owner; the same bytes again cost no upload. Raises `InvalidAttachment`,
    `AttachmentStoreFailed`."""
    made = attachment_of(data, media_type)
    while True:
        location = new_location(blobs.namespace, made.id)
        place = f"{blobs.chosen.name} {location}"
        kept = yield intend(made.id, owner, place, stands_in=stands_in)
        if kept is None:
            yield Outside(partial(blobs.chosen.put, location, data))
            kept = yield keep(made, owner, place, stands_in=stands_in)
        if kept is not None:
            return made


def get(blobs: Blobs, attachment_id: str, owners: Sequence[str] | None, *, stands_in: bool = False) -> Program[bytes]:
    """The bytes, for one of these owners. Raises `AttachmentNotFound`, `AttachmentCorrupt`, `AttachmentBackendMissing`,
    `AttachmentStoreFailed`."""
    for last in (False, True):
        found: Found | None = yield read(attachment_id, owners, stands_in=stands_in)
        if found is None:
            raise AttachmentNotFound(attachment_id=attachment_id, owner=owners[0] if owners else "host")
        name, location = found.place.split(" ")
        data: bytes | None = yield Outside(partial(blobs.named(name).get, location))
        if data is not None and PREFIX + hashlib.sha256(data).hexdigest() == attachment_id:
            return data
        if last:
            raise AttachmentCorrupt(attachment_id=attachment_id, backend=name)
        # It may have been given up and put again between the two looks, and lie elsewhere now, so it is looked at once
        # more.
    raise AssertionError("the loop returns or raises")


@dataclass(frozen=True, slots=True)
class SweepReport:
    """What a sweep did. It counts the attachments that it looked at, those without an owner, the places that it
    emptied, and those that it could not empty because it lacks their backend. ``more``: its rounds ended before all
    that was due."""

    looked_at: int
    given_up: int
    removed: int
    left: int
    more: bool = False


def sweep(blobs: Blobs, *, rounds: int = MOST_ROUNDS) -> Program[SweepReport]:
    """Does what is due, in at most ``rounds`` rounds: it forgets owners that are gone, and removes bytes without an
    owner.

    Raises `AttachmentStoreFailed` if a backend failed, after it has told the store what succeeded.
    """
    looked, given_up, count = 0, 0, 0
    removed: list[str] = []
    left: set[str] = set()
    failed: dict[str, AttachmentStoreFailed] = {}
    unfinished = False
    for _ in range(rounds):
        condemned, seen, gone, more = yield _sweep_some(removed, sorted({*left, *failed}))
        looked, given_up, count = looked + seen, given_up + gone, count + len(removed)
        removed, before = [], len(left)
        for place in condemned:
            name, location = place.split(" ")
            if name not in blobs.known:
                left.add(place)
            elif place not in failed:
                try:
                    yield Outside(partial(blobs.named(name).delete, location))
                    removed.append(place)
                except AttachmentStoreFailed as error:
                    failed[place] = error
        # Bytes that cannot be removed here go behind the others, so a round that met only such bytes looks once more.
        if not removed and not more and len(left) == before:
            break
    else:
        unfinished = True
    if removed:
        yield _sweep_some(removed, ())
        count += len(removed)
    if failed:
        raise next(iter(failed.values()))
    return SweepReport(looked, given_up, count, len(left), unfinished)


def _sweep_some(removed: Sequence[str], later: Sequence[str]) -> Call[tuple[list[str], int, int, bool]]:
    args = {"limit": AT_ONCE, "removed": list(removed) or None, "later": list(later) or None}
    return Call("attachment_sweep", args, lambda reply: (list(reply[0]), int(reply[1]), int(reply[2]), reply[3] == "1"))


def sweep_strays(namespace: str, backend: BlobBackend, *, all_of_them: bool = False) -> Program[int]:
    """Remove bytes of this namespace in a backend that no record names and that are over a day old by the server's
    time. Returns how many.

    Raises `SweepRefused` if there is no record at all, because then the namespace is wrong or its keys are lost.
    ``all_of_them`` removes them anyway.
    """
    removed, stored = 0, backend.list()
    _, _, now_ms = yield _strays([])  # the clock of the machine that sweeps may be wrong
    while page := (yield Outside(partial(_page, stored))):
        old = [one for one in page if now_ms - one.at_ms > STRAY_MS and one.location.startswith(f"{namespace}/")]
        strays, known, _ = yield _strays([f"{backend.name} {one.location}" for one in old])
        if strays and not known and not all_of_them:
            raise SweepRefused(backend=backend.name, found=len(strays))
        for place in strays:
            yield Outside(partial(backend.delete, place.split(" ")[1]))
            removed += 1
    return removed


def _page(stored: Any) -> list[Any]:
    return list(islice(stored, AT_ONCE))


def _strays(places: Sequence[str]) -> Call[tuple[list[str], int, int]]:
    rows = [[place, PREFIX + place.rpartition("/")[2].partition("-")[0]] for place in places]
    return Call("attachment_strays", {"places": rows}, lambda reply: (list(reply[0]), int(reply[1]), int(reply[2])))
