"""What a client asks for, as programs: the same verbs run blocking (`App`) and awaited (`App.aio`).

Invariant: types are checked here before anything is sent, so bad input loses nothing; the script only refuses what
changed meanwhile.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from wakeline import typed
from wakeline.attachments.attachment import owner_of_process
from wakeline.bounded import WEIGHT_OF_JSON, Bounded
from wakeline.causality import SessionScope
from wakeline.engines.engine import Engine
from wakeline.engines.registry import Registry
from wakeline.environments.spec import EMPTY, EnvironmentSpec, environment
from wakeline.errors import (
    AlreadyRunning,
    AwaitEventUnknownOrRevoked,
    InvalidArguments,
    InvalidId,
    PayloadSchemaMismatch,
    ProcessConflict,
    UndeclaredEvent,
)
from wakeline.names import (
    check_key,
    check_queue,
    check_signal_name,
    signal_event_type,
    signal_replay_key,
    split_session_id,
)
from wakeline.observe.processes import Status, status_of
from wakeline.processes.events import EventType
from wakeline.processes.outputs import AwaitOutput, Failure, Success
from wakeline.processes.outputs import to_json as output_json
from wakeline.processes.producing import Producible
from wakeline.processes.reading import check_known
from wakeline.processes.registration import Registration
from wakeline.processes.schema import check_payload, fits_schema, schema_hash
from wakeline.store import ends as stored_ends
from wakeline.store import events as stored_events
from wakeline.store import processes, queues, signals, waits
from wakeline.store import starts as stored_starts
from wakeline.store.calls import Call, Program, Together
from wakeline.store.events import StaleIncarnation
from wakeline.store.keys import queue_name
from wakeline.store.processes import StoredProcess
from wakeline.store.signals import NoWaitTakesIt, SchemaWanted, Signalled
from wakeline.store.starts import Registered, SessionAddress, Unique, UniqueTaken, with_unique
from wakeline.tools.tool import Tool
from wakeline.values import MAX_PAYLOAD, check_size, check_text, content_json, from_json, to_json
from wakeline.verbs.attachments import handed
from wakeline.verbs.events import check_producer_type, new_event
from wakeline.verbs.looks import Looking
from wakeline.verbs.options import Options, WakeTarget
from wakeline.verbs.payload_types import TakenTypes, against, engine_of, fitting, fitting_the_wait, signal_of
from wakeline.verbs.retries import retry_of
from wakeline.verbs.sessions import SessionVerbs, address_of
from wakeline.verbs.starts import Starts, external_registration
from wakeline.waits.keys import Keyring
from wakeline.waits.resolutions import Ok
from wakeline.waits.resolutions import to_json as resolution_json

MAX_REASON = 64 * 1024
CACHED_TYPES = 8 * 1024 * 1024
"""Bytes of types of processes that are kept in memory, about."""
CACHED_SCHEMAS = 1024 * 1024
STARTED_TOGETHER = 256
MOST_ASKED = 16


def wake_of(target: WakeTarget | str | None, namespace: str) -> tuple[SessionAddress | None, bool]:
    """The wake target a start was given, and whether its end wakes it too: yes, since it was given to that very
    process."""
    if target is None or target == "end":
        return None, target == "end"
    if isinstance(target, str):
        return address_of(target, namespace), True
    if not hasattr(target, "queue"):
        raise InvalidId(kind="wake target", value=target, grammar="a session, or <agent>/<key>")
    return address_of(target.id, namespace, target.queue), True


class Service(Looking):
    """The client verbs of one namespace; knows the types of processes it has seen."""

    def __init__(
        self,
        namespace: str,
        *,
        grace_ms: int,
        now_ms: Callable[[], int],
        environment: EnvironmentSpec = EMPTY,
        registry: Registry | None = None,
    ) -> None:
        super().__init__(now_ms)
        self._registry = registry
        self.namespace = namespace
        self.environment = environment
        self.sessions = SessionVerbs(namespace, now_ms, self, registry.agents if registry is not None else None)
        self._grace_ms = grace_ms
        self._starts = Starts(namespace)
        self._types: Bounded[str, Producible] = Bounded(CACHED_TYPES)
        """What producers may send to the processes it started or asked for, so that a signal needs one round trip."""
        self._asked: Bounded[str, dict[str, Any]] = Bounded(CACHED_SCHEMAS, most=MOST_ASKED)
        """Schemas that waits asked of answers, by their hash: an answer that fits one of them needs no second round
        trip."""

    def forget(self) -> None:
        """Lets go of what it knows of processes and waits: the store went back, or is another one."""
        self._types.clear()
        self._asked.clear()

    # -- starting
    # ----------------------------------------------------------------------------------------------------------------

    def start(self, body: Engine[..., Any] | Tool[..., Any], given: dict[str, Any], options: Options) -> Program[str]:
        """Start a process; the same id with the same content is the same process. One round trip."""
        [(registration, starting)] = self._starting(body, [given], [options])
        yield from handed(starting.args["spec"], owner_of_process(registration.id))
        if options.unique is None:
            receipt = yield from self._register(registration, starting)
        else:
            held = yield from self._start_unique(starting, options)
            if not isinstance(held, Registered):
                return held.process_id
            receipt = held
        self._learn(registration, receipt)
        return str(registration.id)

    def start_many(
        self,
        body: Engine[..., Any] | Tool[..., Any],
        rows: Sequence[dict[str, Any]],
        options: Options,
        ids: Sequence[str] | None,
    ) -> Program[list[str]]:
        """Start a process for each row of arguments, in few writes; all are checked before the first is started."""
        if options.id is not None or options.unique is not None:
            raise InvalidArguments(
                name="start_many", reason="an id and a unique key are of one process; give ids=, one for each row"
            )
        if ids is not None and len(ids) != len(rows):
            raise InvalidArguments(
                name="start_many", reason=f"it has {len(rows)} rows and {len(ids)} ids; give one for each"
            )
        if not rows:
            return []
        starts = self._starting(
            body, rows, [replace(options, id=one) for one in ids] if ids is not None else [options] * len(rows)
        )
        for registration, starting in starts:
            yield from handed(starting.args["spec"], owner_of_process(registration.id))
        for first in range(0, len(starts), STARTED_TOGETHER):
            part = starts[first : first + STARTED_TOGETHER]
            try:
                receipts = yield Together([starting for _, starting in part])
            except ProcessConflict:
                receipts = yield from self._each(part)
            for (registration, _), receipt in zip(part, receipts, strict=True):
                self._learn(registration, receipt)
        return [registration.id for registration, _ in starts]

    def _each(self, starts: Sequence[tuple[Registration, Call[Registered]]]) -> Program[list[Registered]]:
        done: list[Registered] = []
        for registration, starting in starts:
            done.append((yield from self._register(registration, starting)))
        return done

    def _register(self, registration: Registration, starting: Call[Registered]) -> Program[Registered]:
        """One start, which may repeat one of a release before this one."""
        try:
            receipt: Registered = yield starting
        except ProcessConflict:
            if not registration.is_marked:
                raise
            view: StoredProcess = yield processes.read(registration.id)
            if not registration.repeats(view.registration):
                raise
            receipt = Registered(False, view.registration.incarnation, view.status)
        return receipt

    def _starting(
        self, body: Engine[..., Any] | Tool[..., Any], rows: Sequence[dict[str, Any]], each: Sequence[Options]
    ) -> list[tuple[Registration, Call[Registered]]]:
        """The starts of some rows, checked; options differ by their ids alone."""
        options = each[0]
        wake, ends = wake_of(options.wake, self.namespace)
        captured = environment(options.environment) if options.environment is not None else self.environment
        target = SessionScope(session_id=wake.session_id) if wake else None
        found: list[tuple[Registration, Call[Registered]]] = []
        for given, own in zip(rows, each, strict=True):
            registration = self._starts.of(body, given, own, env_ref=captured.ref, wake_target=target, wake_end=ends)
            found.append(
                (
                    registration,
                    stored_starts.register(registration, wake=wake, delay_ms=own.ms("delay"), environment=captured),
                )
            )
        return found

    def _start_unique(self, starting: Call[Registered], options: Options) -> Program[Registered | UniqueTaken]:
        """A start whose unique key may be taken: by the process it returns then. Raises `AlreadyRunning`."""
        assert options.unique is not None
        wanted = Unique(options.unique)
        while True:
            try:
                receipt: Registered = yield with_unique(starting, wanted)
                return receipt
            except UniqueTaken as taken:
                if options.if_running == "reject":
                    raise AlreadyRunning(unique=options.unique, process_id=taken.process_id) from None
                if options.if_running != "replace":
                    return taken
                yield stored_ends.cancel(
                    taken.process_id, f"replaced by {starting.args['pid']}", grace_ms=self._grace_ms
                )
                wanted = Unique(options.unique, taken.process_id)

    def external(
        self, name: str, options: Options, metadata: Any = None, events: Mapping[str, Any] | None = None
    ) -> Program[str]:
        """Register work that runs elsewhere."""
        wake, _ = wake_of(options.wake, self.namespace)
        target = SessionScope(session_id=wake.session_id) if wake else None
        registration = external_registration(
            name, options, namespace=self.namespace, metadata=metadata, events=events, wake_target=target
        )
        receipt = yield from self._register(registration, stored_starts.register(registration, wake=wake))
        self._learn(registration, receipt)
        return str(registration.id)

    def retry(self, process_id: str) -> Program[str]:
        """Start the retry of an ended process; the same one again where it was started before. Its id."""
        view: StoredProcess = yield processes.read(process_id)
        registration = retry_of(view)
        retrying = stored_starts.register(registration)
        yield from handed(retrying.args["spec"], owner_of_process(registration.id))
        receipt: Registered = yield retrying
        if not receipt.created:
            # The id of a retry is one that a process of its own may have been started under.
            there: StoredProcess = yield processes.read(registration.id)
            if there.registration.provenance.caused_by != registration.provenance.caused_by:
                raise ProcessConflict(
                    process_id=registration.id, existing="a process of its own", given=f"the retry of {process_id}"
                )
        self._learn(registration, receipt)
        return registration.id

    def _learn(self, registration: Registration, receipt: Registered) -> None:
        if receipt.incarnation == registration.incarnation:
            self._remember(registration)

    def _remember(self, registration: Registration) -> Producible:
        known = registration.producible
        self._types.put(registration.id, known, known.weight)
        return known

    def _types_of(self, process_id: str) -> Program[Producible]:
        known = self._types.get(process_id)
        if known is None:
            view = yield processes.read(process_id)
            # Types that are there and a field beside them are enough to send by.
            known = self._remember(view.registration if view.registration.known else check_known(view.registration))
        return known

    # -- telling a process something
    # ---------------------------------------------------------------------------------------------

    def signal(self, process_id: str, name: str, payload: Any, key: str | None) -> Program[Signalled]:
        """Send a signal. One round trip once the types are cached (two where the open wait carries another schema)."""
        data = typed.asked(payload, what=f"signal {check_signal_name(name)}")
        # One content whatever the wait wants: a resend is compared by it.
        body, canonical = to_json(data), content_json(data)
        check_size(f"signal {name}", body, MAX_PAYLOAD)
        signal_id = check_key(key, "signal id") if key is not None else secrets.token_hex(12)
        yield from handed(body, owner_of_process(process_id))
        while True:
            registration = yield from self._types_of(process_id)
            types, refused = self._taken(registration), None
            known, also = signal_of(registration, engine_of(registration, self._registry), name)
            event_type = signal_event_type(known)
            declared = types.named(event_type)
            try:
                declared, data, _ = types.check(
                    event_type, payload, data, lambda one, given: check_payload(one.payload_schema, given, one.name)
                )
            except (UndeclaredEvent, PayloadSchemaMismatch) as error:
                refused = error  # by what is known here; a wait that another release opened may take it
            checked = schema_hash(declared.payload_schema) if declared is not None and refused is None else None
            try:
                while True:
                    try:
                        sent: Signalled = yield signals.signal(
                            process_id,
                            known,
                            signal_id,
                            to_json(data),
                            canonical=canonical,
                            replay_key=signal_replay_key(process_id, known, signal_id),
                            incarnation=registration.incarnation,
                            schema_hash=checked,
                            refused=refused,
                            also=also,
                        )
                        return sent
                    except SchemaWanted as wanted:
                        data = fitting_the_wait(payload, data, wanted, event_type, declared)
                        checked = wanted.hash
            except NoWaitTakesIt:
                assert refused is not None
                raise refused from None
            except StaleIncarnation:
                # The id was pruned and used again: other types may hold now.
                self._types.drop(process_id)

    def _taken(self, known: Producible, also: tuple[EventType, ...] = ()) -> TakenTypes:
        return TakenTypes(known, engine_of(known, self._registry), also)

    def emit(
        self,
        process_id: str,
        event_type: str,
        payload: Any,
        key: str | None,
        *,
        external: bool,
        also: tuple[EventType, ...] = (),
    ) -> Program[int]:
        """Append an event to a process from outside it; ``also``: types that the caller declares beside those of the
        process."""
        check_producer_type(event_type)
        own_key = check_key(key, "key of an event") if key is not None else f"emit:{secrets.token_hex(12)}"
        while True:
            registration = yield from self._types_of(process_id)
            event = new_event(process_id, self._taken(registration, also), event_type, payload)
            try:
                done = yield stored_events.append(
                    process_id,
                    event_type,
                    event.text,
                    incarnation=registration.incarnation,
                    replay_key=event.replay_key or own_key,
                    canonical=content_json(event.data),
                    wake=event.wake,
                    end=event.end,
                    external=external,
                )
                return int(done.sequence)
            except StaleIncarnation:
                self._types.drop(process_id)

    def cancel(self, process_id: str, reason: str) -> Program[str]:
        """Ask a process to end; its status as of now."""
        check_size("the reason", to_json(check_text("the reason", reason)), MAX_REASON)
        status = yield stored_ends.cancel(process_id, reason, grace_ms=self._grace_ms)
        return str(status)

    def pause(self, queue: str | None, *, paused: bool) -> Program[bool]:
        """Have workers leave a queue alone, or take from it again; whether that changed anything."""
        name = queue_name(self.namespace, check_queue(queue) if queue is not None else None)
        changed = yield queues.pause(name, paused=paused)
        return bool(changed)

    def retarget(self, process_id: str, target: WakeTarget | str | None) -> Program[None]:
        """Give a process another wake target, or none; an audit event says so."""
        session = target if target is None or isinstance(target, str) else target.id
        if session is not None:
            split_session_id(session)
        yield processes.retarget(process_id, session)

    def finish_external(self, process_id: str, output: AwaitOutput) -> Program[int]:
        """Report the end of outside work."""
        status = (
            "completed" if isinstance(output, Success) else "failed" if isinstance(output, Failure) else "cancelled"
        )
        text = output_json(output)
        check_size(f"the result of {process_id}", text, MAX_PAYLOAD)
        yield from handed(text, owner_of_process(process_id))
        canonical = content_json(output.value) if isinstance(output, Success) else text
        sequence = yield stored_ends.finish(process_id, status, text, canonical=canonical)
        return int(sequence)

    def succeed_external(self, process_id: str, value: Any) -> Program[int]:
        """Report success of outside work."""
        return self.finish_external(process_id, Success(typed.asked(value, what=f"the result of {process_id}")))

    def fail_external(self, process_id: str, code: str, message: str) -> Program[int]:
        """Report failure of outside work."""
        return self.finish_external(
            process_id, Failure("external", check_key(code, "failure code"), check_text("the message", message))
        )

    def resolve(self, keyring: Keyring, token: str, value: Any) -> Program[bool]:
        """Resolve a bearer token; False when it was resolved before. Raises `AwaitEventUnknownOrRevoked`, and
        `PayloadSchemaMismatch` for an answer that is
        not of the type the open wait asks for: the token is good for another one then.
        """
        content, by = keyring.read(token)
        data = typed.dump(value, what="the resolution")
        text = resolution_json(Ok(data))
        check_size("the resolution", text, MAX_PAYLOAD)
        yield from handed(text, owner_of_process(content.process_id))
        fits = [known for known, schema in self._asked.items() if fits_schema(schema, data)]
        while True:
            try:
                done = yield waits.resolve(
                    content.process_id, content.incarnation, content.key_id, text, content.expires_ms, by=by, fits=fits
                )
            except SchemaWanted as wanted:
                schema = from_json(wanted.schema)
                data, _ = fitting(value, data, against(schema, "the answer"))
                text = resolution_json(Ok(data))
                fits.append(wanted.hash)
                self._asked.put(wanted.hash, schema, WEIGHT_OF_JSON * len(wanted.schema))
                continue
            if done.unknown:
                raise AwaitEventUnknownOrRevoked()
            return bool(done.accepted)


__all__ = ["Service", "Status", "address_of", "status_of", "wake_of"]
