"""What went wrong is kept: failed attempts, misfits and losses in the log and in views, and where and how a process
failed."""

from __future__ import annotations

import json
import logging
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from wakeline import AsyncCtx, AsyncTurn
from wakeline.app import App
from wakeline.errors import ProcessFailed, ToolFailed
from wakeline.observe.events import EventView
from wakeline.observe.processes import ProcessView
from wakeline.observe.setbacks import FailedEffect
from wakeline.store import owners

from tests.contract.working import app_of, work

if TYPE_CHECKING:
    from tests.contract.conftest import World

T0 = 1_700_000_000_000


def served(world: World, app: App, rounds: int) -> None:
    """Workers run what there is, and a minute goes by, so many times."""
    for _ in range(rounds):
        work(world, app)
        world.clock.advance(60)
        world.tick()


def told(app: App, kind: str, pid: str = "p") -> list[EventView]:
    """The events of this type in the log of a process."""
    return [event for event in app.handle(pid).events() if event.type == f"process.{kind}"]


@pytest.fixture(autouse=True)
def no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wakeline.body.attempts.random", SimpleNamespace(random=lambda: 1.0))


def flaky(app: App, failures: int, **options: Any) -> Any:
    tries: list[int] = []

    @app.tool(name="charge", backoff="2s", **options)
    def charge(cents: int) -> int:
        tries.append(cents)
        if len(tries) <= failures:
            raise ValueError(f"busy {len(tries)}")
        return cents

    return charge


