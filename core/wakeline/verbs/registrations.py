"""From a body and its arguments to a registration: the only place where a start is put together and checked.

Invariant: the provenance of a child is its parent's chain (originator and wake target), never the parent's ephemeral
scope. Callers cannot give it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

from wakeline.causality import CausalRef, HostOriginator, Originator, Provenance, SessionScope
from wakeline.engines.declared import declared_events, event_types_of
from wakeline.engines.engine import Engine
from wakeline.environments.spec import EMPTY_ENVIRONMENT, EnvironmentSpec
from wakeline.errors import InvalidArguments, ToolFailed
from wakeline.names import check_key, check_process_id, check_queue, new_incarnation, new_process_id
from wakeline.processes.failures import described
from wakeline.processes.inputs import EngineInput, ExternalInput, PreparedCall, ToolCall
from wakeline.processes.lease import MAX_ATTEMPTS
from wakeline.processes.registration import Carried, Registration, prepare
from wakeline.store.keys import queue_name
from wakeline.tools.tool import Tool, outside_body
from wakeline.typed import asked, dump
from wakeline.values import MAX_PAYLOAD, check_size, to_json
from wakeline.verbs.options import NOTHING, Options
from wakeline.verbs.templates import Filled, Template

MAX_LABELS = 64 * 1024
MOST_TEMPLATES = 1024


def bound(body: Any, /, *args: Any, **kwargs: Any) -> dict[str, Any]:
    """The arguments of one start or call as JSON data by name; raises `InvalidArguments`, also for something that
    cannot be started."""
    if not isinstance(body, (Tool, Engine)):
        raise InvalidArguments(
            name="start", reason=f"it takes what @app.engine or @app.tool made, not a {type(body).__name__}"
        )
    return body.signature.bind(*args, **kwargs)


def bound_rows(body: Any, rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """`bound` for each row of named arguments; raises `InvalidArguments` also for what are no rows."""
    if isinstance(rows, Mapping | str) or not isinstance(rows, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidArguments(
            name="start_many", reason=f"it takes a list of rows, each a dict of named arguments, not {rows!r}"
        )
    found: list[dict[str, Any]] = []
    for row in rows:
        if not isinstance(row, Mapping) or not all(isinstance(name, str) for name in row):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidArguments(name="start_many", reason=f"a row is a dict of named arguments, not {row!r}")
        found.append(bound(body, **row))
    return found


def registration_of(
    body: Tool[..., Any] | Engine[..., Any],
    arguments: dict[str, Any],
    options: Options,
    *,
    namespace: str,
    process_id: str | None = None,
    originator: Originator | None = None,
    caused_by: CausalRef | None = None,
    parent: Registration | None = None,
    wake_target: SessionScope | None = None,
    wake_end: bool = False,
    env_ref: str = EMPTY_ENVIRONMENT,
    carried: Carried | None = None,
    made: Any = None,
) -> Registration:
    """The registration of one start; raises `RegistrationInvalid`, `InvalidId`, `PayloadTooLarge`.

    ``carried`` is the call of a body that it carries out. ``made`` is the prepared value of a call that went through
    hooks.
    """
    pid = options.id if options.id is not None else process_id or new_process_id()
    check_process_id(pid, system=options.id is None)
    checked_arguments(body, arguments)
    check_size("the labels", to_json(options.labels, "the labels"), MAX_LABELS)
    process_input: ToolCall | EngineInput
    max_attempts, recovery = options.max_attempts, options.recovery
    if isinstance(body, Tool):
        ready = made if carried is not None and carried.hooked else prepared(body, arguments)
        call = PreparedCall(call_id=pid, tool_id=body.manifest.id, tool_name=body.name, args=arguments, prepared=ready)
        process_input = ToolCall(call=call)
        if recovery is None and body.retry.policy == "never":
            recovery = "owner_bound"
    else:
        process_input = EngineInput(kind=body.name, payload=arguments)
    queue = options.queue if options.queue is not None else body.queue
    return prepare(
        id=pid,
        input=process_input,
        identity=body.identity(arguments) if isinstance(body, Engine) else None,
        engine_version=body.version if isinstance(body, Engine) else None,
        event_types=body.event_types if isinstance(body, Engine) else (),
        provenance=Provenance(originator=originator or HostOriginator(), caused_by=caused_by),
        env_ref=env_ref,
        wake_target=wake_target,
        wake_end=wake_end,
        recovery=recovery or "rerunnable",
        max_attempts=max_attempts if max_attempts is not None else MAX_ATTEMPTS,
        queue=queue_name(namespace, check_queue(queue) if queue is not None else None),
        deadline_ms=options.ms("deadline"),
        attempt_timeout_ms=options.ms("attempt_timeout"),
        queue_timeout_ms=options.ms("queue_timeout"),
        on_parent_end=options.on_parent_end,
        labels=options.labels or {},
        incarnation=new_incarnation(),
        strict_signals=isinstance(body, Engine) and bool(body.signals),
        limit=body.limit.id_for(body.first_name, arguments) if body.limit is not None else None,
        parent=parent.id if parent is not None else None,
        options={"call": carried.to_data()} if carried is not None else {},
    )


PLAIN = replace(NOTHING, id="")


class Registrations:
    """Registrations of starts from outside. Plain starts of an engine are made from a template."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._templates: dict[tuple[Engine[..., Any], str], Template] = {}

    def of(
        self,
        body: Tool[..., Any] | Engine[..., Any],
        arguments: dict[str, Any],
        options: Options,
        *,
        captured: EnvironmentSpec,
        wake_target: SessionScope | None,
        wake_end: bool,
        originator: Originator | None = None,
    ) -> Registration | Filled:
        """Like `registration_of`. A plain start gives a filled template, except for the first one."""
        env_ref = captured.ref
        plain = originator is None and (options is NOTHING or replace(options, id="") == PLAIN)
        if not (plain and isinstance(body, Engine) and body.is_plain and wake_target is None):
            return registration_of(
                body,
                arguments,
                options,
                namespace=self._namespace,
                originator=originator,
                wake_target=wake_target,
                wake_end=wake_end,
                env_ref=env_ref,
            )
        template = self._templates.get((body, env_ref))
        if template is None:
            made = registration_of(body, arguments, options, namespace=self._namespace, env_ref=env_ref)
            if len(self._templates) >= MOST_TEMPLATES:
                self._templates.clear()
            self._templates[body, env_ref] = Template(made, captured)
            return made
        pid = check_process_id(options.id) if options.id is not None else new_process_id()
        text = checked_arguments(body, arguments)
        return template.fill(pid, arguments, text)


