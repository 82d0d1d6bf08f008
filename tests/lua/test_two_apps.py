"""Two apps in one namespace: a worker that would run another's agent is refused while the other lives."""

from __future__ import annotations

import pytest
from wakeline.errors import AgentConflict
from wakeline.store import owners
from wakeline.store.calls import Call

from tests.lua.world import LEASE_MS, World


def registering(owner: str, app: str, *agents: str) -> Call[int]:
    return owners.register_owner(owner, [], lease_ms=LEASE_MS, agents=dict.fromkeys(agents, ""), app=app)


def test_an_agent_of_two_apps_is_refused_to_the_second_and_nothing_is_written(world: World) -> None:
    world.do(registering("o1", "shop", "clerk", "helper"))
    before = world.snapshot()
    with pytest.raises(
        AgentConflict, match="Workers of app 'shop' run agent 'clerk' in this namespace too, besides app 'crm'"
    ):
        world.do(registering("o2", "crm", "clerk"))
    assert world.snapshot() == before


def test_another_release_of_the_same_app_and_other_agents_are_welcome(world: World) -> None:
    world.do(registering("o1", "shop", "clerk"))
    world.do(registering("o2", "shop", "clerk", "helper"))
    world.do(registering("o3", "crm", "seller", "cler"))
    assert world.redis.hlen(world.key("apps")) == 3


def test_an_app_that_is_gone_leaves_its_agents_to_others(world: World) -> None:
    world.do(registering("o1", "shop", "clerk"))
    world.do(owners.reap("o1", "shutdown"))
    world.do(registering("o2", "crm", "clerk"))
    world.pass_ms(LEASE_MS + 1)  # its machine is lost: only its lease says so
    world.do(registering("o3", "shop", "clerk"))
    assert world.redis.hkeys(world.key("apps")) == ["o2", "o3"]
