"""What running work does with other processes: start, await, signal, cancel, and hold handles.

Invariant: processes that this run started need no grant. Others need a grant of the session, and without it the verb is
refused before anything is written.
"""

from __future__ import annotations

from typing import Any, cast

from wakeline.body.children import result_of, start_child
from wakeline.body.execution.facts import Facts, Reply, is_ephemeral
from wakeline.body.messages import request_cancel
from wakeline.body.signals import send_signal
from wakeline.causality import ProcessCause, Provenance, SessionScope
from wakeline.effects.envelope import Envelope
from wakeline.environments.spec import EMPTY_ENVIRONMENT
from wakeline.errors import InvalidId, ProcessNotVisible, RunError, SessionTurnUnsupported, StoreError, WakelineError
from wakeline.names import check_process_id
from wakeline.processes.grants import HandleDescriptor, make_handle, parse_handle
from wakeline.processes.inputs import EngineInput, ProcessInput, SessionTurn, needs_environment
from wakeline.processes.inputs import Identity as ProcessIdentity
from wakeline.processes.registration import Registration, checked, prepare
from wakeline.run.run import Run
from wakeline.store import processes, sessions
from wakeline.telemetry.phases import AWAIT_HANDLE, START_CHILD
from wakeline.tools.tool import Duration
from wakeline.values import parse_duration

HandleValue = dict[str, Any] | str
"""A handle value, or the bare id of a process."""


def id_of(handle: HandleValue) -> str:
    """The process that a handle value or an id names; raises `InvalidHandle`."""
    return handle if isinstance(handle, str) else parse_handle(handle)


def _checked(child: Registration) -> Registration:
    """A child in its stored form. A body may have made it, or changed a copy, so it is checked like any start."""
    check_process_id(child.id)
    # Only its explicit fields: `Registration.is_detached_by_hand` tells a choice from a default.
    return checked(child.model_dump(warnings="none", exclude_unset=True))


