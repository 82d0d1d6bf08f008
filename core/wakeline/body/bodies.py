"""The code of a claim: which function of this release runs it, and how it is called.

Invariant: stored arguments are bound to the code before any of it runs. So missing code, or code that cannot take them,
costs nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

from wakeline.body.blocking import Ctx, Turn
from wakeline.body.calls import call_tool
from wakeline.body.context import AsyncCtx
from wakeline.body.turn import AsyncTurn, TurnOfRun
from wakeline.engines.registry import Registry
from wakeline.errors import IsolationUnavailable, UnknownName
from wakeline.fixed import fixed
from wakeline.names import split_session_id
from wakeline.processes.inputs import EngineInput, PreparedCall, SessionTurn, ToolCall
from wakeline.run.boundary import contained, contained_on_loop
from wakeline.run.host import Host
from wakeline.run.run import Run
from wakeline.store import sessions
from wakeline.store.claims import Claim
from wakeline.telemetry.phases import Phase
from wakeline.typed import dump
from wakeline.values import from_json

NO_NAME = (
    "that process has to find its app by name, and the app of this worker has none. Start the worker with"
    " -A module:app, or WAKELINE_APP"
)


@fixed
class Code:
    """The code that runs a claim. ``blocking``: it is a plain function, which needs a thread."""

    perform: Callable[[Run], Awaitable[Any]]
    blocking: bool = False


class Bodies:
    """The bodies of one release, for the calls of one worker; ``threads`` are for blocking ones."""

    def __init__(self, registry: Registry, host: Host, threads: ThreadPoolExecutor) -> None:
        self._registry, self._host, self._threads = registry, host, threads

    def of(self, claim: Claim) -> Code:
        """The code of a claim. Raises `UnknownName`, `UnknownAgent` or `IsolationUnavailable` if it is missing here,
        and `InvalidArguments` or `InvalidPayload` if it cannot take the stored arguments."""
        match claim.registration.input:
            case EngineInput(kind=kind, payload=payload):
                given: Any = payload if claim.input is None else from_json(claim.input)
                return self._engine(kind, claim.engine_version, given)
            case ToolCall(call=call):
                return self._tool(call)
            case SessionTurn(session_id=session_id):
                return self._turn(claim, session_id)
            case other:
                raise UnknownName(
                    kind="input", name=type(other).__name__, known=["tool_call", "engine", "session_turn"]
                )

    def _engine(self, kind: str, version: str | None, given: dict[str, Any]) -> Code:
        engine = self._registry.engine(kind, version)
        taken = engine.signature.taken(given)

        async def perform(run: Run) -> Any:
            run.engine = engine
            ctx = AsyncCtx(run)
            run.context = Ctx(ctx, run.bridge) if run.bridge else ctx
            return engine.signature.dump_result(await self._call(run, taken(engine.function, run.context)))

        return Code(perform, not engine.is_async)

    def _tool(self, call: PreparedCall) -> Code:
        tool = self._registry.tool(call.tool_name)
        if tool.isolation is not None and self._host.isolation is None:
            raise IsolationUnavailable(tool=tool.name, reason=NO_NAME)
        # Its code runs in a thread of the pool; no body blocks on the loop meanwhile.
        return Code(lambda run: call_tool(run, tool, call.args, last_write=True, started=call))

    def _turn(self, claim: Claim, session_id: str) -> Code:
        agent = self._registry.agent(split_session_id(session_id)[0])

        async def perform(run: Run) -> Any:
            admitting = sessions.admit(run.fence, session_id, agent.max_entries, agent.policy)
            batch = claim.batch if claim.batch is not None else await run.store.execute(admitting)
            turn = AsyncTurn(run, batch, most=agent.max_entries)
            run.turn = TurnOfRun(turn)
            if batch.followed:
                run.tell_also(run.activities.of_turn(run.process_id, claim.attempt, [e.n for e in batch.entries]))
            if run.instruments.points:
                run.instruments.point(Phase.admitted, run.process_id)
            if not batch.entries:
                # Its entries have become undeliverable: there is nothing to read and nothing to say.
                return None
            run.context = context = Turn(turn, run.bridge) if run.bridge else turn
            return dump(await self._call(run, lambda: agent.function(context)), what=f"The result of {agent.name}")

        return Code(perform, not agent.is_async)

    async def _call(self, run: Run, code: Callable[[], Any]) -> Any:
        if run.bridge is None:
            return await contained_on_loop(code)
        # With the context of this task, so that the body's thread knows the running body too.
        return await asyncio.get_running_loop().run_in_executor(self._threads, copy_context().run, contained(code))
