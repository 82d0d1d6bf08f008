"""The session through the execution context: history, graph, activity, and what the host gives its work."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from wakeline import App, AsyncCtx, AsyncTurn, Attachment, Ctx
from wakeline.causality import HostOriginator, SessionOriginator, SessionScope
from wakeline.errors import (
    BodyInvalid,
    CompletionsUnavailable,
    DuplicateName,
    InvalidArguments,
    InvalidPayload,
    ProcessExecutionUnavailable,
    SessionNotVisible,
    StaleBranch,
)
from wakeline.processes.inputs import EngineInput
from wakeline.sessions.activity import Progress, ToolCallCompleted, ToolCallStarted, TurnStarted
from wakeline.sessions.feed import Committed, EntryChanged, SessionGone, TurnActivity
from wakeline.store import processes
from wakeline.tools.completions import Completion, CompletionRequest, ToolCompletions, UnavailableCompletions

from tests.scenario.conftest import until


def test_the_projection_is_the_conversation_without_what_is_transient(app: App) -> None:
    @app.agent("clerk")
    async def clerk(turn: AsyncTurn) -> list[Any]:
        view = turn.execution.chronological_projection
        first = await view.read(limit=1)
        rest = await view.read(after=first[0].n) if first else []
        return [message.content for message in [*first, *rest] if message.role == "note"]

    session = app.session("clerk", "one")
    session.create()
    session.append(
        [{"role": "note", "content": "a", "id": "m1"}, {"role": "note", "content": "thinking", "transient": True}]
    )
    session.append([{"role": "note", "content": "again", "id": "m1"}, {"role": "note", "content": "b"}])
    assert session.ask("what was said?", timeout=10) == ["a", "b"]
    assert [message.transient for message in session.history() if message.role == "note"] == [False, True, False]


def test_a_process_without_a_session_has_an_empty_history_and_nobody_to_tell(app: App) -> None:
    @app.engine
    async def alone(ctx: AsyncCtx) -> list[Any]:
        await ctx.execution.emit_turn_activity("x", Progress(text="hello"))
        return [
            len(await ctx.execution.chronological_projection.read()),
            ctx.execution.turn_event_tx is None,
            dict(ctx.execution.turn_context),
        ]

    assert app.start(alone).result(timeout=10) == [0, True, {}]


def test_history_is_appended_once_to_the_head_that_was_read(app: App) -> None:
    runs: list[int] = []

    @app.engine
    async def writes(ctx: AsyncCtx, session: str) -> list[Any]:
        runs.append(1)
        graph = ctx.execution.session_graph_service
        node = await graph.node(session)
        first = await graph.append_history(
            [{"role": "note", "content": "a"}], ancestor=node.revision, session_id=session
        )
        try:
            await graph.append_history([{"role": "note", "content": "b"}], ancestor=node.revision, session_id=session)
        except StaleBranch as stale:
            found = stale.fields["found"]
        await ctx.sleep("40ms")
        return [node.revision, first, found]

    session = app.session("clerk", "one")
    session.create()
    assert app.using(wake=session).start(writes, session.id).result(timeout=10) == [0, 1, 1]
    assert len(runs) == 2
    assert [message.content for message in session.history()] == ["a"]


def test_what_a_context_gives_a_sync_body_blocks_too(app: App) -> None:
    @app.engine
    def looks(ctx: Ctx, session: str) -> list[Any]:
        revision = ctx.execution.session_graph_service.append_history(
            [{"role": "note", "content": "a"}], session_id=session
        )
        history = ctx.execution.chronological_projection.read()
        return [revision, history, len(ctx.execution.trigger_store.list())]

    session = app.session("clerk", "one")
    session.create()
    assert app.using(wake=session).start(looks, session.id).result(timeout=10) == [1, [], 0]


def test_the_history_of_a_session_is_used_by_what_works_for_it_and_by_nothing_else(app: App) -> None:
    """That is its own turns, what they start, and what is started to wake it."""
    refused = "session_not_visible"

    async def uses(ctx: AsyncCtx | AsyncTurn, session: str) -> str:
        graph = ctx.execution.session_graph_service
        verbs = {
            "node": lambda: graph.node(session),
            "append": lambda: graph.append_history([{"role": "note", "content": "x"}], session_id=session),
        }
        codes: list[str] = []
        for verb in verbs.values():
            try:
                await verb()
                codes.append("allowed")
            except SessionNotVisible as error:
                assert "ctx.ask" in str(error) and repr(session) in str(error)
                codes.append(error.code)
        return codes[0] if len(set(codes)) == 1 else str(codes)

    @app.engine
    async def works(ctx: AsyncCtx, session: str) -> str:
        return await uses(ctx, session)

    @app.agent("clerk")
    async def clerk(turn: AsyncTurn) -> list[str]:
        other = next(iter(turn.inbox)).text
        if other != "clerk/two":
            return []  # woken by the end of what it started
        through = [await (await turn.start(works, session)) for session in (turn.session_id, other)]
        return [await uses(turn, turn.session_id), await uses(turn, other), *through]

    one, two = app.session("clerk", "one"), app.session("clerk", "two")
    two.create()
    assert one.ask(two.id, timeout=10) == ["allowed", refused, "allowed", refused]
    assert app.start(works, two.id).result(timeout=10) == refused
    assert app.start(works, "clerk/never-there").result(timeout=10) == refused
    assert two.history() == []
    app.pause()
    started = app.using(wake=two).start(works, two.id)
    app.resume()
    assert started.result(timeout=10) == "allowed"
    until(lambda: any(message.content == "x" for message in two.history()))


def test_no_context_makes_work_act_as_another_process_or_session(app: App) -> None:
    @app.engine
    async def child(ctx: AsyncCtx) -> None:
        """Says nothing."""

    @app.engine
    async def forges(ctx: AsyncCtx) -> list[Any]:
        own = ctx.run.registration
        boss = SessionScope(session_id="clerk/boss")
        claimed = own.provenance.model_copy(update={"originator": SessionOriginator(scope=boss)})
        forged = own.model_copy(update={"provenance": claimed, "wake_target": boss})
        found: list[Any] = []
        for context in (
            ctx.execution.with_process_registration_context(forged),
            app.execution("clerk/boss").with_process_registration_context(forged).with_process_event_context(ctx.run),
        ):
            assert (await context.start_child_process(EngineInput(kind="child", payload={}), "child")).ok
            history = [message.content for message in await context.chronological_projection.read()]
            try:
                await context.session_graph_service.node("clerk/boss")
            except SessionNotVisible as refused:
                found.append(refused.code)
            found += [history, context.is_ephemeral, context.process_wake_target]
        return found

    boss = app.session("clerk", "boss")
    boss.create()
    boss.append([{"role": "note", "content": "private"}])
    assert app.using(id="p1").start(forges).result(timeout=10) == ["session_not_visible", [], True, None] * 2
    started = [app.store.execute(processes.read(one.id)).registration for one in app.processes("any", kind="child")]
    assert [(one.provenance.originator, one.wake_target) for one in started] == [(HostOriginator(), None)] * 2


def test_a_session_knows_whose_turn_first_wrote_to_it(app: App) -> None:
    @app.agent("helper")
    async def helper(turn: AsyncTurn) -> str:
        return "done"

    @app.agent("lead")
    async def lead(turn: AsyncTurn) -> str:
        return str(await turn.ask(app.session("helper", "h1"), "please"))

    assert app.session("lead", "one").ask("go", timeout=10) == "done"
    assert app.session("helper", "h1").graph().parent == "lead/one"
    assert app.session("lead", "one").graph().children == ("helper/h1",)


def test_whoever_follows_a_session_sees_what_its_turn_does(app: App) -> None:
    @app.tool
    def look_up() -> int:
        return 7

    @app.agent("clerk", context={"tone": "kind"})
    async def clerk(turn: AsyncTurn) -> str:
        await turn.execution.emit_turn_activity(
            "plan", Progress(text="looking", data=turn.execution.turn_context["tone"])
        )
        return str(await turn.call(look_up))

    session = app.session("clerk", "one")
    session.create()
    items: list[Any] = []
    follower = session.follow()

    def follow() -> None:
        items.extend(follower)

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    session.send("hello")
    until(
        lambda: (
            any(isinstance(item, Committed) for item in items)
            and sum(isinstance(item, TurnActivity) for item in items) == 4
        )
    )
    session.delete()
    thread.join(10)
    changes = [(item.entry, item.state) for item in items if isinstance(item, EntryChanged)]
    assert changes == [(1, "delivered"), (1, "admitted"), (1, "settled")]
    said = {type(item.event): item for item in items if isinstance(item, TurnActivity)}
    assert said[TurnStarted].event == TurnStarted(attempt=1, entries=[1])
    assert said[Progress].event == Progress(text="looking", data="kind")
    assert said[ToolCallStarted].correlation_id == said[ToolCallCompleted].correlation_id
    assert [item for item in items if isinstance(item, Committed)][0].messages == range(1, 3)
    assert isinstance(items[-1], SessionGone)


def test_a_sender_of_its_own_hears_a_context_and_its_failure_harms_nobody(app: App) -> None:
    heard: list[Any] = []

    @app.engine
    async def tells(ctx: AsyncCtx) -> str:
        async def hear(own_id: str, correlation: str, event: Any) -> None:
            heard.append((correlation, event))
            raise RuntimeError("the ear is deaf")

        mine = ctx.execution.with_turn_event_sender(hear)
        for number in range(100):
            await mine.emit_turn_activity("n", Progress(data=number))
        await ctx.step("pause", lambda: None)
        return "unharmed"

    assert app.start(tells).result(timeout=10) == "unharmed"
    assert [event.data for _, event in heard] == list(range(64))


class Terminal:
    """What code that knows terminals is given."""

    def __init__(self, width: int) -> None:
        self.width = width


def test_an_extension_is_found_by_its_type_and_by_no_other(app: App) -> None:
    app.extend(Terminal(80))
    with pytest.raises(DuplicateName):
        app.extend(Terminal(132))

    @app.engine
    async def draws(ctx: AsyncCtx) -> list[Any]:
        terminal = ctx.execution.protocol_extension(Terminal)
        return [terminal.width if terminal else None, ctx.execution.protocol_extension(int)]

    assert app.start(draws).result(timeout=10) == [80, None]


def test_a_completion_is_asked_of_a_tool_once_or_refused_with_the_reason(app: App) -> None:
    asked: list[str] = []

    @app.tool
    def model(request: dict[str, Any]) -> dict[str, Any]:
        asked.append(request["prompt"])
        return {"text": request["prompt"].upper(), "usage": {"tokens": 1}}

    @app.engine
    def asks(ctx: Ctx) -> list[Any]:
        answer: Completion = ctx.execution.complete(CompletionRequest(prompt="hello"))
        ctx.sleep("40ms")
        return [answer.text, answer.usage]

    @app.engine
    async def cannot(ctx: AsyncCtx) -> str:
        try:
            await ctx.execution.complete("hello")
        except CompletionsUnavailable as error:
            return str(error)
        return "it could"

    assert (
        app.start(cannot)
        .result(timeout=10)
        .startswith("No completion can be asked for: the app has no completion client.")
    )
    app.use_completions(ToolCompletions("model"))
    assert app.start(asks).result(timeout=10) == ["HELLO", {"tokens": 1}]
    assert asked == ["hello"]
    app.use_completions(UnavailableCompletions("it is Sunday"))
    assert "it is Sunday" in app.start(cannot).result(timeout=10)


def test_what_is_no_message_and_no_plain_context_is_refused(app: App) -> None:
    session = app.session("clerk", "one")
    session.create()
    for wrong in ("hello", {"content": "no role"}, {"role": 7}):
        with pytest.raises(InvalidPayload):
            session.append([wrong])
    with pytest.raises(InvalidArguments, match="at most 256"):
        session.append([{"role": "note"}] * 257)
    assert session.history() == []
    with pytest.raises((BodyInvalid, InvalidPayload)):
        app.agent("odd", context={"live": object()})(lambda turn: None)


def test_attachments_are_those_of_the_process_and_of_a_turn_its_sessions(app: App) -> None:
    @app.engine
    def keeps(ctx: Ctx) -> list[Any]:
        store = ctx.execution.attachment_store
        made = store.put(b"bytes", "text/plain")
        found = [
            made,
            store.get(made).decode(),
            store.head(made.id).media_type,
            len(store.list()),
            store.delete(made),
            store.head(made),
        ]
        return [one.size if isinstance(one, Attachment) else one for one in found]

    @app.agent("clerk")
    async def clerk(turn: AsyncTurn) -> str:
        return (await turn.execution.attachment_store.put(b"of the session")).id

    assert app.start(keeps).result(timeout=10) == [5, "bytes", "text/plain", 1, True, None]
    session = app.session("clerk", "one")
    assert [one.id for one in session.attachments.list()] == []
    assert session.ask("keep", timeout=10) == session.attachments.list()[0].id
    with pytest.raises(ProcessExecutionUnavailable):
        _ = app.execution().attachment_store
