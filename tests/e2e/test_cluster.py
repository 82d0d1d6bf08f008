"""A real Redis Cluster of three masters and three replicas: each namespace on its own, a master killed in the middle of
work, a slot that moves."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.crc import key_slot
from wakeline import App
from wakeline.embedded import PrivateServer
from wakeline.errors import RedisRefused, RedisUnavailable
from wakeline.settings import Settings
from wakeline.store import claims, ends, owners, processes, queues, starts
from wakeline.store.address import Address
from wakeline.store.awaited import AsyncStore
from wakeline.store.backends import backend_of
from wakeline.store.blocking import SyncStore
from wakeline.store.cluster import ClusterBackend

from tests.e2e.clusters import Cluster, cluster, spread
from tests.e2e.sentinels import until
from tests.e2e.test_races import ROOT, leave
from tests.e2e.test_sentinel import patiently
from tests.lua.world import SUCCESS, registration

APP = """
import os
from wakeline import App, AsyncCtx
app = App(os.environ["SHOP"])
@app.engine(signals={"go": int})
async def waits(ctx: AsyncCtx, n: int) -> int:
    before = await ctx.step("before", lambda: n)
    got = await ctx.wait("go", int)
    await ctx.sleep("1s")
    return before + got
@app.engine
async def doubles(ctx: AsyncCtx, n: int) -> int:
    return 2 * n
