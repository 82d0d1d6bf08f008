"""process_park: what a process costs while it waits."""

from __future__ import annotations

import pytest
from wakeline.embedded import PrivateServer
from wakeline.store.connection import UrlBackend

from tests.lua.world import World, wait

DAY_MS = 86_400_000


@pytest.mark.real
def test_a_parked_process_is_small(server: PrivateServer) -> None:
    world = World.on(UrlBackend(server.url))
    world.redis.flushall()
    world.worker("o1")
    before, n = world.redis.info("memory")["used_memory"], 2_000
    for i in range(n):
        pid = f"p_{i:020d}"
        world.start(pid)
        [claim] = world.take("o1")
        slot = wait(f"v1{i:024d}", group=f"{i:08d}", for_ms=DAY_MS)
        world.open(claim.fence, slot)
        world.park(claim.fence, slot.group)
    each = (world.redis.info("memory")["used_memory"] - before) / n
    name = world.redis.info("server").get("server_name", "redis")
    print(f"{name}: {each:.0f} B per parked process")
    world.store.close()
    assert each <= 2_000
