"""What a context says of where its work comes from, and what a child takes from it, and not from a registration."""

from __future__ import annotations

from typing import Any

from wakeline import App, AsyncCtx, AsyncTurn, Event, current
from wakeline.body.execution.recording import AppendRequest
from wakeline.causality import HostOriginator, SessionOriginator, SessionScope, event_invocation
from wakeline.processes.inputs import EngineInput
from wakeline.store import processes
from wakeline.triggers.occurrence import Occurrence

from tests.scenario.conftest import until

CLERK = SessionScope(session_id="clerk/one")


def test_the_registration_context_brings_the_originator_and_the_wake_target(app: App) -> None:
    seen: list[Any] = []

    @app.engine
    async def look(ctx: AsyncCtx) -> None:
        registered = app.execution().with_process_registration_context(ctx.run.registration)
        seen.append(
            [registered.process_originator, registered.process_wake_target, registered.process_spawn_provenance]
        )

    @app.agent("clerk")
    async def clerk(turn: AsyncTurn) -> None:
        if not seen:
            await (await turn.start(look))

    app.session("clerk", "one").send("go")
    until(lambda: bool(seen))
    [[originator, target, spawn]] = seen
    assert originator == SessionOriginator(scope=CLERK)
    assert target == CLERK
    assert (spawn.originator, spawn.wake_target) == (SessionOriginator(scope=CLERK), CLERK)


def test_an_operation_on_processes_is_done_under_the_agent_frame_of_its_turn(app: App) -> None:
    frames: list[str] = []

    @app.agent("helper")
    async def helper(turn: AsyncTurn) -> None:
        frames.append(turn.execution.process_scope().agent_frame_id)
        if turn.frame is None:
            turn.switch_frame("plan", "go on")

    app.session("helper", "u1").send("begin")
    until(lambda: len(frames) == 2)
    assert frames == ["", "plan"]


def test_the_originator_of_a_child_is_that_of_its_chain_whatever_its_registration_says(app: App) -> None:
    @app.engine
    async def child(ctx: AsyncCtx) -> None:
        """Says nothing."""

    @app.engine
    async def parent(ctx: AsyncCtx) -> Any:
        own = ctx.run.registration
        claimed = own.provenance.model_copy(
            update={"originator": SessionOriginator(scope=SessionScope(session_id="boss/one"))}
        )
        forged = own.model_copy(
            update={"id": "forged", "input": EngineInput(kind="child", payload={}), "provenance": claimed}
        )
        return (await ctx.execution.start_child_process(forged, "child")).ok

    assert app.using(id="p1").start(parent).result(timeout=10) is True
    assert app.store.execute(processes.read("forged")).registration.provenance.originator == HostOriginator()


def test_the_end_of_a_child_wakes_nobody_unless_it_says_so(app: App) -> None:
    """The parent's registration asks for a wake at its end; a child that is started from a copy of it inherits the
    target and not that wish."""
    wakes: list[list[str]] = []

    @app.engine
    async def child(ctx: AsyncCtx) -> int:
        return 7

    @app.engine
    async def parent(ctx: AsyncCtx) -> Any:
        copy = ctx.run.registration.model_copy(update={"id": "copied", "input": EngineInput(kind="child", payload={})})
        assert copy.wake_end is True
        reply = await ctx.execution.start_child_process(copy, "child")
        return await ctx.execution.await_process("copied") if reply.ok else reply.value

    @app.agent("clerk")
    async def clerk(turn: AsyncTurn) -> None:
        wakes.append([item.text for item in turn.inbox])

    desk = app.session("clerk", "one")
    assert app.using(id="p1", wake=desk).start(parent).result(timeout=10) == 7
    until(lambda: bool(wakes))
    assert app.store.execute(processes.read("copied")).registration.wake_target == CLERK
    assert wakes == [["parent (p1) completed: 7"]]
    assert [view.n for view in desk.wakes()] == [1]


