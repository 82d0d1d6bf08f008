"""Children through run-local handles, other processes through grants, and refusals without either."""

from __future__ import annotations

from typing import Any

import pytest
from wakeline import App, AsyncCtx, AsyncTurn, Ctx, ProcessFailed
from wakeline.causality import ProcessCause, SessionScope
from wakeline.errors import InvalidHandle, InvalidId, ProcessNotVisible, RedisUnavailable, WaitTimeout
from wakeline.processes.inputs import EngineInput, ExternalInput, SessionTurn
from wakeline.store import processes

from tests.scenario.conftest import until


@pytest.fixture
def ran(app: App) -> list[str]:
    """What bodies noted, in memory: the worker is in this process."""
    notes: list[str] = []

    @app.engine(signals={"go": int})
    async def double(ctx: AsyncCtx, n: int) -> int:
        notes.append(f"double {n}")
        return n * 2 + await ctx.wait("go", int, timeout="5s", default=0) if n > 9 else n * 2

    @app.engine
    async def idle(ctx: AsyncCtx) -> None:
        await ctx.wait("never")

    return notes


def test_a_child_is_started_once_and_awaited_through_its_handle(app: App, ran: list[str]) -> None:
    @app.engine
    async def parent(ctx: AsyncCtx) -> list[Any]:
        reply = await ctx.execution.start_child_process(
            EngineInput(kind="double", payload={"n": 4}), "doubling", "of four"
        )
        assert reply.ok
        assert ctx.execution.is_run_local_process(reply.value["id"])
        return [reply.value["__handle__"], reply.value["id"], await ctx.execution.await_process(reply.value)]

    handle, pid, value = app.using(id="p1").start(parent).result(timeout=10)
    assert (handle, value, ran) == ("process", 8, ["double 4"])
    child = app.handle(pid).status()
    assert (child.kind, child.label) == ("doubling", "of four")


def test_a_child_is_signalled_and_cancelled_through_its_run_local_handle(app: App, ran: list[str]) -> None:
    @app.engine
    def parent(ctx: Ctx) -> list[Any]:
        first = ctx.execution.start_child_process(EngineInput(kind="double", payload={"n": 10}), "double").value
        second = ctx.execution.start_child_process(EngineInput(kind="idle", payload={}), "idle").value
        ctx.execution.signal_process(first, "go", 5, "s1")
        ctx.execution.cancel_process(second)
        try:
            ctx.execution.await_process(second)
        except Exception as ended:
            return [ctx.execution.await_process(first), type(ended).__name__]
        return []

    assert app.start(parent).result(timeout=10) == [25, "ProcessCancelled"]


def test_what_is_wrong_with_a_child_is_a_reply_and_no_exception(app: App, ran: list[str]) -> None:
    @app.engine
    async def parent(ctx: AsyncCtx) -> list[Any]:
        first = await ctx.execution.start_child_process(EngineInput(kind="double", payload={"n": 1}), "double")
        changed = ctx.run.registration.model_copy(
            update={"id": first.value["id"], "input": EngineInput(kind="double", payload={"n": 2})}
        )
        conflict = await ctx.execution.start_child_process(changed, "double")
        return [conflict.ok, conflict.value["code"]]

    assert app.start(parent).result(timeout=10) == [False, "process_conflict"]


@pytest.mark.parametrize("bad", ["bad id\n", "x\x1b[31m", "process:turn:abc:1", "x" * 5000, ""])
def test_a_child_by_registration_with_a_bad_id_is_refused_and_nothing_is_stored(
    app: App, ran: list[str], bad: str
) -> None:
    @app.engine
    async def parent(ctx: AsyncCtx) -> list[Any]:
        child = ctx.run.registration.model_copy(
            update={"id": bad, "input": EngineInput(kind="double", payload={"n": 1})}
        )
        reply = await ctx.execution.start_child_process(child, "double")
        return [reply.ok, reply.value["code"]]

    assert app.using(id="p").start(parent).result(timeout=10) == [False, "invalid_id"]
    assert [process.id for process in app.processes("any")] == ["p"]


@pytest.mark.parametrize("changes", [{"max_attempts": 0}, {"queue": "no queue"}, {"deadline_ms": -1}, {"labels": 7}])
def test_a_child_by_registration_is_checked_like_any_start(app: App, ran: list[str], changes: dict[str, Any]) -> None:
    @app.engine
    async def parent(ctx: AsyncCtx) -> list[Any]:
        child = ctx.run.registration.model_copy(
            update={"id": "kid", "input": EngineInput(kind="double", payload={"n": 1}), **changes}
        )
        reply = await ctx.execution.start_child_process(child, "double")
        return [reply.ok, reply.value["code"] in ("registration_invalid", "invalid_id")]

    assert app.start(parent).result(timeout=10) == [False, True]


