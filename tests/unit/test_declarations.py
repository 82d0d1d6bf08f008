"""What cannot be a body, or says something that nothing could follow, is refused where it is declared, with what to
write instead."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from typing import Any, TextIO

import pytest
from wakeline import App, AsyncCtx, Ctx, Limit
from wakeline.errors import BodyInvalid, InvalidArguments
from wakeline.settings import Settings


def work(x: int) -> int:
    return x


class Works:
    def __call__(self, x: int) -> int:
        return x

    def method(self, x: int) -> int:
        return x

    @classmethod
    def of_class(cls, x: int) -> int:
        return x


def flow(ctx: Ctx, order: int) -> None: ...


def opened() -> TextIO:
    raise AssertionError


def buffered() -> io.BytesIO:
    raise AssertionError


def asks_for_one(ctx: AsyncCtx, x: int) -> None: ...


def asks_without_saying(ctx, x):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    raise AssertionError(ctx, x)


@pytest.fixture
def app() -> App:
    return App("nowhere", settings=Settings())


NO_BODIES: dict[str, tuple[Any, str]] = {
    "partial": (partial(work, 1), "it is a functools.partial, which has no name and no annotations of its own"),
    "callable object": (Works(), r"it is an object \(Works\)"),
    "class": (Works, "it is a class"),
    "lambda": (lambda: 1, "it is a lambda, which has no name to be stored under; write it as a `def`, or give name="),
    "method": (Works.method, "it is a method, and a worker has no object to call it on"),
    "classmethod": (vars(Works)["of_class"], "it is a classmethod, and a worker has no class to call it on"),
}


@pytest.mark.parametrize("kind", ["tool", "engine", "agent"])
@pytest.mark.parametrize("what", NO_BODIES)
def test_what_is_no_function_of_a_module_is_no_body(app: App, kind: str, what: str) -> None:
    given, said = NO_BODIES[what]
    with pytest.raises(BodyInvalid, match=said) as refused:
        getattr(app, kind)(given)
    if what != "lambda":
        assert f"declare a function of a module, `@app.{kind}` above `def name(…)`, that calls it" in str(refused.value)


def test_a_lambda_with_a_name_may_be_a_tool(app: App) -> None:
    made: Any = app.tool(name="one")(lambda: 1)
    assert (made.name, made()) == ("one", 1)


REFUSED: dict[str, tuple[Callable[[App], Any], str]] = {
    "signals in a list": (
        lambda app: app.engine(signals=["a"])(flow),
        r'a list; write a dict of name to type, such as signals=\{"decision": bool\}',
    ),
    "signals as a text": (lambda app: app.engine(signals="a")(flow), "its signals= is a str; write a dict"),
    "events in a tuple": (lambda app: app.engine(events=("a",))(flow), "its events= is a tuple; write a dict"),
    "a value as the type of a signal": (
        lambda app: app.engine(signals={"a": True})(flow),
        "True cannot be stored as JSON",
    ),
    "a value as the type of an event": (lambda app: app.engine(events={"a": 1})(flow), "1 cannot be stored as JSON"),
    "the name of a type": (
        lambda app: app.engine(signals={"a": "Nothing"})(flow),
        "give the type itself, not its name",
    ),
    "key of an engine's limit": (
        lambda app: app.engine(limit=Limit(1, key="{typo}"))(flow),
        "has the key '{typo}', and typo is none of its parameters: order",
    ),
    "key of a tool's limit": (
        lambda app: app.tool(limit=Limit(1, key="{x}-{typo}"))(work),
        "typo is none of its parameters: x",
    ),
    "context of a tool": (
        lambda app: app.tool(asks_for_one),
        "its parameter ctx is a context, and a tool has none; leave it out and use current",
    ),
    "context of a tool, not annotated": (lambda app: app.tool(asks_without_saying), "its parameter ctx is a context"),
    "file as a result": (
        lambda app: app.tool(opened),
        "is an open file, which cannot be stored; put its bytes into an attachment",
    ),
    "buffer as a result": (lambda app: app.tool(buffered), "is an open file, which cannot be stored"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_declaration_that_nothing_could_follow_says_what_to_write(app: App, what: str) -> None:
    declare, said = REFUSED[what]
    with pytest.raises(BodyInvalid, match=said):
        declare(app)
    assert (app.registry.tools, app.registry.engines) == ({}, {})


def test_a_key_that_names_parameters_is_taken(app: App) -> None:
    app.engine(limit=Limit(1, key="{order}"))(flow)

    @app.tool(limit=Limit(1, key="{anything}"))
    def loose(**more: int) -> None: ...

    assert app.limits["b:loose"] == '{"c":1}'


def test_the_input_of_a_schedule_is_a_dict_and_its_values_may_be_sets(app: App) -> None:
    @app.tool
    def count(words: set[str]) -> None: ...

    with pytest.raises(InvalidArguments, match="input=: it is a set; write a dict of parameter to value"):
        app.cron("* * * * *", count, input={"words"})  # type: ignore[arg-type]
    with pytest.raises(InvalidArguments, match="input=: it is a list; write a dict"):
        app.cron("* * * * *", count, input=["words"])  # type: ignore[arg-type]
    made = app.cron("* * * * *", count, input={"words": {"b", "a"}})
    assert made.subscription.model_dump()["input"] == {"words": {"type": "const", "value": ["a", "b"]}}
