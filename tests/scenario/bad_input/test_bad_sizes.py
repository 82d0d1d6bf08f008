"""Over 8 MB: the sender is refused, or the process that made it ends typed; no worker runs it again and again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from wakeline import App, AsyncCtx, AsyncTurn, Ctx, Handle, current
from wakeline.errors import PayloadTooLarge, StepFailed
from wakeline.store.together import MAX_CALL

from tests.lua.world import World
from tests.races.workers import work
from tests.scenario.bad_input.ends import End, end_of, on_the_fake_alone
from tests.scenario.bad_input.test_bad_starts import refused

LIMIT = 8 * 1024 * 1024
TOO_LARGE = "x" * LIMIT  # with its quotes two bytes more than may be
WIDE = "ü" * (LIMIT // 2)  # few characters, many bytes
FITS = "x" * (LIMIT - 1024)
WAY_OUT = "the limit is 8388608. Store it as an attachment or elsewhere, and pass a reference."


@pytest.fixture
def echo(app: App) -> Any:
    @app.engine
    def echo(ctx: Ctx, value: Any) -> Any:
        return ctx.wait("go")

    return echo


@on_the_fake_alone
@pytest.mark.parametrize("value", [TOO_LARGE, WIDE], ids=["text", "wide text"])
def test_a_sender_of_too_much_is_refused_and_nothing_is_written(world: World, app: App, echo: Any, value: str) -> None:
    handle, external, session = app.using(id="p").start(echo, 1), app.external("ci", id="x"), app.session("clerk", "1")
    asks: dict[str, Callable[[], Any]] = {
        "the arguments of echo": lambda: app.start(echo, value),
        "signal go": lambda: handle.signal("go", value),
        "event log": lambda: external.emit("log", value),
        "the result of x": lambda: external.finish(value),
        "the metadata": lambda: app.external("ci", metadata={"value": value}),
        "the input": lambda: session.send(value),
        "the reason": lambda: handle.cancel(value),
    }
    for what, ask in asks.items():
        error = refused(world, app, PayloadTooLarge, ask)
        assert str(error).startswith(f"{what} has ")
        assert "Store it as an attachment or elsewhere, and pass a reference." in str(error)
    refused(world, app, PayloadTooLarge, lambda: external.fail("red", value))


def test_an_answer_that_is_too_large_leaves_its_token_good(world: World, app: App) -> None:
    tokens: list[str] = []

    @app.engine
    def asks(ctx: Ctx) -> str:
        question = ctx.approval("ship", str)
        tokens.append(question.token)
        return question.wait()

    handle = app.start(asks)
    work(world, app)
    refused(world, app, PayloadTooLarge, lambda: app.resolve(tokens[0], TOO_LARGE))
    assert app.resolve(tokens[0], "yes") is True
    assert end_of(world, app, handle).value == "yes"


def test_as_much_as_may_be_goes_all_the_way(world: World, app: App, echo: Any) -> None:
    handle = app.start(echo, FITS)
    handle.signal("go", FITS)
    assert end_of(world, app, handle) == End("completed", ("finished",), value=FITS)


HOW = ["returns", "steps", "calls", "starts", "emits", "signals", "begins anew"]


@on_the_fake_alone
@pytest.mark.parametrize("how", HOW)
def test_a_body_that_makes_too_much_ends_typed_in_one_run(world: World, app: App, echo: Any, how: str) -> None:
    @app.tool
    def makes() -> Any:
        return TOO_LARGE

    @app.engine
    def ends(ctx: Ctx, how: str) -> Any:
        return {
            "returns": lambda: TOO_LARGE,
            "steps": lambda: ctx.step("make", lambda: TOO_LARGE),
            "calls": lambda: ctx.call(makes),
            "starts": lambda: ctx.start(echo, TOO_LARGE),
            "emits": lambda: ctx.emit("log", TOO_LARGE),
            "signals": lambda: ctx.signal("p", "go", TOO_LARGE),
            "begins anew": lambda: ctx.continue_as_new(TOO_LARGE),
        }[how]()

    end = end_of(world, app, app.using(id="big").start(ends, how))
    assert (end.status, end.runs, end.failure) == ("failed", ("finished",), ("resource_limit", "payload_too_large"))
    assert end.message.endswith(WAY_OUT)
    assert [row.id for row in app.processes()] == ["big"]


@on_the_fake_alone
def test_a_tool_that_makes_too_much_ends_typed_in_one_run(world: World, app: App) -> None:
    ran: list[int] = []

    @app.tool(retries=3)
    def makes() -> Any:
        ran.append(1)
        return TOO_LARGE

    end = end_of(world, app, app.start(makes))
    assert (end.status, end.failure, ran) == ("failed", ("resource_limit", "payload_too_large"), [1])


def test_a_step_that_made_too_much_is_recorded_as_that_and_not_run_again(world: World, app: App) -> None:
    made: list[int] = []

    def make() -> str:
        made.append(1)
        return TOO_LARGE

    @app.engine
    async def makes(ctx: AsyncCtx) -> str:
        try:
            await ctx.step("make", make)
        except PayloadTooLarge:
            await ctx.wait("go")
            return await ctx.step("make less", lambda: "little")
        return "much"

    handle = app.start(makes)
    work(world, app)
    handle.signal("go")
    assert end_of(world, app, handle).value == "little"
    assert made == [1]


@on_the_fake_alone
def test_a_step_may_say_too_much_when_it_fails(world: World, app: App) -> None:
    @app.engine
    def fails(ctx: Ctx) -> int:
        def shout() -> None:
            raise ValueError(TOO_LARGE)

        with pytest.raises(StepFailed) as caught:
            ctx.step("shout", shout)
        return len(caught.value.failure_message)

    assert end_of(world, app, app.start(fails)).value == 10_000 + len(f"… ({LIMIT} characters)")


@on_the_fake_alone
def test_an_event_of_a_tool_that_is_too_large_is_refused_in_its_code(world: World, app: App) -> None:
    @app.tool
    def reports() -> str:
        with pytest.raises(PayloadTooLarge):
            current().log(TOO_LARGE)
        return "done"

    handle = app.using(id="p").start(reports)
    assert end_of(world, app, handle).value == "done"
    assert world.events("p") == ["process.started", "process.completed"]


@on_the_fake_alone
@pytest.mark.parametrize("how", ["return", "keep"])
def test_a_turn_that_makes_too_much_fails_after_its_attempts_and_the_session_goes_on(
    world: World, app: App, how: str
) -> None:
    began: list[str] = []

    @app.agent("clerk")
    async def clerk(turn: AsyncTurn) -> Any:
        began.append(turn.id)
        text = turn.inbox.items[0].input
        turn.state["kept"] = TOO_LARGE if text == "keep" else "little"
        return TOO_LARGE if text == "return" else text

    session = app.session("clerk", "1")
    session.send(how)
    turn: Handle[Any] | None = session.turn()
    assert turn is not None
    end = end_of(world, app, turn, runs=5)
    assert (end.status, end.failure, end.runs) == (
        "failed",
        ("resource_limit", "payload_too_large"),
        ("released",) * 4 + ("exhausted",),
    )
    assert len(began) == 5
    session.send("hello")
    work(world, app)
    assert session.state() == {"kept": "little"}


def test_a_call_that_no_server_would_take_is_refused_here(
    world: World, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many outcomes, each within its limit, may travel with one write; a server would hang up on that at every
    resend."""
    assert MAX_CALL == 256 * 1024 * 1024
    monkeypatch.setattr("wakeline.store.together.MAX_CALL", 10_000)
    error = refused(world, app, PayloadTooLarge, lambda: app.handle("p").cancel("x" * 20_000))
    assert str(error).startswith("The arguments of process_cancel has 20")
