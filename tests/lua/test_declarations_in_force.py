"""Whose declarations are in force: of each app those of the newest release that serves, or of the one that was
named."""

from __future__ import annotations

from dataclasses import replace

import pytest
from wakeline.processes.limits import Limit
from wakeline.releases import Declared
from wakeline.sessions.admission import AdmissionPolicy
from wakeline.store import claims, declarations, sessions, triggers
from wakeline.store import owners as stored_owners
from wakeline.triggers.schedule import Schedule
from wakeline.triggers.subscription import Subscription, Target

from tests.lua.world import BEAT_MS, LEASE_MS, World

MINUTE_MS, HOUR_MS = 60_000, 3_600_000


def schedule(expression: str) -> Schedule:
    target = Target(kind="engine", name="job")
    return Schedule(expression=expression, subscription=Subscription(source="cron", name="nightly", target=target))


def release(n: int, app: str = "shop") -> Declared:
    """Release `v<n>`: a limit of n, an agent that waits n ms for more, a schedule at n o'clock."""
    agents = {"bot": AdmissionPolicy(debounce_ms=n, debounce_max_ms=n).wire()}
    return Declared(app, f"v{n}", {"b:job": Limit(concurrency=n).wire()}, agents, (schedule(f"0 {n} * * *"),))


class Fleet:
    """Workers of several releases, each by an owner id."""

    def __init__(self, world: World) -> None:
        self.world = world

    def comes(self, owner: str, declared: Declared, *, patient: bool = False) -> bool:
        """A worker start, with all that it writes; whether its declarations are in force."""
        heard = self.world.do(
            stored_owners.register_owner(
                owner, [], lease_ms=LEASE_MS, app=declared.app, declared=declared, patient=patient
            )
        )
        if heard.declares:
            self.declares(declared)
        return heard.declares

    def declares(self, declared: Declared) -> None:
        """What a worker writes of its schedules."""
        for one in declared.schedules:
            if self.world.do(triggers.declare(one, by=declared)).due_ms is None:
                self.world.do(triggers.declare(one, due_ms=self.world.now() + HOUR_MS, by=declared))
        self.world.do(declarations.written(declared))

    def leaves(self, owner: str) -> None:
        self.world.do(stored_owners.reap(owner, "shutdown"))

    def ticks(self, *serving: Declared) -> None:
        """A tick, and what the workers of these releases do that hear of it."""
        for app, declared in self.world.tick().unwritten:
            for one in serving:
                if (one.app, one.id) == (app, declared) and self.world.do(declarations.write(one, "same")):
                    self.declares(one)

    def beats(self, *owners: str) -> None:
        for owner in owners:
            self.world.do(stored_owners.beat(owner, None, lease_ms=LEASE_MS))

    def in_force(self) -> list[int]:
        """The releases whose limit, agent and schedule are in force."""
        key, found = self.world.key, []
        for n in range(1, 10):
            one = release(n)
            is_said = {
                ("limits", "b:job"): one.limits["b:job"],
                ("agents", "bot"): one.agents["bot"],
                ("schedule:nightly", "h"): one.schedules[0].content_hash,
            }
            found += [n for (family, name), text in is_said.items() if self.world.redis.hget(key(family), name) == text]
        return found


@pytest.fixture
def workers(world: World) -> Fleet:
    return Fleet(world)


def test_a_restarted_worker_of_an_old_release_declares_nothing_over_a_newer_one(world: World, workers: Fleet) -> None:
    assert workers.comes("a", release(1))
    assert workers.in_force() == [1, 1, 1]
    world.pass_ms(1)
    assert workers.comes("b", release(2))
    assert workers.in_force() == [2, 2, 2]
    workers.leaves("a")
    assert not workers.comes("a2", release(1))
    workers.declares(release(1))  # and what it would still write of its schedules is refused
    assert workers.in_force() == [2, 2, 2]
    assert workers.comes("b2", release(2))
    assert workers.in_force() == [2, 2, 2]


def test_a_rollback_is_in_force_once_its_worker_starts_after_the_newer_one_is_gone(
    world: World, workers: Fleet
) -> None:
    workers.comes("a", release(1))
    workers.leaves("a")
    workers.comes("b", release(2))
    workers.leaves("b")
    world.pass_ms(1)
    assert workers.comes("a2", release(1))
    assert workers.in_force() == [1, 1, 1]


def test_a_rollback_beside_the_newer_one_is_in_force_a_minute_after_that_has_left(world: World, workers: Fleet) -> None:
    workers.comes("a", release(1))
    workers.comes("b", release(2))
    workers.leaves("b")
    for passed in (0, MINUTE_MS - 1):
        world.pass_ms(passed)
        workers.beats("a")
        workers.ticks(release(1), release(2))
        assert workers.in_force() == [2, 2, 2]
    world.pass_ms(1)
    workers.ticks(release(1))
    assert workers.in_force() == [1, 1, 1]
    assert world.tick().unwritten == ()


