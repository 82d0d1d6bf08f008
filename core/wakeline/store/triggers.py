"""Calls on triggers: subscriptions, occurrences, deliveries, schedules.

Invariant: one script records an occurrence and reserves its deliveries. A reserved delivery stays until any worker
settles it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from pydantic import ValidationError

from wakeline.attachments.backend import Blobs
from wakeline.bounded import Bounded
from wakeline.errors import (
    AttachmentError,
    AttachmentStoreFailed,
    OccurrenceConflict,
    SessionDeleted,
    SubscriptionChanged,
    SubscriptionLimit,
    SubscriptionNotFound,
)
from wakeline.releases import Declared
from wakeline.shown import logger
from wakeline.store import stand_ins
from wakeline.store.calls import Call, Program, Reply
from wakeline.telemetry.headers import Headers, headers_of
from wakeline.triggers.occurrence import RETAINED_MS, Occurrence
from wakeline.triggers.schedule import SOURCE, Schedule
from wakeline.triggers.subscription import MOST_SUBSCRIPTIONS, Subscription
from wakeline.values import Stored, from_json, to_json

S = TypeVar("S", bound=Stored)
log = logger("wakeline.triggers")
STOOD_FOR = "+"
"""The sign before the subscription of a delivery whose payload is a stand-in. A release that does not know stand-ins
cannot read such a subscription, and so leaves the delivery to one that does. Without the sign the payload is the
emitter's text, even if it looks like a stand-in."""
_told: Bounded[str, bool] = Bounded(256 * 1024)
"""What was logged once and is not logged again."""


def _readable(kind: type[S], text: str) -> S | None:
    """The stored value; None if only a later release can read it. Then it stays for a worker of that release, and stops
    no other work."""
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        if _told.get(text) is None:
            _told.put(text, True, len(text))
            first = error.errors(include_url=False)[0]
            place = ".".join(map(str, first["loc"])) or "it"
            what = f"a {kind.__name__.lower()} is stored that this release cannot read, and leaves to one that can"
            log.warning("%s (%s: %s): %s", what, place, first["msg"], text[:200])
        return None


