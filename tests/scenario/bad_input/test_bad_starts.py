"""A start that cannot be meant is refused where it is asked for, by a client and inside a body, and leaves nothing
behind."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel
from wakeline import App, AsyncCtx, Ctx, Turn, WakelineError
from wakeline.engines.engine import Engine
from wakeline.errors import (
    InvalidArguments,
    InvalidDuration,
    InvalidId,
    InvalidPayload,
    PayloadTooLarge,
    ProcessConflict,
    ProcessNotFound,
    RegistrationInvalid,
)

from tests.lua.world import World
from tests.races.workers import work
from tests.scenario.bad_input.ends import End, end_of, failure_of, on_the_fake_alone

IDS: list[Any] = ["", " ", "a\0b", "a\n", "\x1b[1m", "\u202ea", "\ud800", "x" * 201, 5, b"a"]
NAMES: list[Any] = [*IDS, "a b", "a/b", "ü", ".a", "../x", "x" * 129]
DURATIONS: list[Any] = [
    -1,
    -0.5,
    math.nan,
    math.inf,
    "soon",
    "",
    "1x",
    "-1s",
    "1s1h",
    True,
    b"1s",
    timedelta(-1),
    timedelta.max,
    1e300,
]


class Line(BaseModel):
    sku: str
    count: int


@pytest.fixture
def pack(app: App) -> Engine[[list[Line]], int]:
    @app.engine
    def pack(ctx: Ctx, lines: list[Line]) -> int:
        return sum(line.count for line in lines)

    return pack


def refused(world: World, app: App, error: type[WakelineError], ask: Callable[[], Any]) -> WakelineError:
    """The error of a call, which wrote nothing."""
    _ = app.store.client
    before = world.snapshot()
    with pytest.raises(error) as caught:
        ask()
    assert world.snapshot() == before
    assert caught.value.to_json()["code"] == error.code
    return caught.value


# -- arguments


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ((), "missing a required argument: 'lines'"),
        (([], []), "too many positional arguments"),
        (("many",), "lines: value: Input should be a valid list"),
        (([{"sku": "a"}],), "lines: 0.count: Field required"),
        (
            ([{"sku": "a", "count": "many"}],),
            "lines: 0.count: Input should be a valid integer, unable to parse string as an integer",
        ),
    ],
)
def test_arguments_that_break_the_schema_are_refused_with_the_place(
    world: World, app: App, pack: Any, given: tuple[Any, ...], reason: str
) -> None:
    error = refused(world, app, InvalidArguments, lambda: app.start(pack, *given))
    assert str(error) == f"The arguments do not fit pack: {reason}."
    assert (
        refused(world, app, InvalidArguments, lambda: asyncio.run(app.aio.start(pack, *given))).fields == error.fields
    )


def test_arguments_that_break_the_schema_inside_a_body_end_it_unless_it_handles_them(
    world: World, app: App, pack: Any
) -> None:
    @app.tool
    def charge(cents: int) -> int:
        return cents

    @app.engine
    def careless(ctx: Ctx, how: str) -> None:
        {
            "start": lambda: ctx.start(pack, "many"),
            "call": lambda: ctx.call(charge, "much"),
            "new": lambda: ctx.continue_as_new(1, 2),
        }[how]()  # type: ignore[arg-type]

    @app.engine
    async def careful(ctx: AsyncCtx) -> str:
        with pytest.raises(InvalidArguments):
            await ctx.start(pack, "many")  # type: ignore[arg-type]
        return "handled"

    for how in ("start", "call", "new"):
        assert failure_of(world, app, app.start(careless, how)) == ("execution", "invalid_arguments")
    assert end_of(world, app, app.start(careful)) == End("completed", ("finished",), value="handled")
    assert len(app.processes()) == 4


def test_stored_arguments_that_the_code_no_longer_takes_wait_for_code_that_does(
    world: World, app: App, pack: Any
) -> None:
    handle = app.start(pack, [Line(sku="a", count=1)])
    app.registry.engines.clear()
    app.registry.versions.clear()

    @app.engine(name="pack")
    def changed(ctx: Ctx, lines: int) -> int:
        return lines

    assert work(world, app) == ["released"]
    misfit = handle.status().misfit
    assert misfit is not None
    assert (misfit.kind, misfit.what) == (
        "unreadable",
        "argument lines of pack is not usable as JSON: value: Input should be a valid integer.",
    )


@pytest.mark.parametrize("thing", ["pack", 5, None, lambda: 1], ids=["a name", "a number", "nothing", "a function"])
def test_what_is_no_engine_and_no_tool_cannot_be_started(world: World, app: App, thing: Any) -> None:
    @app.agent("clerk")
    def clerk(turn: Turn) -> None: ...

    @app.engine
    def body(ctx: Ctx) -> list[str]:
        said: list[str] = []
        for ask in (ctx.start, ctx.call):
            with pytest.raises(InvalidArguments) as caught:
                ask(thing)
            said.append(caught.value.code)
        return said

    for what in (thing, clerk):
        error = refused(world, app, InvalidArguments, lambda what=what: app.start(what))
        assert "it takes what @app.engine or @app.tool made" in str(error)
    assert end_of(world, app, app.start(body)).value == ["invalid_arguments"] * 2


def test_an_engine_cannot_be_called_like_a_tool(world: World, app: App, pack: Any) -> None:
    @app.engine
    def calls(ctx: Ctx) -> None:
        ctx.call(pack, [])

    end = end_of(world, app, app.start(calls))
    assert (
        end.message
        == "The arguments do not fit call: it takes a tool, not <Engine pack>; start() an engine and await its result."
    )


# -- ids


@on_the_fake_alone
@pytest.mark.parametrize("bad", IDS, ids=repr)
def test_ids_that_are_no_printable_text_are_refused(world: World, app: App, pack: Any, bad: Any) -> None:
    for ask in (
        lambda: app.using(id=bad).start(pack, []),
        lambda: app.external("ci", id=bad),
        lambda: app.session("clerk", bad),
        lambda: app.aio.session("clerk", bad),
        lambda: app.using(wake=bad if not isinstance(bad, str) else f"clerk/{bad}").start(pack, []),
    ):
        assert " is not a" in str(refused(world, app, InvalidId, ask))


@on_the_fake_alone
@pytest.mark.parametrize("bad", NAMES, ids=repr)
def test_names_outside_their_grammar_are_refused(world: World, app: App, pack: Any, bad: Any) -> None:
    for ask in (lambda: app.using(queue=bad).start(pack, []), lambda: app.session(bad, "1")):
        assert " is not a" in str(refused(world, app, InvalidId, ask))


def test_ids_that_wakeline_makes_may_be_looked_at_and_not_be_started(world: World, app: App, pack: Any) -> None:
    assert "begins the ids that Wakeline makes" in str(
        refused(world, app, InvalidId, lambda: app.using(id="process:x").start(pack, []))
    )
    assert app.session("clerk", "process:x").id == "clerk/process:x"


@pytest.mark.parametrize("junk", ["junk", "", "a\nb", "\ud800", "x" * 300, "process:x", "a b/c#1"], ids=repr)
def test_a_handle_of_what_is_no_process_is_not_found_at_its_first_use(world: World, app: App, junk: str) -> None:
    handle = app.handle(junk)
    for use in (
        handle.status,
        lambda: handle.result(timeout=1),
        lambda: handle.signal("s"),
        handle.cancel,
        lambda: list(handle.events()),
        handle.retry,
    ):
        with pytest.raises(ProcessNotFound) as missing:
            use()
        assert missing.value.code == "process_not_found"

    async def awaited() -> None:
        await app.aio.handle(junk).status()

    with pytest.raises(ProcessNotFound):
        asyncio.run(awaited())


@pytest.mark.parametrize("wrong", [5, b"a", None])
def test_a_handle_of_what_is_no_text_is_refused(app: App, wrong: Any) -> None:
    with pytest.raises(InvalidId):
        app.handle(wrong)


def test_a_body_is_told_of_an_id_outside_the_grammar(world: World, app: App, pack: Any) -> None:
    @app.engine
    def names(ctx: Ctx, bad: str) -> None:
        ctx.using(id=bad).start(pack, [])

    for bad in ("", "a\nb", "process:x"):
        assert failure_of(world, app, app.start(names, bad)) == ("execution", "invalid_id")


@on_the_fake_alone
@pytest.mark.parametrize("bad", ["", " ", "\ud800", "x" * 1025, 5, b"k"], ids=lambda value: repr(value)[:20])
def test_keys_that_could_not_be_told_apart_are_refused(world: World, app: App, pack: Any, bad: Any) -> None:
    handle = app.using(id="p").start(pack, [])
    external = app.external("ci", id="x")
    session = app.session("clerk", "1")
    for ask in (
        lambda: handle.signal("go", key=bad),
        lambda: external.emit("log", key=bad),
        lambda: session.send("hello", key=bad),
        lambda: app.using(key=bad),
    ):
        assert "it has to match 1 to 1024 characters, not all of them blank" in str(refused(world, app, InvalidId, ask))


def test_a_replay_key_of_a_body_never_meets_the_rows_that_are_not_its_own(world: World, app: App) -> None:
    @app.engine
    def sly(ctx: Ctx) -> None:
        ctx.using(key="@inbox").step("sly", lambda: None)

    assert failure_of(world, app, app.start(sly)) == ("execution", "invalid_id")


def test_the_same_id_with_other_content_is_a_conflict_and_the_first_stands(world: World, app: App, pack: Any) -> None:
    @app.engine
    def nests(ctx: Ctx) -> str:
        with pytest.raises(ProcessConflict) as caught:
            ctx.using(id="taken").start(pack, [Line(sku="b", count=2)])
        return caught.value.process_id

    first = app.using(id="taken").start(pack, [Line(sku="a", count=1)])
    assert app.using(id="taken", max_attempts=2).start(pack, [Line(sku="a", count=1)]).id == "taken"
    error = refused(world, app, ProcessConflict, lambda: app.using(id="taken").start(pack, []))
    assert str(error).endswith("Use another id, or send the same input.")
    refused(world, app, ProcessConflict, lambda: app.external("ci", id="taken"))
    work(world, app)
    assert first.result(timeout=0) == 1
    assert end_of(world, app, app.start(nests)).value == "taken"


def test_a_start_that_a_body_was_refused_is_recorded_as_refused(world: World, app: App, pack: Any) -> None:
    """The conflict goes away meanwhile; a replay must not start what the body has already given up."""

    @app.engine
    def retreats(ctx: Ctx) -> str:
        try:
            ctx.using(id="taken").start(pack, [Line(sku="b", count=2)])
        except ProcessConflict:
            ctx.wait("go")
            return "gave way"
        return "started"

    app.using(id="taken").start(pack, [])
    handle = app.using(id="p").start(retreats)
    work(world, app)
    world.redis.delete(world.key("proc:taken"), world.key("spec:taken"))
    handle.signal("go")
    assert end_of(world, app, handle).value == "gave way"
    assert world.redis.exists(world.key("proc:taken")) == 0


# -- options


@on_the_fake_alone
@pytest.mark.parametrize("option", ["delay", "deadline", "attempt_timeout", "queue_timeout"])
@pytest.mark.parametrize("bad", [*DURATIONS, pytest.param(10**400, id="huge")], ids=repr)
def test_durations_that_make_no_sense_are_refused(world: World, app: App, pack: Any, option: str, bad: Any) -> None:
    error = refused(world, app, InvalidDuration, lambda: app.using(**{option: bad}).start(pack, []))
    assert str(error).endswith(
        "is not a duration. Use a timedelta, seconds, or a text such as '1d12h', '30s', '250ms'."
    )


def test_waits_are_not_given_times_that_make_no_sense(world: World, app: App, pack: Any) -> None:
    @app.engine
    def impatient(ctx: Ctx, how: str) -> None:
        {
            "sleep": lambda: ctx.sleep(-1),
            "until nothing": lambda: ctx.sleep_until("tomorrow"),  # type: ignore[arg-type]
            "until the beginning": lambda: ctx.sleep_until(datetime(1, 1, 1)),
            "before 1970": lambda: ctx.sleep_until(datetime(1960, 1, 1)),
            "wait": lambda: ctx.wait("go", timeout="soon"),
            "approval": lambda: ctx.approval("ship", timeout=math.nan),
        }[how]()

    for how in ("sleep", "until nothing", "until the beginning", "before 1970", "wait", "approval"):
        assert failure_of(world, app, app.start(impatient, how)) == ("execution", "invalid_duration"), how
    handle = app.start(pack, [])
    refused(world, app, InvalidDuration, lambda: handle.result(timeout=-1))
    refused(world, app, InvalidDuration, lambda: app.session("clerk", "1").ask("hello", timeout="soon"))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"max_attempts": 0}, "max_attempts is 0, it has to be 1 to 1000"),
        ({"max_attempts": 10**30}, f"max_attempts is {10**30}, it has to be 1 to 1000"),
        (
            {"max_attempts": "three"},
            "max_attempts: Input should be a valid integer, unable to parse string as an integer",
        ),
        ({"recovery": "never"}, "recovery: Input should be 'rerunnable', 'owner_bound' or 'externally_owned'"),
        ({"on_parent_end": "kill"}, "on_parent_end: Input should be 'detach', 'request_cancel' or 'await'"),
        ({"labels": {"team": 1}}, "labels.team: Input should be a valid string"),
        ({"attempt_timeout": 0}, "attempt_timeout_ms is 0, it has to be above 0"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    world: World, app: App, pack: Any, options: dict[str, Any], reason: str
) -> None:
    error = refused(world, app, RegistrationInvalid, lambda: app.using(**options).start(pack, []))
    assert str(error) == f"The process cannot be registered: {reason}."


def test_labels_are_for_looking_and_not_for_storing(world: World, app: App, pack: Any) -> None:
    error = refused(world, app, PayloadTooLarge, lambda: app.using(labels={"note": "x" * 70_000}).start(pack, []))
    assert "the labels has" in str(error)
    refused(world, app, InvalidPayload, lambda: app.using(labels={"note": "\ud800"}).start(pack, []))


def test_an_option_that_does_not_exist_is_a_programming_error(app: App) -> None:
    with pytest.raises(TypeError, match="nope"):
        app.using(nope=1)  # type: ignore[call-arg]
