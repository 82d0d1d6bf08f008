"""Who running work is and where it comes from, as its execution context says."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from wakeline import App, AsyncCtx, AsyncTurn, Ctx
from wakeline.body.execution import ExecutionContext
from wakeline.causality import HostOriginator
from wakeline.errors import ProcessExecutionUnavailable
from wakeline.processes.registration import EMPTY_ENVIRONMENT

from tests.scenario.conftest import until


def test_a_process_outside_a_session_acts_as_an_ephemeral_one(app: App) -> None:
    @app.engine
    async def look(ctx: AsyncCtx) -> list[Any]:
        return [
            ctx.execution.session_id,
            ctx.execution.session_scope.scope_id,
            ctx.execution.execution_scope_id,
            ctx.execution.execution_scope.kind,
            ctx.execution.agent_frame_id,
            ctx.execution.runtime_process_id,
            ctx.execution.is_ephemeral,
        ]

    assert app.using(id="p1").start(look).result(timeout=10) == [
        "process-env/p1",
        "session:process-env/p1",
        "p1",
        "process",
        "",
        "p1",
        True,
    ]


def test_a_turn_acts_as_its_session(app: App) -> None:
    seen: list[Any] = []

    @app.agent("helper")
    async def helper(turn: AsyncTurn) -> None:
        seen.extend([turn.execution.session_id, turn.execution.session_scope.scope_id, turn.execution.is_ephemeral])

    app.session("helper", "u1").send("hello")
    until(lambda: len(seen) == 3)
    assert seen == ["helper/u1", "session:helper/u1", False]


def test_a_sync_body_sees_the_same_facts(app: App) -> None:
    @app.engine
    def look(ctx: Ctx) -> list[Any]:
        return [
            ctx.execution.session_id,
            ctx.execution.runtime_process_id,
            ctx.execution.with_parent_invocation(None).session_id,
        ]

    assert app.using(id="p1").start(look).result(timeout=10) == ["process-env/p1", "p1", "process-env/p1"]


def test_children_inherit_the_chain_and_know_what_started_them(app: App) -> None:
    @app.engine
    async def child(ctx: AsyncCtx) -> dict[str, Any]:
        assert ctx.execution.process_originator == HostOriginator()
        parent = ctx.execution.parent_invocation
        assert parent is not None
        spawn = ctx.execution.process_spawn_provenance
        assert spawn is not None and ctx.execution.process_wake_target is not None
        return {
            "scope": parent.scope,
            "cause": parent.caused_by.model_dump() if parent.caused_by else None,
            "key": parent.replay_key == f"process:start:{ctx.id}",
            "wakes": spawn.wake_target.session_id if spawn.wake_target else None,
            "env": ctx.execution.process_env_ref,
        }

    @app.agent("helper")
    async def helper(turn: AsyncTurn) -> None:
        """Reads what wakes it."""

    @app.engine
    async def parent(ctx: AsyncCtx) -> dict[str, Any]:
        assert ctx.execution.parent_invocation is None
        return await (await ctx.start(child))

    found = app.using(id="p1", wake=app.session("helper", "u1")).start(parent).result(timeout=10)
    assert found == {
        "scope": "process:p1",
        "cause": {"type": "process", "process_id": "p1"},
        "key": True,
        "wakes": "helper/u1",
        "env": EMPTY_ENVIRONMENT,
    }


def test_another_parent_invocation_changes_nothing_else(app: App) -> None:
    @app.engine
    async def look(ctx: AsyncCtx) -> list[Any]:
        invocation = ctx.execution.effect_invocation("step", "look:1")
        under = ctx.execution.with_parent_invocation(invocation)
        scope = under.process_scope()
        assert ctx.execution.process_scope().parent_invocation is None
        assert scope.parent_invocation == invocation and scope.agent_frame_id == ""
        assert under.started_process_ids is ctx.execution.started_process_ids
        caused = invocation.caused_by
        return [scope.scope.id, invocation.scope, invocation.replay_key, caused.model_dump() if caused else None]

    assert app.using(id="p1").start(look).result(timeout=10) == [
        "p1",
        "process:p1",
        "look:1",
        {"type": "process", "process_id": "p1"},
    ]


def test_the_registration_and_event_contexts_bring_their_facts_and_no_others(app: App) -> None:
    @app.engine
    async def look(ctx: AsyncCtx) -> list[Any]:
        bare = app.execution()
        assert (
            bare.runtime_process_id is None
            and bare.process_event_context is None
            and bare.process_spawn_provenance is None
        )
        registered = bare.with_process_registration_context(ctx.run.registration)
        assert registered.process_event_context is None
        whole = registered.with_process_event_context(ctx.run)
        assert ctx.execution.with_process_registration_context(ctx.run.registration) == ctx.execution
        assert ctx.execution.with_process_event_context(ctx.run) == ctx.execution
        event = ctx.execution.process_event_context
        assert event is not None and whole.process_event_context == event
        made = ExecutionContext.new(ctx.execution.identity, ctx.execution.services, ctx.execution.lineage)
        assert made.with_cancellation_token(ctx.execution.cancellation_token) == ctx.execution
        return [
            registered.runtime_process_id,
            registered.process_env_ref,
            event.process_id,
            event.incarnation == ctx.run.fence.incarnation,
        ]

    assert app.using(id="p1").start(look).result(timeout=10) == ["p1", EMPTY_ENVIRONMENT, "p1", True]


def test_outside_a_process_every_verb_says_where_to_go(app: App) -> None:
    outside = app.execution("helper/u1")
    assert outside.session_scope.scope_id == "session:helper/u1"
    for verb in (
        outside.sleep_process("s", 1, 5),
        outside.await_process_signal_event("p", "go", 1),
        outside.signal_process_by_id("p", "go", "1"),
        outside.await_process("p"),
        outside.cancel_process("p"),
        outside.signal_process("p", "go"),
        outside.list_process_handles(),
    ):
        with pytest.raises(ProcessExecutionUnavailable, match="app.handle"):
            asyncio.run(verb)
