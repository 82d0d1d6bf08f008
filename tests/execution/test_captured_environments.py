"""Environments: captured at the start, handed on verbatim, never read from the app of the worker that happens to run
the process."""

from __future__ import annotations

from typing import Any

import pytest
from wakeline import App, AsyncCtx, AsyncTurn, Ctx, ProcessFailed, current
from wakeline.embedded import PrivateServer
from wakeline.environments.spec import EMPTY_ENVIRONMENT, EnvironmentSpec
from wakeline.processes.inputs import EngineInput
from wakeline.settings import Settings
from wakeline.store import processes
from wakeline.store.connection import UrlBackend

from tests.scenario.conftest import until

BLUE = EnvironmentSpec(plugin_options={"colour": "blue"})
RED = EnvironmentSpec(plugin_options={"colour": "red"})


@pytest.fixture
def starter(app: App, server: PrivateServer) -> App:
    """Another release of the app: the same namespace, another environment."""
    return App(app.namespace, backend=UrlBackend(server.url), settings=Settings(), environment=BLUE)


@pytest.fixture
def bodies(app: App) -> App:
    """What the worker's release knows; its own environment is the empty one."""

    @app.tool
    def colour() -> Any:
        return current().environment.plugin_options.get("colour")

    @app.engine
    async def look(ctx: AsyncCtx) -> list[Any]:
        return [
            ctx.execution.execution_env_spec.plugin_options.get("colour"),
            ctx.execution.process_env_ref,
            await ctx.call(colour),
        ]

    @app.engine
    def family(ctx: Ctx) -> list[Any]:
        child = ctx.start(app.registry.engines["look"])
        low = ctx.execution.start_child_process(EngineInput(kind="look", payload={}), "look").value
        return [child.result(), ctx.execution.await_process(low)]

    return app


def declared(starter: App, *names: str) -> None:
    """The starter knows the same engines by name."""
    for name in names:

        async def body(ctx: AsyncCtx) -> Any:
            """Runs elsewhere."""

        starter.engine(name=name)(body)


def test_a_worker_of_another_release_runs_it_in_the_environment_of_the_starter(bodies: App, starter: App) -> None:
    declared(starter, "look")
    found = starter.start(starter.registry.engines["look"]).result(timeout=10)
    assert found == ["blue", BLUE.ref, "blue"]


def test_children_get_the_very_same_whatever_the_worker_says(bodies: App, starter: App) -> None:
    declared(starter, "family")
    handle = starter.start(starter.registry.engines["family"])
    assert handle.result(timeout=10) == [["blue", BLUE.ref, "blue"], ["blue", BLUE.ref, "blue"]]


def test_a_start_may_say_its_own_and_a_second_start_of_the_id_keeps_the_first(bodies: App, starter: App) -> None:
    declared(starter, "look")
    look = starter.registry.engines["look"]
    first = starter.using(id="one", environment=RED, delay="200ms").start(look)
    assert starter.using(id="one").start(look).id == first.id
    assert first.result(timeout=10) == ["red", RED.ref, "red"]
    assert starter.using(environment={}).start(look).result(timeout=10) == [None, EMPTY_ENVIRONMENT, None]


def test_what_is_gone_is_a_typed_end_and_never_another_environment(bodies: App, starter: App) -> None:
    declared(starter, "look")
    handle = starter.using(delay="300ms").start(starter.registry.engines["look"])
    starter.store.client.delete(f"{{{starter.namespace}}}:env:{BLUE.ref[-64:]}")
    with pytest.raises(ProcessFailed) as caught:
        handle.result(timeout=10)
    assert caught.value.fields["failure_code"] == "missing_execution_environment"


def test_a_running_process_hands_on_its_own_and_no_other(app: App) -> None:
    @app.engine
    async def child(ctx: AsyncCtx) -> None: ...

    @app.engine
    async def parent(ctx: AsyncCtx) -> str:
        try:
            await ctx.using(environment=RED).start(child)
        except Exception as refused:
            return str(getattr(refused, "code", refused))
        return "started"

    assert app.start(parent).result(timeout=10) == "invalid_arguments"


def test_a_turn_captures_what_its_app_says_or_what_it_is_given(app: App) -> None:
    found: list[Any] = []

    @app.engine
    async def look(ctx: AsyncCtx) -> Any:
        return ctx.execution.execution_env_spec.plugin_options.get("colour")

    @app.agent("helper")
    async def helper(turn: AsyncTurn) -> None:
        assert turn.execution.process_env_ref is None
        plain = await (await turn.start(look))
        red = await (await turn.using(environment=RED).start(look))
        low = turn.execution.with_execution_env_spec(BLUE)
        assert await low.captured_process_execution_env_ref() == BLUE.ref
        reply = await low.start_child_process(EngineInput(kind="look", payload={}), "look")
        found.extend(
            [
                plain,
                red,
                await turn.execution.await_process(reply.value),
                await turn.execution.process_env_store.get(BLUE.ref) == BLUE,
            ]
        )

    app.session("helper", "u1").send("look")
    until(lambda: len(found) == 4)
    assert found == [None, "red", "blue", True]


def test_an_environment_with_an_unknown_field_starts_nothing(bodies: App, starter: App) -> None:
    declared(starter, "look")
    with pytest.raises(Exception, match="Extra inputs"):
        starter.using(id="one", environment={"plugins": {}}).start(starter.registry.engines["look"])
    with pytest.raises(Exception, match="one"):
        starter.store.execute(processes.read("one"))
