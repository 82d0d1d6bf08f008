"""environment_put, environment_read, and what a register and a prune do to an environment."""

from __future__ import annotations

import pytest
from wakeline.environments.spec import EMPTY, EMPTY_ENVIRONMENT, EnvironmentSpec
from wakeline.errors import InvalidEnvironment, MissingExecutionEnvironment
from wakeline.store import ends, environments, starts

from tests.lua.world import WEEK_MS, World, registration

SPEC = EnvironmentSpec(plugin_options={"search": {"depth": 3}})


def key(world: World) -> str:
    return world.key(f"env:{SPEC.ref[-64:]}")


def users(world: World) -> str | None:
    found = world.redis.hget(key(world), "n")
    return None if found is None else str(found)


def start(world: World, pid: str, spec: EnvironmentSpec | None = SPEC) -> starts.Registered:
    return world.do(starts.register(registration(pid, world.ns, env_ref=SPEC.ref), environment=spec))


def test_what_was_put_is_read_and_put_again_is_the_same(world: World) -> None:
    assert world.do(environments.put(SPEC)) == world.do(environments.put(SPEC)) == SPEC.ref
    assert world.do(environments.read(SPEC.ref)) == SPEC
    assert 0 < world.redis.pttl(key(world)) <= 7 * 86_400_000


def test_what_is_not_kept_is_an_error_and_the_empty_one_always_is_there(world: World) -> None:
    assert world.do(environments.read(EMPTY_ENVIRONMENT)) == EMPTY
    with pytest.raises(MissingExecutionEnvironment):
        world.do(environments.read(SPEC.ref))


def test_what_its_name_does_not_say_is_not_kept_and_what_a_later_release_wrote_is_told_apart(world: World) -> None:
    world.redis.hset(key(world), "s", '{"plugin_options":{"search":{"depth":4}}}')
    with pytest.raises(MissingExecutionEnvironment):
        world.do(environments.read(SPEC.ref))
    world.redis.hset(key(world), "s", '{"plugins_of_2030":{}}')
    with pytest.raises(InvalidEnvironment):
        world.do(environments.read(SPEC.ref))


def test_a_start_stores_what_it_captured_and_counts_once_although_it_is_sent_twice(world: World) -> None:
    assert start(world, "p").created
    assert not start(world, "p").created
    assert users(world) == "1"
    assert world.redis.pttl(key(world)) == -1
    assert world.do(environments.read(SPEC.ref)) == SPEC


def test_an_environment_that_was_put_before_does_not_expire_under_its_process(world: World) -> None:
    world.do(environments.put(SPEC))
    start(world, "p", None)
    assert world.redis.pttl(key(world)) == -1
    world.do(environments.put(SPEC))
    assert world.redis.pttl(key(world)) == -1


def test_a_start_that_names_an_unknown_one_starts_nothing(world: World) -> None:
    with pytest.raises(MissingExecutionEnvironment):
        start(world, "p", None)
    assert world.redis.exists(world.key("proc:p")) == 0


def test_it_goes_with_the_last_process_that_was_started_with_it(world: World) -> None:
    for pid in ("p", "q"):
        start(world, pid)
        world.do(ends.cancel(pid, "enough", grace_ms=0))
    world.tick()
    assert users(world) == "2"
    world.pass_ms(WEEK_MS + 1)
    world.tick()
    assert users(world) is None
    assert world.redis.exists(key(world)) == 0


def test_the_empty_environment_leaves_no_key(world: World) -> None:
    world.do(starts.register(registration("p", world.ns, env_ref=EMPTY_ENVIRONMENT), environment=EMPTY))
    assert not any(":env:" in key for key in sorted(world.keys()))
