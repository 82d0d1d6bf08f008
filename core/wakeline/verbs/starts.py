"""Starts: one program that starts a process, for a client and for a body.

Invariant: all of a start is checked before anything is sent. The same id with the same content is the same process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from wakeline.attachments.attachment import MARK, owner_of_process
from wakeline.causality import Originator, SessionScope
from wakeline.engines.engine import Engine
from wakeline.environments.spec import EnvironmentSpec, environment
from wakeline.errors import AlreadyRunning, InvalidArguments, ProcessConflict
from wakeline.fixed import fixed
from wakeline.processes.registration import Registration
from wakeline.store import processes, starts
from wakeline.store.calls import Call, Program, Together
from wakeline.store.journal import GAP, Effect
from wakeline.store.processes import StoredProcess
from wakeline.store.starts import Registered, SessionAddress, Unique, UniqueTaken
from wakeline.telemetry.headers import Headers
from wakeline.tools.tool import Tool
from wakeline.verbs.attachments import handed
from wakeline.verbs.caller import Caller
from wakeline.verbs.options import NOTHING, Options, WakeTarget, session_named
from wakeline.verbs.processes import cancel
from wakeline.verbs.recorder import Recorder, opened, recorded, written
from wakeline.verbs.registrations import external_registration
from wakeline.verbs.retries import retry_of
from wakeline.verbs.sendings import told
from wakeline.verbs.sessions import address_of
from wakeline.verbs.templates import Filled

STARTED_TOGETHER = 256


@fixed
class Start:
    """A start that was checked: what is registered, whom it wakes, when it begins, and what it captured.

    ``asked`` is the registration, or a plain start of a template, which has none of the others. ``options``: those that
    say what a unique key means.
    """

    asked: Registration | Filled
    wake: SessionAddress | None = None
    delay_ms: int | None = None
    at_ms: int | None = None
    captured: EnvironmentSpec | None = None
    options: Options = NOTHING
    delivery: Mapping[str, Any] | None = None
    """The delivery of a trigger that it settles."""
    headers: Headers | None = None
    """What instruments gave it."""

    def call(self, unique: Unique | None, effect: Effect | None) -> Call[Registered]:
        """The call that starts it."""
        asked = self.asked if self.headers is None else self.asked.with_headers(self.headers)
        if isinstance(asked, Filled):
            return asked.call()
        call = starts.register(
            asked,
            wake=self.wake,
            delay_ms=self.delay_ms,
            at_ms=self.at_ms,
            environment=self.captured,
            delivery=self.delivery,
            effect=effect,
        )
        return call if unique is None else starts.with_unique(call, unique)


@fixed
class Begun:
    """The process that a start stands for: one that it made or found, or one that has its unique key."""

    id: str
    incarnation: str

    @property
    def outcome(self) -> dict[str, str]:
        """What the row of a start holds."""
        return {"id": self.id, "incarnation": self.incarnation}


def begin(caller: Caller, start: Start, *, effect: Recorder | None = None) -> Program[Begun]:
    """Start a process that was checked. Raises `ProcessConflict`, `AlreadyRunning`, `AttachmentNotFound`."""
    if not caller.instruments.sendings:
        return _begin(caller, start, effect)
    asked = start.asked
    name = asked.name if isinstance(asked, Filled) else asked.identity.kind

    def program(headers: Headers | None) -> Program[Begun]:
        return _begin(caller, start if headers is None else replace(start, headers=headers), effect)

    return told(caller.instruments, program, "start", asked.id, name, queue=asked.queue, key=start.options.unique)


def _begin(caller: Caller, start: Start, effect: Recorder | None) -> Program[Begun]:
    asked, options = start.asked, start.options
    if MARK in asked.text:
        yield from handed(asked.text, owner_of_process(asked.id), effect)
    row = opened(effect, Begun(asked.id, GAP).outcome, text=True) if effect is not None else None
    unique = Unique(options.unique) if options.unique is not None else None
    while True:
        try:
            if effect is None:
                receipt: Registered = yield start.call(unique, None)
            else:
                receipt = yield from written(partial(start.call, unique), effect, row)
        except ProcessConflict as conflict:
            whole = asked.registration if isinstance(asked, Filled) else asked
            return (yield from _repeated(whole, conflict, effect))
        except UniqueTaken as taken:
            assert unique is not None
            if options.if_running == "reject":
                raise AlreadyRunning(unique=unique.key, process_id=taken.process_id) from None
            if options.if_running != "replace":
                held = Begun(taken.process_id, taken.incarnation)
                yield from recorded(effect, held.outcome)
                return held
            yield from cancel(caller, taken.process_id, f"replaced by {asked.id}")
            unique = Unique(unique.key, taken.process_id)
        else:
            if effect is None:  # a body leaves types to the script
                _learn(caller, asked, receipt)
            return Begun(asked.id, receipt.incarnation)


def _learn(caller: Caller, asked: Registration | Filled, receipt: Registered) -> None:
    if receipt.incarnation != asked.incarnation:
        return
    if isinstance(asked, Filled):
        caller.keep(asked.producible, asked.weight)
    else:
        caller.learn(asked)


def _repeated(registration: Registration, conflict: ProcessConflict, effect: Recorder | None) -> Program[Begun]:
    """A conflict may be a repetition: a release before this one kept sets in the order of its process."""
    if not registration.is_marked:
        raise conflict
    view: StoredProcess = yield processes.read(registration.id)
    if not registration.repeats(view.registration):
        raise conflict
    found = Begun(registration.id, view.registration.incarnation)
    yield from recorded(effect, found.outcome)
    return found


def start(
    caller: Caller, body: Engine[..., Any] | Tool[..., Any], given: dict[str, Any], options: Options
) -> Program[str]:
    """Start a process; the same id with the same content is the same process. Its id. One round trip."""
    [one] = _checked(caller, body, [given], [options])
    begun = yield from begin(caller, one)
    return begun.id


def start_by(
    caller: Caller,
    body: Engine[..., Any] | Tool[..., Any],
    given: dict[str, Any],
    options: Options,
    originator: Originator,
) -> Program[tuple[str, bool]]:
    """Start a process, as `start`, whose chain begins with someone who is not the app itself. Its id, and whether it
    was not there before."""
    [one] = _checked(caller, body, [given], [options], originator)
    begun = yield from begin(caller, one)
    return begun.id, begun.incarnation == one.asked.incarnation


def start_many(
    caller: Caller,
    body: Engine[..., Any] | Tool[..., Any],
    rows: Sequence[dict[str, Any]],
    options: Options,
    ids: Sequence[str] | None,
) -> Program[list[str]]:
    """Start a process for each row of arguments, in few writes. All rows are checked before the first start."""
    if options.id is not None or options.unique is not None:
        raise InvalidArguments(
            name="start_many", reason="an id and a unique key are of one process; give ids=, one for each row"
        )
    if ids is not None and (isinstance(ids, str) or not isinstance(ids, Sequence)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidArguments(name="start_many", reason=f"ids= is a list of ids, one for each row, not {ids!r}")
    if ids is not None and len(ids) != len(rows):
        raise InvalidArguments(
            name="start_many", reason=f"it has {len(rows)} rows and {len(ids)} ids; give one for each"
        )
    if not rows:
        return []
    each = [replace(options, id=one) for one in ids] if ids is not None else [options] * len(rows)
    ready = _checked(caller, body, rows, each)
    if not caller.instruments.sendings:
        return (yield from _start_all(caller, ready, None))
    program = partial(_start_all, caller, ready)
    return (yield from told(caller.instruments, program, "start", "", body.name))


def _start_all(caller: Caller, checked: Sequence[Start], headers: Headers | None) -> Program[list[str]]:
    ready = checked if headers is None else [replace(one, headers=headers) for one in checked]
    for one in ready:
        if MARK in one.asked.text:
            yield from handed(one.asked.text, owner_of_process(one.asked.id))
    for first in range(0, len(ready), STARTED_TOGETHER):
        part = ready[first : first + STARTED_TOGETHER]
        try:
            receipts: list[Registered] = yield Together([one.call(None, None) for one in part])
        except ProcessConflict:
            for one in part:
                yield from _begin(caller, one, None)
        else:
            for one, receipt in zip(part, receipts, strict=True):
                _learn(caller, one.asked, receipt)
    return [one.asked.id for one in ready]


def _checked(
    caller: Caller,
    body: Engine[..., Any] | Tool[..., Any],
    rows: Sequence[dict[str, Any]],
    each: Sequence[Options],
    originator: Originator | None = None,
) -> list[Start]:
    """The checked starts of some rows, whose options differ only in their ids."""
    options = each[0]
    wake, ends = wake_of(options.wake, caller.namespace) if options.wake is not None else (None, False)
    captured = environment(options.environment) if options.environment is not None else caller.environment
    target = SessionScope(session_id=wake.session_id) if wake else None
    found: list[Start] = []
    for given, own in zip(rows, each, strict=True):
        asked = caller.registrations.of(
            body, given, own, captured=captured, wake_target=target, wake_end=ends, originator=originator
        )
        found.append(Start(asked, wake, own.ms("delay"), None if own.at is None else own.at_ms, captured, own))
    return found


def external(
    caller: Caller, name: str, options: Options, metadata: Any = None, events: Mapping[str, Any] | None = None
) -> Program[str]:
    """Register work that runs elsewhere; its id."""
    wake, _ = wake_of(options.wake, caller.namespace)
    target = SessionScope(session_id=wake.session_id) if wake else None
    registration = external_registration(
        name, options, namespace=caller.namespace, metadata=metadata, events=events, wake_target=target
    )
    begun = yield from begin(caller, Start(registration, wake))
    return begun.id


def retry(caller: Caller, process_id: str) -> Program[str]:
    """Start the retry of an ended process, or find the one that was started before. Returns its id."""
    pid, _ = yield from retried(caller, process_id)
    return pid


def retried(caller: Caller, process_id: str) -> Program[tuple[str, bool]]:
    """The id of the retry, and whether it was not started before."""
    view: StoredProcess = yield processes.read(process_id)
    registration = retry_of(view)
    begun = yield from begin(caller, Start(registration))
    if begun.incarnation != registration.incarnation:
        # Another process may have been started under the id of a retry.
        there: StoredProcess = yield processes.read(registration.id)
        if there.registration.provenance.caused_by != registration.provenance.caused_by:
            raise ProcessConflict(
                process_id=registration.id, existing="a process of its own", given=f"the retry of {process_id}"
            )
    return registration.id, begun.incarnation == registration.incarnation


def wake_of(target: WakeTarget | str | None, namespace: str) -> tuple[SessionAddress | None, bool]:
    """The wake target that a start was given, and whether its end wakes it too: yes, because it was given to this
    process."""
    if target is None or target == "end":
        return None, target == "end"
    session, queue = session_named(target, "wake target")
    return address_of(session, namespace, queue), True