def test_each_failed_attempt_of_a_tool_is_in_its_log_with_number_error_and_when_the_next_comes(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    app = app_of(world)
    handle = app.using(id="p").start(flaky(app, 2, retries=5), 7)
    with caplog.at_level(logging.WARNING, "wakeline.runner"):
        served(world, app, 3)
    assert handle.result(timeout=0) == 7
    said = {"tool": "charge", "code": "ValueError", "class": "execution"}
    assert [event.payload for event in told(app, "attempt_failed")] == [
        {**said, "message": "busy 1", "number": 1, "next_ms": T0 + 2_000},
        {**said, "message": "busy 2", "number": 2, "next_ms": T0 + 64_000},
    ]
    assert [(one.kind, one.number, one.tool, one.code, one.message, one.next_ms) for one in handle.view().setbacks] == [
        ("attempt", 1, "charge", "ValueError", "busy 1", T0 + 2_000),
        ("attempt", 2, "charge", "ValueError", "busy 2", T0 + 64_000),
    ]
    assert [entry.getMessage() for entry in caplog.records if "attempt" in entry.getMessage()] == [
        "p: attempt 1 of tool charge failed: ValueError: busy 1; the next one comes in 2.000 s",
        "p: attempt 2 of tool charge failed: ValueError: busy 2; the next one comes in 4.000 s",
    ]
    [call] = handle.effects()
    assert [(one.number, one.code, one.message, one.next_ms) for one in call.failed] == [
        (1, "ValueError", "busy 1", T0 + 2_000),
        (2, "ValueError", "busy 2", T0 + 64_000),
    ]


def test_the_attempt_with_which_the_process_of_a_tool_ends_is_told_by_its_end_alone(world: World) -> None:
    app = app_of(world)
    app.using(id="p").start(flaky(app, 9, retries=1), 7)
    served(world, app, 3)
    assert [event.payload["number"] for event in told(app, "attempt_failed")] == [1]
    [end] = told(app, "failed")
    assert end.payload["effect"]["tool"] == "charge"
    assert (end.payload["effect"]["kind"], end.payload["effect"]["name"]) == ("tool_call", "call:charge")


def test_an_attempt_in_a_body_that_is_the_last_one_is_told_though_the_body_goes_on(world: World) -> None:
    app = app_of(world)
    charge = flaky(app, 9, retries=1)

    @app.engine(name="order")
    async def order(ctx: AsyncCtx) -> str:
        try:
            await ctx.call(charge, 7)
        except ToolFailed as failed:
            return failed.failure_message
        return ""

    handle = app.using(id="p").start(order)
    served(world, app, 3)
    assert handle.result(timeout=0) == "busy 2"
    assert [(event.payload["number"], event.payload["next_ms"] is None) for event in told(app, "attempt_failed")] == [
        (1, False),
        (2, True),
    ]


def test_a_tool_with_thousands_of_attempts_adds_a_bounded_number_of_events(world: World) -> None:
    app = app_of(world)
    tries: list[int] = []

    @app.tool(name="poll", retries=1_000, backoff=0)
    def poll() -> int:
        tries.append(1)
        if len(tries) <= 120:
            raise ValueError(f"busy {len(tries)}")
        return 1

    @app.engine(name="order")
    async def order(ctx: AsyncCtx) -> int:
        return await ctx.call(poll)

    handle = app.using(id="p").start(order)
    for _ in range(150):
        work(world, app)
        world.clock.advance(1)
        world.tick()
        if handle.status().status == "completed":
            break
    assert handle.result(timeout=0) == 1
    assert [event.payload["number"] for event in told(app, "attempt_failed")] == [*range(1, 11), 100]
    assert [one.number for one in handle.view().setbacks] == [1, 2, 3, 5, 6, 7, 8, 9, 10, 100]
    [call] = handle.effects()
    assert (call.attempts, [one.number for one in call.failed]) == (121, [1, 2, 3, 118, 119, 120])


def fit_for_the_scale(weight: int) -> int:
    raise ValueError(f"{weight} kg is too much")


def test_a_failed_process_names_its_step_and_keeps_the_frames_of_the_user(world: World) -> None:
    app = app_of(world)

    def weigh(weight: int) -> int:
        return fit_for_the_scale(weight)

    @app.engine(name="ship")
    async def ship(ctx: AsyncCtx) -> int:
        return await ctx.step("weigh", weigh, 99)

    handle = app.using(id="p").start(ship)
    served(world, app, 1)
    view = handle.view()
    assert view.failed_effect is not None
    assert (view.failed_effect.kind, view.failed_effect.name, view.failed_effect.tool) == ("step", "weigh", None)
    assert [one.key for one in handle.effects()] == [view.failed_effect.key]
    assert view.trace is not None
    frames = [line.rsplit(", in ", 1)[1] for line in view.trace.splitlines() if line.startswith("  File")]
    assert frames == ["weigh", "fit_for_the_scale", "ship"]
    assert "ValueError: 99 kg is too much" in view.trace
    assert all(inside not in view.trace for inside in ("/wakeline/run", "/wakeline/body", "asyncio"))
    assert view.error == "ValueError: Step 'weigh' failed (ValueError): 99 kg is too much"
    assert [row.error for row in app.processes("failed")] == [view.error]
    assert json.loads(json.dumps(view.to_data()))["trace"] == view.trace
    with pytest.raises(ProcessFailed) as failed:
        handle.result(timeout=0)
    assert failed.value.__notes__ == [f"In p:\n{view.trace}"]


def test_a_body_that_fails_by_itself_names_no_effect(world: World) -> None:
    app = app_of(world)

    @app.engine(name="ship")
    async def ship(ctx: AsyncCtx) -> int:
        await ctx.step("weigh", int, 1)
        return fit_for_the_scale(2)

    handle = app.using(id="p").start(ship)
    served(world, app, 1)
    assert (handle.view().failed_effect, handle.view().error) == (None, "ValueError: 2 kg is too much")


def test_an_error_that_was_raised_from_that_of_an_effect_names_the_effect(world: World) -> None:
    app = app_of(world)

    @app.engine(name="ship")
    async def ship(ctx: AsyncCtx) -> None:
        try:
            await ctx.step("weigh", fit_for_the_scale, 3)
        except Exception as error:
            raise RuntimeError("not shipped") from error

    handle = app.using(id="p").start(ship)
    served(world, app, 1)
    found = handle.view().failed_effect
    assert found is not None
    assert found.name == "weigh"


def test_the_failure_of_a_child_names_the_wait_for_it_and_its_frames_stay_with_the_child(world: World) -> None:
    app = app_of(world)

    @app.engine(name="child")
    async def child(ctx: AsyncCtx) -> None:
        fit_for_the_scale(4)

    @app.engine(name="parent")
    async def parent(ctx: AsyncCtx) -> None:
        await (await ctx.using(id="c").start(child)).result()

    handle = app.using(id="p").start(parent)
    served(world, app, 4)
    assert handle.view().failed_effect == FailedEffect("await", "result:c", "result:c")
    assert "fit_for_the_scale" in (app.handle("c").view().trace or "")
    prefix, client = world.store.address.prefix, world.store.client
    stored = [client.hgetall(f"{prefix}{family}:p") for family in ("journal", "proc")]
    assert "fit_for_the_scale" not in str(stored)
    assert "fit_for_the_scale" not in json.dumps([event.payload for event in app.handle("p").events()])


def test_each_failed_attempt_of_a_turn_is_in_its_log_and_the_last_one_is_its_end(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    app = app_of(world)

    @app.agent("clerk")
    async def clerk(turn: AsyncTurn) -> None:
        fit_for_the_scale(5)

    session = app.session("clerk", "1")
    session.send("weigh it")
    turn = str(session.inspect().turn)
    with caplog.at_level(logging.WARNING, "wakeline.runner"):
        served(world, app, 6)
    view: ProcessView = app.handle(turn).view()
    assert view.status == "failed"
    assert [(one.kind, one.number, one.tool, one.code, one.message) for one in view.setbacks] == [
        ("attempt", n, None, "ValueError", "5 kg is too much") for n in (1, 2, 3, 4)
    ]
    assert view.setbacks[0].next_ms == T0 + 1_000
    assert "fit_for_the_scale" in (view.trace or "")
    assert f"{turn}: attempt 2 failed: ValueError; the next one comes in 2.000 s" in caplog.messages


def ordering(app: App, steps: list[str]) -> Any:
    @app.engine(name="order", signals={"go": int})
    async def order(ctx: AsyncCtx) -> None:
        for name in steps:
            await ctx.step(name, int, 1)
        await ctx.wait("go", int)

    return order


def test_a_misfit_is_told_once_and_again_where_its_reason_changes(world: World) -> None:
    v1, v2, v3 = (app_of(world) for _ in range(3))
    handle = v1.using(id="p").start(ordering(v1, ["weigh"]))
    ordering(v2, ["measure"])
    ordering(v3, ["pack"])
    assert work(world, v1, "w_1", release="v1") == ["parked"]
    world.do(owners.reap("w_1", "shutdown"))
    handle.signal("go", 1)
    for app, release in ((v2, "v2"), (v3, "v3")):
        for _ in range(4):
            assert work(world, app, f"w_{release}", release=release) == ["released"]
            world.clock.advance(60)
            world.tick()
        world.do(owners.reap(f"w_{release}", "shutdown"))
    first, second = told(v1, "misfit")
    assert (first.payload["kind"], first.payload["next_ms"], first.payload["release"]) == (
        "mismatch",
        first.at_ms + 1_000,
        "v2",
    )
    assert "measure" in first.payload["what"]
    assert "pack" in second.payload["what"]
    assert [(one.kind, one.code, one.number) for one in handle.view().setbacks] == [("misfit", "mismatch", None)] * 2


def test_two_releases_that_differ_in_turn_add_a_bounded_number_of_events(world: World) -> None:
    v1, v2, v3 = (app_of(world) for _ in range(3))
    handle = v1.using(id="p").start(ordering(v1, ["weigh"]))
    ordering(v2, ["measure"])
    ordering(v3, ["pack"])
    work(world, v1, "w_1", release="v1")
    world.do(owners.reap("w_1", "shutdown"))
    handle.signal("go", 1)
    for _ in range(20):
        for app, release in ((v2, "v2"), (v3, "v3")):
            assert work(world, app, f"w_{release}", release=release) == ["released"]
            world.do(owners.reap(f"w_{release}", "shutdown"))
            world.clock.advance(90)
            world.tick()
    assert len(told(v1, "misfit")) == 10
    work(world, v1, "w_1", release="v1")
    assert (handle.status().status, world.view().fields.get("mn")) == ("completed", None)


def test_a_setback_wakes_no_session_and_answers_no_wait(world: World) -> None:
    app = app_of(world)

    @app.agent("clerk")
    async def clerk(turn: AsyncTurn) -> None:
        """Reads."""

    session = app.session("clerk", "1")
    app.using(id="p", wake=session).start(flaky(app, 2, retries=5), 7)
    served(world, app, 2)
    assert session.wakes() == []
    served(world, app, 2)
    assert [entry.event_type for entry in session.wakes()] == ["process.completed"]


def test_messages_and_frames_have_no_token_and_no_password_of_a_url(world: World) -> None:
    app = app_of(world)

    @app.tool(name="charge", retries=1, backoff=0)
    def charge() -> None:
        raise ValueError("redis://shop:pass/word@db:6379 and wt1.abcdefgh.ijkl")

    handle = app.using(id="p").start(charge)
    served(world, app, 3)
    view = handle.view()
    assert view.setbacks[0].message == "redis://shop:…@db:6379 and wt1.…"
    assert "redis://shop:…@db:6379 and wt1.…" in str(view.trace)
    assert "pass/word" not in str(view.trace)
