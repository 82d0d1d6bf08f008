"""Sessions as their users see them: asked by bodies, commanded, deleted, switched between frames, redriven; served by a
real worker loop."""

from __future__ import annotations

import threading
from secrets import token_hex
from typing import Any

import pytest
from wakeline import App, AsyncCtx, AsyncTurn, Ctx, Event, ProcessFailed, ProcessNotFound, Session, SessionDeleted, Turn
from wakeline.errors import (
    BodyInvalid,
    DuplicateName,
    EntryNotFound,
    EventNotFound,
    InvalidArguments,
    InvalidId,
    InvalidPayload,
    PayloadTooLarge,
    RedriveRefused,
    ReplayConflict,
    SessionNotFound,
    UnknownAgent,
    WaitCancelled,
    WaitFailed,
)
from wakeline.store.connection import Backend

from tests.scenario.conftest import served, until


def states(app: App, agent: str, key: str) -> list[tuple[Any, str]]:
    return [(entry.input, entry.state) for entry in app.session(agent, key).wakes()]


# -- a child agent


def test_a_body_asks_another_session_and_gets_what_its_turn_returns(app: App) -> None:
    @app.agent("expert")
    async def expert(turn: AsyncTurn) -> dict[str, Any]:
        return {"read": [item.text for item in turn.inbox]}

    @app.engine
    async def plan(ctx: AsyncCtx) -> list[str]:
        first = await ctx.ask("expert/1", "what now?", output=dict[str, list[str]])
        again = await ctx.ask(app.session("expert", "1"), "and then?")
        return [*first["read"], *again["read"]]

    @app.engine
    def plan_blocking(ctx: Ctx) -> int:
        return len(ctx.ask("expert/2", "count", output=dict[str, list[str]])["read"])

    assert app.start(plan).result(timeout=10) == ["what now?", "and then?"]
    assert app.start(plan_blocking).result(timeout=10) == 1
    assert states(app, "expert", "1") == [("what now?", "settled"), ("and then?", "settled")]


def test_a_turn_asks_a_child_session(app: App) -> None:
    @app.agent("child")
    async def child(turn: AsyncTurn) -> int:
        return 7

    @app.agent("parent")
    async def parent(turn: AsyncTurn) -> str:
        return f"child says {await turn.ask('child/1', 'how many?', output=int)}"

    assert app.session("parent", "1").ask("go", timeout=10) == "child says 7"
    assert len(app.session("parent", "1").wakes()) == 1  # an answer that is awaited is no wake


def test_an_answer_that_breaks_the_contract_is_a_typed_failure(app: App) -> None:
    @app.agent("expert")
    async def expert(turn: AsyncTurn) -> str:
        return "seven"

    @app.engine
    async def plan(ctx: AsyncCtx) -> int:
        return await ctx.ask("expert/1", "how many?", output=int)

    with pytest.raises(ProcessFailed) as failed:
        app.start(plan).result(timeout=10)
    assert failed.value.failure_code == "output_mismatch"
    assert states(app, "expert", "1") == [("how many?", "settled")]


def test_an_asked_session_that_is_deleted_answers_with_an_error(app: App) -> None:
    hold = threading.Event()

    @app.agent("slow")
    def slow(turn: Turn) -> str:
        hold.wait(10)
        return "late"

    @app.engine
    async def plan(ctx: AsyncCtx) -> str:
        return str(await ctx.ask("slow/1", "hello"))

    handle = app.start(plan)
    until(lambda: handle.status().status == "waiting" and bool(states(app, "slow", "1")))
    app.session("slow", "1").delete()
    with pytest.raises(ProcessFailed, match="undeliverable"):
        handle.result(timeout=10)
    hold.set()


def test_an_ask_that_fails_fails_as_its_turn_did(app: App) -> None:
    @app.agent("broken", max_attempts=1)
    async def broken(turn: AsyncTurn) -> str:
        raise ValueError("no")

    @app.engine
    async def plan(ctx: AsyncCtx) -> str:
        try:
            return str(await ctx.ask("broken/1", "hello"))
        except ProcessFailed as failed:
            return failed.failure_code

    assert app.start(plan).result(timeout=10) == "ValueError"


