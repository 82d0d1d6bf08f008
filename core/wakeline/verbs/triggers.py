"""Triggers at work: what is subscribed, what an occurrence starts, and the schedules of this release.

Invariant: one script writes an occurrence and its reserved deliveries, and every start settles its own delivery in its
own script. So a crash in between leaves reserved deliveries. The next tick of any worker with their code delivers them,
to the same process ids.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

from wakeline import typed
from wakeline.causality import HostOriginator, Originator, SessionScope, TriggerOccurrenceCause
from wakeline.engines.engine import Engine
from wakeline.environments.spec import EMPTY_ENVIRONMENT, EnvironmentSpec, environment
from wakeline.errors import (
    AttachmentCorrupt,
    AttachmentNotFound,
    InvalidArguments,
    InvalidSchedule,
    ProcessConflict,
    ProcessNoLongerRetained,
    WakelineError,
)
from wakeline.names import check_key, check_name, check_queue, check_source
from wakeline.observe.triggers import ScheduleView, SubscriptionView, schedule_view, subscription_view
from wakeline.releases import Declared
from wakeline.shown import logger
from wakeline.store import declarations, triggers
from wakeline.store.calls import Outside, Program
from wakeline.store.triggers import Delivery, DueSchedule, Subscribed
from wakeline.telemetry.headers import Headers
from wakeline.tools.tool import Tool
from wakeline.triggers import schedule as schedule_rules
from wakeline.triggers.moments import drawn, is_random
from wakeline.triggers.occurrence import Occurrence, delivered_process_id
from wakeline.triggers.schedule import SOURCE, Missed, Overlap, Schedule, check_schedule, following
from wakeline.triggers.subscription import Subscription, Target, arguments_of, check_subscription, parse_input
from wakeline.values import MAX_PAYLOAD, check_number, check_size, from_json, to_json
from wakeline.verbs.caller import Caller
from wakeline.verbs.options import NOTHING, WakeTarget, session_named
from wakeline.verbs.registrations import registration_of
from wakeline.verbs.sendings import told
from wakeline.verbs.sessions import address_of
from wakeline.verbs.starts import Start

SHOWN = 500
log = logger("wakeline.triggers")
Body = Engine[..., Any] | Tool[..., Any]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of an emitted occurrence.

    ``started`` are the ids of the processes that it started, or, if ``replayed``, that it had started before.
    ``failed`` are the subscriptions whose start failed, each with the reason. ``waiting`` are the subscriptions that
    wait for a worker with their code.
    """

    occurrence_id: str
    replayed: bool
    started: tuple[str, ...]
    failed: tuple[tuple[str, str], ...] = ()
    waiting: tuple[str, ...] = ()


def receipt_from(data: dict[str, Any]) -> Receipt:
    """A receipt as it was recorded."""
    failed = tuple((str(row[0]), str(row[1])) for row in data["failed"])
    return Receipt(data["occurrence_id"], data["replayed"], tuple(data["started"]), failed, tuple(data["waiting"]))


