"""What cannot work as a body is refused where it is declared, with what to change."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from wakeline import App, AsyncCtx, AsyncTurn, Ctx, Turn
from wakeline import AsyncCtx as Context
from wakeline.errors import (
    BodyInvalid,
    DuplicateName,
    InvalidDuration,
    InvalidId,
    SettingsInvalid,
    UnknownAgent,
    UnknownName,
)
from wakeline.settings import Settings


@pytest.fixture
def app() -> App:
    return App("declared", settings=Settings())


# -- a body and its context


def wrong_def(ctx: AsyncCtx) -> None: ...
async def wrong_async(ctx: Ctx) -> None: ...
def turn_for_ctx(ctx: Turn) -> None: ...
def no_context() -> None: ...
def argument_first(order: int) -> None: ...
def unannotated(ctx) -> None: ...  # type: ignore[no-untyped-def]
async def unannotated_async(ctx) -> None: ...  # type: ignore[no-untyped-def]
def takes_args(ctx: Ctx, *orders: int) -> None: ...
def unresolved(ctx: Ctx, order: Order) -> None: ...  # type: ignore[name-defined]  # noqa: F821
def no_json(ctx: Ctx, handler: App) -> None: ...


def yields(ctx: Ctx) -> Iterator[int]:
    yield 1


async def yields_async(ctx: AsyncCtx) -> AsyncIterator[int]:
    yield 1


FIRST = "its first parameter must be the context; annotate it as"
YIELDS = "it yields; a body returns its result, and emits what it has to say before that"
ENGINES: list[tuple[Callable[..., Any], str]] = [
    (wrong_def, "it is `def` but takes AsyncCtx; a `def` body takes Ctx"),
    (wrong_async, "it is `async def` but takes Ctx; a `async def` body takes AsyncCtx"),
    (turn_for_ctx, "it is `def` but takes Turn; a `def` body takes Ctx"),
    (no_context, f"{FIRST} Ctx"),
    (argument_first, "it is `def` but takes int; a `def` body takes Ctx"),
    (unannotated, f"{FIRST} Ctx"),
    (unannotated_async, f"{FIRST} AsyncCtx"),
    (takes_args, "it takes *args; give every argument a name, so that a stored call stays readable"),
    (unresolved, "an annotation cannot be resolved (name 'Order' is not defined); import it at module level"),
    (no_json, "<class 'wakeline.app.App'> cannot be stored as JSON; use a pydantic model, a dataclass or a plain type"),
    (yields, YIELDS),
    (yields_async, YIELDS),
]


@pytest.mark.parametrize(("function", "reason"), ENGINES, ids=lambda value: getattr(value, "__name__", ""))
def test_an_engine_that_could_not_run_is_refused_when_it_is_declared(
    app: App, function: Callable[..., Any], reason: str
) -> None:
    with pytest.raises(BodyInvalid) as caught:
        app.engine(function)
    assert str(caught.value) == f"{function.__name__} cannot be a body: {reason}."
    assert app.registry.engines == {}


def test_agents_are_held_to_their_contexts_too(app: App) -> None:
    async def wrong(turn: Turn) -> None: ...
    def wrong_too(turn: AsyncTurn) -> None: ...
    def none() -> None: ...

    for function in (wrong, wrong_too, none):
        with pytest.raises(BodyInvalid):
            app.agent(function)  # type: ignore[call-overload]
    assert app.registry.agents == {}


def test_a_context_under_a_name_of_the_modules_own_is_recognised(app: App) -> None:
    @app.engine
    async def renamed(ctx: Context) -> None: ...

    assert app.registry.engine("renamed").is_async


# -- options


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"retries": -1}, "its retries are -1, they have to be 0 to 1000"),
        ({"retries": 1.5}, "its retries are 1.5, they have to be 0 to 1000"),
        ({"policy": "always"}, "its policy is 'always', it has to be one of never, safe, idempotent"),
        ({"timeout": 0}, "its timeout is 0, so no try could end; leave it out for no timeout"),
    ],
)
def test_a_tool_that_could_never_be_tried_is_refused(app: App, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(BodyInvalid) as caught:
        app.tool(name="charge", **options)(lambda: None)
    assert str(caught.value) == f"charge cannot be a body: {reason}."


@pytest.mark.parametrize("option", ["timeout", "backoff", "max_backoff"])
@pytest.mark.parametrize("value", [-1, "soon", float("nan"), float("inf"), True, pytest.param(10**5000, id="huge")])
def test_a_tool_is_not_given_times_that_make_no_sense(app: App, option: str, value: Any) -> None:
    with pytest.raises(InvalidDuration):
        app.tool(name="charge", **{option: value})(lambda: None)


@pytest.mark.parametrize("entries", [0, -1, 257, "3"])
def test_an_agent_whose_turns_would_take_nothing_is_refused(app: App, entries: Any) -> None:
    with pytest.raises(BodyInvalid, match="its max_entries is .*, it has to be 1 to 256"):

        @app.agent("clerk", max_entries=entries)
        async def clerk(turn: AsyncTurn) -> None: ...


@pytest.mark.parametrize("name", ["", " ", "a b", "a/b", "ü", "a\0", ".a", "x" * 129])
def test_names_outside_the_grammar_are_refused(app: App, name: str) -> None:
    def body(ctx: Ctx) -> None: ...
    def turn(turn: Turn) -> None: ...

    for declare in (
        lambda: app.tool(name=name)(lambda: None),
        lambda: app.engine(name=name)(body),
        lambda: app.agent(name)(turn),
        lambda: app.engine(signals={name: int})(body),
        lambda: app.engine(events={name: int})(body),
        lambda: app.tool(name="t", queue=name)(lambda: None),
        lambda: app.engine(queue=name)(body),
        lambda: app.agent("a", queue=name)(turn),
    ):
        with pytest.raises(InvalidId) as caught:
            declare()
        assert "it has to match [A-Za-z0-9" in str(caught.value)


RESERVED = (
    "choose another name (reserved are log, progress, wake, signal.<name>, process.abandoned,"
    " process.attempt_failed, process.cancel_requested, process.cancelled, process.completed, process.continued,"
    " process.external_ref_set, process.failed, process.misfit, process.recovered, process.resumed, process.retargeted,"
    " process.started, process.waiting)"
)


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ("log", f"it declares event 'log', which every process has; {RESERVED}"),
        ("process.completed", f"it declares event 'process.completed', which every process has; {RESERVED}"),
        ("signal.go", "it declares 'signal.go' as an event; declare 'go' in signals="),
    ],
)
def test_an_event_type_that_is_wakelines_own_cannot_be_declared(app: App, event: str, reason: str) -> None:
    with pytest.raises(BodyInvalid) as caught:

        @app.engine(events={event: int})
        def loud(ctx: Ctx) -> None: ...

    assert str(caught.value) == f"loud cannot be a body: {reason}."


# -- names that are taken, or not known


def test_two_bodies_of_one_name_are_refused(app: App) -> None:
    app.tool(name="charge")(lambda: 1)
    app.agent("charge")(clerk)  # an agent is not started by its name
    with pytest.raises(DuplicateName) as caught:
        app.tool(name="charge")(lambda: 2)
    assert str(caught.value) == "Two things are registered as tool 'charge'. Give one of them another name=."
    with pytest.raises(DuplicateName):

        @app.engine(name="charge")
        def engine(ctx: Ctx) -> None: ...

    with pytest.raises(DuplicateName):
        app.agent("charge")(another)
    assert app.registry.startable("charge").function() == 1


def clerk(turn: Turn) -> None: ...
def another(turn: Turn) -> None: ...


def test_a_name_that_nothing_has_is_refused_with_those_there_are(app: App) -> None:
    app.tool(name="charge")(lambda: 1)

    @app.engine
    def refund(ctx: Ctx) -> None: ...

    for look, message in (
        (
            app.registry.startable,
            "No engine or tool is named 'refnd'; known: charge, refund. Register it, or include the module that does.",
        ),
        (
            app.registry.engine,
            "No engine is named 'refnd'; known: refund. Register it, or include the module that does.",
        ),
        (app.registry.tool, "No tool is named 'refnd'; known: charge. Register it, or include the module that does."),
    ):
        with pytest.raises(UnknownName) as caught:
            look("refnd")
        assert str(caught.value) == message
    with pytest.raises(UnknownAgent, match="There is no agent 'clark' in this app"):
        app.registry.agent("clark")


# -- the app and its settings


@pytest.mark.parametrize("name", ["", "a b", "{shop}", "a:b", "ü", "a\n", "x" * 65])
def test_a_namespace_outside_the_grammar_is_refused(name: str) -> None:
    with pytest.raises(InvalidId, match="is not a namespace: it has to match"):
        App(name, settings=Settings())


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("WAKELINE_LEASE", "soon", "'soon' is not a duration."),
        ("WAKELINE_LEASE", "-5s", "'-5s' is not a duration."),
        (
            "WAKELINE_LEASE",
            "3s",
            "a lease has to outlast two heartbeats, which are 2s apart (WAKELINE_BEAT), or workers lose what they run.",
        ),
        ("WAKELINE_BEAT", "0", "a worker needs a pause between two heartbeats."),
        ("WAKELINE_TOMBSTONE", "1m", "at least 1h; without its tombstone a late resend of a start would run again."),
        ("WAKELINE_CONCURRENCY", "0", "it is a number from 1."),
        ("WAKELINE_CONCURRENCY", "²", "it is a number from 1."),
        ("WAKELINE_TLS", "off", "it is one of auto, verify, none."),
        ("WAKELINE_ALLOW_EVICTION", "maybe", "it is one of 0, false, no, 1, true, yes."),
    ],
)
def test_a_setting_that_makes_no_sense_is_named_with_what_it_may_be(variable: str, value: str, reason: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        Settings.from_env({variable: value})
    assert str(caught.value).startswith(f"Setting {variable} cannot be ")
    assert reason in str(caught.value)
    assert str(caught.value).endswith(". Change it and start again.")


def test_no_agent_and_no_session_has_the_name_that_stands_for_processes_without_one() -> None:
    app = App("names")

    async def shadow(turn: AsyncTurn) -> None:
        """Never declared."""

    with pytest.raises(InvalidId, match="processes without a session"):
        app.agent("process-env")(shadow)
    with pytest.raises(InvalidId, match="processes without a session"):
        app.session("process-env", "p1")
