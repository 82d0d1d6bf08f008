"""What a client asks for, as programs: the same verbs run blocking (`App`) and awaited (`App.aio`).

Invariant: types are checked here before anything is sent, so bad input loses nothing; the script only refuses what changed meanwhile.
"""

from __future__ import annotations

import json
import secrets
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from wakeline import arguments
from wakeline.causality import SessionScope
from wakeline.engines.engine import Engine
from wakeline.errors import AwaitEventUnknownOrRevoked, InvalidArguments, ProcessFailed, ReservedEvent, UndeclaredEvent, WaitTimeout
from wakeline.names import LIFECYCLE_TYPES, SIGNAL_PREFIX, check_signal_name, session_id, signal_event_type, signal_replay_key, split_session_id
from wakeline.processes.events import materialise
from wakeline.processes.lifecycle import TERMINAL
from wakeline.processes.outputs import AwaitOutput, Failure, Success, from_data, raise_for
from wakeline.processes.outputs import to_json as output_json
from wakeline.processes.registration import Registration
from wakeline.processes.schema import check_payload, schema_hash
from wakeline.runtime.options import Options
from wakeline.runtime.starting import external_registration, registration_of
from wakeline.store import processes, runs, sessions
from wakeline.store.calls import Change, Program
from wakeline.store.keys import queue_name
from wakeline.store.processes import Registered, SchemaWanted, SessionAddress, Signalled, StaleIncarnation
from wakeline.tools.tool import Tool
from wakeline.values import canonical_json, check_size, from_json, to_json
from wakeline.waits.keys import decode_token
from wakeline.waits.resolutions import Ok
from wakeline.waits.resolutions import to_json as resolution_json

MAX_PAYLOAD = 8 * 1024 * 1024
CACHED_TYPES = 10_000


def address_of(target: Any, namespace: str, queue: str | None = None) -> SessionAddress:
    """A session (object or id ``<agent>/<key>``) as the store addresses it; sending to it creates it."""
    sid = target if isinstance(target, str) else target.id
    agent, _ = split_session_id(sid)
    return SessionAddress(sid, agent, queue_name(namespace, queue), secrets.token_hex(8))


def wake_of(target: Any, namespace: str) -> tuple[SessionAddress | None, bool]:
    """The wake target a start was given, and whether its end wakes it too: yes, since it was given to that very process."""
    if target is None or target == "end":
        return None, target == "end"
    queue = getattr(target, "queue", None)
    return address_of(target, namespace, queue), True


@dataclass(frozen=True, slots=True)
class Status:
    """A process as seen from outside at one moment."""

    id: str
    status: str
    kind: str
    label: str | None
    created_ms: int
    updated_ms: int
    sequence: int
    waiting_for: tuple[str, ...]
    owner: str | None


def status_of(row: processes.ProcessRow) -> Status:
    waits = tuple(name[2:] for name in row.fields if name.startswith("n:"))
    identity = row.registration.identity
    return Status(row.process_id, row.status, identity.kind, identity.label, row.int("ca"), row.int("ua"), row.int("seq"), waits, row.fields.get("ow"))


