"""Payloads that JSON cannot hold, or that could not be read back, are refused where they are given; strange but legal
ones arrive as they are."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel
from wakeline import App, AsyncTurn, Ctx, Turn, WakelineError, current
from wakeline.errors import InvalidArguments, InvalidPayload
from wakeline.store.calls import Call

from tests.lua.world import World
from tests.races.workers import work
from tests.scenario.bad_input.ends import end_of, failure_of, on_the_fake_alone
from tests.scenario.bad_input.test_bad_starts import refused


class Reading(BaseModel):
    value: float
    note: str | None = None


@dataclass
class Point:
    x: float


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def cyclic() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


NON_FINITE = "JSON has no NaN and no Infinity; use null or a text"
DEEP = "it is nested too deeply; flatten it to at most 180 levels"
SURROGATE = "a text has a lone surrogate, which no encoding can write; replace it"
BAD: dict[str, tuple[Any, str]] = {
    "NaN": (math.nan, NON_FINITE),
    "Infinity, deep inside": ({"a": [None, {"b": -math.inf}]}, NON_FINITE),
    "NaN in a model": (Reading(value=math.nan), NON_FINITE),
    "NaN in a dataclass": ([Point(math.nan)], NON_FINITE),
    "a lone surrogate": ("\ud800", SURROGATE),
    "a lone surrogate as a key": ({"\ud800": 1}, SURROGATE),
    "1,000 levels": (nested(1_000), DEEP),
    "200 levels": (nested(200), DEEP),
    "a cycle": (cyclic(), "Circular reference detected (id repeated)"),
    "5,000 digits": (10**5_000, "an integer has over 4,300 digits; write it as a text"),
    "bytes that are no text": (b"\xff", "'utf-8' codec can't decode byte 0xff in position 0: invalid utf-8"),
    "an object": (object(), "Unable to serialize unknown type: <class 'object'>"),
    "a function": (len, "Unable to serialize unknown type: <class 'builtin_function_or_method'>"),
}
GOOD: dict[str, Any] = {
    "NUL": "a\0b",
    "empty": "",
    "nothing": None,
    "words that look like NaN": ["NaN", "Infinity", "null", {"NaN": None}],
    "a brace in a text": '{"__handle__": [[[',
    "180 levels": nested(180),
    "4,000 digits": -(10**4_000),
    "beyond a double": [2**64 + 1, 1e308, 5e-324, -0.0],
    "every plane": "ü €  😀 \x7f \u2028",
    "empty containers": {"": [], "a": {}},
}


@pytest.fixture
def echo(app: App) -> Any:
    @app.engine
    def echo(ctx: Ctx, value: Any) -> Any:
        return [value, ctx.wait("go")]

    return echo


@on_the_fake_alone
@pytest.mark.parametrize("name", BAD)
def test_a_payload_that_cannot_be_kept_is_refused_where_it_is_given(
    world: World, app: App, echo: Any, name: str
) -> None:
    value, reason = BAD[name]
    handle, external, session = app.using(id="p").start(echo, 1), app.external("ci", id="x"), app.session("clerk", "1")
    asks: list[tuple[Callable[[], Any], type[WakelineError]]] = [
        (lambda: app.start(echo, value), InvalidArguments),
        (lambda: asyncio.run(app.aio.start(echo, value)), InvalidArguments),
        (lambda: handle.signal("go", value), InvalidPayload),
        (lambda: external.emit("log", value), InvalidPayload),
        (lambda: external.finish(value), InvalidPayload),
        (lambda: app.external("ci", metadata={"value": value}), InvalidPayload),
        (lambda: session.send(value), InvalidPayload),
    ]
    for ask, error in asks:
        assert reason in str(refused(world, app, error, ask))


@on_the_fake_alone
@pytest.mark.parametrize("name", BAD)
def test_what_a_body_makes_that_cannot_be_kept_ends_it_typed_in_one_run(world: World, app: App, name: str) -> None:
    value, reason = BAD[name]

    @app.tool
    def makes() -> Any:
        return value

    @app.engine
    def ends(ctx: Ctx, how: str) -> Any:
        return {
            "returns": lambda: value,
            "steps": lambda: ctx.step("make", lambda: value),
            "is given": lambda: ctx.step("make", repr, value),
            "calls": lambda: ctx.call(makes),
            "emits": lambda: ctx.emit("log", value),
            "signals": lambda: ctx.signal("p", "go", value),
        }[how]()

    for how in ("returns", "steps", "is given", "calls", "emits", "signals"):
        end = end_of(world, app, app.start(ends, how))
        assert (end.status, end.runs, end.failure) == ("failed", ("finished",), ("execution", "invalid_payload")), how
        assert reason in end.message
    assert failure_of(world, app, app.start(makes)) == ("execution", "invalid_payload")


@pytest.mark.parametrize("name", GOOD)
def test_a_strange_payload_that_json_can_hold_arrives_as_it_is(world: World, app: App, echo: Any, name: str) -> None:
    value = GOOD[name]

    @app.tool
    def same(given: Any) -> Any:
        return given

    @app.engine
    def through(ctx: Ctx, given: Any) -> Any:
        stepped = ctx.step("same", lambda: given)
        called = ctx.call(same, stepped)
        ctx.emit("log", called)
        return ctx.start(same, called).result()

    handle = app.start(echo, value)
    handle.signal("go", value)
    assert end_of(world, app, handle).value == [value, value]
    assert end_of(world, app, app.start(through, value), runs=2).value == value
    external = app.external("ci", metadata={"value": value})
    external.finish(value)
    assert external.result(timeout=0) == value


@on_the_fake_alone
@pytest.mark.parametrize("name", BAD)
def test_a_turn_that_makes_what_cannot_be_kept_fails_after_its_attempts_and_the_next_one_goes_on(
    world: World, app: App, name: str
) -> None:
    value, reason = BAD[name]

    @app.agent("clerk")
    async def clerk(turn: AsyncTurn) -> Any:
        match turn.inbox.items[0].input:
            case "return":
                return value
            case "keep":
                turn.state["value"] = value
            case text:
                return text

    session = app.session("clerk", "1")
    for text in ("return", "keep"):
        session.send(text)
        turn = session.turn()
        assert turn is not None
        end = end_of(world, app, turn, runs=5)
        assert (end.status, end.failure, end.runs) == (
            "failed",
            ("execution", "invalid_payload"),
            ("released",) * 4 + ("exhausted",),
        )
        assert reason in end.message
    session.send("hello")
    work(world, app)
    assert (session.state(), [m.content for m in session.history()]) == ({}, ["hello", "hello"])


@on_the_fake_alone
def test_a_state_that_is_no_object_fails_the_turn_that_sets_it_and_not_those_after_it(world: World, app: App) -> None:
    @app.agent("clerk")
    async def clerk(turn: AsyncTurn) -> str:
        turn.state["n"] = turn.state.get("n", 0) + 1
        if turn.inbox.items[0].input == "list":
            turn.state = [1]  # type: ignore[assignment] # pyright: ignore[reportAttributeAccessIssue]
        return "counted"

    session = app.session("clerk", "1")
    session.send("list")
    turn = session.turn()
    assert turn is not None
    end = end_of(world, app, turn, runs=5)
    refused = InvalidPayload(what="The state of a session", reason="it has to be a dict and is a list")
    assert (end.failure, end.message) == (("execution", "invalid_payload"), str(refused))
    session.send("hello")
    work(world, app)
    assert session.state() == {"n": 1}


def test_a_result_of_another_type_than_declared_is_refused(world: World, app: App) -> None:
    @app.engine
    def promises(ctx: Ctx, how: str) -> int:
        def number() -> int:
            return "many"  # type: ignore[return-value]

        return ctx.step("number", number) if how == "steps" else "many"  # type: ignore[return-value]

    for how, what in (("returns", "The result of promises"), ("steps", "The result of step number")):
        end = end_of(world, app, app.start(promises, how))
        assert (end.status, end.failure) == ("failed", ("execution", "invalid_payload"))
        assert end.message.startswith(f"{what} is not usable as JSON: ")


def test_what_a_step_made_that_cannot_be_kept_is_recorded_as_its_error(world: World, app: App) -> None:
    made: list[float] = []

    def measure() -> float:
        made.append(math.nan)
        return math.nan

    @app.engine
    def measures(ctx: Ctx) -> str:
        with pytest.raises(InvalidPayload):
            ctx.step("measure", measure)
        ctx.wait("go")
        return "went on"

    handle = app.start(measures)
    work(world, app)
    handle.signal("go")
    assert end_of(world, app, handle).value == "went on"
    assert made == [math.nan]


def test_an_event_of_a_tool_that_cannot_be_kept_is_refused_in_its_code(world: World, app: App) -> None:
    @app.tool
    def reports() -> str:
        with pytest.raises(InvalidPayload):
            current().emit("progress", math.nan)
        with pytest.raises(InvalidPayload):
            current().log("\ud800")
        return "done"

    handle = app.using(id="p").start(reports)
    assert end_of(world, app, handle).value == "done"
    assert world.events("p") == ["process.started", "process.completed"]


def test_a_call_that_cannot_be_encoded_fails_alone_and_not_what_leaves_in_the_same_write(
    world: World, app: App
) -> None:
    def read(key: str) -> Call[Any]:
        return Call("process_read", {"pid": key}, lambda reply: reply)

    async def together() -> list[Any]:
        store = app.new_async_store()
        found = await asyncio.gather(
            *(store.execute(read(pid)) for pid in ("a", "\ud800", "b")), return_exceptions=True
        )
        await store.close()
        return found

    first, second, third = asyncio.run(asyncio.wait_for(together(), 5))
    assert (first, third) == (["not_found"], ["not_found"])
    assert str(second) == f"The arguments of process_read is not usable as JSON: {SURROGATE}."


def test_an_input_that_is_no_text_reaches_the_turn_as_it_is(world: World, app: App) -> None:
    got: list[Any] = []

    @app.agent("clerk")
    def clerk(turn: Turn) -> None:
        got.extend(item.input for item in turn.inbox)

    session = app.session("clerk", "1")
    for value in GOOD.values():
        session.send(value)
    work(world, app)
    assert got == list(GOOD.values())