def test_a_turn_of_a_session_is_no_child_by_input_or_by_registration(app: App, ran: list[str]) -> None:
    @app.engine
    async def parent(ctx: AsyncCtx) -> list[Any]:
        turn = SessionTurn(session_id="clerk/one")
        by_input = await ctx.execution.start_child_process(turn, "session_turn")
        by_registration = await ctx.execution.start_child_process(
            ctx.run.registration.model_copy(update={"id": "kid", "input": turn}), "session_turn"
        )
        return [by_input.value["code"], by_registration.value["code"]]

    assert app.start(parent).result(timeout=10) == ["session_turn_unsupported", "session_turn_unsupported"]


def test_a_child_that_was_started_by_input_is_the_same_by_an_equal_registration(app: App, ran: list[str]) -> None:
    @app.engine
    async def parent(ctx: AsyncCtx) -> list[Any]:
        given = EngineInput(kind="double", payload={"n": 4})
        first = await ctx.execution.start_child_process(given, "doubling")
        equal = ctx.run.registration.model_copy(update={"id": first.value["id"], "input": given})
        again = await ctx.execution.start_child_process(equal, "doubling")
        other = await ctx.execution.start_child_process(
            equal.model_copy(update={"input": EngineInput(kind="double", payload={"n": 5})}), "doubling"
        )
        return [again.value == first.value, other.value["code"]]

    assert app.start(parent).result(timeout=10) == [True, "process_conflict"]


def test_a_childs_environment_is_that_of_its_parent_and_an_external_child_has_none(app: App, ran: list[str]) -> None:
    @app.engine
    async def parent(ctx: AsyncCtx) -> list[Any]:
        outside = await ctx.execution.start_child_process(ExternalInput(metadata={"name": "ci"}), "external", "ci")
        mine = await ctx.execution.captured_process_execution_env_ref()
        bare = ctx.run.registration.model_copy(update={"env_ref": None})
        attached = await ctx.execution.attach_captured_process_execution_env(bare)
        turn = bare.model_copy(update={"input": SessionTurn(session_id="helper/u1")})
        unchanged = await ctx.execution.attach_captured_process_execution_env(turn)
        return [outside.ok, mine == ctx.execution.process_env_ref == attached.env_ref, unchanged.env_ref]

    assert app.start(parent).result(timeout=10) == [True, True, None]


def test_provenance_cannot_be_forged(app: App, ran: list[str]) -> None:
    @app.engine
    async def parent(ctx: AsyncCtx) -> str:
        forged = ctx.run.registration.model_copy(
            update={
                "id": "forged",
                "input": EngineInput(kind="double", payload={"n": 1}),
                "wake_target": SessionScope(session_id="other/one"),
            }
        )
        reply = await ctx.execution.start_child_process(forged, "double")
        return str(reply.value["id"])

    app.using(id="p1").start(parent).result(timeout=10)
    made = app.store.execute(processes.read("forged")).registration
    assert (made.wake_target, made.parent) == (None, "p1")
    assert made.provenance.caused_by == ProcessCause(process_id="p1")


def test_a_stranger_is_refused_and_nothing_reaches_it(app: App, ran: list[str]) -> None:
    app.using(id="stranger").start(app.registry.engines["idle"])

    @app.engine
    async def nosy(ctx: AsyncCtx, verb: str) -> str:
        try:
            match verb:
                case "await":
                    await ctx.execution.await_process("stranger")
                case "cancel":
                    await ctx.execution.cancel_process("stranger")
                case _:
                    await ctx.execution.signal_process("stranger", "never")
        except ProcessNotVisible as refused:
            return refused.code
        return "allowed"

    for verb in ("await", "cancel", "signal"):
        assert app.start(nosy, verb).result(timeout=10) == "process_not_visible"
    assert not any(e.type.startswith(("signal.", "process.cancel")) for e in app.handle("stranger").events())