def test_a_turn_that_asks_its_own_session_is_told_so(app: App) -> None:
    @app.agent("narcissus", max_attempts=1)
    async def narcissus(turn: AsyncTurn) -> str:
        return str(await turn.ask(turn.session_id, "who?"))

    session = app.session("narcissus", "1")
    session.send("hello")
    until(lambda: [e.state for e in session.wakes()] == ["failed"])
    error = session.wakes()[0].error
    assert error is not None and error["code"] == "invalid_arguments"


def test_a_question_that_no_turn_takes_is_answered_with_the_reason(app: App) -> None:
    @app.agent("deaf", kinds=["command"])
    async def deaf(turn: AsyncTurn) -> None: ...

    session = app.session("deaf", "1")
    session.command("hello")  # its first turn says what this agent takes
    until(lambda: session.inspect().status == "idle")
    with pytest.raises(WaitFailed, match="takes no entries of its kind"):
        session.ask("hello?", timeout=10)


def test_a_question_that_is_offered_again_is_answered_by_its_successor(app: App) -> None:
    good = threading.Event()

    @app.agent("clerk", on_failure="block", max_attempts=1)
    async def clerk(turn: AsyncTurn) -> str:
        if not good.is_set():
            raise ValueError("not yet")
        return "fine"

    session = app.session("clerk", "1")
    asked: list[Any] = []
    asking = threading.Thread(target=lambda: asked.append(session.ask("hello", timeout=20)))
    asking.start()
    until(lambda: _status(session) == "blocked")
    good.set()
    session.redrive()
    asking.join(20)
    assert asked == ["fine"]


def _status(session: Session) -> str:
    try:
        return session.inspect().status
    except SessionNotFound:
        return "not there"


def test_an_ask_gives_up_in_time(app: App) -> None:
    @app.engine
    async def plan(ctx: AsyncCtx) -> str:
        return str(await ctx.ask("nobody/1", "hello", timeout="100ms", default="no answer"))

    assert app.start(plan).result(timeout=10) == "no answer"


# -- commands, frames, early


def test_a_command_has_its_name_and_payload_in_a_turn_of_its_own(app: App) -> None:
    @app.agent("clerk")
    async def clerk(turn: AsyncTurn) -> list[Any]:
        return [[item.kind, item.name, item.input] for item in turn.inbox]

    session = app.session("clerk", "1")
    session.command("reset", {"hard": True}, key="c1")
    assert session.command("reset", {"hard": True}, key="c1") == 1
    with pytest.raises(ReplayConflict) as refused:
        session.command("reset", {"hard": False}, key="c1")
    assert str(refused.value) == (
        "Key 'c1' was used for another entry of session 'clerk/1'. Use a new key for new content."
    )
    assert (refused.value.code, refused.value.session_id) == ("replay_conflict", "clerk/1")
    until(
        lambda: [m.content for m in session.history() if m.role == "agent"] == [[["command", "reset", {"hard": True}]]]
    )


def test_a_turn_switches_frames_and_the_history_is_read_by_frame(app: App) -> None:
    @app.agent("clerk")
    def clerk(turn: Turn) -> str:
        if turn.frame is None:
            turn.switch_frame("doing", "do it")
            return "planned"
        return f"{turn.frame}: {', '.join(item.text for item in turn.inbox)}"

    session = app.session("clerk", "1")
    assert session.ask("plan", timeout=10) == "planned"
    until(lambda: len(session.history(frame="doing")) == 2)
    assert [m.content for m in session.history(frame="doing")] == ["do it", "doing: do it"]
    assert [m.content for m in session.history(frame="")] == ["plan", "planned"]
    assert list(session.frames()) == ["doing"]
    assert session.inspect().frame == "doing"


def test_turns_that_only_switch_frames_come_to_an_end(app: App) -> None:
    @app.agent("clerk", max_attempts=1)
    async def clerk(turn: AsyncTurn) -> None:
        turn.switch_frame("there" if turn.frame == "here" else "here")

    session = app.session("clerk", "1")
    session.send("go")
    until(lambda: session.inspect().status == "idle" and session.inspect().entries == 33)
    entry = session.wakes()[-1]
    assert (entry.state, entry.error["code"]) == ("failed", "frame_limit_exceeded")


