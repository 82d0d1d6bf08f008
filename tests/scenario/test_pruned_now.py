"""`app.many.prune`: what has ended goes now. It counts first, and does nothing to what was not confirmed."""

from __future__ import annotations

import asyncio
from secrets import token_hex

import pytest
from wakeline import App
from wakeline.errors import CountMoved, InvalidArguments, InvalidDuration, ProcessNoLongerRetained
from wakeline.observe import ManyReport, Refusal
from wakeline.settings import Settings
from wakeline.store.connection import Backend
from wakeline.testing.clock import VirtualClock

DAY_S = 86_400


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(1_700_000_000_000)


@pytest.fixture
def app(backend: Backend, clock: VirtualClock) -> App:
    return App("t" + token_hex(4), backend=backend, clock=clock, settings=Settings(tombstone_ms=3_600_000))


def ended(app: App, *ids: str) -> None:
    for one in ids:
        app.external("ci", id=one).finish()


def failed(app: App, *ids: str) -> None:
    for one in ids:
        app.external("ci", id=one).fail("broken", "it broke")


def kept(app: App) -> list[str]:
    return sorted(one.id for one in app.processes(limit=1_000))


def test_what_ended_long_enough_ago_goes_and_the_report_says_how_many(app: App, clock: VirtualClock) -> None:
    ended(app, "old-1", "old-2")
    failed(app, "old-3")
    clock.advance(DAY_S)
    ended(app, "new")
    app.external("ci", id="lives")
    assert app.many.prune(older_than="1d") == ManyReport(matched=3, done=3, examples=("old-2", "old-1", "old-3"))
    assert kept(app) == ["lives", "new"]
    with pytest.raises(ProcessNoLongerRetained):
        app.handle("old-1").status()


def test_only_those_of_the_status_go(app: App) -> None:
    ended(app, "c")
    failed(app, "f")
    assert app.many.prune("failed").done == 1
    assert kept(app) == ["c"]


def test_its_id_is_used_up_for_as_long_as_after_the_retention(app: App) -> None:
    ended(app, "one")
    app.many.prune(everything=True)
    with pytest.raises(ProcessNoLongerRetained):
        app.external("ci", id="one")
    left_ms: int = app.store.client.pttl(app.store.address.prefix + "tomb:one")  # type: ignore[assignment]
    assert 3_590_000 < left_ms <= 3_600_000


def test_a_dry_run_counts_and_removes_nothing(app: App) -> None:
    ended(app, *(f"p{n}" for n in range(250)))
    report = app.many.prune(everything=True, dry_run=True)
    assert (report.matched, report.done, len(report.examples)) == (250, 0, 5)
    assert len(kept(app)) == 250


def test_more_than_were_confirmed_are_a_conflict_and_stay(app: App) -> None:
    ended(app, "a", "b")
    with pytest.raises(CountMoved) as moved:
        app.many.prune(everything=True, expect=1)
    assert (moved.value.verb, moved.value.confirmed, moved.value.found) == ("prune", 1, 2)
    assert kept(app) == ["a", "b"]
    assert app.many.prune(everything=True, expect=2).done == 2


def test_fewer_than_were_confirmed_are_fine(app: App) -> None:
    ended(app, "a")
    assert app.many.prune(everything=True, expect=7).done == 1


def test_without_any_filter_it_is_refused(app: App) -> None:
    ended(app, "a")
    with pytest.raises(InvalidArguments, match="everything=True"):
        app.many.prune()
    assert kept(app) == ["a"]


@pytest.mark.parametrize("status", ["running", "waiting", "queued", "live", "any", "nosuch"])
def test_a_status_of_what_lives_is_refused(app: App, status: str) -> None:
    with pytest.raises(InvalidArguments, match="status is one of ended, completed, failed, cancelled, abandoned"):
        app.many.prune(status)


def test_a_duration_that_is_none_is_refused(app: App) -> None:
    with pytest.raises(InvalidDuration):
        app.many.prune(older_than="soon")


def test_nothing_to_prune_is_no_error(app: App) -> None:
    assert app.many.prune(everything=True) == ManyReport(matched=0)


def test_what_ends_while_it_works_was_not_counted_and_stays(app: App, clock: VirtualClock) -> None:
    ended(app, *(f"p{n}" for n in range(150)))
    told: list[ManyReport] = []

    def progress(report: ManyReport) -> None:
        if not told:
            clock.advance(1)
            ended(app, "late")
        told.append(report)

    assert app.many.prune(everything=True, progress=progress).done == 150
    assert [(one.done, one.matched) for one in told] == [(100, 150), (150, 150)]
    assert kept(app) == ["late"]


def test_what_has_to_stay_is_told_with_the_reason(app: App) -> None:
    ended(app, "a", "b")
    app.store.client.sadd(app.store.address.prefix + "waiters:a", "slot")
    report = app.many.prune(everything=True)
    assert (report.matched, report.done, report.refused) == (2, 1, 1)
    assert report.refusals == (
        Refusal("a", "untold", "a process that waits for it has not been told of its end yet; try again in a moment"),
    )
    assert kept(app) == ["a"]


def test_an_interrupted_one_goes_on_when_it_is_asked_again(app: App) -> None:
    ended(app, *(f"p{n}" for n in range(250)))

    def interrupted(report: ManyReport) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        app.many.prune(everything=True, progress=interrupted)
    assert len(kept(app)) == 150
    assert app.many.prune(everything=True).done == 150


def test_its_awaited_twin_does_the_same(app: App) -> None:
    ended(app, "a", "b")

    async def pruned() -> ManyReport:
        try:
            return await app.aio.many.prune("completed", expect=2)
        finally:
            await app.aio.close()

    assert asyncio.run(pruned()).done == 2
    assert kept(app) == []
