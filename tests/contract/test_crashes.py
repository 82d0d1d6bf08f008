"""A release that ends the workers that run it spends nothing: its losses are not counted, what it ran waits, is told,
and goes on with code that lives."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from wakeline import App, AsyncCtx
from wakeline.processes.misfit import Misfit
from wakeline.settings import Settings
from wakeline.store import claims, ends, fleet, journal, owners
from wakeline.store.journal import Row
from wakeline.verbs import looks
from wakeline_workers import jobs

from tests.contract.working import app_of, work

if TYPE_CHECKING:
    from wakeline.store.claims import Claim

    from tests.contract.conftest import World

LEASE_MS = 5_000
DAY_MS = 86_400_000
HOUR_MS = 3_600_000


def comes(world: World, owner: str, release: str | None) -> str:
    world.do(owners.register_owner(owner, [world.namespace], lease_ms=LEASE_MS, release=release))
    return owner


def takes(world: World, owner: str, release: str | None, *, proven: bool = False) -> tuple[Claim, ...]:
    taken: tuple[Claim, ...] = world.do(
        claims.take(owner, f"t{owner}", [world.namespace], 10, lease_ms=LEASE_MS, release=release, proven=proven)
    ).claims
    return taken


def prove(world: World, release: str) -> None:
    """A worker of this release has run something to its end, says so with its next take, and leaves."""
    comes(world, f"proves_{release}", release)
    assert takes(world, f"proves_{release}", release, proven=True) == ()
    world.do(owners.reap(f"proves_{release}", "shutdown"))


def die(world: World, owner: str, release: str | None, *, patience_ms: int = DAY_MS) -> list[str]:
    """A worker of this release comes, takes all there is, and is killed; what it took."""
    comes(world, owner, release)
    pids = [claim.process_id for claim in takes(world, owner, release)]
    world.do(owners.reap(owner, patience_ms=patience_ms))
    return pids


def go_on(world: World, ms: int = 60_000) -> None:
    world.clock.advance(ms / 1000)
    world.tick()


def misfit(world: World, pid: str = "p") -> Misfit | None:
    found: Misfit | None = world.go(looks.status(pid)).misfit
    return found


def losses(world: World, pid: str = "p") -> str | None:
    found: str | None = world.view(pid).fields.get("ls")
    return found


def parked_under(world: World, release: str) -> None:
    """A process p that parked under a release, and has been told to go on."""
    app = app_of(world)

    @app.engine(name="order", signals={"go": int})
    async def order(ctx: AsyncCtx) -> int:
        return await ctx.wait("go", int)

    handle = app.using(id="p").start(order)
    assert work(world, app, f"parks_{release}", release=release) == ["parked"]
    world.do(owners.reap(f"parks_{release}", "shutdown"))
    handle.signal("go", 5)


# -- whose fault it is


def test_a_release_that_never_got_anything_to_its_end_spends_nothing_however_often_it_ends_its_worker(
    world: World,
) -> None:
    prove(world, "v1")
    world.start("p", max_attempts=1)
    since = world.clock.now_ms()
    for n in range(1, 15):
        assert die(world, f"bad_{n}", "v2") == ["p"]
        go_on(world)
    view = world.view()
    assert (view.status, view.fields.get("ls"), view.fields.get("at")) == ("queued", None, None)
    assert world.types() == ["process.recovered"] * 10  # and then each hundredth
    found = misfit(world)
    assert found == Misfit("crash", "worker bad_14 was lost, number 14 in a row", "v2", since, 14)
    assert found is not None
    assert (
        found.message
        == "its worker died while release v2 ran it: worker bad_14 was lost, number 14 in a row. Deploy a fix."
        " Roll back only while nothing new is recorded under this release. The log of the worker says how it died."
    )
    [row] = world.do(fleet.read_fleet([])).misfits
    assert (row.process_id, row.misfit) == ("p", found)
    comes(world, "good", "v1")
    [claim] = takes(world, "good", "v1")
    assert claim.attempt == 1
    world.finish("p", 7, claim.fence)
    assert (world.status(), misfit(world), world.do(fleet.read_fleet([])).misfit_count) == ("completed", None, 0)


def test_under_a_proven_release_what_ends_its_workers_is_abandoned_at_the_eleventh(world: World) -> None:
    prove(world, "v2")
    world.start("p")
    counted = []
    for n in range(11):
        assert die(world, f"o_{n}", "v2") == ["p"]
        counted.append(losses(world))
        go_on(world)
    assert counted == ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"]
    assert (world.status(), misfit(world)) == ("abandoned", None)


def test_under_a_release_without_a_name_losses_count(world: World) -> None:
    world.start("p")
    assert die(world, "o_1", None) == ["p"]
    assert (losses(world), misfit(world)) == ("1", None)


@pytest.mark.parametrize("release", ["v2", None])
def test_what_another_release_parked_is_not_counted_under_this_one_and_is_under_that_one(
    world: World, release: str | None
) -> None:
    prove(world, "v2")
    parked_under(world, "v1")
    for n in range(3):
        assert die(world, f"new_{n}", release) == ["p"]
        go_on(world)
    found = misfit(world)
    assert found is not None
    assert (losses(world), found.kind, found.release, found.looks) == (None, "crash", release, 3)
    assert die(world, "old", "v1") == ["p"]
    assert losses(world) == "1"


def test_what_may_not_run_twice_is_abandoned_by_the_first_death_under_any_release(world: World) -> None:
    world.start("p", recovery="owner_bound")
    assert die(world, "o_1", "v2") == ["p"]
    assert world.status() == "abandoned"


# -- how long


def test_the_first_two_deaths_keep_nothing_waiting_and_the_pause_grows_with_the_others_to_a_minute(
    world: World,
) -> None:
    world.start("p")
    for n, pause_ms in enumerate([0, 0, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]):
        assert die(world, f"o_{n}", "v2") == ["p"]
        if pause_ms:
            go_on(world, pause_ms - 1)
            comes(world, f"looks_{n}", "v2")
            assert takes(world, f"looks_{n}", "v2") == ()
            world.do(owners.reap(f"looks_{n}", "shutdown"))
            go_on(world, 1)
    assert losses(world) is None


def test_doctor_is_told_of_what_is_kept_waiting_and_not_of_one_death(world: World) -> None:
    world.start("p")
    told = []
    for n in range(3):
        assert die(world, f"o_{n}", "v2") == ["p"]
        told.append(world.do(fleet.read_fleet([])).misfit_count)
    assert told == [0, 0, 1]


def test_what_is_lost_with_its_workers_under_a_proven_release_says_so_and_when_it_runs_again(world: World) -> None:
    prove(world, "v1")
    world.start("p")
    said: list[tuple[int, int | None]] = []
    for n in range(5):
        assert die(world, f"w_{n}", "v1") == ["p"]
        status = world.go(looks.status("p"))
        [queued] = world.do(fleet.read_fleet([])).queued
        assert (queued.losses, queued.due_ms) == (status.losses, status.runs_again_ms or world.clock.now_ms())
        said.append((status.losses, status.runs_again_ms and status.runs_again_ms - world.clock.now_ms()))
        go_on(world, 4_000)
    assert said == [(1, None), (2, None), (3, 1_000), (4, 2_000), (5, 4_000)]
    comes(world, "w_9", "v1")
    assert len(takes(world, "w_9", "v1")) == 1
    assert world.go(looks.status("p")).runs_again_ms is None  # it runs


@pytest.mark.parametrize("patience_ms", [HOUR_MS, DAY_MS])
def test_after_the_patience_losses_count_again_up_to_the_eleventh(world: World, patience_ms: int) -> None:
    world.start("p")
    for n in range(3):
        assert die(world, f"o_{n}", "v2", patience_ms=patience_ms) == ["p"]
        go_on(world)
    go_on(world, patience_ms)
    counted = []
    for n in range(11):
        assert die(world, f"late_{n}", "v2", patience_ms=patience_ms) == ["p"]
        counted.append(losses(world))
        go_on(world)
    assert counted == ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"]
    assert world.status() == "abandoned"


def test_who_falls_silent_is_judged_as_who_is_seen_to_die(world: World) -> None:
    world.start("p")
    comes(world, "o_1", "v2")
    assert len(takes(world, "o_1", "v2")) == 1
    world.lose("o_1")
    found = misfit(world)
    assert found is not None
    assert (losses(world), found.kind) == (None, "crash")
    comes(world, "o_2", "v2")
    assert len(takes(world, "o_2", "v2")) == 1
    world.clock.advance("6s")
    world.tick(patience_ms=0)
    world.clock.advance("3s")
    world.tick(patience_ms=0)
    assert losses(world) == "1"


@pytest.mark.parametrize(("patience_ms", "counted"), [(DAY_MS, None), (0, "1")])
def test_what_a_worker_was_given_and_does_not_name_is_judged_the_same_way(
    world: World, patience_ms: int, counted: str | None
) -> None:
    world.start("p")
    comes(world, "o_1", "v2")
    assert len(takes(world, "o_1", "v2")) == 1
    for n in (1, 2):
        heard = world.do(owners.beat("o_1", [], lease_ms=LEASE_MS, n=n, patience_ms=patience_ms))
    assert (heard.handed_back, losses(world)) == (("p",), counted)


# -- beside others


@pytest.mark.parametrize("aside", [False, True])
def test_what_lost_its_worker_twice_runs_with_nobody_beside_it(world: World, aside: bool) -> None:
    world.start("a_suspect")
    for owner in ("o_1", "o_2"):
        assert die(world, owner, "v2") == ["a_suspect"]
    for pid in ("b", "c"):
        world.start(pid)
    if aside:
        for owner, codes in (("lacks", ["e:other"]), ("has", ["e:job"])):
            world.do(owners.register_owner(owner, [world.namespace], lease_ms=LEASE_MS, codes=codes))
        assert takes(world, "lacks", None) == ()
        assert world.view("a_suspect").fields["as"] == f"{world.namespace} e:job"
        owner = "has"
    else:
        owner = comes(world, "o_3", "v2")
    [claim] = takes(world, owner, "v2")
    assert (claim.process_id, claim.alone) == ("a_suspect", True)


def test_a_worker_of_another_release_that_comes_has_it_looked_at_at_once_and_one_of_the_same_does_not(
    world: World,
) -> None:
    world.start("p")
    for n in range(4):
        assert die(world, f"o_{n}", "v2") == ["p"]
        go_on(world, 1_000 if n >= 2 else 0)
    comes(world, "same", "v2")
    world.tick()
    assert takes(world, "same", "v2") == ()
    comes(world, "good", "v1")
    world.tick()
    assert [claim.process_id for claim in takes(world, "good", "v1")] == ["p"]


def test_where_the_dead_release_has_no_name_its_next_worker_is_the_same(world: World) -> None:
    parked_under(world, "v1")
    for n in range(3):
        assert die(world, f"o_{n}", None) == ["p"]
    comes(world, "same", None)
    world.tick()
    assert takes(world, "same", None) == ()


def test_whatever_it_gets_further_by_has_its_deaths_forgotten(world: World) -> None:
    world.start("p")
    for n in range(3):
        assert die(world, f"o_{n}", "v2") == ["p"]
        go_on(world)
    comes(world, "o_3", "v2")
    [claim] = takes(world, "o_3", "v2")
    world.do(journal.record(claim.fence, [Row("step", "1")]))
    assert (world.view().fields.get("mf"), world.do(fleet.read_fleet([])).misfit_count) == (None, 0)


def test_another_reason_to_wait_is_kept_by_what_gets_further(world: World) -> None:
    fence = world.running()
    kept = Misfit("bug", "NameError: oops", "v2", 1)
    world.do(ends.release(fence, misfit=kept))
    comes(world, "o_2", "v2")
    [claim] = takes(world, "o_2", "v2")
    world.do(journal.record(claim.fence, [Row("step", "1")]))
    assert world.view().fields["mf"] == kept.to_json()


# -- who proves a release


def proven(world: World) -> list[str]:
    client: Any = world.store.client
    found: list[str] = client.zrange(world.store.address.prefix + "proven", 0, -1)
    return found


@pytest.mark.parametrize("how", ["ends", "parks", "fails", "continues"])
def test_the_first_body_that_ends_or_parks_proves_its_release_and_one_that_is_only_handed_back_does_not(
    world: World, how: str
) -> None:
    app = app_of(world)

    @app.engine(name="order")
    async def order(ctx: AsyncCtx, n: int) -> int:
        if how == "parks":
            await ctx.sleep("1h")
        if how == "fails":
            raise ValueError
        if how == "continues" and n == 1:
            await ctx.continue_as_new(2)
        return 1

    world.start("nobody_has_its_code")
    assert work(world, app, "w_1", release="v2") == ["released"]
    assert proven(world) == []
    app.start(order, 1)
    work(world, app, "w_1", release="v2")
    assert proven(world) == ["v2"]


def test_a_body_that_does_not_fit_proves_nothing(world: World) -> None:
    parked_under(world, "v1")
    app = app_of(world)

    @app.engine(name="order", signals={"go": int})
    async def order(ctx: AsyncCtx) -> int:
        raise NameError("oops")

    assert work(world, app, "w_2", release="v2") == ["released"]
    assert proven(world) == ["v1"]


@pytest.mark.parametrize(("fails", "proves"), [(False, ["v2"]), (True, [])])
def test_a_job_of_a_stock_worker_proves_its_release_by_a_run_that_ends(
    world: World, fails: bool, proves: list[str]
) -> None:
    settings = Settings(rq_prefix=world.store.address.rq_prefix, release="v2")
    app = App(world.namespace, backend=world.backend, clock=world.clock, settings=settings)

    @app.engine(name="order")
    async def order(ctx: AsyncCtx) -> int:
        return 1

    world.start("p", input={"type": "engine", "kind": "nobody" if fails else "order", "payload": {}})
    assert asyncio.run(jobs._run(app, "p", 1)) == ("released" if fails else "finished")
    assert proven(world) == proves


def test_of_many_proven_releases_the_last_64_are_known_and_those_that_workers_have(world: World) -> None:
    comes(world, "stays", "v0")
    takes(world, "stays", "v0", proven=True)
    for n in range(1, 71):
        world.clock.advance("1s")
        prove(world, f"v{n}")
    known = proven(world)
    assert (len(known), known[0], known[1], known[-1]) == (65, "v0", "v7", "v70")