def test_an_input_after_too_many_switches_may_switch_frames_again(app: App) -> None:
    loops = threading.Event()
    loops.set()

    @app.agent("clerk", max_attempts=1)
    async def clerk(turn: AsyncTurn) -> str:
        if loops.is_set() or turn.inbox.items[0].kind == "input":
            turn.switch_frame("there" if turn.frame == "here" else "here")
            return "on"
        return "done"

    session = app.session("clerk", "1")
    session.send("go")
    until(lambda: session.inspect().status == "idle" and session.inspect().entries == 33)
    assert session.wakes()[-1].state == "failed"
    loops.clear()
    session.send("again")
    until(lambda: session.inspect().status == "idle" and session.inspect().entries == 35)
    assert [entry.state for entry in session.wakes()[-2:]] == ["settled", "settled"]


@pytest.mark.parametrize(
    ("said", "turns"), [({"max_entries": 2}, [["0", "1"], ["2"]]), ({"one_at_a_time": True}, [["0"], ["1"], ["2"]])]
)
def test_arrivals_give_a_turn_no_more_than_its_agent_takes(
    app: App, said: dict[str, Any], turns: list[list[str]]
) -> None:
    ready, go = threading.Event(), threading.Event()

    @app.agent("clerk", on_arrival="early", linger=0, **said)
    def clerk(turn: Turn) -> list[str]:
        ready.set()
        go.wait(10)
        turn.arrivals()
        return [item.text for item in turn.inbox]

    session = app.session("clerk", "1")
    session.send("0")
    assert ready.wait(10)
    session.send("1")
    session.send("2")
    go.set()
    until(lambda: session.inspect().status == "idle")
    assert [m.content for m in session.history() if m.role == "agent"] == turns


def test_an_entry_that_fails_stands_alone_although_every_turn_asks_for_arrivals(app: App) -> None:
    tried: list[list[str]] = []

    @app.agent("clerk", on_arrival="early", max_attempts=1)
    async def clerk(turn: AsyncTurn) -> None:
        await turn.arrivals()
        tried.append([item.text for item in turn.inbox])
        if "poison" in tried[-1]:
            raise ValueError("poison")

    session = app.session("clerk", "1")
    app.store.client.hset(
        app.store.address.prefix + f"sess:{session.id}", "blk", "0"
    )  # nothing begins before all are there
    for text in ("a", "poison", "b", "c"):
        session.send(text)
    app.store.client.hdel(app.store.address.prefix + f"sess:{session.id}", "blk")
    session.send("d")
    until(lambda: session.inspect().status == "idle")
    assert states(app, "clerk", "1") == [
        ("a", "settled"),
        ("poison", "failed"),
        ("b", "settled"),
        ("c", "settled"),
        ("d", "settled"),
    ]
    assert len(tried) < 10


def test_appends_from_outside_do_not_starve_a_turn(app: App) -> None:
    runs: list[int] = []
    begun, go = threading.Event(), threading.Event()

    @app.agent("clerk", max_attempts=1)
    def clerk(turn: Turn) -> str:
        runs.append(turn.attempt)
        begun.set()
        go.wait(10)
        return "answer"

    session = app.session("clerk", "1")
    session.send("question")
    assert begun.wait(10)
    for n in range(5):
        session.append([{"role": "note", "content": n}])
    go.set()
    until(lambda: session.inspect().status == "idle")
    assert runs == [1]
    assert [m.content for m in session.history()] == [0, 1, 2, 3, 4, "question", "answer"]


def test_a_turn_that_appends_to_its_own_session_commits(app: App) -> None:
    @app.agent("clerk", max_attempts=1)
    async def clerk(turn: AsyncTurn) -> str:
        await turn.execution.session_graph_service.append_history([{"role": "note", "content": "mine"}])
        return "done"

    session = app.session("clerk", "1")
    assert session.ask("go", timeout=10) == "done"
    assert [m.content for m in session.history()] == ["mine", "go", "done"]


