"""Starting children: the one place where a run makes another process.

Invariant: the start, its journal row and the child are written by one script under the parent's fence, so a crash
starts it once and a
parent that lost its lease starts nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from wakeline.attachments.attachment import owner_of_process
from wakeline.body.hooks import Admitted
from wakeline.body.messages import never
from wakeline.causality import ProcessCause, SessionScope
from wakeline.effects.envelope import Envelope, envelope_hash, replay_key
from wakeline.engines.engine import Engine
from wakeline.environments.spec import EnvironmentSpec, environment
from wakeline.errors import AlreadyRunning, InvalidArguments
from wakeline.processes.outputs import from_data, raise_for
from wakeline.processes.registration import Carried, Registration
from wakeline.run.run import Run
from wakeline.run.waits import WaitCall, WaitFor, settle
from wakeline.store import ends as stored_ends
from wakeline.store import starts
from wakeline.store.calls import Call
from wakeline.store.journal import Effect, Row
from wakeline.store.starts import Registered, SessionAddress, Unique, UniqueTaken, with_unique
from wakeline.tools.tool import Tool
from wakeline.verbs.options import NOTHING, Options
from wakeline.verbs.processes import wake_of
from wakeline.verbs.starts import registration_of
from wakeline.waits.identity import Custom, ProcessTerminal


async def start_child(
    run: Run,
    envelope: Envelope,
    key: str,
    registration: Callable[[], Registration],
    *,
    wake: SessionAddress | None = None,
    delay_ms: int | None = None,
    captured: EnvironmentSpec | None = None,
    prepares: bool = False,
    options: Options = NOTHING,
) -> tuple[str, str]:
    """Start a child under a replay key; its id and incarnation. Only a start that is not recorded yet makes its
    registration.

    ``captured``: the environment, where this start captured it, and did not inherit it. ``prepares``: to make it runs
    code of the user's.
    """

    async def write(row_of: Callable[[Any], Row]) -> Any:
        made = await asyncio.to_thread(registration) if prepares else registration()
        # The script knows the incarnation an existing process has; it fills it in.
        # Its quotes tell it from the same letters in an id.
        before, _, after = row_of({"id": made.id, "incarnation": "\x00"}).text.partition('"\\u0000"')
        effect = run.journal.effect_of(Row(key, f'{before}"', after=f'"{after}'))
        target = wake or (SessionAddress(made.wake_target.session_id) if made.wake_target else None)
        run.awaits_children = run.awaits_children or made.on_parent_end == "await"
        starting = starts.register(made, wake=target, delay_ms=delay_ms, environment=captured, effect=effect)
        await run.passing.pass_on(starting.args["spec"], owner_of_process(made.id))
        if options.unique is not None:
            return await _start_unique(run, effect, starting, options, row_of)
        receipt = await run.journal.send(effect, starting)
        return {"id": made.id, "incarnation": receipt.incarnation}

    started = await run.journal.effect(
        envelope.kind, envelope.name, envelope.args, never, key=key, write=write, asks=envelope.asks
    )
    run.started.add(started["id"], started["incarnation"])
    return started["id"], started["incarnation"]


async def _start_unique(
    run: Run, effect: Effect, starting: Call[Registered], options: Options, row_of: Callable[[Any], Row]
) -> dict[str, str]:
    assert options.unique is not None
    wanted = Unique(options.unique)
    while True:
        try:
            receipt = await run.journal.send(effect, with_unique(starting, wanted, effect))
            return {"id": starting.args["pid"], "incarnation": receipt.incarnation}
        except UniqueTaken as taken:
            if options.if_running == "reject":
                raise AlreadyRunning(unique=options.unique, process_id=taken.process_id) from None
            if options.if_running != "replace":
                found = {"id": taken.process_id, "incarnation": taken.incarnation}
                await run.journal.record(row_of(found))
                return found
            await run.store.execute(
                stored_ends.cancel(taken.process_id, f"replaced by {starting.args['pid']}", grace_ms=run.host.grace_ms)
            )
            wanted, effect = Unique(options.unique, taken.process_id), run.journal.effect_of(effect.row)


@dataclass(frozen=True, slots=True)
class CarriedCall:
    """A call of a body that a child carries out: key and envelope of the child's start, what is told to the child, and
    the call as it was admitted in the
    body's own run, where it was."""

    key: str
    envelope: Envelope
    identity: Carried
    admitted: Admitted | None