def test_history_that_was_appended_before_its_record_was_lost_is_not_appended_again(app: App) -> None:
    ran: list[int] = []

    @app.engine(signals={"on": None})
    async def writes(ctx: AsyncCtx, session: str) -> int:
        ran.append(1)
        await ctx.execution.session_graph_service.append_history(
            [{"role": "note", "content": "a"}, {"role": "note", "content": "a"}], session_id=session
        )
        await ctx.wait("on")
        return len(ran)

    session = app.session("clerk", "one")
    session.create()
    handle = app.using(id="w1", wake=session).start(writes, session.id)
    until(lambda: handle.status().status == "waiting")
    # As a worker leaves it that dies between the append and its row in the journal; but that the wait behind it would
    # not be there then.
    app.registry.replay = "tell"
    journal = app.store.address.prefix + "journal:w1"
    rows = [row for row in app.store.client.hkeys(journal) if row.startswith("append_history")]
    assert len(rows) == 1
    app.store.client.hdel(journal, rows[0])
    handle.signal("on")
    assert handle.result(timeout=10) == 2
    assert [message.content for message in session.history()] == ["a", "a"]


def test_every_outcome_that_tools_left_is_drained_in_order(app: App) -> None:
    @app.tool
    def pay(order: int) -> None:
        current().trigger("order.paid", {"order": order}, key=f"order-{order}")

    @app.engine
    async def pays(ctx: AsyncCtx) -> list[Any]:
        for order in (1, 2, 3):
            await ctx.call(pay, order)
        return [receipt.occurrence_id for receipt in ctx.execution.drain_tool_trigger_outcomes()]

    assert app.start(pays).result(timeout=10) == [Occurrence("order.paid", f"order-{n}", None).id for n in (1, 2, 3)]


def test_the_lineage_of_an_effect_names_its_scope_by_kind_and_every_component(app: App) -> None:
    scopes: dict[str, str] = {}

    @app.engine
    async def look(ctx: AsyncCtx) -> str:
        return ctx.execution.effect_invocation("step", "look").scope

    @app.agent("clerk")
    async def clerk(turn: AsyncTurn) -> None:
        scopes["turn"] = turn.execution.effect_invocation("step", "look").scope

    assert app.using(id="order:7").start(look).result(timeout=10) == "process:order%3A7"
    app.session("clerk", "one").send("go")
    until(lambda: bool(scopes))
    assert scopes["turn"].startswith("process:")  # a turn is a process, and its effects are the process's


def test_an_event_that_a_body_appends_carries_its_lineage(app: App) -> None:
    @app.engine(events={"page": dict[str, str]})
    async def writes(ctx: AsyncCtx) -> dict[str, Any]:
        event = await ctx.execution.append_process_event(AppendRequest("page", {"url": "a"}, replay_key="k"))
        return event.invocation.model_dump()

    handle = app.using(id="p1").start(writes)
    assert handle.result(timeout=10) == {
        "scope": "runtime",
        "subject": {"type": "process_event", "process_id": "p1", "sequence": 2, "event_type": "page"},
        "caused_by": {"type": "process", "process_id": "p1"},
        "replay_key": "k",
    }
    assert [(event.sequence, event.type) for event in handle.events()][1] == (2, "page")


def test_what_a_wake_says_of_itself_is_the_lineage_of_its_event(app: App) -> None:
    appended: list[Any] = []
    woken: list[Any] = []

    @app.engine(events={"done": Event(dict[str, str], wake="{text}")})
    async def works(ctx: AsyncCtx) -> None:
        appended.append(
            (
                await ctx.execution.append_process_event(AppendRequest("done", {"text": "ready"}, replay_key="k"))
            ).invocation
        )

    @app.agent("clerk")
    async def clerk(turn: AsyncTurn) -> None:
        woken.extend(
            event_invocation(item.process_id or "", item.sequence or 0, item.event_type or "", "k")
            for item in turn.inbox
        )

    app.using(id="p1", wake=app.session("clerk", "one")).start(works).result(timeout=10)
    until(lambda: bool(woken))
    assert woken[0] == appended[0]