def test_a_session_acts_on_what_it_was_granted_by_an_earlier_turn(app: App, ran: list[str]) -> None:
    answers: list[Any] = []

    @app.agent("helper")
    async def helper(turn: AsyncTurn) -> None:
        if not turn.state.get("job"):
            reply = await turn.execution.start_child_process(
                EngineInput(kind="double", payload={"n": 20}), "double", "of twenty"
            )
            await turn.execution.grant_process_handle(reply.value, kind="double", label="of twenty")
            turn.state["job"] = reply.value
            answers.append("started")
            return
        handles = await turn.execution.list_process_handles(live=True)
        assert not turn.execution.is_run_local_process(turn.state["job"]["id"])
        await turn.execution.signal_process(turn.state["job"], "go", 2, "s1")
        value = await turn.execution.await_process(turn.state["job"])
        await turn.execution.revoke_process_handle(turn.state["job"])
        answers.append([[d.label for _, d, _ in handles], value, await turn.execution.list_process_handles()])

    session = app.session("helper", "u1")
    session.send("start it")
    until(lambda: answers == ["started"])
    session.send("finish it")
    until(lambda: len(answers) == 2)
    assert answers[1] == [["of twenty"], 42, []]


def test_a_grant_is_one_of_its_process_and_of_no_other(app: App, ran: list[str]) -> None:
    app.using(id="stranger").start(app.registry.engines["idle"])
    answers: list[Any] = []

    @app.agent("helper")
    async def helper(turn: AsyncTurn) -> None:
        if not turn.state:
            reply = await turn.execution.start_child_process(EngineInput(kind="double", payload={"n": 1}), "double")
            await turn.execution.grant_process_handle(reply.value)
            turn.state["granted"] = True
            answers.append("granted")
            return
        try:
            answers.append(await turn.execution.cancel_process("stranger"))
        except ProcessNotVisible as refused:
            answers.append(refused.code)

    session = app.session("helper", "u1")
    session.send("start one")
    until(lambda: answers == ["granted"])
    session.send("cancel another")
    until(lambda: len(answers) == 2)
    assert answers[1] == "process_not_visible"


def test_handles_move_to_another_session_all_or_none(app: App, ran: list[str]) -> None:
    answers: list[Any] = []

    @app.agent("helper")
    async def helper(turn: AsyncTurn) -> None:
        first = (await turn.execution.start_child_process(EngineInput(kind="double", payload={"n": 1}), "double")).value
        second = (
            await turn.execution.start_child_process(EngineInput(kind="double", payload={"n": 2}), "double")
        ).value
        await turn.execution.grant_process_handle(first)
        other = SessionScope(session_id="helper/u2")
        try:
            await turn.execution.transfer_process_handles([first, second], other)
        except ProcessNotVisible:
            answers.append(len(await turn.execution.list_process_handles()))
        await turn.execution.transfer_process_handles([first], other)
        answers.append(len(await turn.execution.list_process_handles()))

    app.session("helper", "u1").send("go")
    until(lambda: len(answers) == 2)
    assert answers == [1, 0]


def test_an_ephemeral_scope_never_enters_a_grant(app: App, ran: list[str]) -> None:
    @app.engine
    async def parent(ctx: AsyncCtx) -> str:
        reply = await ctx.execution.start_child_process(EngineInput(kind="double", payload={"n": 1}), "double")
        try:
            await ctx.execution.grant_process_handle(reply.value)
        except InvalidId as refused:
            return refused.code
        return "granted"

    assert app.start(parent).result(timeout=10) == "invalid_id"


def test_a_malformed_handle_is_named_and_an_awaited_failure_is_its_own(app: App, ran: list[str]) -> None:
    @app.engine
    async def fails(ctx: AsyncCtx) -> None:
        raise ValueError("no")

    @app.engine
    async def parent(ctx: AsyncCtx) -> list[str]:
        found: list[str] = []
        for handle in ({"id": "x"}, {"__handle__": "file", "id": "x"}):
            try:
                await ctx.execution.await_process(handle)
            except InvalidHandle as error:
                found.append(error.code)
        child = (await ctx.execution.start_child_process(EngineInput(kind="fails", payload={}), "fails")).value
        try:
            await ctx.execution.await_process(child)
        except ProcessFailed as error:
            found.append(error.code)
        waits = (await ctx.execution.start_child_process(EngineInput(kind="idle", payload={}), "idle")).value
        try:
            await ctx.execution.await_process(waits, timeout="50ms")
        except WaitTimeout as error:
            found.append(error.code)
        return found

    assert app.start(parent).result(timeout=10) == [
        "invalid_handle",
        "invalid_handle",
        "process_failed",
        "wait_timeout",
    ]