def test_an_interrupted_turn_whose_body_wraps_the_interruption_has_not_failed(app: App) -> None:
    started = threading.Event()

    @app.agent("clerk", on_arrival="interrupt", max_attempts=1)
    async def clerk(turn: AsyncTurn) -> list[str]:
        if len(turn.inbox) == 1:
            started.set()
            try:
                await turn.sleep("1h")
            except WaitCancelled as given_up:
                raise RuntimeError("the model call was given up") from given_up
        return [item.text for item in turn.inbox]

    session = app.session("clerk", "1")
    session.send("first")
    assert started.wait(10)
    session.send("second")
    until(lambda: [m.content for m in session.history() if m.role == "agent"] == [["first", "second"]])
    assert states(app, "clerk", "1") == [("first", "settled"), ("second", "settled")]


def test_a_turn_asks_for_what_arrived_meanwhile(app: App) -> None:
    ready, go = threading.Event(), threading.Event()

    @app.agent("clerk", on_arrival="early")
    def clerk(turn: Turn) -> list[str]:
        ready.set()
        go.wait(10)
        turn.arrivals()
        return [item.text for item in turn.inbox]

    session = app.session("clerk", "1")
    session.send("first")
    assert ready.wait(10)
    session.send("second")
    go.set()
    until(lambda: [m.content for m in session.history() if m.role == "agent"] == [["first", "second"]])
    assert states(app, "clerk", "1") == [("first", "settled"), ("second", "settled")]


def test_an_interrupted_turn_gives_way_to_one_that_reads_all(app: App) -> None:
    started = threading.Event()

    @app.agent("clerk", on_arrival="interrupt")
    async def clerk(turn: AsyncTurn) -> list[str]:
        if len(turn.inbox) == 1:
            started.set()
            await turn.sleep("1h")
        return [item.text for item in turn.inbox]

    session = app.session("clerk", "1")
    session.send("first")
    assert started.wait(10)
    session.send("second")
    until(lambda: [m.content for m in session.history() if m.role == "agent"] == [["first", "second"]])


def test_a_turn_knows_the_identity_of_a_wake(app: App) -> None:
    @app.agent("clerk")
    async def clerk(turn: AsyncTurn) -> list[str | None]:
        return [item.wake_id for item in turn.inbox]

    session = app.session("clerk", "1")
    work = app.external("ci", wake=session)
    work.emit("wake", "told")
    until(lambda: len(session.history()) == 2)
    assert session.history()[-1].content == [session.wakes()[0].wake_id]
    assert session.ask("hello", timeout=10) == [None]


def test_a_worker_says_what_its_agents_take_before_their_first_turn(backend: Backend) -> None:
    app = App("t" + token_hex(4), backend=backend)

    @app.agent("clerk", debounce="1s", debounce_max="30s")
    async def clerk(turn: AsyncTurn) -> list[str]:
        return [item.text for item in turn.inbox]

    with served(app):
        until(lambda: bool(app.store.client.hlen(app.store.address.prefix + "agents")))
        session = app.session("clerk", "1")
        for text in ("one", "two", "three"):
            session.send(text)
        until(lambda: session.inspect().status == "idle")
        assert [m.content for m in session.history() if m.role == "agent"] == [["one", "two", "three"]]
    app.close()


# -- life


def test_a_session_tells_why_it_does_not_go_on_and_goes_on_when_told(app: App) -> None:
    good = threading.Event()

    @app.agent("clerk", on_failure="block", max_attempts=1)
    async def clerk(turn: AsyncTurn) -> str:
        if not good.is_set():
            raise ValueError("not yet")
        return "fine"

    session = app.session("clerk", "1")
    session.send("hello")
    until(lambda: session.inspect().status == "blocked")
    assert (
        session.why() == 'entry 1 blocks the session: its turn failed, and its agent\'s policy is on_failure="block"; '
        "`wakeline redrive clerk/1` offers it again, `wakeline skip clerk/1` goes on without it"
    )
    assert "(ValueError: not yet)" in session.why(1)
    good.set()
    assert session.redrive() == 1
    until(lambda: session.inspect().status == "idle")
    assert states(app, "clerk", "1") == [("hello", "settled")]
    assert session.why() == "the session has nothing to read"
    assert session.why(1).startswith("turn process:turn:")