def checked_arguments(body: Tool[..., Any] | Engine[..., Any], arguments: dict[str, Any]) -> str:
    """The arguments as JSON text; raises `PayloadTooLarge`, and what the body's ``validate=`` raises."""
    what = f"the arguments of {body.name}"
    text = to_json(arguments, what)
    check_size(what, text, MAX_PAYLOAD)
    if isinstance(body, Engine):
        body.check_start(arguments)
    return text


def prepared(tool: Tool[..., Any], arguments: dict[str, Any]) -> Any:
    """What a tool's ``prepare`` makes of the arguments, as JSON data; raises `ToolFailed` (tool_prepare_failed),
    `InvalidPayload`."""
    if tool.prepare is None:
        return None
    try:
        with outside_body():
            made = tool.prepare(deepcopy(arguments))
    except Exception as error:
        _, message = described(error)
        raise ToolFailed(
            tool=tool.name,
            failure_class="invalid_request",
            failure_code="tool_prepare_failed",
            failure_message=message,
            final=True,
            retry_after_ms=None,
        ) from error
    what = f"What {tool.name} prepared"
    data = dump(made, what=what)
    check_size(what, to_json(data, what), MAX_PAYLOAD)
    return data


def external_registration(
    name: str,
    options: Options,
    *,
    namespace: str,
    metadata: Any,
    events: Mapping[str, Any] | None = None,
    wake_target: SessionScope | None,
) -> Registration:
    """The registration of work that runs elsewhere and is reported from there."""
    pid = options.id if options.id is not None else new_process_id()
    check_process_id(pid)
    what = "the metadata"
    described = {"name": check_key(name, "name")} | asked(metadata or {}, dict[str, Any], what)
    check_size(what, to_json(described, what), MAX_PAYLOAD)
    return prepare(
        id=pid,
        input=ExternalInput(metadata=described),
        event_types=event_types_of(declared_events(name, events)),
        provenance=Provenance(originator=HostOriginator(), caused_by=None),
        env_ref=None,
        wake_target=wake_target,
        wake_end=wake_target is not None,
        recovery="externally_owned",
        queue=queue_name(namespace, None),
        incarnation=new_incarnation(),
        strict_signals=False,
    )