def _own_start(
    run: Run, body: Engine[..., Any] | Tool[..., Any], envelope: Envelope, options: Options
) -> tuple[str, Envelope]:
    """Key and envelope of a start that a body asks for by itself."""
    if options.key or not isinstance(body, Tool):
        return options.key or run.journal.key_of(envelope), envelope
    digest = envelope_hash(envelope)
    asks = replay_key(envelope.name, digest, run.journal.repetition(f"{envelope.name}:{digest}"))
    key = run.journal.asking_key(envelope, asks, fresh=True)
    assert key is not None, "a fresh one has a key"
    return key, replace(envelope, asks=asks)


async def start_body(
    run: Run,
    namespace: str,
    body: Engine[..., Any] | Tool[..., Any],
    given: dict[str, Any],
    options: Options,
    *,
    wake_end: bool = False,
    call: CarriedCall | None = None,
) -> tuple[str, str]:
    """Start an engine or tool as a child, in this run's chain; its id and incarnation. ``wake_end``: its end wakes an
    inherited target too.
    ``call``: the call that it carries out."""
    if call is None:
        known = run.journal.known_as(body.name, body.was)
        key, envelope = _own_start(
            run, body, Envelope("start", f"start:{known}", {"arguments": given, "id": options.id}), options
        )
    else:
        key, envelope = call.key, call.envelope
    admitted = call.admitted if call is not None else None
    arguments = given if admitted is None else admitted.args
    wake, ends = wake_of(options.wake, namespace)
    async with run.journal.asking():
        captured = captured_for_child(run, options)

    def registration() -> Registration:
        parent = run.registration
        return registration_of(
            body,
            arguments,
            options,
            namespace=namespace,
            process_id=run.child_id(key),
            originator=parent.provenance.originator,
            caused_by=ProcessCause(process_id=parent.id),
            parent=parent,
            wake_target=SessionScope(session_id=wake.session_id) if wake else parent.wake_target,
            wake_end=ends if wake else wake_end,
            env_ref=parent.env_ref or captured.ref,
            carried=call.identity if call is not None else None,
            made=admitted.prepared if admitted is not None else None,
        )

    prepares = isinstance(body, Tool) and body.prepare is not None and admitted is None
    return await start_child(
        run,
        envelope,
        key,
        registration,
        wake=wake,
        delay_ms=options.ms("delay"),
        captured=captured,
        prepares=prepares,
        options=options,
    )


def awaiting(run: Run, process_id: str, incarnation: str, limit_ms: int | None = None) -> WaitCall:
    """The wait for the end of a process."""
    name = f"result:{process_id}"
    target = WaitFor(
        ProcessTerminal(process_id, incarnation), f"c:{process_id}", for_ms=limit_ms, child_incarnation=incarnation
    )
    return run.waits.call("await", name, None, target, key=name if limit_ms is None else None)


async def result_of(run: Run, process_id: str, incarnation: str, limit_ms: int | None = None) -> Any:
    """The JSON result of a process; parks. Raises `ProcessFailed`, `ProcessCancelled`, `ProcessAbandoned`,
    `WaitTimeout`."""
    [resolution] = await run.waits.for_all([awaiting(run, process_id, incarnation, limit_ms)])
    return raise_for(process_id, from_data(settle(f"process {process_id}", resolution, Any)))


async def await_children(run: Run) -> None:
    """The body has ended: before its process does, the children end that were started with ``on_parent_end="await"``,
    in whatever way.

    A wait like any other, so it parks and survives a crash. A cancel does not end it, but goes on to the children.
    """
    if not run.awaits_children:
        return
    key = "end:children"
    target = WaitFor(Custom(f"{run.idempotency_key}:{key}"), "e:")
    await run.waits.for_all([run.waits.call("await", key, None, target, key=key)])


def captured_for_child(run: Run, options: Options) -> EnvironmentSpec:
    """The environment of a child: the run's own, verbatim; a turn, which has none, captures the app's or the one it is
    given.

    Raises `InvalidArguments` where a running process would hand on another one than its own.
    """
    if options.environment is None:
        return run.captured
    if run.registration.env_ref is not None:
        raise InvalidArguments(
            name="using(environment=…)", reason="a running process hands its own environment on; leave it out"
        )
    return environment(options.environment)
