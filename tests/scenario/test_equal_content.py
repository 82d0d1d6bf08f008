"""A value is the same content wherever it is given again, in any order of its sets: at every door, and
after every replay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, computed_field
from wakeline import App, AsyncCtx, Ctx, Event, typed
from wakeline.effects.journal import JournalRow
from wakeline.errors import (
    InvalidPayload,
    OccurrenceConflict,
    PayloadSchemaMismatch,
    ProcessConflict,
    ProcessFailed,
    ReplayConflict,
)
from wakeline.settings import Settings
from wakeline.store.connection import Backend
from wakeline.values import Unordered

from tests.scenario.conftest import served, until


@dataclass
class Basket:
    tags: set[int]
    price: Decimal
    at: datetime


class Named(BaseModel):
    user_id: int = Field(alias="userId")


class Forbidding(BaseModel):
    model_config = ConfigDict(extra="forbid")
    width: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def area(self) -> int:
        return self.width**2


def basket(*tags: int, price: str = "1.10", zone: int = 2) -> Basket:
    """Of the same tags in another order it is an equal one, whose set is iterated in another order."""
    return Basket(set(tags), Decimal(price), datetime(2026, 7, 1, 10 + zone, tzinfo=timezone(timedelta(hours=zone))))


ONE, EQUAL, OTHER = basket(0, 8), basket(8, 0, price="1.1", zone=0), basket(0, 9)
DOORS: dict[str, tuple[Callable[[App, Any], Any], type[Exception]]] = {
    "start of a tool": (
        lambda app, value: app.using(id="p").start(app.registry.tools["takes"], value).id,
        ProcessConflict,
    ),
    "start of an engine": (
        lambda app, value: app.using(id="q").start(app.registry.engines["keeps"], value).id,
        ProcessConflict,
    ),
    "start of many": (
        lambda app, value: [
            one.id for one in app.start_many(app.registry.engines["keeps"], [{"value": value}], ids=["m"])
        ],
        ProcessConflict,
    ),
    "signal": (lambda app, value: app.handle("waits").signal("v", value, key="k"), ReplayConflict),
    "event of external work": (
        lambda app, value: app.external("ci", id="ci-1").emit("log", {"value": value}, key="k"),
        ReplayConflict,
    ),
    "metadata of external work": (
        lambda app, value: app.external("ci", id="ci-2", metadata={"value": value}).id,
        ProcessConflict,
    ),
    "occurrence": (
        lambda app, value: app.trigger("a.b").emit({"value": value}, key="k").occurrence_id,
        OccurrenceConflict,
    ),
    "typed occurrence": (
        lambda app, value: app.trigger("a.c", Basket).emit(value, key="k").occurrence_id,
        OccurrenceConflict,
    ),
    "input of a session": (lambda app, value: app.session("none", "1").send({"value": value}, key="k"), ReplayConflict),
    "command of a session": (
        lambda app, value: app.session("none", "2").command("do", {"value": value}, key="k"),
        ReplayConflict,
    ),
}


def declared(app: App) -> App:
    @app.tool(queue="nowhere")
    def takes(value: Basket) -> int:
        return len(value.tags)

    @app.engine(queue="nowhere")
    def keeps(ctx: Ctx, value: Any) -> None: ...

    @app.engine(queue="nowhere")
    def waits(ctx: Ctx) -> None: ...

    return app


@pytest.fixture
def unserved(backend: Backend) -> App:
    return declared(App("t1", backend=backend, settings=Settings()))


@pytest.mark.parametrize("door", DOORS)
def test_an_equal_value_is_the_same_content_at_every_door_and_another_is_refused(unserved: App, door: str) -> None:
    assert [list(one.tags) for one in (ONE, EQUAL)] == [[0, 8], [8, 0]]
    give, refused = DOORS[door]
    unserved.using(id="waits").start(unserved.registry.engines["waits"])
    first = give(unserved, ONE)
    assert give(unserved, EQUAL) == first
    with pytest.raises(refused):
        give(unserved, OTHER)


def test_the_end_of_external_work_is_the_same_end_again(unserved: App) -> None:
    build = unserved.external("ci", id="ci")
    assert build.finish({"value": ONE, "n": 1}) == build.finish({"n": 1.0, "value": EQUAL})
    assert build.result(timeout=1) == {
        "n": 1,
        "value": {"tags": [0, 8], "price": "1.10", "at": "2026-07-01T12:00:00+02:00"},
    }


def as_before(value: Any, data: Any, path: str = "", **_: Any) -> Any:
    """What a release before this one made of a value: its sets in the order of its process, which is none that is
    sorted, and nothing marked."""
    if isinstance(value, set | frozenset) and isinstance(data, list):
        return sorted(data, key=repr, reverse=True)
    parts = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else []
    inner = value if isinstance(value, dict | list | tuple) else vars(value) if hasattr(value, "__dict__") else None
    for key, item in list(parts):
        if inner is not None:
            data[key] = as_before(inner[key], item)
    return data


def without_what_is_new(to_json: Callable[[JournalRow], str]) -> Callable[[JournalRow], str]:
    """A row as a release before this one wrote it: it did not say what asked for a start."""
    return lambda row: to_json(replace(row, asks=None))


WORDS = {f"word{i}" for i in range(12)}


def ran(app: App, done: list[str]) -> None:
    @app.tool
    async def count(words: set[str]) -> int:
        done.append("count")
        return len(words)

    @app.tool(queue="apart")
    async def apart(basket: Basket) -> int:
        done.append("apart")
        return len(basket.tags)

    def measured(words: set[str]) -> int:
        done.append("step")
        return len(words)

    @app.engine(events={"seen": Event(dict[str, Any])})
    async def flow(ctx: AsyncCtx, words: set[str]) -> list[int]:
        said = [await ctx.call(count, WORDS), await ctx.step("s", measured, WORDS), await ctx.call(apart, ONE)]
        child = await ctx.start(count, frozenset(WORDS))
        await ctx.emit("seen", {"words": WORDS, "long": {f"{n:08}" for n in range(400)}})
        await ctx.signal("other", "v", WORDS)
        await ctx.wait("go")
        return [*said, await child, await ctx.call(count, WORDS), len(words)]

    @app.engine
    def sync_flow(ctx: Ctx) -> list[int]:
        said = [ctx.call(count, WORDS), ctx.step("s", measured, WORDS)]
        ctx.wait("go")
        return [*said, ctx.call(count, WORDS)]

    @app.engine
    def other(ctx: Ctx) -> None:
        ctx.wait("stop")


def test_what_a_release_before_this_one_recorded_is_replayed_and_its_starts_are_known(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    app = App("t2", backend=backend, settings=Settings(hold_ms=20, grace_ms=500))
    ran(app, done)
    engines = app.registry.engines
    monkeypatch.setattr(typed, "settled", as_before)
    monkeypatch.setattr(JournalRow, "to_json", without_what_is_new(JournalRow.to_json))
    with served(app):
        app.using(id="other").start(engines["other"])
        handles = [app.using(id="flow").start(engines["flow"], WORDS), app.using(id="sync").start(engines["sync_flow"])]
        for handle in handles:
            until(lambda handle=handle: handle.status().status == "waiting")
        assert sorted(done) == ["apart", "count", "count", "count", "step", "step"]
    monkeypatch.undo()
    assert app.using(id="flow").start(engines["flow"], WORDS).id == "flow"
    assert app.start_many(engines["flow"], [{"words": WORDS}], ids=["flow"])[0].id == "flow"
    with pytest.raises(ProcessConflict):
        app.using(id="flow").start(engines["flow"], {"others"})
    with served(app):
        for handle in handles:
            handle.signal("go")
        assert handles[0].result(timeout=10) == [12, 12, 2, 12, 12, 12]
        assert handles[1].result(timeout=10) == [12, 12, 12]
    assert sorted(done) == ["apart", "count", "count", "count", "count", "count", "step", "step"]
    app.close()


def test_a_body_repeats_a_start_of_the_release_before_as_a_client_does(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = App("t2", backend=backend, settings=Settings(hold_ms=20, grace_ms=500))

    @app.engine
    def holds(ctx: Ctx, words: set[str]) -> int:
        ctx.wait("go")
        return len(words)

    @app.engine
    async def asks(ctx: AsyncCtx, words: set[str]) -> int:
        child = await ctx.using(id="holds").start(holds, words)
        await ctx.signal(child, "go")
        return await child

    monkeypatch.setattr(typed, "settled", as_before)
    app.using(id="holds").start(holds, WORDS)
    monkeypatch.undo()
    with served(app):
        other = app.start(asks, {"others"})
        with pytest.raises(ProcessFailed) as failed:
            other.result(timeout=10)
        assert failed.value.fields["failure_code"] == "process_conflict"
        assert app.start(asks, WORDS).result(timeout=10) == 12
    app.close()


def test_a_set_that_another_worker_iterates_in_another_order_is_no_mismatch(app: App) -> None:
    order = [0, 8]
    ran_: list[int] = []

    @app.tool
    def count(given: set[int]) -> int:
        ran_.append(len(given))
        return len(given)

    @app.engine
    def parks(ctx: Ctx) -> int:
        first = ctx.call(count, set(order))
        order.reverse()
        ctx.wait("go")
        return first + ctx.call(count, {7})

    handle = app.start(parks)
    until(lambda: handle.status().status == "waiting")
    handle.signal("go")
    assert handle.result(timeout=10) == 3
    assert ran_ == [2, 1]


def test_what_a_body_and_a_tool_get_is_plain_data(app: App) -> None:
    @app.tool
    def kinds(value: Any) -> list[str]:
        return [type(value["set"]).__name__, type(value["price"]).__name__]

    @app.engine
    def asks(ctx: Ctx) -> list[list[str]]:
        given = {"set": {1}, "price": Decimal("1.10")}
        stepped = ctx.step("s", lambda: given)
        return [ctx.call(kinds, given), [type(stepped["set"]).__name__, type(stepped["price"]).__name__]]

    assert app.start(asks).result(timeout=10) == [["list", "str"], ["list", "str"]]
    assert issubclass(Unordered, list)


def test_a_model_fits_the_schema_of_its_own_type_at_an_open_wait_an_early_signal_an_event_and_an_answer(
    app: App,
) -> None:
    @app.engine(signals={"named": Named, "wide": Forbidding}, events={"seen": Event(Named)})
    def takes(ctx: Ctx) -> list[int]:
        ctx.emit("seen", Named(userId=1))
        ask = ctx.approval("ok", Named)
        ctx.emit("log", {"token": ask.token})
        return [ctx.wait("named", Named).user_id, ctx.wait("wide", Forbidding).width, ask.wait().user_id]

    handle = app.start(takes)
    handle.signal("wide", Forbidding(width=3))
    until(lambda: handle.status().status == "waiting")
    handle.signal("named", Named(userId=7), key="k")
    handle.signal("named", Named(userId=7), key="k")
    until(lambda: handle.status().status == "waiting" and not handle.status().waiting_for)
    token = next(event.payload for event in handle.events() if event.type == "log")
    assert app.resolve(token["token"], Named(userId=9)) is True
    assert handle.result(timeout=10) == [7, 3, 9]
    with pytest.raises(PayloadSchemaMismatch):
        app.using(id="again").start(takes).signal("named", {"other": 1})


def test_a_result_that_is_not_what_is_declared_fails_its_process_and_says_so(app: App) -> None:
    @app.tool
    def forgot(x: int) -> int: ...  # type: ignore[empty-body]

    @app.engine
    def caller(ctx: Ctx) -> str:
        return repr(ctx.call(forgot, 1))

    @app.engine
    async def forgets(ctx: AsyncCtx) -> dict[str, int]:
        return {"a": None}  # type: ignore[dict-item]

    @app.engine
    async def steps(ctx: AsyncCtx) -> str:
        def nothing() -> int: ...  # type: ignore[empty-body]

        try:
            return repr(await ctx.step("s", nothing))
        except InvalidPayload as refused:
            return refused.reason

    for body, args in ((forgot, (1,)), (caller, ())):
        with pytest.raises(
            ProcessFailed, match="The result of forgot is not usable as JSON: it is None, and <class 'int'> is declared"
        ):
            app.start(body, *args).result(timeout=10)
    with pytest.raises(
        ProcessFailed, match="The result of forgets is not usable as JSON: at a, Input should be a valid integer"
    ):
        app.start(forgets).result(timeout=10)
    assert app.start(steps).result(timeout=10).startswith("it is None, and <class 'int'> is declared")