def test_an_event_says_whom_it_woke_and_why_not(app: App) -> None:
    session = app.session("clerk", "1")
    work = app.external("ci", id="ci-1", wake=session)
    deaf = app.external("ci", id="ci-2")
    work.emit("wake", {"text": "told"})
    work.emit("log", "no wake")
    deaf.emit("wake", {"text": "told"})
    assert app.why("ci-1#1").startswith(
        "event 1 of ci-1 (wake) woke clerk/1, as its entry 1: it waits in the inbox; turn process:turn:"
    )
    assert (
        app.why("ci-1#2")
        == "event 2 of ci-1 (log) is no wake that clerk/1 keeps: its type means none, its condition was not met, or it"
        " is forgotten"
    )
    assert app.why("ci-2#1") == "event 1 of ci-2 (wake) wakes no session: the process has none to wake"
    with pytest.raises(EventNotFound, match="Process 'ci-1' has no event 9; it is running, and its latest is 2"):
        app.why("ci-1#9")
    assert app.why("clerk/1#1").startswith("it waits in the inbox; ")
    assert app.why("clerk/1").startswith("turn process:turn:")
    with pytest.raises(ProcessNotFound):
        app.why("clerk")
    for wrong in ("clerk/1#", "ci-1#0", "ci-1#x", "#1"):
        with pytest.raises(InvalidId):
            app.why(wrong)
    with pytest.raises(ProcessNotFound):
        app.why("ci-3#1")


def test_a_coalesced_event_names_the_one_that_took_its_place(app: App) -> None:
    @app.engine(events={"seen": Event(dict[str, int], wake="{n} seen", key="seen")})
    async def count(ctx: AsyncCtx) -> None:
        for n in range(2):
            await ctx.emit("seen", {"n": n})

    handle = app.using(id="count-1", wake=app.session("nobody", "1")).start(count)
    handle.result(timeout=10)
    told = app.why("count-1#2")
    assert (
        told
        == "event 2 of count-1 (seen) was superseded: a later wake of its key took its place, as entry 1 of nobody/1"
    )


def test_a_failed_entry_is_listed_and_redriven(app: App) -> None:
    good = threading.Event()

    @app.agent("clerk", max_attempts=1)
    async def clerk(turn: AsyncTurn) -> str:
        if not good.is_set():
            raise ValueError("not yet")
        return "fine"

    session = app.session("clerk", "1")
    session.send("hello")
    until(lambda: [entry.state for entry in app.undeliverable()] == ["failed"])
    good.set()
    (entry,) = app.undeliverable()
    assert app.session("clerk", "1").redrive(entry.n) == 2
    until(lambda: states(app, "clerk", "1") == [("hello", "superseded"), ("hello", "settled")])


def test_a_deleted_session_stops_its_turn_and_refuses_what_comes(app: App) -> None:
    @app.agent("clerk")
    async def clerk(turn: AsyncTurn) -> None:
        await turn.sleep("30d")

    session = app.session("clerk", "1")
    session.create()
    assert session.inspect().status == "idle"
    session.send("hello")
    until(lambda: (turn := session.turn()) is not None and turn.status().status == "waiting")
    turn = session.turn()
    assert turn is not None
    assert session.delete().deleted
    assert turn.status().status == "cancelled"
    for verb in (
        lambda: session.send("more"),
        lambda: session.command("x"),
        session.create,
        session.view,
        session.state,
        lambda: session.ask("?", timeout=1),
    ):
        with pytest.raises(SessionDeleted):
            verb()
    with pytest.raises(SessionDeleted):
        app.using(wake=session).start(app.engine(idle))
    assert session.delete().deleted is False
    assert [entry.reason for entry in session.wakes()] == ["target_gone"]


async def idle(ctx: AsyncCtx) -> None:
    """A body."""