def _subscription(text: str) -> Subscription | None:
    """The subscription of a delivery."""
    return _readable(Subscription, text.removeprefix(STOOD_FOR))


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A subscription with its revision. ``changed``: this call wrote it."""

    id: str
    revision: int
    enabled: bool
    changed: bool


@dataclass(frozen=True, slots=True)
class StoredSubscription:
    """A subscription with its revision, and whether it takes occurrences."""

    id: str
    revision: int
    enabled: bool
    subscription: Subscription


@dataclass(frozen=True, slots=True)
class StoredSchedule:
    """A schedule, when it is due next (ms), and the process that its latest moment started."""

    name: str
    due_ms: int | None
    last: str | None
    schedule: Schedule


def subscribe(subscription: Subscription, *, revision: int | None = None) -> Call[Subscribed]:
    """Subscribe, or change a subscription of that name and owner. Raises `SubscriptionChanged`, `SubscriptionLimit`,
    `SessionDeleted`."""
    s = subscription
    args = {
        "source": s.source,
        "id": s.id,
        "sub": s.model_dump_json(exclude_defaults=True),
        "hash": s.content_hash,
        "key": s.source_key,
        "owner": s.owner,
        "revision": revision,
        "limit": MOST_SUBSCRIPTIONS,
    }

    def decode(reply: Reply) -> Subscribed:
        match reply[0]:
            case "subscribed" | "same":
                return Subscribed(s.id, int(reply[1]), reply[2] == "1", reply[0] == "subscribed")
            case "changed":
                raise SubscriptionChanged(subscription=s.id, expected=revision or 0, found=int(reply[1]))
            case "full":
                raise SubscriptionLimit(source=s.source, limit=MOST_SUBSCRIPTIONS)
            case _:
                raise SessionDeleted(session_id=reply[1], deleted_at_ms=int(reply[2]))

    return Call("trigger_subscribe", args, decode, about=(s.owner,) if s.owner else ())


def switch(
    source: str,
    subscription_id: str,
    to: Literal["1", "0", ""],
    *,
    owner: str | None = None,
    revision: int | None = None,
) -> Call[bool]:
    """Enable ("1"), disable ("0") or remove (""); returns whether that changed anything. ``owner``: only if this
    session, or ("") the host, owns it.

    Raises `SubscriptionNotFound`, `SubscriptionChanged`.
    """

    def decode(reply: Reply) -> bool:
        if reply[0] == "done":
            return bool(reply[1] == "1")
        if reply[0] == "changed":
            raise SubscriptionChanged(subscription=subscription_id, expected=revision or 0, found=int(reply[1]))
        raise SubscriptionNotFound(source=source, subscription=subscription_id)

    args = {"source": source, "id": subscription_id, "to": to, "owner": owner, "revision": revision}
    return Call("trigger_switch", args, decode, about=(owner,) if owner else ())


def list_all(source: str | None = None) -> Call[tuple[list[StoredSubscription], list[StoredSchedule]]]:
    """Subscriptions of a source or of all, and schedules, each by name, as far as this release can read them."""

    def decode(reply: Reply) -> tuple[list[StoredSubscription], list[StoredSchedule]]:
        subscriptions = [
            StoredSubscription(row[1], int(row[3]), row[4] == "1", found)
            for row in reply[0]
            if (found := _readable(Subscription, row[2]))
        ]
        schedules = [
            StoredSchedule(row[0], int(float(row[2])) if row[2] else None, row[3] or None, schedule)
            for row in reply[1]
            if (schedule := _readable(Schedule, row[1]))
        ]
        return sorted(subscriptions, key=lambda v: (v.subscription.source, v.subscription.name, v.id)), sorted(
            schedules, key=lambda v: v.name
        )

    return Call("trigger_list", {"source": source}, decode)


@dataclass(frozen=True, slots=True)
class Delivery:
    """What an occurrence starts for one subscription; ``state`` has the reason of a failure. ``subscription`` is None
    once the delivery is settled, or if only a later release can read it. ``unread`` says why the payload of the
    occurrence could not be read."""

    occurrence_id: str
    subscription_id: str
    state: str
    subscription: Subscription | None
    occurrence: Occurrence
    at_ms: int
    unread: AttachmentError | AttachmentStoreFailed | None = None
    headers: Headers | None = None
    """What instruments gave the emitter."""

    def wire(self) -> dict[str, Any]:
        """The form in which a start says that it settles this."""
        return {"occ": self.occurrence_id, "sub": self.subscription_id, "kept_ms": RETAINED_MS}


@dataclass(frozen=True, slots=True)
class Emitted:
    """A recorded occurrence; ``replayed`` if it was recorded before."""

    replayed: bool
    deliveries: tuple[Delivery, ...]


@dataclass(frozen=True, slots=True)
class DueSchedule:
    """A schedule that is due: its planned moment, when it is due next, and the process to start; ``void`` if nothing
    occurs."""

    schedule: Schedule
    due_ms: int
    next_ms: int
    process_id: str
    void: bool = False

    def wire(self) -> dict[str, Any]:
        s = self.schedule
        wire: dict[str, Any] = {
            "name": s.name,
            "due": self.due_ms,
            "next": self.next_ms,
            "id": s.subscription.id,
            "pid": self.process_id,
            "overlap": s.overlap,
            "sub": s.subscription.model_dump_json(exclude_defaults=True),
        }
        return wire | ({"void": True} if self.void else {})


def emit(occurrence: Occurrence, due: DueSchedule | None = None) -> Call[Emitted | None]:
    """Record an occurrence and reserve its deliveries; None for a schedule that did not occur. Raises
    `OccurrenceConflict`."""
    o = occurrence
    args = {
        "source": o.source,
        "source_key": o.source_key,
        "key": o.key,
        "occ": o.id,
        "hash": o.content_hash,
        "payload": to_json(o.payload),
        "kept_ms": RETAINED_MS,
        "cron": due.wire() if due else None,
    }

    def decode(reply: Reply) -> Emitted | None:
        if reply[0] == "conflict":
            raise OccurrenceConflict(source=o.source, key=o.key)
        if reply[0] not in ("recorded", "known"):
            return None
        at = int(reply[1])
        return Emitted(
            reply[0] == "known",
            # The subscription of a settled delivery is not kept.
            tuple(Delivery(o.id, row[0], row[1], _subscription(row[2]) if row[2] else None, o, at) for row in reply[2]),
        )

    about = (o.id, due.process_id) if due else (o.id,)
    return Call("trigger_emit", args, decode, payloads={"payload": stand_ins.of_occurrence(o.id)}, about=about)


def settle(delivery: Delivery, state: str) -> Call[bool]:
    """Settle a reserved delivery that no start settled; returns whether this call did."""
    args = {"occ": delivery.occurrence_id, "sub": delivery.subscription_id, "state": state, "kept_ms": RETAINED_MS}
    return Call("trigger_settle", args, lambda reply: reply[0] == "settled", about=(delivery.occurrence_id,))


def pending(*, older_ms: int, limit: int = 64) -> Call[list[Delivery]]:
    """Reserved deliveries that are not settled after ``older_ms``, oldest first."""

    def decode(reply: Reply) -> list[Delivery]:
        def delivery(row: Reply) -> Delivery:
            unread = row[9] if len(row) > 9 else None
            occurrence = Occurrence(row[3], row[5], from_json(row[6]) if unread is None else None, row[4] or None)
            return Delivery(
                row[0], row[1], "reserved", _subscription(row[2]), occurrence, int(row[7]), unread, headers_of(row[8])
            )

        return [delivery(row) for row in reply]

    return Call("trigger_pending", {"older_ms": older_ms, "limit": limit}, decode, brings=_whole_rows)


def _whole_rows(blobs: Blobs, reply: Reply) -> Program[Reply]:
    """Each delivery with its payload, or with the reason why it could not be read, because one delivery must not keep a
    worker from the others."""
    rows: list[Reply] = []
    for row in reply:
        if not row[2].startswith(STOOD_FOR):
            rows.append(row)
            continue
        try:
            payload = yield from stand_ins.whole(blobs, row[6])
            rows.append([*row[:6], payload, *row[7:]])
        except (AttachmentError, AttachmentStoreFailed) as error:
            rows.append([*row, error])
    return rows


@dataclass(frozen=True, slots=True)
class Planned:
    """When a declared schedule is due (ms; None if that is not set yet), and the time. ``other``: declarations of
    another release are in force."""

    due_ms: int | None
    now_ms: int
    other: bool = False


def declare(schedule: Schedule, *, due_ms: int | None = None, by: Declared | None = None) -> Call[Planned]:
    """Make a schedule known, if the release that declares it is in force. A new or changed schedule needs its next due
    time."""
    args = {
        "name": schedule.name,
        "schedule": schedule.model_dump_json(exclude_defaults=True),
        "hash": schedule.content_hash,
        "due": due_ms,
    }
    if by is not None:
        args |= {"app": by.app, "declares": by.id}

    def decode(reply: Reply) -> Planned:
        return (
            Planned(int(float(reply[1])), int(reply[2]))
            if reply[0] == "due"
            else Planned(None, int(reply[1]), reply[0] == "other")
        )

    return Call("schedule_declare", args, decode)


def remove_schedule(name: str) -> Call[None]:
    """Forget a schedule. Raises `SubscriptionNotFound`."""

    def decode(reply: Reply) -> None:
        if reply[0] != "removed":
            raise SubscriptionNotFound(source=SOURCE, subscription=name)

    return Call("schedule_remove", {"name": name}, decode)


def due_schedules(rows: Sequence[Any]) -> tuple[tuple[Schedule, int], ...]:
    """The schedules that a tick found due and that this release can read, each with its due time."""
    return tuple((found, int(float(row[1]))) for row in rows if (found := _readable(Schedule, row[2])))
