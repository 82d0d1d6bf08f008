"""Triggers through the public API: what happens at a source starts what is subscribed, once, even after a crash."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from secrets import token_hex
from typing import Any

import pytest
from wakeline import App, AsyncCtx, AsyncTurn, Ctx, Turn, current
from wakeline.errors import (
    InvalidArguments,
    InvalidId,
    InvalidPayload,
    InvalidSchedule,
    OccurrenceConflict,
    PayloadTooLarge,
    SubscriptionChanged,
    SubscriptionLimit,
    SubscriptionNotFound,
)
from wakeline.settings import Settings
from wakeline.store import triggers
from wakeline.store.connection import Backend
from wakeline.testing.clock import VirtualClock
from wakeline.verbs import triggers as triggers_verbs

from tests.scenario.conftest import served, until


@pytest.fixture
def still(backend: Backend) -> Iterator[App]:
    """An app without a worker."""
    made = App("t" + token_hex(4), backend=backend)
    yield made
    made.close()


def declare(app: App, ran: list[Any] | None = None) -> Any:
    @app.engine
    async def build(ctx: AsyncCtx, repo: str, user: str = "nobody") -> str:
        if ran is not None:
            ran.append(repo)
        return f"{repo} for {user}"

    return build


# -- emitting


def test_an_occurrence_starts_what_is_subscribed_and_its_repetition_starts_nothing(app: App) -> None:
    ran: list[str] = []
    build = declare(app, ran)
    push = app.trigger("github.push")
    push.subscribe(build)
    first = push.emit({"repo": "shop", "user": "ann"}, key="d1")
    again = push.emit({"repo": "shop", "user": "ann"}, key="d1")
    assert (len(first.started), first.replayed, again.replayed, again.started) == (1, False, True, first.started)
    assert app.handle(first.started[0]).result(timeout=10) == "shop for ann"
    assert ran == ["shop"]


def test_an_occurrence_that_is_emitted_again_says_nothing_in_the_log(
    still: App, caplog: pytest.LogCaptureFixture
) -> None:
    push = still.trigger("github.push")
    push.subscribe(declare(still))
    assert [push.emit({"repo": "shop"}, key="d1").replayed for _ in range(2)] == [False, True]
    assert caplog.messages == []


def test_a_key_means_one_payload(still: App) -> None:
    push = still.trigger("github.push")
    push.emit({"repo": "a"}, key="d1")
    with pytest.raises(OccurrenceConflict, match="'d1' of 'github.push'"):
        push.emit({"repo": "b"}, key="d1")


def test_every_matching_subscription_starts_one_process_of_its_own(still: App) -> None:
    build = declare(still)
    push = still.trigger("github.push")
    push.subscribe(build, name="all")
    push.subscribe(build, name="shop-only", source_key="shop", input={"repo": "{repo}", "user": "the {repo} team"})
    off = push.subscribe(build, name="off")
    assert push.disable(off.id) is True
    assert push.disable(off.id) is False
    assert [len(push.emit({"repo": "x"}, source_key=key).started) for key in ("shop", "site", None)] == [2, 1, 1]
    assert push.enable(off.id) is True
    assert len(push.emit({"repo": "x"}).started) == 2
    push.remove(off.id)
    assert [view.subscription.name for view in push.subscriptions()] == ["all", "shop-only"]


def test_eight_emitters_of_one_key_start_one_process(still: App) -> None:
    build = declare(still)
    push = still.trigger("github.push")
    push.subscribe(build)
    receipts: list[Any] = []
    threads = [threading.Thread(target=lambda: receipts.append(push.emit({"repo": "x"}, key="same"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {receipt.started for receipt in receipts} == {receipts[0].started}
    assert [receipt.replayed for receipt in receipts].count(False) == 1
    assert len(still.processes("any")) == 1


def test_what_a_subscription_cannot_start_is_in_the_receipt_and_does_not_hinder_the_others(still: App) -> None:
    build = declare(still)
    push = still.trigger("github.push")
    push.subscribe(build, name="fits")
    bad = push.subscribe(build, name="misses", input={"repo": "{repository.name}"})
    receipt = push.emit({"repo": "x"}, key="k")
    assert len(receipt.started) == 1
    assert receipt.failed == (
        (bad.id, "invalid_arguments: The arguments do not fit build: the payload has nothing at /repository/name."),
    )
    assert push.emit({"repo": "x"}, key="k").failed == receipt.failed


def test_bad_occurrences_are_refused_and_leave_nothing(still: App) -> None:
    build = declare(still)
    push = still.trigger("github.push", dict[str, int])
    push.subscribe(build)
    with pytest.raises(InvalidPayload):
        push.emit({"repo": "x"})
    with pytest.raises(PayloadTooLarge):
        still.trigger("github.push").emit("x" * 9_000_000)
    with pytest.raises(InvalidId):
        push.emit({"a": 1}, key=" ")
    with pytest.raises(InvalidId):
        still.trigger("git hub")
    assert still.processes("any") == []


# -- subscribing


def test_subscribing_again_is_the_same_and_a_change_is_a_revision(still: App) -> None:
    build = declare(still)
    push = still.trigger("github.push")
    first = push.subscribe(build)
    assert (first.revision, first.changed) == (1, True)
    assert push.subscribe(build).changed is False
    second = push.subscribe(build, labels={"team": "core"}, revision=1)
    assert (second.id, second.revision) == (first.id, 2)
    with pytest.raises(SubscriptionChanged, match="revision 2, not 1"):
        push.subscribe(build, revision=1)
    with pytest.raises(SubscriptionChanged):
        push.disable(first.id, revision=1)
    with pytest.raises(SubscriptionNotFound):
        push.enable("sub:none")


def test_a_source_has_at_most_256_subscriptions(still: App) -> None:
    build = declare(still)
    push = still.trigger("busy")
    for number in range(256):
        push.subscribe(build, name=f"n{number}")
    with pytest.raises(SubscriptionLimit):
        push.subscribe(build, name="one-more")
    assert push.subscribe(build, name="n0", labels={"a": "b"}).revision == 2
    assert len(push.emit({"repo": "x"}).started) == 256


def test_an_input_names_what_the_body_takes(still: App) -> None:
    with pytest.raises(InvalidArguments, match="'branch', which is none of repo, user"):
        still.trigger("github.push").subscribe(declare(still), input={"branch": "{ref}"})
    with pytest.raises(InvalidArguments, match=r"@app\.engine or @app\.tool"):
        still.trigger("github.push").subscribe(len)  # type: ignore[arg-type]


# -- crashes


def test_what_an_emitter_did_not_deliver_is_delivered_by_a_worker_to_the_same_process(backend: Backend) -> None:
    ran: list[str] = []
    app = App("t" + token_hex(4), backend=backend, settings=Settings(hold_ms=50, beat_ms=200, lease_ms=1000))
    build = declare(app, ran)
    push = app.trigger("github.push")
    push.subscribe(build)
    program = push.at.emitting({"repo": "x"}, "k", None)
    app.store.execute(next(program))  # type: ignore[arg-type]
    program.close()  # killed between the occurrence and the start
    assert app.processes("any") == []
    with served(app):
        until(lambda: ran == ["x"])
        receipt = push.emit({"repo": "x"}, key="k")
        assert (receipt.replayed, len(receipt.started)) == (True, 1)
        assert app.handle(receipt.started[0]).result(timeout=5) == "x for nobody"
    assert ran == ["x"]
    app.close()


def test_an_emitter_without_the_code_leaves_the_start_to_a_worker_that_has_it(backend: Backend) -> None:
    name, settings = "t" + token_hex(4), Settings(hold_ms=50, beat_ms=200, lease_ms=1000)
    web = App(name, backend=backend, settings=settings)
    worker = App(name, backend=backend, settings=settings)
    ran: list[str] = []
    build = declare(worker, ran)
    subscribed = worker.trigger("github.push").subscribe(build)
    assert web.trigger("github.push").emit({"repo": "x"}).waiting == (subscribed.id,)
    with served(worker):
        until(lambda: ran == ["x"])
    web.close()
    worker.close()


def test_what_a_later_release_stored_stops_neither_an_emitter_nor_a_worker(backend: Backend) -> None:
    ran: list[str] = []
    app = App("t" + token_hex(4), backend=backend, settings=Settings(hold_ms=50, beat_ms=200, lease_ms=1000))
    build = declare(app, ran)
    push, raw = app.trigger("github.push"), app.backend.sync()
    later = push.subscribe(build, name="later")
    push.subscribe(build, name="now")
    subs = f"{app.address.prefix}subs:github.push"
    raw.hset(subs, later.id, str(raw.hget(subs, later.id))[:-1] + ',"a_field_of_tomorrow":1}')
    raw.zadd(f"{app.address.prefix}cron", {"odd": 1, "build": 1_767_225_600_000})
    raw.hset(f"{app.address.prefix}schedule:odd", "s", '{"a_field_of_tomorrow":1}')
    schedule = app.cron("* * * * *", build, input={"repo": "minutely"})
    raw.hset(
        f"{app.address.prefix}schedule:build",
        mapping={"s": schedule.model_dump_json(exclude_defaults=True), "h": schedule.content_hash},
    )
    receipt = push.emit({"repo": "x"}, key="k")
    assert (len(receipt.started), receipt.waiting) == (1, (later.id,))
    assert [view.subscription.name for view in push.subscriptions()] == ["now"]
    with served(app):
        until(lambda: sorted(ran) == ["minutely", "x"])
        app.start(build, "after").result(timeout=5)
    assert push.emit({"repo": "x"}, key="k").waiting == (later.id,)
    app.close()


def test_a_schedule_whose_time_zone_this_machine_lacks_keeps_no_other_from_its_moment(backend: Backend) -> None:
    ran: list[str] = []
    app = App("t" + token_hex(4), backend=backend, settings=Settings(hold_ms=50))
    build = declare(app, ran)
    good = app.cron("* * * * *", build, name="good", input={"repo": "minutely"})
    foreign = good.model_copy(
        update={"timezone": "Mars/Olympus", "subscription": good.subscription.model_copy(update={"name": "foreign"})}
    )
    raw = app.backend.sync()
    for due, one in ((1, foreign), (1_767_225_600_000, good)):
        raw.hset(
            f"{app.address.prefix}schedule:{one.name}",
            mapping={"s": one.model_dump_json(exclude_defaults=True), "h": one.content_hash},
        )
        raw.zadd(f"{app.address.prefix}cron", {one.name: due})
    with served(app):
        until(lambda: ran == ["minutely"])
    app.close()


# -- in bodies, turns and tools


@pytest.mark.parametrize("is_async", [True, False])
def test_a_body_emits_once_whatever_happens(app: App, is_async: bool) -> None:
    build = declare(app)
    app.trigger("order.paid").subscribe(build)

    if is_async:

        @app.engine(name="pays")
        async def pays(ctx: AsyncCtx) -> list[str]:
            receipt = await ctx.trigger("order.paid").emit({"repo": "x"})
            await ctx.sleep("60ms")
            return list(receipt.started)
    else:

        @app.engine(name="pays")
        def pays(ctx: Ctx) -> list[str]:
            receipt = ctx.trigger("order.paid").emit({"repo": "x"})
            ctx.sleep("60ms")
            return list(receipt.started)

    [started] = app.start(pays).result(timeout=10)  # type: ignore[arg-type, misc, unused-ignore]
    assert app.handle(str(started)).result(timeout=5) == "x for nobody"
    assert len([row for row in app.processes("any") if row.kind == "build"]) == 1


@pytest.mark.parametrize("is_async", [True, False])
def test_what_a_session_subscribed_wakes_it_and_goes_with_it(app: App, is_async: bool) -> None:
    build = declare(app)
    seen: list[str] = []

    if is_async:

        @app.agent("watcher")
        async def watcher(turn: AsyncTurn) -> None:
            for item in turn.inbox:
                seen.append(str(item.input))
            if "watch" in seen[-1]:
                await turn.trigger("github.push").subscribe(build)
    else:

        @app.agent("watcher")
        def watcher(turn: Turn) -> None:
            for item in turn.inbox:
                seen.append(str(item.input))
            if "watch" in seen[-1]:
                turn.trigger("github.push").subscribe(build)

    session, push = app.session("watcher", "one"), app.trigger("github.push")
    session.ask("please watch", timeout=10)
    [view] = push.subscriptions()
    assert view.subscription.owner == "watcher/one"
    push.emit({"repo": "x"})
    until(lambda: len(seen) == 2)
    assert "x for nobody" in seen[1]
    session.delete()
    until(lambda: push.subscriptions() == [])
    assert push.emit({"repo": "x"}).started == ()


def test_a_tool_that_reuses_a_key_for_another_payload_fails_as_a_call_does(app: App) -> None:
    app.trigger("order.paid").emit({"order": 1}, key="k")

    @app.tool
    def pay() -> None:
        current().trigger("order.paid", {"order": 2}, key="k")

    @app.engine
    async def pays(ctx: AsyncCtx) -> list[str]:
        [outcome] = await ctx.call_batch([(pay, {})])
        return [type(outcome).__name__, getattr(outcome, "code", "")]

    assert app.start(pays).result(timeout=10) == ["Failure", "occurrence_conflict"]


def test_what_a_tool_emits_is_told_with_its_outcome_and_again_when_it_is_replayed(app: App) -> None:
    build = declare(app)
    app.trigger("order.paid").subscribe(build)
    tries: list[int] = []
    drained: list[list[Any]] = []

    @app.tool(retries=2, backoff=0)
    def charge() -> str:
        current().trigger("order.paid", {"repo": "x"})
        tries.append(1)
        if len(tries) == 1:
            raise ValueError("once")
        return "charged"

    @app.engine
    async def pays(ctx: AsyncCtx) -> str:
        done = await ctx.call(charge)
        drained.append(ctx.execution.drain_tool_trigger_outcomes())
        assert ctx.execution.drain_tool_trigger_outcomes() == []
        await ctx.sleep("500ms")
        return done

    assert app.start(pays).result(timeout=10) == "charged"
    assert len(drained) == 2
    assert drained[0] == drained[1]
    assert len(drained[0]) == 1
    assert len([row for row in app.processes("any") if row.kind == "build"]) == 1


def test_a_turn_that_subscribed_goes_on_under_a_release_with_another_environment(backend: Backend) -> None:
    name, done = "t" + token_hex(4), []

    def release(tone: str) -> App:
        app = App(name, backend=backend, environment={"plugin_options": {"tone": tone}}, settings=Settings(hold_ms=20))
        build = declare(app)

        @app.agent("watcher")
        async def watcher(turn: AsyncTurn) -> None:
            await turn.trigger("github.push").subscribe(build)
            done.append((tone, await turn.wait("go", bool)))

        return app

    first, second = release("kind"), release("stern")
    session = first.session("watcher", "one")
    session.send("watch")
    with served(first):
        until(lambda: session.inspect().turn_status == "waiting")
    with served(second):
        turn = session.turn()
        assert turn is not None
        turn.signal("go", True)
        until(lambda: done == [("stern", True)])
        until(lambda: session.inspect().status == "idle")
    first.close()
    second.close()


# -- schedules


class Clockwork:
    """An app on a virtual clock, and what a worker does when its tick found something."""

    def __init__(self, backend: Backend, **options: Any) -> None:
        # 2026-01-01 00:00 UTC
        self.clock = VirtualClock(1_767_225_600_000)
        self.app = App("t" + token_hex(4), backend=backend, clock=self.clock)
        self.build = declare(self.app)
        self.schedule = self.app.cron("0 9 * * *", self.build, name="daily", input={"repo": "{at}"}, **options)
        self.app.run("declare", triggers_verbs.declare(self.app.registry.schedules.values()))

    def tick(self) -> list[str]:
        """The processes that were started, by what they were told."""
        from wakeline.store import ticks

        before = {row.id for row in self.app.processes("any")}
        s = self.app.settings
        while True:
            report = self.app.store.execute(
                ticks.tick(
                    beat_ms=s.beat_ms,
                    lease_ms=s.lease_ms,
                    stale_ms=s.stale_ms,
                    retention_ms=s.retention_ms,
                    tombstone_ms=s.tombstone_ms,
                )
            )
            for schedule, due_ms in report.schedules:
                self.app.run("fire", triggers_verbs.fire(self.app.caller, schedule, due_ms, report.now_ms))
            if not report.schedules:
                break
        new = [row for row in self.app.processes("any") if row.id not in before]
        return sorted(self._told(row.id) for row in new)

    def _told(self, pid: str) -> str:
        from wakeline.store import processes

        return str(self.app.store.execute(processes.read(pid)).registration.input.payload["repo"])  # type: ignore[union-attr, index, call-overload]


def test_a_schedule_starts_at_its_moment_once_over_all_workers(backend: Backend) -> None:
    world = Clockwork(backend)
    world.clock.advance("8h59m")
    assert world.tick() == []
    world.clock.advance("1m")
    stale = [
        triggers_verbs.fire(world.app.caller, world.schedule, world.clock.now_ms(), world.clock.now_ms())
        for _ in range(2)
    ]
    assert [world.app.run("fire", one) is None for one in stale] == [False, True]
    assert len(world.app.processes("any")) == 1
    assert world.tick() == []
    world.clock.advance("1d")
    assert world.tick() == ["2026-01-02T09:00:00+00:00"]


@pytest.mark.parametrize(
    ("missed", "started"),
    [
        ("once", ["2026-01-03T09:00:00+00:00"]),
        ("skip", []),
        ("all", ["2026-01-01T09:00:00+00:00", "2026-01-02T09:00:00+00:00", "2026-01-03T09:00:00+00:00"]),
    ],
)
def test_moments_nobody_was_there_for_become_what_the_schedule_says(
    backend: Backend, missed: str, started: list[str]
) -> None:
    world = Clockwork(backend, missed=missed)
    world.clock.advance("2d12h")
    assert world.tick() == started
    world.clock.advance("21h")
    assert world.tick() == ["2026-01-04T09:00:00+00:00"]


@pytest.mark.parametrize(("overlap", "live"), [("allow", 2), ("skip", 1), ("replace", 1)])
def test_a_process_that_still_runs_means_what_the_schedule_says(backend: Backend, overlap: str, live: int) -> None:
    world = Clockwork(backend, overlap=overlap)
    world.clock.advance("9h")
    [first] = [*world.tick()]
    world.clock.advance("1d")
    assert len(world.tick()) == (0 if overlap == "skip" else 1)
    asked = [row for row in world.app.processes("live") if "cr" in _fields(world.app, row.id)]
    assert len(asked) == (1 if overlap == "replace" else 0)
    assert len(world.app.processes("live")) - len(asked) == live
    assert first == "2026-01-01T09:00:00+00:00"


def _fields(app: App, pid: str) -> Any:
    from wakeline.store import processes

    return app.store.execute(processes.read(pid)).fields


def test_a_changed_schedule_is_due_anew_and_an_unchanged_one_stays(backend: Backend) -> None:
    world = Clockwork(backend)
    [view] = world.app.store.execute(triggers.list_all())[1]
    assert view.due_ms == 1_767_225_600_000 + 9 * 3_600_000
    world.clock.advance("1h")
    world.app.run("declare", triggers_verbs.declare([world.schedule]))
    assert world.app.store.execute(triggers.list_all())[1] == [view]
    changed = world.schedule.model_copy(update={"expression": "30 1 * * *"})
    world.app.run("declare", triggers_verbs.declare([changed]))
    assert world.app.store.execute(triggers.list_all())[1][0].due_ms == 1_767_225_600_000 + 5_400_000
    world.app.store.execute(triggers.remove_schedule("daily"))
    assert world.app.store.execute(triggers.list_all()) == ([], [])
    with pytest.raises(SubscriptionNotFound):
        world.app.store.execute(triggers.remove_schedule("daily"))


def test_a_worker_starts_what_is_due(backend: Backend) -> None:
    ran: list[str] = []
    app = App("t" + token_hex(4), backend=backend, settings=Settings(hold_ms=50))
    build = declare(app, ran)
    schedule = app.cron("* * * * *", build, input={"repo": "minutely"})
    app.run("declare", triggers_verbs.declare([schedule]))
    # A minute is too long for a test: the moment is said to be now.
    key = f"{app.address.prefix}cron"
    app.backend.sync().zadd(key, {"build": 1_767_225_600_000})
    with served(app):
        until(lambda: ran == ["minutely"])
    app.close()


@pytest.mark.parametrize("kind", ["tool", "engine"])
def test_a_schedule_and_a_subscription_of_a_renamed_body_stay_what_they_were(backend: Backend, kind: str) -> None:
    name = "t" + token_hex(4)

    def release(*names: str) -> App:
        app = App(name, backend=backend)

        def report(at: str) -> str:
            return at

        async def reports(ctx: AsyncCtx, at: str) -> str:
            return at

        own, was = names[-1], names[:-1]
        body: Any = app.tool(name=own, was=was)(report) if kind == "tool" else app.engine(name=own, was=was)(reports)
        app.cron("* * * * *", body)
        app.trigger("day.over").subscribe(body)
        return app

    first = release("tick")
    first.run("declare", triggers_verbs.declare(first.declared.schedules))
    second = release("tick", "tock")
    second.run("declare", triggers_verbs.declare(second.declared.schedules))
    assert [(one.name, one.subscription.target.name) for one in second.declared.schedules] == [("tick", "tick")]
    told = second.trigger("day.over").emit({"at": "noon"})
    assert len(told.started) == 1
    assert second.handle(told.started[0]).status().kind == ("tool" if kind == "tool" else "tock")
    again = first.trigger("day.over").emit({"at": "evening"})
    assert (len(again.started), again.waiting) == (1, ())


def test_a_schedule_that_cannot_be_is_refused_where_it_is_written(still: App) -> None:
    build = declare(still)
    with pytest.raises(InvalidSchedule, match="five fields"):
        still.cron("every day", build, input={"repo": "x"})
    with pytest.raises(InvalidArguments):
        still.cron("0 9 * * *", build)