class Handles(Facts):
    """Starting children, and acting on processes through handles."""

    # -- children

    async def start_child_process(
        self, child: Registration | ProcessInput, kind: str, label: str | None = None
    ) -> Reply:
        """Start a child, once, even after a crash. The reply is its handle value. A fault of the child is a reply and
        no error.

        The child is an input (then its id follows from this call), or a whole registration. Its provenance, wake
        target, environment and parent are those of this work, and not those in the registration. So no work can say
        that another one started its child.
        """
        try:
            run = self.in_process("start_child_process")
            with self.named_phase(START_CHILD):
                return Reply(True, make_handle(await self._start(run, child, kind, label)))
        except (StoreError, RunError):
            raise  # Redis is away, or the body changed: this says nothing about the child, and a replay may differ
        except WakelineError as error:
            return Reply(False, {"code": error.code, "message": str(error)})

    async def _start(self, run: Run, child: Registration | ProcessInput, kind: str, label: str | None) -> str:
        envelope = Envelope(kind="start", name=f"start:{kind}", args=_asked(child))
        key = run.journal.key_of(envelope)
        async with run.journal.asking():
            made = await self.attach_captured_process_execution_env(self._child(run, child, key, kind, label))
        pid, _ = await start_child(run, envelope, key, lambda: _checked(made))
        return pid

    def _child(
        self, run: Run, child: Registration | ProcessInput, key: str, kind: str, label: str | None
    ) -> Registration:
        parent = run.registration
        given_input = child.input if isinstance(child, Registration) else child
        if isinstance(given_input, SessionTurn):
            raise SessionTurnUnsupported(session_id=given_input.session_id)
        if isinstance(child, Registration):
            given = child
        else:
            # `prepare` refuses an input without its environment; the start brings the right one.
            env_ref = EMPTY_ENVIRONMENT if needs_environment(child) else None
            given = prepare(
                id=run.child_id(key), input=child, provenance=parent.provenance, queue=parent.queue, env_ref=env_ref
            )
            given = given.model_copy(update={"env_ref": None})
        known = (
            run.registry.engines.get(run.registry.current(given.input.kind))
            if isinstance(given.input, EngineInput)
            else None
        )
        if known is not None and isinstance(given.input, EngineInput):
            # If only other workers have its code, they judge it.
            known.validate_start(given.input.payload)
            given = given.model_copy(update={"engine_version": known.version})
            if not isinstance(child, Registration):
                given = given.model_copy(
                    update={"event_types": known.event_types, "strict_signals": bool(known.signals)}
                )
        spawn = self.process_spawn_provenance
        assert spawn is not None, "a run has provenance"
        return given.model_copy(
            update={
                "identity": ProcessIdentity(kind=kind, label=label),
                "provenance": Provenance(originator=spawn.originator, caused_by=ProcessCause(process_id=parent.id)),
                "wake_target": spawn.wake_target,
                "wake_end": False,
                "parent": parent.id,
                "options": {name: value for name, value in given.options.items() if name != "call"},
            }
        )

    async def attach_captured_process_execution_env(self, registration: Registration) -> Registration:
        """The registration, with the environment of this work if its input needs one and it has none yet."""
        if registration.env_ref is not None or not needs_environment(registration.input):
            return registration
        return registration.model_copy(update={"env_ref": await self.captured_process_execution_env_ref()})

    async def captured_process_execution_env_ref(self) -> str:
        """The environment that its children get: the one of its process, or this context's, which is stored now."""
        return self.process_env_ref or await self.process_env_store.put(self.execution_env_spec)

    # -- through a handle

    async def await_process(self, handle: HandleValue, *, timeout: Duration | None = None) -> Any:
        """Waits for the end of a process, parked if need be; returns its result. Raises `ProcessNotVisible`,
        `ProcessFailed`, `ProcessCancelled`, `ProcessAbandoned`, `WaitTimeout`."""
        run, pid = self.in_process("await_process"), id_of(handle)
        incarnation = await self._visible(run, pid)
        limit = parse_duration(timeout) if timeout is not None else None
        with self.named_phase(AWAIT_HANDLE):
            return await result_of(run, pid, incarnation, limit)

    async def cancel_process(self, handle: HandleValue, reason: str = "requested by process handle") -> str:
        """Ask a process to end. Returns its status. Raises `ProcessNotVisible`."""
        run, pid = self.in_process("cancel_process"), id_of(handle)
        await self._visible(run, pid)
        return await request_cancel(run, pid, reason)

    async def signal_process(
        self, handle: HandleValue, name: str, payload: Any = None, signal_id: str | None = None
    ) -> int:
        """Send a signal to a process, once, even after a crash. Returns the sequence of the event there. Raises
        `ProcessNotVisible`."""
        run, pid = self.in_process("signal_process"), id_of(handle)
        await self._visible(run, pid)
        return (await send_signal(run, pid, name, payload, signal_id)).sequence

    async def record_started_process(self, process_id: str) -> None:
        """Let this run act on a process that its own process started, for example in an earlier generation. This is an
        effect.

        The store decides: it raises `ProcessNotVisible` for a process that another one started, or the host. Raises
        `ProcessNotFound`, `ProcessNoLongerRetained`.
        """
        run = self.in_process("record_started_process")

        async def look(_: str) -> Any:
            view = await run.store.execute(processes.read(process_id, count=0))
            if view.registration.parent != run.process_id:
                raise ProcessNotVisible(process_id=process_id)
            return view.incarnation

        run.started.add(
            process_id, await run.journal.effect("started", f"started:{process_id}", None, look, lazily=True)
        )

    async def _visible(self, run: Run, process_id: str) -> str:
        """The incarnation of a process on which this work may act: its own child, or one granted to its session; else
        raises `ProcessNotVisible`."""
        own = self.started_process_ids.get(process_id)
        if own:
            return own

        async def look(_: str) -> Any:
            if not await self._is_granted(run, process_id):
                raise ProcessNotVisible(process_id=process_id)
            view = await run.store.execute(processes.read_log(process_id))
            return view.incarnation

        # An effect, so a grant that is revoked later does not change a replay.
        return cast("str", await run.journal.effect("visible", f"visible:{process_id}", None, look, lazily=True))

    async def _is_granted(self, run: Run, process_id: str) -> bool:
        granted = (
            [] if self.is_ephemeral else await run.store.execute(sessions.list_grants(self.session_scope.scope_id))
        )
        return any(pid == process_id for pid, _, _ in granted)

    # -- grants

    @property
    def is_ephemeral(self) -> bool:
        """Whether it acts under the ephemeral session of its process."""
        return is_ephemeral(self.session_id)

    def _durable_scope(self, scope: SessionScope | None = None) -> str:
        chosen = scope or self.session_scope
        if is_ephemeral(chosen.session_id):
            raise InvalidId(
                kind="scope of a grant",
                value=chosen.scope_id,
                grammar="the scope of a session; that of a process ends with it",
            )
        return chosen.scope_id

    async def grant_process_handle(
        self, handle: HandleValue, *, kind: str | None = None, label: str | None = None, to: SessionScope | None = None
    ) -> None:
        """Grant a session (its own by default) a handle of a process on which this work may act. A repetition replaces
        the descriptor. Raises `ProcessNotVisible`."""
        run, pid, scope = self.in_process("grant_process_handle"), id_of(handle), self._durable_scope(to)
        await self._visible(run, pid)
        descriptor = HandleDescriptor(kind=kind, label=label)

        async def grant(_: str) -> Any:
            await run.store.execute(sessions.grant(scope, pid, descriptor.model_dump_json(exclude_none=True)))

        await run.journal.effect("grant", f"grant:{pid}", {"scope": scope, "kind": kind, "label": label}, grant)

    async def revoke_process_handle(self, handle: HandleValue) -> None:
        """Remove its session's handle of a process; idempotent."""
        run, pid, scope = self.in_process("revoke_process_handle"), id_of(handle), self._durable_scope()

        async def revoke(_: str) -> Any:
            await run.store.execute(sessions.revoke(scope, pid))

        await run.journal.effect("revoke", f"revoke:{pid}", {"scope": scope}, revoke)

    async def transfer_process_handles(self, handles: list[HandleValue], to: SessionScope) -> None:
        """Move handles of its session to another one, all or none; raises `ProcessNotVisible` with the first one that
        it does not hold."""
        run, pids = self.in_process("transfer_process_handles"), [id_of(handle) for handle in handles]
        scope, target = self._durable_scope(), self._durable_scope(to)

        async def transfer(_: str) -> Any:
            await run.store.execute(sessions.transfer(scope, target, pids))

        await run.journal.effect("transfer", "transfer", {"from": scope, "to": target, "processes": pids}, transfer)

    async def list_process_handles(self, *, live: bool = False) -> list[tuple[dict[str, str], HandleDescriptor, str]]:
        """Handle value, descriptor and status of each process that its session holds, by id. ``live`` leaves ended
        processes out. It is recorded like any effect."""
        run, scope = self.in_process("list_process_handles"), self._durable_scope()

        async def read(_: str) -> Any:
            return await run.store.execute(sessions.list_grants(scope, live=live))

        rows = await run.journal.effect("grants", "grants", {"scope": scope, "live": live}, read)
        return [(make_handle(pid), HandleDescriptor.read(descriptor), status) for pid, descriptor, status in rows]


def _asked(child: Registration | ProcessInput) -> dict[str, Any]:
    """What a replay has to ask for again: the input, and the id if the caller chose one."""
    if isinstance(child, Registration):
        return {"id": child.id, "input": child.input.model_dump(mode="json", exclude_defaults=True)}
    return {"input": child.model_dump(mode="json", exclude_defaults=True)}