def subscription_to(
    source: str,
    body: Body,
    *,
    name: str | None = None,
    source_key: str | None = None,
    input: Mapping[str, Any] | None = None,  # noqa: A002 - the word of the field
    wake: WakeTarget | str | None = None,
    queue: str | None = None,
    labels: dict[str, str] | None = None,
    originator: Originator | None = None,
    captured: EnvironmentSpec | None = None,
) -> Subscription:
    """A subscription of a body to a source; raises `InvalidId`, `InvalidArguments` for parameters that the body does
    not have."""
    if not isinstance(body, (Tool, Engine)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidArguments(
            name="subscribe", reason=f"it takes what @app.engine or @app.tool made, not a {type(body).__name__}"
        )
    template = parse_input(input)
    for parameter in template or ():
        if parameter not in body.signature.parameters:
            raise InvalidArguments(
                name=body.name,
                reason=f"input= names {parameter!r}, which is none of {', '.join(body.signature.parameters)}",
            )
    session, wake_queue = session_named(wake, "wake target") if wake is not None else (None, None)
    if name is not None:
        check_name(name, "subscription name")
    if source_key is not None:
        check_key(source_key, "source key")
    if session is not None:
        address_of(session, "checked")
    return check_subscription(
        Subscription(
            source=source,
            name=name if name is not None else body.first_name,
            target=Target(kind="engine" if isinstance(body, Engine) else "tool", name=body.first_name),
            originator=originator or HostOriginator(),
            source_key=source_key,
            input=template,
            environment=(
                from_json(captured.text) if captured is not None and captured.ref != EMPTY_ENVIRONMENT else None
            ),
            wake_target=SessionScope(session_id=session) if session is not None else None,
            wake_queue=wake_queue,
            queue=check_queue(queue) if queue is not None else None,
            labels=typed.dump(labels or {}, dict[str, str], "the labels"),
        )
    )


def schedule_of(
    expression: str,
    body: Body,
    *,
    input: Mapping[str, Any] | None,
    timezone: str,
    missed: Missed,
    overlap: Overlap,
    **options: Any,  # noqa: A002
) -> Schedule:
    """A schedule of a body; raises `InvalidSchedule`, `InvalidArguments`."""
    subscription = subscription_to(SOURCE, body, input=input, **options)
    # The fixed arguments are checked now, because later there is no caller to get an error.
    sample = _told(subscription.name, 0)
    body.signature.bind_json(arguments_of(subscription, body.signature.parameters, sample))
    if is_random(expression):
        expression = _drawn(expression, subscription.name, given=options.get("name") is not None)
    return check_schedule(
        Schedule(expression=expression, timezone=timezone, missed=missed, overlap=overlap, subscription=subscription)
    )


def _drawn(expression: str, name: str, *, given: bool) -> str:
    """Random fields, drawn once from the name of the schedule. The stored expression has the same moments at each
    computation, on every worker."""
    if not given:
        reason = (
            "its random fields (R) are drawn from the name of the schedule, so it needs a fixed name: give name=, or "
            "write the fields as numbers"
        )
        raise InvalidSchedule(name=name, expression=expression, reason=reason)
    try:
        return drawn(expression, name)
    except (ValueError, KeyError) as error:
        raise InvalidSchedule(name=name, expression=expression, reason=str(error)) from error


def occurrence_of(source: str, kind: Any, payload: Any, key: str | None, source_key: str | None) -> Occurrence:
    """The occurrence of an emitter; without a key it gets a random one. Raises `InvalidId`, `InvalidPayload`,
    `PayloadTooLarge`."""
    what = f"An occurrence of {check_source(source)}"
    data = typed.asked(typed.fit(payload, kind, what), kind, what)
    check_size(what, to_json(data, what), MAX_PAYLOAD)
    own = check_key(key, "key of an occurrence") if key is not None else secrets.token_hex(12)
    return Occurrence(source, own, data, check_key(source_key, "source key") if source_key is not None else None)


def subscribe(subscription: Subscription, revision: int | None = None) -> Program[Subscribed]:
    """Subscribe, or change a subscription; raises `SubscriptionChanged`, `SubscriptionLimit`, `SessionDeleted`."""
    if revision is not None:
        check_number("revision", revision)
    done: Subscribed = yield triggers.subscribe(subscription, revision=revision)
    return done


def subscriptions(source: str | None) -> Program[list[SubscriptionView]]:
    """What is subscribed to a source, or to any."""
    found, _ = yield from listed(source)
    return found


def listed(source: str | None = None) -> Program[tuple[list[SubscriptionView], list[ScheduleView]]]:
    """What is subscribed to a source, or to any; and all schedules."""
    subscribed, scheduled = yield triggers.list_all(source)
    return [subscription_view(one) for one in subscribed], [schedule_view(one) for one in scheduled]


def switch(
    source: str,
    subscription: str,
    to: Literal["1", "0", ""],
    *,
    revision: int | None = None,
    owner: str | None = None,
) -> Program[bool]:
    """Enable a subscription (``to`` "1"), disable it ("0") or remove it (""); whether that changed anything. ``owner``:
    only if it is this session's, or ("") the host's. Raises `SubscriptionNotFound`, `SubscriptionChanged`."""
    if revision is not None:
        check_number("revision", revision)
    name = check_key(subscription, "subscription id")
    changed: bool = yield triggers.switch(source, name, to, owner=owner, revision=revision)
    return bool(changed)


def emit(caller: Caller, occurrence: Occurrence) -> Program[Receipt]:
    """Record an occurrence and start what it reaches. Raises `OccurrenceConflict`."""
    program = partial(_emit, caller, occurrence)
    if not caller.instruments.sendings:
        return program(None)
    return told(caller.instruments, program, "occur", occurrence.id, occurrence.source, key=occurrence.key)


def _emit(caller: Caller, occurrence: Occurrence, headers: Headers | None) -> Program[Receipt]:
    emitted = yield triggers.emit(occurrence).with_headers(headers)
    return (yield from _deliver_all(caller, occurrence, emitted, headers))


def fire(caller: Caller, schedule: Schedule, due_ms: int, now_ms: int) -> Program[Receipt | None]:
    """Does what a due schedule does; None if nothing occurs, or another worker was first."""
    firing = schedule_rules.fire(schedule, due_ms, now_ms)
    moment = firing.moment_ms if firing.moment_ms is not None else due_ms
    occurrence = Occurrence(SOURCE, str(moment), _told(schedule.name, moment), schedule.name)
    pid = delivered_process_id(occurrence.id, schedule.subscription.id)
    emitted = yield triggers.emit(
        occurrence, DueSchedule(schedule, due_ms, firing.next_ms, pid, void=firing.moment_ms is None)
    )
    if emitted is None:
        return None
    return (yield from _deliver_all(caller, occurrence, emitted))


def redrive(caller: Caller, *, older_ms: int) -> Program[int]:
    """Deliver what was reserved at least ``older_ms`` ago and is not settled; returns how many."""
    found: list[Delivery] = yield triggers.pending(older_ms=older_ms)
    settled = 0
    for delivery in found:
        settled += (yield from _deliver(caller, delivery)) != "reserved"
    return settled


def declare(schedules: Iterable[Schedule], *, by: Declared | None = None) -> Program[None]:
    """Make schedules known, if the release that declares them is in force. A changed schedule is due anew."""
    for schedule in schedules:
        planned = yield triggers.declare(schedule, by=by)
        if planned.due_ms is None and not planned.other:
            yield triggers.declare(schedule, due_ms=following(schedule, planned.now_ms), by=by)


def declare_all(declared: Declared, how: declarations.How) -> Program[bool]:
    """Write what a release declares of limits, agents and schedules, if it is in force or this puts it in force.
    Returns whether it is in force."""
    if not (yield declarations.write(declared, how)):
        return False
    yield from declare(declared.schedules, by=declared)
    whole: bool = yield declarations.written(declared)
    return whole


# -- delivering


def _deliver_all(
    caller: Caller, occurrence: Occurrence, emitted: triggers.Emitted, headers: Headers | None = None
) -> Program[Receipt]:
    started: list[str] = []
    failed: list[tuple[str, str]] = []
    waiting: list[str] = []
    for delivery in emitted.deliveries:
        delivery = replace(delivery, headers=headers) if headers is not None else delivery
        state = (yield from _deliver(caller, delivery)) if delivery.state == "reserved" else delivery.state
        if state == "started":
            started.append(delivered_process_id(delivery.occurrence_id, delivery.subscription_id))
        elif state == "reserved":
            waiting.append(delivery.subscription_id)
        else:
            failed.append((delivery.subscription_id, state.removeprefix("failed ")))
    return Receipt(
        occurrence.id, emitted.replayed, tuple(sorted(started)), tuple(sorted(failed)), tuple(sorted(waiting))
    )


def _deliver(caller: Caller, delivery: Delivery) -> Program[str]:
    subscription = delivery.subscription
    body = _body_of(caller, subscription) if subscription is not None else None
    if subscription is None or body is None:
        # This release lacks its code, or is older than its record. A worker that has both looks again within seconds.
        log.info(
            "delivery %s of %s waits for a worker of another release",
            delivery.subscription_id,
            delivery.occurrence_id,
        )
        yield triggers.settle(delivery, "reserved")
        return "reserved"
    if delivery.unread is not None:
        return (yield from _left_unread(delivery, subscription, delivery.unread))
    try:
        # A tool's prepare is user code, and the tick must not wait for it.
        yield (yield Outside(partial(_start, caller, delivery, subscription, body)))
    except (ProcessConflict, ProcessNoLongerRetained):
        # An earlier try started it, under a release that put it together differently, or a long time ago, so that it is
        # gone.
        yield triggers.settle(delivery, "started")
    except WakelineError as error:
        if error.retryable:
            raise
        return (yield from _failed(delivery, subscription, error))
    return "started"


def _left_unread(delivery: Delivery, subscription: Subscription, why: WakelineError) -> Program[str]:
    """Handles a payload that cannot be read. A lost payload starts nothing. One that this worker cannot reach now is
    left for a later look, or for a worker that can."""
    if isinstance(why, AttachmentNotFound | AttachmentCorrupt):
        return (yield from _failed(delivery, subscription, why))
    log.warning("delivery of %s to %s waits: %s", delivery.occurrence_id, subscription.name, why)
    yield triggers.settle(delivery, "reserved")
    return "reserved"


def _failed(delivery: Delivery, subscription: Subscription, error: WakelineError) -> Program[str]:
    state = f"failed {error.code}: {error}"[:SHOWN]
    log.warning("%s starts nothing for %s: %s", delivery.occurrence_id, subscription.name, error)
    yield triggers.settle(delivery, state)
    return state


def _body_of(caller: Caller, subscription: Subscription) -> Body | None:
    table: Mapping[str, Body] = (
        caller.registry.engines if subscription.target.kind == "engine" else caller.registry.tools
    )
    return table.get(caller.registry.current(subscription.target.name))


def _start(caller: Caller, delivery: Delivery, subscription: Subscription, body: Body) -> Any:
    given = body.signature.bind_json(arguments_of(subscription, body.signature.parameters, delivery.occurrence.payload))
    captured = environment(subscription.environment or {})
    target = subscription.wake_target
    wake = address_of(target.session_id, caller.namespace, subscription.wake_queue) if target else None
    registration = registration_of(
        body,
        given,
        NOTHING.over(queue=subscription.queue, labels=subscription.labels),
        namespace=caller.namespace,
        process_id=delivered_process_id(delivery.occurrence_id, delivery.subscription_id),
        originator=subscription.originator,
        caused_by=TriggerOccurrenceCause(occurrence_id=delivery.occurrence_id),
        wake_target=target,
        wake_end=target is not None,
        env_ref=captured.ref,
    )
    start = Start(registration, wake, captured=captured, delivery=delivery.wire(), headers=delivery.headers)
    return start.call(None, None)


def _told(name: str, moment_ms: int) -> dict[str, Any]:
    return {"schedule": name, "at": datetime.fromtimestamp(moment_ms / 1000, UTC).isoformat(), "at_ms": moment_ms}
