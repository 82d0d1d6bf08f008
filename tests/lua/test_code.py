"""Workers that differ in code: a take leaves aside what its owner cannot run, and who can run it is told, and takes
it."""

from __future__ import annotations

from typing import Any

from wakeline import App, AsyncTurn, Ctx
from wakeline.store import ends, owners, sessions

from tests.lua.world import LEASE_MS, STALE_MS, World


def engine(kind: str) -> dict[str, Any]:
    return {"type": "engine", "kind": kind, "payload": {}}


def worker(world: World, owner: str, *codes: str) -> None:
    world.do(owners.register_owner(owner, [world.ns], lease_ms=LEASE_MS, codes=codes or None))


def mixed(world: World) -> None:
    """An old worker that lacks ``fresh``, and a new one."""
    worker(world, "old", "e:steady")
    worker(world, "new", "e:steady", "e:fresh")


def taken(world: World, owner: str, **over: Any) -> list[str]:
    return [claim.process_id for claim in world.do(world.taking(owner, idle=True, **over)).claims]


def hints(world: World, owner: str) -> list[str]:
    return world.redis.lrange(world.key(f"notify:{owner}"), 0, -1)


def test_what_a_worker_has_no_code_for_is_left_to_one_that_has_it_without_a_claim(world: World) -> None:
    mixed(world)
    assert taken(world, "new") == []
    world.start("p", input=engine("fresh"))
    world.redis.delete(world.key("notify:new"))
    world.redis.sadd(world.key(f"idle:{world.ns}"), "new")
    assert taken(world, "old") == []
    assert (world.field("ep"), world.field("ct"), world.field("st")) == ("1", None, "queued")
    assert hints(world, "new") == ["bell"]
    assert taken(world, "new") == ["p"]
    assert (world.field("ep"), world.field("as"), world.field("ow")) == ("1", None, "new")
    assert world.redis.keys(world.key("aside*")) == []


def test_what_both_can_run_is_taken_by_either_and_beside_what_is_left_aside(world: World) -> None:
    mixed(world)
    world.start("p", input=engine("fresh"))
    world.start("q", input=engine("steady"))
    assert taken(world, "old") == ["q"]
    assert taken(world, "new") == ["p"]


def test_a_process_that_only_the_new_has_code_for_is_its_own_also_when_it_resumes(world: World) -> None:
    mixed(world)
    world.start("p", input=engine("fresh"))
    taken(world, "old")
    (claim,) = world.do(world.taking("new", idle=True)).claims
    world.do(ends.release(claim.fence))
    assert taken(world, "old") == []
    assert taken(world, "new") == ["p"]


def test_a_version_is_code_of_its_own(world: World) -> None:
    worker(world, "old", "e:fresh")
    worker(world, "new", "e:fresh", "e:fresh@2")
    world.start("p", input=engine("fresh"), engine_version="2")
    world.start("q", input=engine("fresh"))
    assert taken(world, "old") == ["q"]
    assert taken(world, "new") == ["p"]


def test_a_provider_may_have_any_tool(world: World) -> None:
    worker(world, "old", "t:charge", "t:*")
    worker(world, "new", "t:charge", "t:ship")
    world.start(
        "p",
        input={"type": "tool_call", "call": {"call_id": "p", "tool_id": "tool:ship", "tool_name": "ship", "args": {}}},
    )
    assert taken(world, "old") == ["p"]


def test_a_turn_waits_for_a_worker_with_its_agent(world: World) -> None:
    worker(world, "old", "a:other")
    worker(world, "new", "a:bot")
    world.do(sessions.send(world.session("bot/1"), '{"kind": "input", "input": "hi"}', canonical="hi"))
    assert taken(world, "old") == []
    assert len(taken(world, "new")) == 1


def test_what_is_aside_for_a_worker_that_lives_is_no_lost_bell(world: World) -> None:
    mixed(world)
    world.start("p", input=engine("fresh"))
    taken(world, "old")
    for _ in range(3):
        world.pass_ms(STALE_MS)
        for owner in ("old", "new"):
            world.do(owners.beat(owner, None, lease_ms=LEASE_MS))
        assert world.tick().rung == 0


def test_what_is_aside_for_a_worker_that_is_gone_is_taken_by_another_which_says_what_it_lacks(world: World) -> None:
    mixed(world)
    world.start("p", input=engine("fresh"))
    assert taken(world, "old") == []
    world.do(owners.reap("new", "shutdown"))
    world.pass_ms(STALE_MS)
    world.tick()
    assert taken(world, "old") == ["p"]
    assert (world.field("as"), world.redis.keys(world.key("aside*"))) == (None, [])


def test_what_ends_while_it_is_aside_leaves_its_line(world: World) -> None:
    mixed(world)
    world.start("p", input=engine("fresh"))
    taken(world, "old")
    assert world.redis.smembers(world.key("asides")) == {f"{world.ns} e:fresh"}
    world.cancel(grace_ms=1)
    world.pass_ms(1)
    world.tick()
    assert world.status() == "cancelled"
    assert world.redis.keys(world.key("aside*")) == []


def test_workers_of_one_code_are_told_nothing_and_look_nowhere_else(world: World) -> None:
    mixed(world)
    assert world.redis.hgetall(world.key("takes:old")) == {"able": "1", "lacks": " e:fresh "}
    world.do(owners.reap("old", "shutdown"))
    assert world.redis.hgetall(world.key("takes:new")) == {}
    assert world.redis.hget(world.key("meta"), "mixed") is None


def test_an_app_says_its_bodies_as_code() -> None:
    app = App("shop")

    @app.engine(name="refund")
    def first(ctx: Ctx) -> None:
        """Version none."""

    @app.engine(name="refund", version="2")
    def second(ctx: Ctx) -> None:
        """Version 2."""

    @app.tool(was=["bill"])
    def charge() -> None:
        """A tool that had another name."""

    @app.agent("clerk")
    async def clerk(turn: AsyncTurn) -> None:
        """An agent."""

    assert app.registry.codes == ["a:clerk", "e:refund", "e:refund@2", "t:bill", "t:charge"]
