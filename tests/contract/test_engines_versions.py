"""Engines: several versions of a name side by side, objects that implement the protocol, what is refused and what is
shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from wakeline import App, AsyncCtx, Ctx, Engine, ProcessFailed
from wakeline.engines.protocol import Identity
from wakeline.errors import BodyInvalid, DuplicateName, InvalidArguments, ProcessNotFound, SelectorMiss
from wakeline.processes.inputs import EngineInput
from wakeline.store import fleet

from tests.contract.folding import check_fold
from tests.contract.working import app_of, work

if TYPE_CHECKING:
    from tests.contract.conftest import World


def refund(app: App, version: str | None, **options: Any) -> Engine[[int], str]:
    """An engine that waits, and says which version it is."""

    @app.engine(name="refund", version=version, signals={"go": bool}, **options)
    async def body(ctx: AsyncCtx, order: int) -> str:
        await ctx.wait("go", bool)
        return f"{order} by {version}"

    return body


# -- versions


def test_of_several_versions_the_last_declared_is_started_and_each_runs_its_own(world: World) -> None:
    old, both = app_of(world), app_of(world)
    first = old.using(id="a").start(refund(old, "1"), 7)
    work(world, old)
    refund(both, "1")
    refund(both, "2")
    second = both.using(id="b").start(both.registry.startable("refund"), 8)  # type: ignore[arg-type]
    for handle in (first, second):
        handle.signal("go", True)
    work(world, both)
    assert (first.result(timeout=0), second.result(timeout=0)) == ("7 by 1", "8 by 2")
    assert [world.view(pid).registration.engine_version for pid in ("a", "b")] == ["1", "2"]


def test_a_version_that_is_the_default_is_started_whatever_comes_after_it(world: World) -> None:
    app = app_of(world)
    refund(app, "1", default=True)
    refund(app, "2")
    refund(app, None)
    assert app.registry.engines["refund"].version == "1"


def test_a_worker_without_the_version_leaves_it_queued_and_fails_nothing(world: World) -> None:
    old, new = app_of(world), app_of(world)
    refund(new, "2")
    handle = old.using(id="p", max_attempts=1).start(refund(old, "1"), 7)
    assert work(world, new) == ["released"]
    assert work(world, new) == []  # no hot loop: its doorbell is not rung before a while
    assert handle.status().status == "queued"
    assert (world.view("p").failed_attempts, world.view("p").losses) == (0, 0)
    [row] = world.do(fleet.read_fleet([world.namespace])).queued
    assert (row.input, row.needs, row.version) == ("engine", "refund", "1")
    world.clock.advance("6s")
    world.tick()
    handle.signal("go", True)
    work(world, old)
    assert handle.result(timeout=0) == "7 by 1"


def test_owner_bound_work_is_not_given_up_by_a_worker_that_lacks_its_code(world: World) -> None:
    old, new = app_of(world), app_of(world)
    handle = old.using(id="p", recovery="owner_bound").start(refund(old, "1"), 7)
    work(world, old)
    handle.signal("go", True)
    assert work(world, new) == ["released"]
    world.clock.advance("6s")
    world.tick()
    work(world, old)
    assert handle.result(timeout=0) == "7 by 1"


def test_a_start_sent_again_after_a_deploy_is_no_conflict_and_keeps_its_version(world: World) -> None:
    old, new = app_of(world), app_of(world)
    old.using(id="p").start(refund(old, "1"), 7)
    new.using(id="p").start(refund(new, "2"), 7)
    assert (world.view("p").registration.engine_version, world.view("p").fields["ver"]) == ("1", "1")


def test_two_engines_of_one_name_and_version_are_refused(world: World) -> None:
    app = app_of(world)
    refund(app, "1")
    with pytest.raises(DuplicateName, match="refund version 1"):
        refund(app, "1")
    with pytest.raises(DuplicateName):
        app.tool(name="refund")(lambda: 1)


# -- continue_as_new


def counter(app: App, version: str, **options: Any) -> Any:
    @app.engine(name="counter", version=version, signals={"on": bool}, **options)
    async def body(ctx: AsyncCtx, n: int) -> str:
        if n:
            await ctx.wait("on")
            await ctx.continue_as_new(n - 1)
        return f"by {version}"

    return body


def test_a_new_generation_moves_to_the_version_that_is_started_now(world: World) -> None:
    old, both = app_of(world), app_of(world)
    handle = old.using(id="p").start(counter(old, "1"), 1)
    work(world, old)
    counter(both, "1")
    counter(both, "2")
    handle.signal("on", True)
    work(world, both)
    assert handle.result(timeout=0) == "by 2"
    assert world.view("p").registration.engine_version == "1"
    assert world.view("p").fields["ver"] == check_fold(world).engine_version == "2"


def test_it_stays_where_the_new_version_takes_other_arguments_or_declares_other_events(world: World) -> None:
    old, other, louder = app_of(world), app_of(world), app_of(world)

    @other.engine(name="counter", version="2", signals={"on": bool})
    async def takes_more(ctx: AsyncCtx, n: int, unit: str) -> str:
        return "by 2"

    counter(louder, "2", events={"counted": int})
    for pid, app in (("p", other), ("q", louder)):
        handle = old.using(id=pid).start(counter(old, "1") if pid == "p" else old.registry.engines["counter"], 1)
        work(world, old)
        first = app.registry.engines["counter"]
        counter(app, "1", default=False)
        app.registry.engines["counter"] = first
        handle.signal("on", True)
        work(world, app)
        assert handle.result(timeout=0) == "by 1"


# -- objects


class Crawler:
    """An engine that is no function."""

    kind = "crawler"
    version = "3"

    def validate_start(self, payload: Any) -> None:
        if not isinstance(payload, list):
            raise ValueError("a list of urls")

    def identity(self, payload: Any) -> Identity:
        return Identity(kind="crawl", label=f"{len(payload)} pages")

    async def run(self, context: AsyncCtx, payload: Any) -> Any:
        if payload:
            await context.step("visit", str, payload[0])
            await context.continue_as_new(payload[1:])
        return "all visited"


def test_an_object_runs_as_an_engine_with_its_payload_as_it_is(world: World) -> None:
    app = app_of(world)
    crawler = app.add_engine(Crawler())
    handle = app.using(id="p").start(crawler, ["a", "b"])
    work(world, app)
    assert handle.result(timeout=0) == "all visited"
    assert (handle.status().kind, handle.status().label, world.view("p").generation) == ("crawl", "2 pages", 3)
    assert world.view("p").fields["ver"] == "3"


def test_a_start_that_the_object_refuses_stores_nothing(world: World) -> None:
    app = app_of(world)
    crawler = app.add_engine(Crawler())
    with pytest.raises(InvalidArguments, match="validate_start says a list of urls"):
        app.using(id="p").start(crawler, {"url": "a"})
    with pytest.raises(ProcessNotFound):
        world.view("p")


def test_what_is_no_engine_is_refused_where_it_is_added(world: World) -> None:
    class Half:
        kind = "half"

        def run(self, context: Ctx, payload: Any) -> None: ...

    with pytest.raises(BodyInvalid, match="no validate_start"):
        app_of(world).add_engine(Half())  # type: ignore[arg-type]


# -- label and validate


def test_a_label_is_a_text_with_holes_or_a_function_of_the_arguments(world: World) -> None:
    app = app_of(world)

    @app.engine(label="order {order}")
    def template(ctx: Ctx, order: int) -> None: ...

    @app.engine(label=lambda order: f"no. {order + 1}")
    def function(ctx: Ctx, order: int) -> None: ...

    @app.engine(label="{gone}")
    def wrong(ctx: Ctx, order: int) -> None: ...

    @app.engine(label=lambda order: order)  # type: ignore[arg-type, return-value]
    def number(ctx: Ctx, order: int) -> None: ...

    assert [app.start(body, 7).status().label for body in (template, function)] == ["order 7", "no. 8"]
    with pytest.raises(SelectorMiss):
        app.using(id="p").start(wrong, 7)
    with pytest.raises(BodyInvalid):
        app.using(id="p").start(number, 7)
    with pytest.raises(ProcessNotFound):
        world.view("p")


def test_a_start_and_a_child_that_validate_refuses_are_typed_errors(world: World) -> None:
    app = app_of(world)

    def positive(order: int) -> None:
        if order < 1:
            raise ValueError("orders are counted from 1")

    @app.engine(validate=positive)
    async def pick(ctx: AsyncCtx, order: int) -> None: ...

    @app.engine
    async def parent(ctx: AsyncCtx) -> list[Any]:
        low = await ctx.execution.start_child_process(EngineInput(kind="pick", payload={"order": 0}), "pick")
        shape = await ctx.execution.start_child_process(EngineInput(kind="pick", payload={"orders": 1}), "pick")
        await ctx.start(pick, 0)
        return [low.value, shape.value]

    with pytest.raises(InvalidArguments, match="orders are counted from 1"):
        app.using(id="p").start(pick, 0)
    handle = app.using(id="p").start(parent)
    work(world, app)
    with pytest.raises(ProcessFailed, match="orders are counted from 1"):
        handle.result(timeout=0)


def test_a_child_that_is_started_by_the_name_of_its_engine_gets_its_version_and_declarations(world: World) -> None:
    app = app_of(world)
    refund(app, "1")
    refund(app, "2")

    @app.engine
    async def parent(ctx: AsyncCtx) -> list[Any]:
        reply = await ctx.execution.start_child_process(EngineInput(kind="refund", payload={"order": 1}), "refund")
        wrong = await ctx.execution.start_child_process(EngineInput(kind="refund", payload={"orders": 1}), "refund")
        return [reply.value["id"], wrong.value["code"]]

    handle = app.start(parent)
    work(world, app)
    pid, code = handle.result(timeout=0)
    made = world.view(pid).registration
    assert (made.engine_version, made.strict_signals, code) == ("2", True, "invalid_arguments")


# -- environments of another release, and of another run


def test_an_environment_that_only_a_later_release_can_read_leaves_its_process_queued(world: World) -> None:
    app = app_of(world)
    handle = app.using(id="p", environment={"plugin_options": {"a": 1}}).start(refund(app, "1"), 7)
    ref = str(world.view("p").registration.env_ref)
    world.store.client.hset(f"{world.store.address.prefix}env:{ref[-64:]}", "s", '{"plugins_of_2030":{}}')
    assert work(world, app) == ["released"]
    assert handle.status().status == "queued"


def test_what_a_body_changes_in_its_environment_is_no_other_ones(world: World) -> None:
    app = app_of(world)

    @app.engine
    async def careless(ctx: AsyncCtx) -> list[str]:
        seen = sorted(ctx.execution.execution_env_spec.plugin_options)
        ctx.execution.execution_env_spec.plugin_options["mine"] = True
        return seen

    for options in ({}, {"environment": {"plugin_options": {"a": 1}}}):
        handles = [app.using(**options).start(careless) for _ in range(2)]  # type: ignore[arg-type]
        work(world, app)
        assert [handle.result(timeout=0) for handle in handles] == [
            sorted(options.get("environment", {}).get("plugin_options", {}))
        ] * 2
