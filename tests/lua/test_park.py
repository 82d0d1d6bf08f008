"""process_park: what a process costs while it waits."""

from __future__ import annotations

import pytest
from wakeline.embedded import PrivateServer
from wakeline.processes.registration import EMPTY_ENVIRONMENT
from wakeline.store.connection import UrlBackend

from tests.lua.world import World, wait

DAY_MS = 86_400_000
SIGNALS = [{"name": "signal.go", "payload_schema": {"type": "boolean"}}]


@pytest.mark.real
def test_a_parked_process_is_small(server: PrivateServer) -> None:
    world = World.on(UrlBackend(server.url))
    world.redis.flushall()
    world.worker("o1")
    before, n = world.redis.info("memory")["used_memory"], 10_000
    for i in range(n):
        pid = f"p_{i:020d}"
        world.start(pid, payload={"n": i}, event_types=SIGNALS, strict_signals=True, env_ref=EMPTY_ENVIRONMENT)
        [claim] = world.take("o1")
        slot = wait(f"v1{i:024d}", group=f"{i:08d}", for_ms=DAY_MS, schema=("4c64073f90ee945c", '{"type":"boolean"}'))
        world.open(claim.fence, slot)
        world.park(claim.fence, slot.group)
    each = (world.redis.info("memory")["used_memory"] - before) / n
    server_name = world.redis.info("server").get("server_name", "redis")
    major = int(world.redis.info("server").get("valkey_version", "0").split(".")[0])
    print(f"{server_name} {major or ''}: {each:.0f} B per parked process")
    world.store.close()
    assert each <= (1_600 if major >= 8 else 2_000)
