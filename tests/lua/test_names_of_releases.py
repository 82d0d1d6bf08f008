"""owner_register: of deployments with one name the code that came first keeps it, and other code goes by the name and
what tells its own."""

from __future__ import annotations

from wakeline.store import owners

from tests.lua.world import LEASE_MS, World


def called(world: World, release: str, build: str | None, app: str = "shop") -> str | None:
    """What a worker start of this code goes by."""
    heard = world.twice(owners.register_owner("o1", ["shop"], lease_ms=LEASE_MS, app=app, release=release, build=build))
    assert world.redis.hget(f"{{{world.ns}}}:releases", "o1") == heard.release
    return str(heard.release)


def test_the_first_code_of_a_name_keeps_it_and_each_other_has_one_of_its_own_whoever_comes_when(world: World) -> None:
    came = [called(world, "v1", build) for build in ("aaaa", "bbbb", "aaaa", "cccc", "bbbb")]
    assert came == ["v1", "v1 (code bbbb)", "v1", "v1 (code cccc)", "v1 (code bbbb)"]
    assert called(world, "v1", "bbbb", app="bank") == "v1"
    assert called(world, "v2", "bbbb") == "v2"


def test_a_worker_that_does_not_say_its_code_has_the_name(world: World) -> None:
    assert [called(world, "v1", build) for build in ("aaaa", None)] == ["v1", "v1"]


def test_of_many_names_the_ones_that_started_longest_ago_are_forgotten(world: World) -> None:
    for n in range(70):
        world.pass_ms(1)
        called(world, f"v{n}", "aaaa")
        world.pass_ms(1)
        called(world, "v0", "aaaa")
    assert world.redis.hlen(f"{{{world.ns}}}:builds") == 64
    assert called(world, "v0", "bbbb") == "v0 (code bbbb)"
    assert called(world, "v1", "bbbb") == "v1"
