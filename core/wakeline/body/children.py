"""Starting children: the only place where a run makes another process.

Invariant: one script writes the start, its journal row and the child, under the parent's fence. So a crash does not
start it twice, and a parent that lost its lease starts nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wakeline.body.hooks import HookedCall
from wakeline.causality import ProcessCause, SessionScope
from wakeline.effects.envelope import Envelope, envelope_hash, replay_key
from wakeline.engines.engine import Engine
from wakeline.environments.spec import EnvironmentSpec, environment
from wakeline.errors import InvalidArguments
from wakeline.processes.outputs import from_data, raise_for
from wakeline.processes.registration import Carried, Registration
from wakeline.run.guards import MarkGuard
from wakeline.run.recorder import written
from wakeline.run.run import Run
from wakeline.run.waits import WaitCall, WaitFor, settle
from wakeline.store.starts import SessionAddress
from wakeline.tools.tool import Tool
from wakeline.verbs.options import NOTHING, Options
from wakeline.verbs.recorder import Recorder
from wakeline.verbs.registrations import registration_of
from wakeline.verbs.starts import Start, begin, wake_of
from wakeline.waits.identity import Custom, ProcessTerminal
from wakeline.waits.kinds import WaitKind


async def start_child(
    run: Run,
    envelope: Envelope,
    key: str,
    registration: Callable[[], Registration],
    *,
    wake: SessionAddress | None = None,
    captured: EnvironmentSpec | None = None,
    prepares: bool = False,
    options: Options = NOTHING,
) -> tuple[str, str]:
    """Start a child under a replay key; returns its id and incarnation. Only a start without a record makes its
    registration.

    ``captured`` is the environment, if this start captured it and did not inherit it. ``prepares``: making the
    registration runs code of the user.
    """

    async def begun(effect: Recorder) -> dict[str, str]:
        made = await asyncio.to_thread(registration) if prepares else registration()
        run.awaits_children = run.awaits_children or made.on_parent_end == "await"
        start = Start(made, wake, options.ms("delay"), options.at_ms, captured, options)
        return (await run.store.run(begin(run.caller, start, effect=effect))).outcome

    started = await written(run, envelope, key, begun)
    run.started.add(started["id"], started["incarnation"])
    return started["id"], started["incarnation"]


@dataclass(frozen=True, slots=True)
class CarriedCall:
    """A call of a body that a child carries out. It has the key and the envelope of the child's start, and what the
    child is told. It also has the call itself, if that went through hooks in the body's own run."""

    key: str
    envelope: Envelope
    identity: Carried
    hooked: HookedCall | None


def _own_start(
    run: Run, body: Engine[..., Any] | Tool[..., Any], envelope: Envelope, options: Options
) -> tuple[str, Envelope]:
    """Key and envelope of a start that a body asks for directly."""
    if options.key or not isinstance(body, Tool):
        return options.key or run.journal.key_of(envelope), envelope
    digest = envelope_hash(envelope)
    asks = replay_key(envelope.name, digest, run.journal.repetition(f"{envelope.name}:{digest}"))
    key = run.journal.asking_key(envelope, asks, fresh=True)
    assert key is not None, "a fresh one has a key"
    return key, envelope.asked_by(asks)


async def start_body(
    run: Run,
    body: Engine[..., Any] | Tool[..., Any],
    given: dict[str, Any],
    options: Options,
    *,
    wake_end: bool = False,
    call: CarriedCall | None = None,
) -> tuple[str, str]:
    """Start an engine or tool as a child, in this run's chain; returns its id and incarnation. ``wake_end``: its end
    wakes an inherited target too. ``call`` is the call that it carries out."""
    if call is None:
        known = run.journal.known_as(body.name, body.was)
        key, envelope = _own_start(
            run, body, Envelope("start", f"start:{known}", {"arguments": given, "id": options.id}), options
        )
    else:
        key, envelope = call.key, call.envelope
    hooked = call.hooked if call is not None else None
    arguments = given if hooked is None else hooked.args
    wake, ends = wake_of(options.wake, run.namespace)
    async with run.journal.asking():
        captured = captured_for_child(run, options)

    def registration() -> Registration:
        parent = run.registration
        return registration_of(
            body,
            arguments,
            options,
            namespace=run.namespace,
            process_id=run.child_id(key),
            originator=parent.provenance.originator,
            caused_by=ProcessCause(process_id=parent.id),
            parent=parent,
            wake_target=SessionScope(session_id=wake.session_id) if wake else parent.wake_target,
            wake_end=ends if wake else wake_end,
            env_ref=parent.env_ref or captured.ref,
            carried=call.identity if call is not None else None,
            made=hooked.prepared if hooked is not None else None,
        )

    prepares = isinstance(body, Tool) and body.prepare is not None and hooked is None
    return await start_child(
        run,
        envelope,
        key,
        registration,
        wake=wake,
        captured=captured,
        prepares=prepares,
        options=options,
    )


def awaiting(run: Run, process_id: str, incarnation: str, limit_ms: int | None = None) -> WaitCall:
    """The wait for the end of a process."""
    name = f"result:{process_id}"
    target = WaitFor(
        ProcessTerminal(process_id, incarnation),
        WaitKind.CHILD.of(process_id),
        for_ms=limit_ms,
        child_incarnation=incarnation,
    )
    return run.waits.call("await", name, None, target, key=name if limit_ms is None else None)


async def result_of(run: Run, process_id: str, incarnation: str, limit_ms: int | None = None) -> Any:
    """Waits for the end of a process, parked if need be; returns its JSON result. Raises `ProcessFailed`,
    `ProcessCancelled`, `ProcessAbandoned`, `WaitTimeout`."""
    call = awaiting(run, process_id, incarnation, limit_ms)
    [resolution] = await run.waits.for_all([call])
    with MarkGuard(call.envelope, call.key):
        return raise_for(process_id, from_data(settle(f"process {process_id}", resolution, Any)))


async def await_children(run: Run) -> None:
    """Waits, after the body has ended, for the end of the children that were started with ``on_parent_end="await"``,
    with any outcome.

    It is a wait like any other, so it parks and survives a crash. A cancel does not end it, but goes on to the
    children.
    """
    if not run.awaits_children:
        return
    key = "end:children"
    target = WaitFor(Custom(f"{run.idempotency_key}:{key}"), WaitKind.CHILDREN.of())
    await run.waits.for_all([run.waits.call("await", key, None, target, key=key)])


def captured_for_child(run: Run, options: Options) -> EnvironmentSpec:
    """The environment of a child: the run's own, unchanged. A turn has none, and captures the app's or the given one.

    Raises `InvalidArguments` if a running process would hand on another one than its own.
    """
    if options.environment is None:
        return run.captured
    if run.registration.env_ref is not None:
        raise InvalidArguments(
            name="using(environment=…)", reason="a running process hands its own environment on; leave it out"
        )
    return environment(options.environment)