class Service:
    """The client verbs of one namespace; knows the types of processes it has seen."""

    def __init__(self, namespace: str, *, grace_ms: int, now_ms: Callable[[], int]) -> None:
        self.namespace = namespace
        self._grace_ms = grace_ms
        self._now_ms = now_ms
        self._types: OrderedDict[str, Registration] = OrderedDict()

    # -- starting ----------------------------------------------------------------------------------------------------------------

    def start(self, body: Engine[..., Any] | Tool[..., Any], given: dict[str, Any], options: Options) -> Program[str]:
        """Start a process; the same id with the same content is the same process. One round trip."""
        wake, ends = wake_of(options.wake, self.namespace)
        registration = registration_of(
            body,
            given,
            options,
            namespace=self.namespace,
            now_ms=self._now_ms(),
            wake_target=SessionScope(session_id=wake.session_id) if wake else None,
            wake_end=ends,
        )
        receipt = yield processes.register(registration, wake=wake, delay_ms=options.ms("delay"))
        self._learn(registration, receipt)
        return str(registration.id)

    def external(self, name: str, options: Options, metadata: Any = None) -> Program[str]:
        """Register work that runs elsewhere."""
        wake, _ = wake_of(options.wake, self.namespace)
        target = SessionScope(session_id=wake.session_id) if wake else None
        registration = external_registration(name, options, namespace=self.namespace, metadata=metadata, wake_target=target)
        receipt = yield processes.register(registration, wake=wake)
        self._learn(registration, receipt)
        return str(registration.id)

    def _learn(self, registration: Registration, receipt: Registered) -> None:
        if receipt.incarnation == registration.incarnation:
            self._remember(registration)

    def _remember(self, registration: Registration) -> None:
        self._types[registration.id] = registration
        if len(self._types) > CACHED_TYPES:
            self._types.popitem(last=False)

    def _types_of(self, process_id: str) -> Program[Registration]:
        known = self._types.get(process_id)
        if known is None:
            view = yield processes.read(process_id)
            known = view.registration
            self._remember(known)
        return known

    # -- telling a process something ---------------------------------------------------------------------------------------------

    def signal(self, process_id: str, name: str, payload: Any, key: str | None) -> Program[Signalled]:
        """Send a signal. One round trip once the types are cached (two where the open wait carries another schema)."""
        event_type = signal_event_type(check_signal_name(name))
        data = arguments.dump(payload, what=f"signal {name}")
        body = to_json(data)
        check_size(f"signal {name}", body, MAX_PAYLOAD)
        signal_id = key or secrets.token_hex(12)
        while True:
            registration = yield from self._types_of(process_id)
            checked = self._check_signal(registration, event_type, data)
            try:
                while True:
                    try:
                        sent: Signalled = yield processes.signal(
                            process_id,
                            name,
                            signal_id,
                            body,
                            canonical=canonical_json(data),
                            replay_key=signal_replay_key(process_id, name, signal_id),
                            incarnation=registration.incarnation,
                            schema_hash=checked,
                        )
                        return sent
                    except SchemaWanted as wanted:
                        check_payload(from_json(wanted.schema), data, event_type)
                        checked = wanted.hash
            except StaleIncarnation:
                # The id was pruned and used again: other types may hold now.
                self._types.pop(process_id, None)

    def _check_signal(self, registration: Registration, event_type: str, data: Any) -> str | None:
        declared = registration.event_type(event_type)
        if declared is None:
            if registration.strict_signals:
                known = sorted(t.name for t in registration.event_types if t.name.startswith(SIGNAL_PREFIX))
                raise UndeclaredEvent(process_id=registration.id, event_type=event_type, declared=known)
            return None
        check_payload(declared.payload_schema, data, event_type)
        return schema_hash(declared.payload_schema)

    def emit(self, process_id: str, event_type: str, payload: Any, key: str | None, *, external: bool) -> Program[int]:
        """Append an event to a process from outside it."""
        if event_type in LIFECYCLE_TYPES:
            raise ReservedEvent(event_type=event_type)
        data = arguments.dump(payload, what=f"event {event_type}")
        body = to_json(data)
        check_size(f"event {event_type}", body, MAX_PAYLOAD)
        while True:
            registration = yield from self._types_of(process_id)
            declared = registration.event_type(event_type)
            if declared is None:
                raise UndeclaredEvent(process_id=process_id, event_type=event_type, declared=sorted(t.name for t in registration.event_types))
            check_payload(declared.payload_schema, data, event_type)
            meaning = materialise(declared, data)
            wake = processes.WakeText(meaning.wake.text, meaning.wake.key) if meaning.wake else None
            try:
                done = yield processes.append(
                    process_id,
                    event_type,
                    body,
                    incarnation=registration.incarnation,
                    replay_key=key or f"emit:{secrets.token_hex(12)}",
                    canonical=canonical_json(data),
                    wake=wake,
                    external=external,
                )
                return int(done.sequence)
            except StaleIncarnation:
                self._types.pop(process_id, None)

    def cancel(self, process_id: str, reason: str) -> Program[str]:
        """Ask a process to end; its status as of now."""
        status = yield processes.cancel(process_id, reason, grace_ms=self._grace_ms)
        return str(status)

    def finish_external(self, process_id: str, output: AwaitOutput) -> Program[int]:
        """Report the end of outside work."""
        status = "completed" if isinstance(output, Success) else "failed" if isinstance(output, Failure) else "cancelled"
        text = output_json(output)
        check_size(f"the result of {process_id}", text, MAX_PAYLOAD)
        sequence = yield processes.finish(process_id, status, text)
        return int(sequence)

    def resolve(self, secret: bytes, token: str, value: Any) -> Program[bool]:
        """Resolve a bearer token; False when it was resolved before. Raises `AwaitEventUnknownOrRevoked`."""
        claims = decode_token(secret, token)
        data = arguments.dump(value, what="the resolution")
        text = resolution_json(Ok(data))
        check_size("the resolution", text, MAX_PAYLOAD)
        done = yield runs.resolve(claims.process_id, claims.incarnation, claims.key_id, text, claims.expires_ms)
        if done.unknown:
            raise AwaitEventUnknownOrRevoked()
        return bool(done.accepted)

    # -- looking -----------------------------------------------------------------------------------------------------------------

    def status(self, process_id: str) -> Program[Status]:
        """One look; raises `ProcessNotFound`, `ProcessNoLongerRetained`."""
        view = yield processes.read(process_id)
        return status_of(view)

    def result(self, process_id: str, timeout_ms: int | None, load: Callable[[Any], Any]) -> Program[Any]:
        """Wait for the end. Raises `ProcessFailed`, `ProcessCancelled`, `ProcessAbandoned`, `WaitTimeout`, `ProcessNotFound`."""
        output = yield from self.await_output(process_id, timeout_ms)
        return load(raise_for(process_id, output))

    def await_output(self, process_id: str, timeout_ms: int | None) -> Program[AwaitOutput]:
        """The await output, once there is one."""
        deadline = None if timeout_ms is None else self._now_ms() + timeout_ms
        pause = 25
        while True:
            view = yield processes.read(process_id, count=1, tail=True)
            if view.status in TERMINAL:
                return from_data(from_json(view.events[-1].payload)["await_output"])
            left = 1000 if deadline is None else deadline - self._now_ms()
            if left <= 0:
                raise WaitTimeout(what=f"process {process_id}")
            yield Change(process_id, view.int("seq"), min(left, pause))
            pause = min(pause * 2, 1000)

    def page(
        self, statuses: Sequence[str], *, limit: int, kind: str | None = None, session: str | None = None, waiting: str | None = None
    ) -> Program[list[Status]]:
        """Processes of these statuses, newest first within each, at most ``limit``."""
        found: list[Status] = []
        for status in statuses:
            score, member = "+inf", ""
            while len(found) < limit:
                page = yield processes.list_page(status, limit=limit - len(found), score=score, member=member, kind=kind, session_id=session, waiting=waiting)
                found.extend(status_of(row) for row in page.rows)
                if not page.score:
                    break
                score, member = page.score, page.member
        return found

    # -- sessions ----------------------------------------------------------------------------------------------------------------

    def send(self, session: SessionAddress, text: Any, key: str | None) -> Program[int]:
        """Put input into a session's inbox; its number there."""
        data = arguments.dump(text, what="the input")
        body = to_json({"kind": "input", "input": data, "at_ms": self._now_ms()})
        check_size("the input", body, MAX_PAYLOAD)
        sent = yield sessions.send(session, body, key=key, canonical=canonical_json(data))
        return int(sent.entry)

    def ask(self, session: SessionAddress, text: Any, key: str | None, timeout_ms: int) -> Program[Any]:
        """Send, and wait for what the turn that takes it returns."""
        entry = yield from self.send(session, text, key)
        deadline = self._now_ms() + timeout_ms
        pause = 25
        while True:
            view = yield sessions.read(session.session_id, count=0, entries=256)
            state = next((e.state for e in view.entries if e.n == entry), "")
            verb, _, rest = state.partition(" ")
            if verb in ("settled", "failed"):
                output = yield from self.await_output(rest.split(" ")[0], 1000)
                return raise_for(rest.split(" ")[0], output)
            left = deadline - self._now_ms()
            if left <= 0:
                raise WaitTimeout(what=f"an answer of session {session.session_id}")
            yield Change(view.head.get("turn", "none"), 0, min(left, pause))
            pause = min(pause * 2, 500)


def json_arguments(body: Engine[..., Any] | Tool[..., Any], text: str) -> dict[str, Any]:
    """Arguments given as JSON text; raises `InvalidArguments`."""
    try:
        return body.signature.bind_json(json.loads(text))
    except json.JSONDecodeError as error:
        raise InvalidArguments(name=body.name, reason=f"not JSON: {error}") from error


__all__ = ["ProcessFailed", "Service", "Status", "address_of", "json_arguments", "session_id", "status_of", "wake_of"]