def test_a_rerun_regains_its_children_by_replaying_their_starts(app: App, ran: list[str]) -> None:
    local: list[list[str]] = []

    @app.engine(signals={"on": None})
    async def parent(ctx: AsyncCtx) -> int:
        reply = await ctx.execution.start_child_process(EngineInput(kind="double", payload={"n": 3}), "double")
        local.append(sorted(ctx.execution.started_process_ids))
        await ctx.wait("on")  # parks: the body runs again from its start
        await ctx.execution.record_started_process(reply.value["id"])
        return int(await ctx.execution.await_process(reply.value))

    handle = app.start(parent)
    until(lambda: handle.status().status == "waiting")
    handle.signal("on")
    assert handle.result(timeout=10) == 6
    assert len(local) == 2 and local[0] == local[1] != []
    assert ran == ["double 3"]


def test_a_process_gets_the_children_of_its_earlier_generations_back_by_saying_so(app: App, ran: list[str]) -> None:
    """The next generation has another journal, so it replays no start: until it says so, it has no right to the
    child."""
    seen: list[Any] = []

    @app.engine
    async def parent(ctx: AsyncCtx, child: str | None = None) -> int:
        if child is None:
            reply = await ctx.execution.start_child_process(EngineInput(kind="double", payload={"n": 10}), "double")
            await ctx.continue_as_new(child=reply.value["id"])
        assert child is not None
        try:
            await ctx.execution.signal_process(child, "go", 1, "too-early")
        except ProcessNotVisible as refused:
            seen.append(refused.code)
        seen.append(ctx.execution.is_run_local_process(child))
        await ctx.execution.record_started_process(child)
        seen.append(ctx.execution.is_run_local_process(child))
        await ctx.execution.signal_process(child, "go", 5, "s1")
        return int(await ctx.execution.await_process(child))

    assert app.start(parent).result(timeout=10) == 25
    assert seen[:3] == ["process_not_visible", False, True]


def test_a_process_of_another_is_not_recorded_as_started_here_and_nothing_reaches_it(app: App, ran: list[str]) -> None:
    app.using(id="hosts").start(app.registry.engines["idle"])

    @app.engine
    async def other(ctx: AsyncCtx) -> None:
        await ctx.using(id="others").start(app.registry.engines["idle"])

    app.start(other).result(timeout=10)

    @app.engine
    async def nosy(ctx: AsyncCtx, pid: str) -> list[Any]:
        codes: list[Any] = []
        try:
            await ctx.execution.record_started_process(pid)
        except ProcessNotVisible as refused:
            codes.append(refused.code)
        with pytest.raises(TypeError):
            ctx.execution.started_process_ids[pid] = "inc"  # type: ignore[index]
        try:
            await ctx.execution.cancel_process(pid)
        except ProcessNotVisible as refused:
            codes.append(refused.code)
        return [*codes, ctx.execution.is_run_local_process(pid)]

    for pid in ("hosts", "others"):
        assert app.start(nosy, pid).result(timeout=10) == ["process_not_visible", "process_not_visible", False]
        assert not any(event.type.startswith("process.cancel") for event in app.handle(pid).events())


def test_redis_away_at_a_start_is_no_answer_about_the_child(app: App, ran: list[str]) -> None:
    told: list[str] = []

    @app.engine
    async def parent(ctx: AsyncCtx) -> Any:
        execute = ctx.run.store.execute

        async def away(call: Any) -> Any:
            if call.script == "process_register":
                raise RedisUnavailable(reason="the cable was pulled")
            return await execute(call)

        ctx.run.store.execute = away  # type: ignore[method-assign]
        try:
            reply = await ctx.execution.start_child_process(EngineInput(kind="double", payload={"n": 1}), "double")
            told.append(str(reply.value))
        except RedisUnavailable:
            ctx.run.store.execute = execute  # type: ignore[method-assign]
        reply = await ctx.execution.start_child_process(EngineInput(kind="double", payload={"n": 1}), "double")
        return await ctx.execution.await_process(reply.value)

    assert app.start(parent).result(timeout=10) == 2
    assert told == []


def test_a_turn_in_an_agent_frame_acts_as_that_frame(app: App) -> None:
    scopes: list[str] = []

    @app.agent("helper")
    async def helper(turn: AsyncTurn) -> None:
        scopes.append(turn.execution.session_scope.scope_id)
        if turn.frame is None:
            turn.switch_frame("plan", "go on")

    app.session("helper", "u1").send("begin")
    until(lambda: len(scopes) == 2)
    assert scopes == ["session:helper/u1", "session:helper/u1/frame:plan"]