def test_what_came_into_force_is_told_at_every_tick_until_a_worker_has_written_it(world: World, workers: Fleet) -> None:
    workers.comes("a", release(1))
    workers.comes("b", release(2))
    workers.leaves("b")
    world.pass_ms(MINUTE_MS)
    workers.beats("a")
    assert world.tick().unwritten == (("shop", release(1).id),)
    assert world.tick().unwritten == (("shop", release(1).id),)
    workers.ticks(release(1))
    assert world.tick().unwritten == ()


def test_a_restart_of_the_newest_releases_only_worker_changes_nothing(world: World, workers: Fleet) -> None:
    workers.comes("a", release(1))
    workers.comes("b", release(2))
    for _ in range(3):
        workers.leaves("b")
        world.pass_ms(MINUTE_MS - 1)
        workers.beats("a")
        workers.ticks(release(1))
        assert workers.comes("b", release(2))
        assert workers.in_force() == [2, 2, 2]


def test_where_all_restart_and_the_old_one_comes_first_the_newer_one_takes_back(world: World, workers: Fleet) -> None:
    workers.comes("a", release(1))
    workers.comes("b", release(2))
    workers.leaves("a")
    workers.leaves("b")
    assert workers.comes("a2", release(1))
    world.pass_ms(MINUTE_MS - 1)
    assert workers.comes("b2", release(2))
    assert workers.in_force() == [2, 2, 2]


def test_after_a_rollback_a_late_worker_of_the_newer_release_changes_nothing(world: World, workers: Fleet) -> None:
    workers.comes("a", release(1))
    workers.comes("b", release(2))
    workers.leaves("a")
    workers.leaves("b")
    workers.comes("a2", release(1))
    world.pass_ms(MINUTE_MS)
    workers.beats("a2")
    assert not workers.comes("b2", release(2))
    assert workers.in_force() == [1, 1, 1]


def test_a_worker_that_died_has_left_once_it_is_reaped(world: World, workers: Fleet) -> None:
    workers.comes("a", release(1))
    workers.comes("b", release(2))
    world.pass_ms(LEASE_MS + 1)
    workers.beats("a")
    world.tick()
    world.pass_ms(BEAT_MS)
    workers.beats("a")
    assert world.tick().reaped == 1
    world.pass_ms(MINUTE_MS)
    workers.beats("a")
    workers.ticks(release(1))
    assert workers.in_force() == [1, 1, 1]


def test_a_release_that_was_named_is_in_force_before_its_workers_come(world: World, workers: Fleet) -> None:
    workers.comes("a", release(1))
    assert world.do(declarations.write(release(2), "named"))
    workers.declares(release(2))
    assert workers.in_force() == [2, 2, 2]
    workers.leaves("a")
    assert not workers.comes("a2", release(1))
    world.pass_ms(HOUR_MS - 1)
    workers.beats("a2")
    workers.ticks(release(1))
    assert workers.in_force() == [2, 2, 2]
    assert workers.comes("b", release(2))
    world.pass_ms(2 * HOUR_MS)
    workers.beats("a2", "b")
    workers.ticks(release(1), release(2))
    assert workers.in_force() == [2, 2, 2]


def test_a_release_that_was_named_and_never_comes_gives_way_to_one_that_serves(world: World, workers: Fleet) -> None:
    workers.comes("a", release(1))
    world.do(declarations.write(release(2), "named"))
    workers.declares(release(2))
    world.pass_ms(HOUR_MS + MINUTE_MS)
    workers.beats("a")
    workers.ticks(release(1))
    assert workers.in_force() == [1, 1, 1]


def test_a_rollback_that_is_named_is_in_force_while_the_newer_one_still_runs(world: World, workers: Fleet) -> None:
    workers.comes("a", release(1))
    workers.comes("b", release(2))
    world.do(declarations.write(release(1), "named"))
    workers.declares(release(1))
    assert workers.in_force() == [1, 1, 1]
    workers.leaves("b")
    assert not workers.comes("b2", release(2))
    assert workers.comes("c", release(3))  # one that is new is newer than all
    assert workers.in_force() == [3, 3, 3]


def test_two_releases_with_one_name_are_two(workers: Fleet) -> None:
    first, second = replace(release(1), release="v"), replace(release(2), release="v")
    workers.comes("a", first)
    workers.comes("b", second)
    workers.leaves("a")
    assert not workers.comes("a2", first)
    assert workers.in_force() == [2, 2, 2]


