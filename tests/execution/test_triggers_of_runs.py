"""Triggers through the execution context: for whom a run registers, where subscriptions are, what tools emitted."""

from __future__ import annotations

from typing import Any

from wakeline import App, AsyncCtx, AsyncTurn, current
from wakeline.causality import SessionOriginator, SessionScope
from wakeline.errors import SubscriptionNotFound
from wakeline.triggers.occurrence import Occurrence
from wakeline.triggers.subscription import Subscription, Target

from tests.scenario.conftest import until


def test_a_run_registers_for_its_chain_and_never_for_its_own_ephemeral_scope(app: App) -> None:
    seen: dict[str, Any] = {}

    @app.engine
    async def looks(ctx: AsyncCtx, name: str) -> None:
        seen[name] = (
            ctx.execution.trigger_registration_originator.type,
            ctx.execution.trigger_registration_wake_target,
        )

    @app.agent("clerk")
    async def clerk(turn: AsyncTurn) -> None:
        seen["turn"] = (
            turn.execution.trigger_registration_originator.type,
            turn.execution.trigger_registration_wake_target,
        )
        await turn.start(looks, "child of a turn")

    app.start(looks, "alone").result(timeout=10)
    app.session("clerk", "one").send("go")
    until(lambda: "child of a turn" in seen)
    target = SessionScope(session_id="clerk/one")
    assert seen["alone"] == ("host", None)
    assert (seen["turn"], seen["child of a turn"]) == (("session", target), ("session", target))


def test_subscriptions_and_occurrences_are_at_hand_at_the_low_level(app: App) -> None:
    @app.engine
    async def build(ctx: AsyncCtx, repo: str) -> str:
        return repo

    @app.engine
    async def watches(ctx: AsyncCtx) -> list[Any]:
        store = ctx.execution.trigger_store
        assert store is not None
        made = await store.subscribe(
            Subscription(source="github.push", name="build", target=Target(kind="engine", name="build"))
        )
        first = await store.emit(Occurrence("github.push", "k1", {"repo": "x"}))
        again = await store.emit(Occurrence("github.push", "k1", {"repo": "x"}))
        listed = [view.subscription.name for view in await store.list("github.push")]
        off = await store.cancel("github.push", made.id)
        return [
            made.revision,
            first.started == again.started,
            again.replayed,
            listed,
            off,
            (await store.emit(Occurrence("github.push", "k2", {}))).started,
        ]

    assert app.start(watches).result(timeout=10) == [1, True, True, ["build"], True, []]
    assert app.execution().trigger_store is None


def test_a_run_subscribes_in_no_other_sessions_name(app: App) -> None:
    other = SessionScope(session_id="clerk/other")

    @app.engine
    async def build(ctx: AsyncCtx, repo: str) -> str:
        return repo

    @app.engine
    async def watches(ctx: AsyncCtx) -> list[Any]:
        store = ctx.execution.trigger_store
        assert store is not None
        target = Target(kind="engine", name="build")
        forged = Subscription(
            source="github.push",
            name="build",
            target=target,
            originator=SessionOriginator(scope=other),
            wake_target=other,
        )
        await store.subscribe(forged)
        [kept] = await store.list("github.push")
        return [kept.subscription.originator.type, kept.subscription.wake_target]

    assert app.start(watches).result(timeout=10) == ["host", None]


def test_a_run_without_a_session_cancels_the_hosts_subscriptions_and_no_sessions(app: App) -> None:
    @app.engine
    async def build(ctx: AsyncCtx, repo: str) -> str:
        return repo

    @app.agent("watcher")
    async def watcher(turn: AsyncTurn) -> str:
        return (await turn.trigger("github.push").subscribe(build)).id

    @app.engine
    async def cancels(ctx: AsyncCtx, subscription: str) -> str:
        store = ctx.execution.trigger_store
        assert store is not None
        try:
            return str(await store.cancel("github.push", subscription))
        except SubscriptionNotFound as error:
            return error.code

    theirs = app.session("watcher", "one").ask("watch", timeout=10)
    ours = app.trigger("github.push").subscribe(build).id
    assert app.start(cancels, theirs).result(timeout=10) == "subscription_not_found"
    assert app.start(cancels, ours).result(timeout=10) == "True"


def test_what_tools_emitted_is_drained_once(app: App) -> None:
    @app.tool
    def pay() -> str:
        current().trigger("order.paid", {"order": 7}, key="order-7")
        return "paid"

    @app.engine
    async def pays(ctx: AsyncCtx) -> list[Any]:
        await ctx.call(pay)
        first = ctx.execution.drain_tool_trigger_outcomes()
        return [[receipt.occurrence_id for receipt in first], len(ctx.execution.drain_tool_trigger_outcomes())]

    assert app.start(pays).result(timeout=10) == [[Occurrence("order.paid", "order-7", None).id], 0]