def test_a_process_is_given_another_session_to_wake(app: App) -> None:
    one, two = app.session("clerk", "1"), app.session("clerk", "2")
    for session in (one, two):
        session.create()
    work = app.external("ci", wake=one)
    work.emit("wake", "before")
    work.retarget(two)
    work.emit("wake", "after")
    work.retarget(None)
    work.emit("wake", "nobody hears this")
    assert [e.input for e in one.wakes()] == ["before"]
    assert [e.input for e in two.wakes()] == ["after"]
    assert [e.type for e in work.events()].count("process.retargeted") == 2
    one.delete()
    with pytest.raises(SessionDeleted):
        work.retarget(one)
    with pytest.raises(InvalidId):
        work.retarget("end")


# -- bad input


def test_bad_input_to_a_session_is_refused_and_nothing_is_lost(app: App) -> None:
    session = app.session("clerk", "1")
    session.send("kept")
    for refused, verb in (
        (InvalidId, lambda: app.session("clerk", "a\nb")),
        (InvalidId, lambda: app.session("cl/erk", "1")),
        (InvalidId, lambda: session.send("x", key="")),
        (InvalidId, lambda: session.command("")),
        (InvalidPayload, lambda: session.send(float("nan"))),
        (InvalidPayload, lambda: session.command("x", object())),
        (PayloadTooLarge, lambda: session.send("x" * 9_000_000)),
        (InvalidArguments, lambda: session.wakes(limit=0)),
        (InvalidArguments, lambda: session.wakes(limit=-1)),
        (InvalidArguments, lambda: session.wakes(after=-1)),
        (InvalidArguments, lambda: session.history(count=-1)),
        (InvalidArguments, lambda: session.why(0)),
        (InvalidArguments, lambda: app.undeliverable(limit=0)),
        (EntryNotFound, lambda: session.why(9)),
        (EntryNotFound, lambda: session.redrive(9)),
        (RedriveRefused, session.skip),
        (SessionNotFound, lambda: app.session("clerk", "never").inspect()),
    ):
        with pytest.raises(refused):
            verb()  # type: ignore[no-untyped-call]
    assert [entry.input for entry in session.wakes()] == ["kept"]


def test_two_functions_under_one_agent_name_are_refused(app: App) -> None:
    @app.agent("clerk")
    async def clerk(turn: AsyncTurn) -> None: ...

    with pytest.raises(DuplicateName):

        @app.agent("clerk")
        async def other(turn: AsyncTurn) -> None: ...

    with pytest.raises(UnknownAgent):
        app.registry.agent("nobody")


@pytest.mark.parametrize(
    "options",
    [
        {"max_entries": 0},
        {"max_entries": 257},
        {"max_entries": True},
        {"kinds": []},
        {"kinds": ["mail"]},
        {"on_arrival": "never"},
        {"on_failure": "explode"},
        {"max_attempts": 0},
        {"debounce": "5s", "debounce_max": "1s"},
        {"debounce": "2h"},
    ],
    ids=str,
)
def test_a_policy_that_makes_no_sense_is_refused_where_it_is_said(options: dict[str, Any]) -> None:
    with pytest.raises(BodyInvalid):

        @App("shop").agent("clerk", **options)
        async def clerk(turn: AsyncTurn) -> None: ...


def test_a_turn_whose_result_or_state_cannot_be_kept_fails_and_commits_nothing(app: App) -> None:
    @app.agent("strange", max_attempts=1)
    async def strange(turn: AsyncTurn) -> object:
        turn.state["seen"] = True
        return object()

    @app.agent("heavy", max_attempts=1)
    async def heavy(turn: AsyncTurn) -> None:
        turn.state["all"] = "x" * 9_000_000

    for agent, code in (("strange", "invalid_payload"), ("heavy", "payload_too_large")):
        session = app.session(agent, "1")
        session.send("hello")
        until(lambda s=session: [e.state for e in s.wakes()] == ["failed"])  # type: ignore[misc]
        assert session.wakes()[0].error["code"] == code
        assert (session.state(), session.history()) == ({}, [])