def test_releases_without_a_name_are_told_apart_by_what_they_declare(workers: Fleet) -> None:
    first, second = replace(release(1), release=None), replace(release(2), release=None)
    workers.comes("a", first)
    workers.comes("b", second)
    workers.leaves("a")
    assert not workers.comes("a2", first)
    assert workers.in_force() == [2, 2, 2]


def test_an_app_decides_nothing_for_another_one_in_its_namespace(world: World, workers: Fleet) -> None:
    workers.comes("a", release(1))
    bank = Declared("bank", "v9", {"b:pay": Limit(concurrency=9).wire()})
    assert workers.comes("x", bank)
    workers.leaves("a")
    assert workers.comes("a2", release(1))
    assert world.redis.hget(world.key("limits"), "b:pay") == bank.limits["b:pay"]
    assert workers.in_force() == [1, 1, 1]


def test_a_release_that_declares_less_leaves_the_rest_as_it_is(world: World, workers: Fleet) -> None:
    workers.comes("a", release(1))
    workers.comes("b", Declared("shop", "v2", {"b:other": Limit(concurrency=3).wire()}))
    assert workers.in_force() == [1, 1, 1]
    assert world.redis.hget(world.key("limits"), "b:other") == Limit(concurrency=3).wire()


def test_jobs_of_stock_workers_of_two_releases_do_not_take_turns(world: World, workers: Fleet) -> None:
    for n, decides in ((1, True), (2, True), (1, False), (2, True), (1, False)):
        assert workers.comes(f"o{n}", release(n), patient=True) is decides
        workers.leaves(f"o{n}")
        world.pass_ms(1_000)
    assert workers.in_force() == [2, 2, 2]
    world.pass_ms(MINUTE_MS)
    assert workers.comes("o1", release(1), patient=True)
    assert workers.in_force() == [1, 1, 1]


def test_a_turn_that_an_old_release_runs_leaves_the_newer_ones_policy_in_force(world: World, workers: Fleet) -> None:
    workers.comes("a", release(1))
    workers.comes("b", release(2))
    world.do(sessions.send(world.session("bot/1"), '{"kind":"input","input":"hi"}'))
    world.pass_ms(10)
    world.tick()
    old = AdmissionPolicy(debounce_ms=1, debounce_max_ms=1)
    taken = world.do(claims.take("a", "r1", [world.ns], 5, lease_ms=LEASE_MS, agents={"bot": old}))
    assert len(taken.claims) == 1
    assert workers.in_force() == [2, 2, 2]


def test_as_many_releases_are_known_as_are_of_use(world: World, workers: Fleet) -> None:
    for n in range(100):
        workers.comes("o", replace(release(1), release=f"v{n}"))
        world.pass_ms(1)
    assert world.redis.zcard(world.key("appeared")) == 64


def test_the_clocks_of_old_and_new_machines_decide_nothing(world: World, workers: Fleet) -> None:
    """What appeared first is by the server's clock; where that jumps back the newer one is still the one that is
    new."""
    workers.comes("a", release(1))
    world.redis.zadd(world.key("appeared"), {f"shop {release(1).id}": world.now() + HOUR_MS})
    assert workers.comes("b", release(2))
    workers.leaves("a")
    assert not workers.comes("a2", release(1))
    assert workers.in_force() == [2, 2, 2]


def test_one_of_several_workers_that_leaves_means_nothing(world: World, workers: Fleet) -> None:
    workers.comes("a", release(1))
    workers.comes("b", release(2))
    workers.comes("b2", release(2))
    workers.leaves("b")
    world.pass_ms(MINUTE_MS)
    workers.beats("a", "b2")
    workers.ticks(release(1))
    workers.leaves("a")
    assert not workers.comes("a2", release(1))
    assert workers.in_force() == [2, 2, 2]


def test_of_those_that_serve_on_the_newest_of_the_same_app_comes_into_force(world: World, workers: Fleet) -> None:
    for owner, declared in (
        ("a", release(1)),
        ("b", release(2)),
        ("c", release(3)),
        ("x", Declared("bank", "v9", {"b:pay": ""})),
    ):
        workers.comes(owner, declared)
        world.pass_ms(1)
    workers.leaves("c")
    world.pass_ms(MINUTE_MS)
    workers.beats("a", "b", "x")
    workers.ticks(release(1), release(2))
    assert workers.in_force() == [2, 2, 2]


def test_a_release_that_was_named_is_newer_than_what_appeared_before(world: World, workers: Fleet) -> None:
    workers.comes("a", release(1))
    world.pass_ms(1)
    workers.comes("b", release(2))
    world.pass_ms(1)
    world.do(declarations.write(release(1), "named"))
    world.pass_ms(1)
    workers.comes("c", release(3))
    workers.leaves("c")
    world.pass_ms(MINUTE_MS)
    workers.beats("a", "b")
    workers.ticks(release(1), release(2))
    assert workers.in_force() == [1, 1, 1]