"""


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("cluster")) as made:
        yield made


def prefix(namespace: str) -> str:
    return f"{{{namespace}}}:rq"


class Shop:
    """One namespace: its app here, and its workers."""

    def __init__(self, nodes: Cluster, namespace: str, folder: Path) -> None:
        self.name = namespace
        (folder / "clustered.py").write_text(APP)
        path = os.pathsep.join([str(folder), str(ROOT), os.environ.get("PYTHONPATH", "")])
        self.env = os.environ | {
            "WAKELINE_REDIS_URL": nodes.url,
            "RQ_KEY_PREFIX": prefix(namespace),
            "SHOP": namespace,
            "WAKELINE_APP": "clustered:app",
            "PYTHONPATH": path,
        }
        self.app = App(namespace, settings=Settings.from_env(self.env))

    def run(self, *command: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, env=self.env)

    def worker(self, n: int = 1) -> subprocess.Popen[bytes]:
        return self.run(sys.executable, "-m", "wakeline_workers.cli", "worker", "-n", str(n))

    @property
    def bodies(self) -> Any:
        """The bodies as this process starts them."""
        made: dict[str, Any] = {"given": self.app}
        exec(APP.replace('App(os.environ["SHOP"])', "given"), made)  # noqa: S102 - the very text the workers import
        return made


def test_each_namespace_works_on_its_own_master(nodes: Cluster, tmp_path: Path) -> None:
    for node in nodes.nodes:
        nodes.node(node).config_resetstat()
    for name in spread():
        (tmp_path / name).mkdir()
        shop = Shop(nodes, name, tmp_path / name)
        doubles = shop.bodies["doubles"]
        worker = shop.worker()
        try:
            assert [shop.app.start(doubles, n).result(timeout=30) for n in range(3)] == [0, 2, 4]
        finally:
            leave(worker)
            shop.app.close()
    assert len({nodes.owner(name) for name in spread()}) == 3
    for name in spread():
        stats = nodes.node(nodes.owner(name)).info("commandstats")
        assert stats["cmdstat_fcall"]["calls"] >= 9  # a start, a take and an end each, at least


def test_a_stock_rq_worker_runs_doorbells_at_the_owner_of_the_slot(nodes: Cluster, tmp_path: Path) -> None:
    shop = Shop(nodes, spread()[0], tmp_path)
    handle = shop.app.start(shop.bodies["doubles"], 21)
    url = f"redis://127.0.0.1:{nodes.owner(shop.name)}"
    stock = shop.run(sys.executable, "-m", "rq.cli", "worker", "-u", url, "-S", "json", "--burst", shop.name)
    assert stock.wait(60) == 0
    assert handle.result(timeout=5) == 42
    shop.app.close()


def test_a_slot_that_moves_takes_its_clients_with_it(nodes: Cluster) -> None:
    name = spread()[1]
    slot, old = key_slot(name.encode()), nodes.owner(name)
    new = next(owner for owner in (nodes.owner(other) for other in spread()) if owner != old)

    before = nodes.node(old).zcard(f"{{{name}}}:idx:completed")

    async def go() -> int:
        store = AsyncStore(
            backend_of(nodes.url, name, rq_prefix=prefix(name)), Address(name, rq_prefix=prefix(name)), patient=True
        )
        await store.execute(owners.register_owner("o1", [name], lease_ms=60_000))
        moving, lives = asyncio.create_task(asyncio.to_thread(move, nodes, slot, old, new)), 0
        while not moving.done() or lives < 3:
            await store.execute(starts.register(registration(f"p{lives}", name)))
            (claim,) = (await store.execute(claims.take("o1", f"r{lives}", [name], 1, lease_ms=60_000))).claims
            await store.execute(ends.finish(claim.process_id, "completed", SUCCESS, fence=claim.fence))
            lives += 1
        await moving
        await store.close()
        return lives

    lives = asyncio.run(go())
    assert nodes.owner(name) == new
    # Whole or not at all: no script stopped in the middle because its next key had left.
    there = nodes.node(new)
    for n in range(lives):
        assert [event["t"] for _, event in there.xrange(f"{{{name}}}:events:p{n}")] == [
            "process.started",
            "process.completed",
        ]
    assert there.zcard(f"{{{name}}}:idx:completed") == before + lives
    assert there.zcard(f"{{{name}}}:idx:running") == there.llen(f"{prefix(name)}:queue:{name}") == 0


def test_a_script_in_a_slot_that_is_on_its_way_is_refused_before_it_writes(nodes: Cluster) -> None:
    name = spread()[0]
    slot, old = key_slot(name.encode()), nodes.owner(name)
    new = next(owner for owner in (nodes.owner(other) for other in spread()) if owner != old)
    store = SyncStore(backend_of(nodes.url, name, rq_prefix=prefix(name)), Address(name, rq_prefix=prefix(name)))
    store.execute(owners.register_owner("o1", [name], lease_ms=60_000))
    store.execute(starts.register(registration("moves", name)))
    (claim,) = store.execute(claims.take("o1", "r", [name], 1, lease_ms=60_000)).claims
    ending = ends.finish("moves", "completed", SUCCESS, fence=claim.fence)
    nodes.node(new).execute_command(
        "CLUSTER SETSLOT", slot, "IMPORTING", nodes.node(old).execute_command("CLUSTER MYID")
    )
    nodes.node(old).execute_command(
        "CLUSTER SETSLOT", slot, "MIGRATING", nodes.node(new).execute_command("CLUSTER MYID")
    )
    with pytest.raises(RedisUnavailable, match="owner may be another node now"):
        store.execute(ending)
    for port in (old, new):
        nodes.node(port).execute_command("CLUSTER SETSLOT", slot, "STABLE")
    assert store.execute(ending) == 2
    assert [entry for entry, _ in nodes.node(old).xrange(f"{{{name}}}:events:moves")] == ["1-0", "2-0"]
    store.close()


def move(nodes: Cluster, slot: int, old: int, new: int) -> None:
    """What a resharding tool does, with a pause in which the slot is in two places."""
    ids = {port: nodes.node(port).execute_command("CLUSTER MYID") for port in (old, new)}
    nodes.node(new).execute_command("CLUSTER SETSLOT", slot, "IMPORTING", ids[old])
    nodes.node(old).execute_command("CLUSTER SETSLOT", slot, "MIGRATING", ids[new])
    time.sleep(0.2)
    while keys := nodes.node(old).execute_command("CLUSTER GETKEYSINSLOT", slot, 2):
        nodes.node(old).execute_command("MIGRATE", "127.0.0.1", new, "", 0, 5000, "KEYS", *keys)
        time.sleep(0.1)
    for port in (new, old):
        nodes.node(port).execute_command("CLUSTER SETSLOT", slot, "NODE", ids[new])


def test_work_goes_on_once_after_the_cluster_was_down_for_longer_than_a_lease(nodes: Cluster, tmp_path: Path) -> None:
    shop = Shop(nodes, spread()[0], tmp_path)
    shop.env |= {"WAKELINE_LEASE": "1s", "WAKELINE_BEAT": "300ms"}
    waits = shop.bodies["waits"]
    worker = shop.worker()
    try:
        handle = shop.app.start(waits, 1)
        until(lambda: handle.status().status in ("running", "waiting") and handle.status().sequence > 1, "it waits")
        owner = nodes.node(nodes.owner(shop.name))
        unused = next(
            slot
            for slot in range(key_slot(shop.name.encode()) + 1, 16384)
            if not owner.execute_command("CLUSTER COUNTKEYSINSLOT", slot)
        )
        owner.execute_command("CLUSTER DELSLOTS", unused)  # a cluster that does not serve every slot serves none
        try:
            with pytest.raises(RedisUnavailable, match="The cluster is down") as refused:
                shop.app.start(waits, 2)
            assert refused.value.retryable
            time.sleep(4)
            assert worker.poll() is None
        finally:
            owner.execute_command("CLUSTER ADDSLOTS", unused)
        until(lambda: owner.execute_command("CLUSTER INFO")["cluster_state"] == "ok", "every slot is served")
        patiently(lambda: handle.signal("go", 100, key="s"))
        assert patiently(lambda: handle.result(timeout=30)) == 101
        assert shop.app.store.execute(processes.read(handle.id)).fields.get("ls") is None
    finally:
        leave(worker)
        shop.app.close()


def test_work_goes_on_after_a_master_is_killed(nodes: Cluster, tmp_path: Path) -> None:
    shop = Shop(nodes, spread()[2], tmp_path)
    waits = shop.bodies["waits"]
    worker = shop.worker(2)
    try:
        handles = [shop.app.start(waits, n) for n in range(10)]
        until(lambda: all(handle.status().status == "waiting" for handle in handles), "all wait")
        nodes.replicated(shop.name)
        old = nodes.kill_owner(shop.name)
        at = time.monotonic()
        for n, handle in enumerate(handles):
            patiently(lambda handle=handle, n=n: handle.signal("go", 100, key=f"s{n}"))
        took = time.monotonic() - at
        assert nodes.owner(shop.name) != old
        assert [patiently(lambda handle=handle: handle.result(timeout=30)) for handle in handles] == [
            100 + n for n in range(10)
        ]
        assert took < 20
    finally:
        leave(worker)
        shop.app.close()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("cluster://host:6379/0", "a cluster has one database"),
        ("cluster://ho st:x", "is no host and port"),
        ("cluster://", "is no host and port"),
        ("cluster://host?tsl=1", "takes .tls=1"),
        ("cluster://host?tls=maybe", "takes .tls=1"),
    ],
)
def test_a_url_that_cannot_be_a_cluster_is_refused(url: str, words: str) -> None:
    with pytest.raises(RedisRefused, match=words):
        backend_of(url, "shop", rq_prefix=prefix("shop"))


def test_rqs_keys_in_another_slot_are_refused_with_what_to_set() -> None:
    with pytest.raises(RedisRefused, match=r"set RQ_KEY_PREFIX=\{shop\}:rq everywhere"):
        backend_of("cluster://host", "shop", rq_prefix="rq")
    assert (
        backend_of("cluster://u:p@host,other:7000", "shop", rq_prefix="{shop}:rq").describe()
        == "cluster://host:6379,other:7000"
    )


def test_tls_of_a_cluster_is_verified_unless_it_is_said_otherwise() -> None:
    verified = Settings(url="cluster://host?tls=1").tls_options()
    assert verified == {"ssl_cert_reqs": "required", "ssl_check_hostname": True}
    made = ClusterBackend("cluster://host?tls=1", namespace="shop", options=verified)
    assert type(made.sync().connection_pool.make_connection()).__name__ == "_ToOwnerByTls"
    assert Settings(url="cluster://host").tls_options() == {}


def test_a_wrong_password_is_said_to_be_one(tmp_path: Path) -> None:
    with cluster(tmp_path) as made:
        for port in made.nodes:
            made.node(port).config_set("requirepass", "right")
        for login, words in (("", "wants a password"), (":wrong@", "invalid username-password|WRONGPASS")):
            settings = Settings(url=made.url.replace("//", f"//{login}"), rq_prefix=prefix("shop"))
            app = App("shop", settings=settings)
            with pytest.raises(RedisRefused, match=words):
                app.store.execute(queues.pause("q"))
            with pytest.raises(RedisRefused, match=words):
                asyncio.run(AsyncStore(app.backend, app.address).execute(queues.pause("q")))


def test_a_server_that_is_no_cluster_owns_every_slot(server: PrivateServer) -> None:
    app = App(
        "shop",
        settings=Settings(
            url=server.url.replace("redis://", "cluster://").removesuffix("/0"), rq_prefix=prefix("shop")
        ),
    )
    assert app.store.execute(queues.pause("q")) is True
    app.close()


def test_no_node_that_can_be_asked_is_redis_that_cannot_be_reached() -> None:
    app = App("shop", settings=Settings(url="cluster://127.0.0.1:1", rq_prefix=prefix("shop")))
    with pytest.raises(RedisUnavailable, match="no node of the cluster"):
        app.store.execute(queues.pause("q"))
