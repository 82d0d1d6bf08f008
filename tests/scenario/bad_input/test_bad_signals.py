"""Telling a process something it cannot take: refused at the sender, or kept as that wait's error; nothing is lost and
nothing is told twice."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from wakeline import App, AsyncCtx, AsyncTurn, Ctx, WakelineError
from wakeline.engines.engine import Engine
from wakeline.errors import (
    AlreadyRunning,
    AwaitEventUnknownOrRevoked,
    InvalidId,
    InvalidPayload,
    MailboxFull,
    NotExternal,
    PayloadSchemaMismatch,
    ProcessAlreadyTerminal,
    ProcessNoLongerRetained,
    ProcessNotFound,
    ReplayConflict,
    ReservedEvent,
    SessionDeleted,
    SessionNotFound,
    UndeclaredEvent,
)
from wakeline.waits.keys import encode_token

from tests.lua.world import WEEK_MS, World
from tests.races.workers import app_of, work
from tests.scenario.bad_input.ends import end_of, failure_of, on_the_fake_alone
from tests.scenario.bad_input.test_bad_starts import refused


@pytest.fixture
def decides(app: App) -> Engine[[], bool]:
    @app.engine(signals={"decision": bool})
    def decides(ctx: Ctx) -> bool:
        return ctx.wait("decision", bool)

    return decides


@pytest.fixture
def listens(app: App) -> Engine[[], Any]:
    @app.engine
    def listens(ctx: Ctx) -> Any:
        return ctx.wait("go")

    return listens


def inside(app: App, tell: Callable[[Ctx], Any], error: type[WakelineError]) -> Engine[[], str]:
    """An engine that tries to send something, and ends with the code of the error that it gets."""

    @app.engine
    def tells(ctx: Ctx) -> str:
        with pytest.raises(error) as caught:
            tell(ctx)
        return caught.value.code

    return tells


# -- what was not declared, or does not fit


def test_an_undeclared_signal_is_refused_where_signals_are_declared(world: World, app: App, decides: Any) -> None:
    handle = app.using(id="p").start(decides)
    work(world, app)
    error = refused(world, app, UndeclaredEvent, lambda: handle.signal("decison", True))
    assert str(error) == "Process 'p' does not declare 'signal.decison'; it declares: signal.decision."


def test_a_mistyped_signal_is_refused_at_the_sender(world: World, app: App, decides: Any) -> None:
    handle = app.using(id="p").start(decides)
    for _ in range(2):  # before it waits, and while it does
        error = refused(world, app, PayloadSchemaMismatch, lambda: handle.signal("decision", "perhaps"))
        assert str(error) == "signal.decision does not fit its schema at $: 'perhaps' is not of type 'boolean'."
        work(world, app)
    teller = inside(app, lambda ctx: ctx.signal("p", "decision", "perhaps"), PayloadSchemaMismatch)
    assert end_of(world, app, app.start(teller)).value == "payload_schema_mismatch"
    assert world.events("p") == ["process.started", "process.waiting"]


def test_a_signal_is_held_to_the_type_of_the_wait_that_is_open(world: World, app: App) -> None:
    @app.engine
    def typed(ctx: Ctx) -> int:
        return ctx.wait("count", int)

    handle = app.using(id="p").start(typed)
    work(world, app)
    refused(world, app, PayloadSchemaMismatch, lambda: handle.signal("count", "many"))
    handle.signal("count", 3)
    assert end_of(world, app, handle).value == 3


def test_a_mistyped_signal_that_was_kept_is_dropped_and_named_in_the_log(
    world: World, app: App, caplog: pytest.LogCaptureFixture
) -> None:
    @app.engine
    def typed(ctx: Ctx) -> list[int]:
        ctx.wait("begin")
        counts = [ctx.wait("count", int), ctx.wait("count", int)]
        ctx.wait("end")
        return counts

    handle = app.using(id="p").start(typed)
    work(world, app)
    for count in ("many", 3, "more"):
        handle.signal("count", count)
    handle.signal("begin")
    work(world, app)
    assert world.status("p") == "waiting"
    handle.signal("count", 4)
    work(world, app)
    handle.signal("end")
    assert end_of(world, app, handle).value == [3, 4]
    said = [record.getMessage() for record in caplog.records if "is dropped" in record.getMessage()]
    assert len(said) == 2  # not again when it is replayed
    assert said[0].startswith(
        "p: a signal that was sent before anything waited for it is dropped: signal count is not usable as JSON: value:"
        " Input should be"
    )


@pytest.mark.parametrize("verb", ["wait", "race", "low level"])
def test_a_wait_for_a_signal_that_no_sender_can_serve_is_refused(world: World, app: App, verb: str) -> None:
    @app.engine(signals={"decision": bool})
    async def refund(ctx: AsyncCtx) -> Any:
        if verb == "wait":
            return await ctx.wait("decison", bool, timeout="1h", default=False)
        if verb == "race":
            return (await ctx.race(ctx.wait("decision", bool), ctx.wait("decison", bool)))[1]
        return await ctx.execution.await_process_signal_event(ctx.id, "decison", 1)

    end = end_of(world, app, app.using(id="p").start(refund))
    assert end.failure == ("execution", "undeclared_event")
    assert end.message == "Process 'p' does not declare 'signal.decison'; it declares: signal.decision."


def test_a_wait_of_the_release_before_that_no_sender_can_serve_stays_what_it_became(
    world: World, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    @app.engine(signals={"decision": bool})
    def refund(ctx: Ctx) -> list[Any]:
        return [ctx.wait("decison", bool, timeout="10s", default=False), ctx.wait("decision", bool)]

    monkeypatch.setattr("wakeline.body.signals.check_served", lambda *_: None)
    handle = app.using(id="p").start(refund)
    work(world, app)
    world.pass_ms(10_000)
    world.tick()
    monkeypatch.undo()
    work(world, app)
    handle.signal("decision", True)
    assert end_of(world, app, handle).value == [False, True]


@pytest.mark.parametrize(
    ("event_type", "payload", "error"),
    [
        ("shipped", 1, UndeclaredEvent),
        ("process.completed", {}, ReservedEvent),
        ("process.cancel_requested", {}, ReservedEvent),
        ("signal.go", 1, ReservedEvent),
        ("a b", 1, InvalidId),
        ("", 1, InvalidId),
        (5, 1, InvalidId),
        ("page", "one", PayloadSchemaMismatch),
    ],
)
def test_an_event_that_may_not_be_written_is_refused(
    world: World, app: App, event_type: Any, payload: Any, error: type[WakelineError]
) -> None:
    @app.engine(events={"page": int})
    def emits(ctx: Ctx) -> str:
        with pytest.raises(error) as caught:
            ctx.emit(event_type, payload)
        return caught.value.code

    assert end_of(world, app, app.using(id="p").start(emits)).value == error.code
    assert world.events("p") == ["process.started", "process.completed"]
    if event_type != "page":
        external = app.external("ci")
        refused(world, app, error, lambda: external.emit(event_type, payload))


# -- who is not there any more, or never was


def test_an_ended_process_is_told_nothing_more(world: World, app: App, listens: Any) -> None:
    handle = app.using(id="p").start(listens)
    handle.signal("go", 1, key="k")
    assert end_of(world, app, handle).value == 1
    error = refused(world, app, ProcessAlreadyTerminal, lambda: handle.signal("go", 2))
    assert str(error) == "Process 'p' has already ended as completed. Start a new one, or `retry` it."
    assert handle.signal("go", 1, key="k") == 1  # a late resend of what it was told in time
    teller = inside(app, lambda ctx: ctx.signal("p", "go"), ProcessAlreadyTerminal)
    assert end_of(world, app, app.start(teller)).value == "process_already_terminal"


def test_a_process_that_never_was_is_told_nothing(world: World, app: App) -> None:
    handle = app.handle("nobody")
    for ask in (
        handle.status,
        handle.result,
        lambda: handle.signal("go"),
        handle.cancel,
        lambda: next(handle.events()),
    ):
        error = refused(world, app, ProcessNotFound, ask)
        assert str(error) == "There is no process 'nobody'. Check the id and the namespace."
    refused(world, app, SessionNotFound, app.session("clerk", "nobody").history)
    for tell in (lambda ctx: ctx.signal("nobody", "go"), lambda ctx: ctx.cancel("nobody")):
        assert end_of(world, app, app.start(inside(app, tell, ProcessNotFound))).value == "process_not_found"
        app.registry.engines.clear()
        app.registry.versions.clear()


def test_a_pruned_process_is_told_nothing_and_not_begun_again(world: World, app: App, listens: Any) -> None:
    handle = app.using(id="p").start(listens)
    handle.signal("go")
    work(world, app)
    world.pass_ms(WEEK_MS + 1)
    world.tick()
    for ask in (handle.status, lambda: handle.signal("go", 2), lambda: app.using(id="p").start(listens)):
        error = refused(world, app, ProcessNoLongerRetained, ask)
        assert str(error).startswith("Process 'p' ended as completed and was pruned at ")


def test_what_a_body_was_told_of_another_process_is_recorded(world: World, app: App, listens: Any) -> None:
    """Who was not there is there when the body is replayed: it must go the way it went."""

    @app.engine
    def looks(ctx: Ctx) -> str:
        try:
            ctx.signal("late", "go", 1)
        except ProcessNotFound:
            ctx.wait("on")
            return "not there"
        return "there"

    handle = app.using(id="p").start(looks)
    work(world, app)
    app.using(id="late").start(listens)
    handle.signal("on")
    assert end_of(world, app, handle).value == "not there"
    assert world.events("late") == ["process.started", "process.waiting"]


@pytest.mark.parametrize("verb", ["signal", "cancel", "start", "ask"])
def test_what_a_run_consumed_is_recorded_although_the_write_it_travelled_with_was_refused(
    world: World, app: App, listens: Any, verb: str
) -> None:
    @app.agent("clerk")
    async def clerk(turn: AsyncTurn) -> None: ...

    verbs: dict[str, tuple[Callable[[AsyncCtx], Awaitable[Any]], type[WakelineError]]] = {
        "signal": (lambda ctx: ctx.signal("nobody", "go"), ProcessNotFound),
        "cancel": (lambda ctx: ctx.cancel("nobody"), ProcessNotFound),
        "start": (lambda ctx: ctx.using(unique="u", if_running="reject").start(listens), AlreadyRunning),
        "ask": (lambda ctx: ctx.ask("clerk/gone", "hello"), SessionDeleted),
    }

    @app.engine
    async def tells(ctx: AsyncCtx) -> Any:
        got = await ctx.wait("go")
        call, error = verbs[verb]
        with pytest.raises(error):
            await call(ctx)
        await ctx.continue_as_new() if got == 1 else None
        return got

    app.session("clerk", "gone").send("hello")
    app.session("clerk", "gone").delete()
    app.using(id="first", unique="u").start(listens)
    handle = app.using(id="p").start(tells)
    handle.signal("go", 1)
    handle.signal("go", 2)
    assert end_of(world, app, handle, runs=6).value == 2
    assert world.mail("p") == []


# -- the same key again


def test_the_same_key_with_other_content_is_a_conflict_and_the_first_stands(
    world: World, app: App, listens: Any
) -> None:
    @app.agent("clerk")
    async def clerk(turn: AsyncTurn) -> None: ...

    handle = app.using(id="p").start(listens)
    external, session = app.external("ci", id="x"), app.session("clerk", "1")
    assert [
        handle.signal("go", {"n": 1}, key="k"),
        external.emit("log", 1, key="k"),
        session.send("hello", key="k"),
    ] == [1, 1, 1]
    assert [
        handle.signal("go", {"n": 1.0}, key="k"),
        external.emit("log", 1, key="k"),
        session.send("hello", key="k"),
    ] == [1, 1, 1]
    for ask in (
        lambda: handle.signal("go", {"n": 2}, key="k"),
        lambda: external.emit("log", 2, key="k"),
        lambda: session.send("bye", key="k"),
    ):
        assert str(refused(world, app, ReplayConflict, ask)).endswith("Use a new key for new content.")
    assert end_of(world, app, handle).value == {"n": 1}


def test_a_body_that_uses_a_senders_key_for_something_else_is_told(world: World, app: App, listens: Any) -> None:
    app.using(id="p").start(listens).signal("go", 1, key="k")
    teller = inside(app, lambda ctx: ctx.signal("p", "go", 2, key="k"), ReplayConflict)
    assert end_of(world, app, app.start(teller)).value == "replay_conflict"


def test_an_end_is_reported_once(world: World, app: App, listens: Any) -> None:
    external = app.external("ci", id="x")
    sequence = external.finish({"ok": True})
    assert external.finish({"ok": True}) == sequence
    for ask in (
        lambda: external.finish({"ok": False}),
        lambda: external.fail("ci_red", "tests failed"),
        lambda: external.emit("log", 1),
    ):
        refused(world, app, ProcessAlreadyTerminal, ask)
    assert external.result(timeout=0) == {"ok": True}


@pytest.mark.parametrize(
    "bad",
    [("", "message"), (5, "message"), ("code", 5), ("code", None), ("\ud800", "message"), ("code", "\ud800")],
    ids=repr,
)
def test_a_failure_is_reported_in_words(world: World, app: App, bad: tuple[Any, Any]) -> None:
    external = app.external("ci", id="x")
    refused(world, app, InvalidId if bad[1] == "message" else InvalidPayload, lambda: external.fail(*bad))
    external.fail("ci_red", "")
    assert external.status().status == "failed"


@pytest.mark.parametrize("reason", [5, None, b"x", "\ud800"], ids=repr)
def test_a_reason_is_given_in_words(world: World, app: App, listens: Any, reason: Any) -> None:
    handle = app.using(id="p").start(listens)
    refused(world, app, InvalidPayload, lambda: handle.cancel(reason))
    teller = inside(app, lambda ctx: ctx.cancel("p", reason), InvalidPayload)
    work(world, app)
    assert end_of(world, app, app.start(teller)).value == "invalid_payload"
    assert handle.status().status == "waiting"


def test_work_of_our_own_is_not_reported_from_outside(world: World, app: App, listens: Any) -> None:
    app.using(id="p").start(listens)
    ours = app.external("ci", id="x")
    object.__setattr__(ours, "id", "p")
    for ask in (lambda: ours.emit("log", 1), ours.finish, lambda: ours.fail("red", "no")):
        assert (
            str(refused(world, app, NotExternal, ask))
            == "Workers run process 'p', so it cannot be reported from outside. Signal or cancel it instead."
        )


# -- names, and a mailbox that no body empties


@on_the_fake_alone
@pytest.mark.parametrize("name", ["", " ", "a b", "a.b", "ü", "a\0", "go\n", "x" * 65, 5, None], ids=repr)
def test_a_signal_name_outside_the_grammar_is_refused(world: World, app: App, listens: Any, name: Any) -> None:
    handle = app.using(id="p").start(listens)
    refused(world, app, InvalidId, lambda: handle.signal(name))
    work(world, app)

    @app.engine
    def waits(ctx: Ctx) -> None:
        ctx.wait(name)

    assert failure_of(world, app, app.start(waits)) == ("execution", "invalid_id")


def test_a_full_mailbox_refuses_and_loses_nothing(world: World, app: App, listens: Any) -> None:
    handle = app.using(id="p").start(listens)
    for n in range(1024):
        handle.signal("other", n)
    error = refused(world, app, MailboxFull, lambda: handle.signal("other", 1024))
    assert str(error) == "Process 'p' has 1024 signals it has not taken. Send again when it has taken some."
    work(world, app)
    handle.signal("go", "taken by the open wait")
    assert end_of(world, app, handle).value == "taken by the open wait"


# -- tokens


def ask_for(world: World, app: App, timeout: str | None = None) -> str:
    """A token for an approval of process `p`, which waits for it."""
    tokens: list[str] = []

    @app.engine
    def deploys(ctx: Ctx) -> bool:
        question = ctx.approval("ship", bool, timeout=timeout)
        tokens.append(question.token)
        return question.wait(default=False)

    app.using(id="p").start(deploys)
    work(world, app)
    return tokens[-1]


def test_a_token_that_is_not_good_has_one_answer_whatever_is_wrong_with_it(world: World, app: App) -> None:
    token = ask_for(world, app)
    version, claims, signature = token.split(".")
    other = encode_token(b"the secret of another namespace", "p", "incarnation", "v1key")
    forged = encode_token(world.store.secret, "p", "inc00001", "v1" + "A" * 24)
    bad: list[Any] = [
        f"{version}.{claims}.{signature[:-2]}xx",
        f"wt2.{claims}.{signature}",
        f"{version}.{claims}x.{signature}",
        f"{claims}.{signature}",
    ]
    bad += [other, forged, "", ".", "..", "a.b.c", "\ud800", "ü.ü.ü", "x" * 100_000, token + "\n", None, 5, b"a.b.c"]
    for one in bad:
        error = refused(world, app, AwaitEventUnknownOrRevoked, lambda one=one: app.resolve(one, True))
        assert str(error) == "This await key or token is unknown or revoked. Ask its issuer for a new one."
    assert app.resolve(token, True) is True
    assert end_of(world, app, app.handle("p")).value is True


def kept(world: World, family: str) -> list[str]:
    """The keys of a family."""
    found = world.keys()
    return [key for key in found if family in key]


def test_a_token_is_used_once(world: World, app: App) -> None:
    token = ask_for(world, app)
    assert [app.resolve(token, True), app.resolve(token, False)] == [
        True,
        False,
    ]  # kept until the body has seen the first
    assert end_of(world, app, app.handle("p")).value is True
    assert [app.resolve(token, True), app.resolve(token, False)] == [
        False,
        False,
    ]  # and as long as the process is retained
    world.pass_ms(WEEK_MS)
    world.tick()
    refused(world, app, AwaitEventUnknownOrRevoked, lambda: app.resolve(token, False))
    assert kept(world, "answered:") == []


def test_a_second_answer_that_comes_when_the_token_has_expired_is_told_so(world: World, app: App) -> None:
    token = ask_for(world, app, "10s")
    assert app.resolve(token, True) is True
    world.pass_ms(10_000)
    assert app.resolve(token, True) is False


def test_an_expired_token_is_not_good(world: World, app: App) -> None:
    token = ask_for(world, app, "10s")
    world.pass_ms(10_000)
    refused(world, app, AwaitEventUnknownOrRevoked, lambda: app.resolve(token, True))
    world.tick()
    assert end_of(world, app, app.handle("p")).value is False


def test_a_token_of_another_namespace_is_not_good_although_the_ids_are_the_same(world: World, app: App) -> None:
    elsewhere = World.on(world.backend)
    token = ask_for(elsewhere, app_of(elsewhere))
    ask_for(world, app)
    refused(world, app, AwaitEventUnknownOrRevoked, lambda: app.resolve(token, True))
    assert world.status("p") == "waiting"


def told_token(world: World) -> str:
    """The token that the body told in its log."""
    return world.payload("p", world.events("p").index("log")).split('"')[3]


def test_a_mistyped_answer_to_an_open_approval_is_refused_and_its_token_still_good(world: World, app: App) -> None:
    token = ask_for(world, app)
    error = refused(world, app, PayloadSchemaMismatch, lambda: app.resolve(token, "perhaps"))
    assert (error.fields["what"], error.fields["reason"]) == ("the answer", "'perhaps' is not of type 'boolean'")
    assert app.resolve(token, True) is True
    assert end_of(world, app, app.handle("p")).value is True


@pytest.mark.parametrize("parks", [True, False])
def test_a_mistyped_answer_that_comes_before_the_body_waits_is_refused_and_its_token_still_good(
    world: World, app: App, parks: bool
) -> None:
    @app.engine
    def deploys(ctx: Ctx) -> bool:
        question = ctx.approval("ship", bool)
        if parks:
            ctx.emit("log", {"token": question.token})
            ctx.wait("go")
        else:
            ctx.step("notify", lambda: tries(question.token))
        return question.wait()

    def tries(token: str) -> None:
        refused(world, app, PayloadSchemaMismatch, lambda: app.resolve(token, "perhaps"))
        assert [app.resolve(token, True), app.resolve(token, True)] == [True, False]

    handle = app.using(id="p").start(deploys)
    work(world, app)
    if parks:
        tries(told_token(world))
        handle.signal("go")
    assert end_of(world, app, handle).value is True


def test_a_question_that_nothing_waits_for_is_answered_by_no_cancel_and_goes_with_its_process(
    world: World, app: App
) -> None:
    @app.engine
    def asks(ctx: Ctx) -> None:
        ctx.emit("log", {"token": ctx.approval("ship", bool).token})
        ctx.wait("go")

    handle = app.using(id="p").start(asks)
    work(world, app)
    token = told_token(world)
    assert len(kept(world, "slot:")) == 2
    handle.cancel()
    assert app.resolve(token, True) is True
    work(world, app)
    assert world.status("p") == "cancelled"
    assert (kept(world, "slot:"), app.resolve(token, True)) == ([], False)
