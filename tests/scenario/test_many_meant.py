"""`app.many`: one verb for all that a filter fits. Each process gets it once, and the report says what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from secrets import token_hex
from typing import Any

import pytest
from wakeline import App, AsyncCtx, AsyncTurn, Engine, ManyOptions
from wakeline.errors import CountMoved, InvalidArguments, PayloadSchemaMismatch, RedisUnavailable, WrongVerb
from wakeline.observe import ManyReport
from wakeline.settings import Settings
from wakeline.store.connection import Backend
from wakeline_workers.loop import WorkerLoop


def work(app: App) -> None:
    """A worker, until there is nothing left to do."""
    asyncio.run(WorkerLoop(app, burst=True).serve())


@pytest.fixture
def app(backend: Backend) -> App:
    """An app that is worked off by hand."""
    made = App("t" + token_hex(4), backend=backend, settings=Settings(hold_ms=0, grace_ms=500))

    @made.engine(signals={"publish": bool, "note": str})
    async def draft(ctx: AsyncCtx, n: int) -> bool:
        return await ctx.wait("publish", bool)

    @made.engine
    async def breaks(ctx: AsyncCtx, n: int) -> int:
        raise ValueError(f"broken {n}")

    return made


@pytest.fixture
def draft(app: App) -> Engine[[int], bool]:
    return app.registry.engines["draft"]


@pytest.fixture
def breaks(app: App) -> Engine[[int], int]:
    return app.registry.engines["breaks"]


def drafts(app: App, n: int) -> list[str]:
    """So many drafts that wait."""
    body = app.registry.engines["draft"]
    ids = [f"d{i:03}" for i in range(n)]
    app.start_many(body, [{"n": i} for i in range(n)], ids=ids)
    work(app)
    return ids


def failed(app: App, n: int) -> list[str]:
    ids = [f"b{i:03}" for i in range(n)]
    app.start_many(app.registry.engines["breaks"], [{"n": i} for i in range(n)], ids=ids)
    work(app)
    return ids


def statuses(app: App) -> dict[str, str]:
    return {one.id: one.status for one in app.processes(limit=1_000)}


def sums(report: ManyReport) -> tuple[int, int, int, int]:
    return (report.matched, report.done, report.unchanged, report.refused)


class Interrupt:
    """A progress that is interrupted like a terminal, after the first batch."""

    def __call__(self, report: ManyReport) -> None:
        raise KeyboardInterrupt


# -- cancel


def test_a_cancel_asks_all_that_the_filter_fits_to_end_and_no_other(app: App) -> None:
    drafts(app, 250)
    app.external("ci", id="other")
    assert sums(app.many.cancel("waiting", kind="draft", reason="over")) == (250, 250, 0, 0)
    work(app)
    found = statuses(app)
    assert found.pop("other") == "running"
    assert set(found.values()) == {"cancelled"}


def test_what_was_asked_to_end_before_is_not_counted(app: App) -> None:
    app.external("ci", id="x")
    app.external("ci", id="y")
    app.handle("x").cancel()
    assert app.many.cancel(everything=True, dry_run=True).examples == ("y",)


def test_an_interrupted_cancel_goes_on_with_those_that_are_left(app: App) -> None:
    drafts(app, 250)
    with pytest.raises(KeyboardInterrupt):
        app.many.cancel("live", progress=Interrupt())
    assert sums(app.many.cancel("live", dry_run=True)) == (150, 0, 0, 0)
    assert app.many.cancel("live").done == 150


def test_a_cancel_finds_what_goes_to_another_list_beside_it(app: App, draft: Engine[[int], bool]) -> None:
    """A parked process is resumed in the middle: it leaves the list of those that wait for one that came before."""
    drafts(app, 150)
    app.using(id="late").start(draft, 1)  # queued: the last list
    moved: list[str] = []

    def resumed(report: ManyReport) -> None:
        if not moved:
            moved.append("late")
            work(app)  # it begins, and waits: a list that the walk has begun

    report = app.many.cancel("live", progress=resumed)
    assert (report.matched, report.done) == (151, 151)


def test_names_labels_and_times_are_filters_of_the_verbs_too(app: App, draft: Engine[[int], bool]) -> None:
    for n in range(4):
        app.using(id=f"report-{n}", labels={"tenant": "a" if n % 2 else "b"}).start(draft, n)
    work(app)
    assert app.many.cancel("live", labels={"tenant": "a"}, dry_run=True).examples == ("report-3", "report-1")
    assert app.many.cancel("live", beginning="report-2", name="draft", since="1h", dry_run=True).matched == 1
    assert app.many.cancel("live", name="draft", until="1h", dry_run=True).matched == 0
    assert sums(app.many.signal("publish", True, name="draft", labels={"tenant": "b"})) == (2, 2, 0, 0)
    work(app)
    assert sorted(statuses(app).values()) == ["completed", "completed", "waiting", "waiting"]


# -- retry


def test_a_retry_runs_those_that_failed_again_and_asked_again_it_is_the_same(app: App) -> None:
    failed(app, 250)
    drafts(app, 1)
    assert sums(app.many.retry(kind="breaks")) == (250, 250, 0, 0)
    assert sums(app.many.retry(kind="breaks")) == (250, 0, 250, 0)
    assert len(app.processes("queued", limit=1_000)) == 250
    assert app.handle("b007~r1").status().status == "queued"


def test_a_retry_does_not_run_again_what_fails_again_beside_it(app: App) -> None:
    failed(app, 150)
    report = app.many.retry(kind="breaks", progress=lambda report: work(app))
    assert sums(report) == (150, 150, 0, 0)
    assert len(statuses(app)) == 300


def test_a_retry_says_for_which_it_was_refused_and_why(app: App) -> None:
    app.external("ci", id="outside").fail("broken", "it broke")
    failed(app, 1)
    report = app.many.retry("failed")
    assert sums(report) == (2, 1, 0, 1)
    assert [(one.id, one.code) for one in report.refusals] == [("outside", "process_not_retryable")]


def test_an_interrupted_retry_goes_on_and_each_has_one(app: App) -> None:
    failed(app, 250)
    with pytest.raises(KeyboardInterrupt):
        app.many.retry("failed", progress=Interrupt())
    assert sums(app.many.retry("failed")) == (250, 150, 100, 0)
    assert len(statuses(app)) == 500


# -- signal


def test_a_signal_is_sent_to_all_that_wait_for_it_under_one_key(app: App) -> None:
    ids = drafts(app, 250)
    report = app.many.signal("publish", True, key="release-1", waiting="publish")
    assert (sums(report), report.key) == ((250, 250, 0, 0), "release-1")
    work(app)
    assert {app.handle(pid).result(timeout=0) for pid in ids} == {True}


def test_the_same_key_again_signals_each_process_once(app: App) -> None:
    [pid] = drafts(app, 1)
    assert sums(app.many.signal("note", "a", key="k", kind="draft")) == (1, 1, 0, 0)
    assert sums(app.many.signal("note", "a", key="k", kind="draft")) == (1, 0, 1, 0)
    assert [one.type for one in app.handle(pid).events()].count("signal.note") == 1


def test_without_a_key_the_report_has_the_one_that_was_made(app: App) -> None:
    drafts(app, 1)
    first = app.many.signal("note", "a", kind="draft", dry_run=True).key
    assert first is not None
    assert first.startswith("many-")


def test_a_signal_that_they_do_not_take_is_refused_for_each(app: App) -> None:
    drafts(app, 30)
    report = app.many.signal("publish", "perhaps", kind="draft")
    assert sums(report) == (30, 0, 0, 30)
    assert len(report.refusals) == 20
    assert {one.code for one in report.refusals} == {PayloadSchemaMismatch.code}


def test_an_interrupted_signal_goes_on_under_its_key(app: App) -> None:
    ids = drafts(app, 250)
    with pytest.raises(KeyboardInterrupt):
        app.many.signal("note", "a", key="k", kind="draft", progress=Interrupt())
    assert sums(app.many.signal("note", "a", key="k", kind="draft")) == (250, 150, 100, 0)
    assert {[one.type for one in app.handle(pid).events()].count("signal.note") for pid in ids} == {1}


# -- redrive


def stuck(app: App, n: int) -> None:
    """So many entries of two sessions, whose turn is given up."""

    @app.agent("clerk", max_attempts=1)
    async def clerk(turn: AsyncTurn) -> None:
        raise ValueError("no")

    for i in range(n):
        app.session("clerk", str(i % 2)).send(f"{i}")
        work(app)


def test_a_redrive_offers_all_that_failed_again_in_the_order_in_which_they_came(app: App) -> None:
    stuck(app, 6)
    assert {one.state for one in app.undeliverable()} == {"failed"}
    assert sums(app.many.redrive("failed", agent="clerk")) == (6, 6, 0, 0)
    inputs = [one.input for one in app.session("clerk", "0").wakes(limit=10) if one.state in ("delivered", "admitted")]
    assert inputs == ["0", "2", "4"]
    assert app.many.redrive("failed").matched == 0


def test_a_redrive_leaves_other_agents_and_states_alone(app: App) -> None:
    stuck(app, 2)
    assert app.many.redrive(agent="nosuch").matched == 0
    assert app.many.redrive("undeliverable").matched == 0
    assert app.many.redrive("failed", dry_run=True).examples == ("clerk/1#1", "clerk/0#1")


# -- what all share

VERBS: dict[str, Callable[[App, ManyOptions], ManyReport]] = {
    "cancel": lambda app, options: app.many.cancel(**options),
    "retry": lambda app, options: app.many.retry(**options),
    "signal": lambda app, options: app.many.signal("note", "a", **options),
    "redrive": lambda app, options: app.many.redrive(**options),
    "prune": lambda app, options: app.many.prune(**options),
}


@pytest.mark.parametrize("verb", VERBS)
def test_no_filter_is_refused_and_everything_is_no_filter(app: App, verb: str) -> None:
    with pytest.raises(InvalidArguments, match="it has no filter, and so would mean everything"):
        VERBS[verb](app, {})
    assert sums(VERBS[verb](app, {"everything": True})) == (0, 0, 0, 0)


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "redrive"])
def test_a_filter_beside_everything_is_refused(app: App, verb: str) -> None:
    with pytest.raises(InvalidArguments, match="everything=True"):
        VERBS[verb](app, {"everything": True, "kind": "draft"})


@pytest.mark.parametrize("verb", VERBS)
def test_an_option_that_there_is_not_is_refused(app: App, verb: str) -> None:
    options: Any = {"nosuch": 1}
    with pytest.raises(InvalidArguments, match="the options are beginning, dry_run, everything"):
        VERBS[verb](app, options)


def test_more_than_were_confirmed_are_a_conflict_and_nothing_is_done(app: App) -> None:
    drafts(app, 3)
    with pytest.raises(CountMoved):
        app.many.cancel("waiting", expect=2)
    assert app.many.cancel("waiting", dry_run=True).matched == 3


def test_in_a_body_it_is_refused(app: App) -> None:
    @app.engine
    async def asks(ctx: AsyncCtx) -> str:
        try:
            await app.aio.many.cancel("live")
        except WrongVerb as wrong:
            return wrong.use
        return "it did"

    handle = app.start(asks)
    work(app)
    assert handle.result(timeout=0) == "await ctx.cancel(id) for each"


def test_a_batch_of_a_hundred_is_a_few_round_trips(app: App) -> None:
    drafts(app, 300)
    app.many.signal("note", "a", kind="draft", dry_run=True)
    before = app.store.sent.counts["round_trips"]
    assert app.many.signal("note", "a", kind="draft").done == 300
    assert app.store.sent.counts["round_trips"] - before <= 14


def test_a_server_that_goes_away_ends_it_and_its_progress_has_what_was_done(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    drafts(app, 250)
    told: list[ManyReport] = []
    real = app.store._execute_each

    def away(calls: Any) -> Any:
        return [RedisUnavailable(reason="gone") for _ in calls] if told else real(calls)

    monkeypatch.setattr(app.store, "_execute_each", away)
    with pytest.raises(RedisUnavailable):
        app.many.cancel("live", progress=told.append)
    assert [one.done for one in told] == [100, 100]


def test_the_awaited_twins_do_the_same(app: App) -> None:
    failed(app, 3)
    drafts(app, 120)

    async def all_of_them() -> list[tuple[int, int, int, int]]:
        many = app.aio.many
        try:
            return [
                sums(await many.retry("failed")),
                sums(await many.signal("publish", "perhaps", waiting="publish")),
                sums(await many.cancel("waiting")),
                sums(await many.redrive("failed")),
                sums(await many.prune("failed")),
            ]
        finally:
            await app.aio.close()

    assert asyncio.run(all_of_them()) == [(3, 3, 0, 0), (120, 0, 0, 120), (120, 120, 0, 0), (0, 0, 0, 0), (3, 3, 0, 0)]
