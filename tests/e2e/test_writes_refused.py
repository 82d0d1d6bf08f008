"""A server that answers and takes no writes for longer than a lease: no memory, no disk, a replica, too few replicas, a
script that keeps it, no place for another client. Work goes on by itself afterwards, once; meanwhile callers are told
so, and people can look.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
import redis
from wakeline.attachments.backend import new_location
from wakeline.embedded import PrivateServer, ServerBinary, find_server
from wakeline.errors import AttachmentStoreFailed, RedisUnavailable, StoreOutOfMemory, WritesRefused
from wakeline.store.address import Address
from wakeline.store.awaited import AsyncStore
from wakeline.store.blobs import RedisBlobs
from wakeline.store.calls import Outside, Program
from wakeline.store.connection import UrlBackend

from tests.e2e.test_outage import GIVES_UP_S, Site, children_of, until
from tests.e2e.test_outage import site as site  # the fixture

QUICK = (1, {"WAKELINE_LEASE": "1s", "WAKELINE_BEAT": "300ms"})
REFUSED_S = 4
"""Four leases."""
LOAD_US, JUNK = 300, 50_000
"""How long the server takes for each command of its log, and how many there are: 15 s, or less."""
Client = Any


@contextmanager
def no_memory(client: Client) -> Iterator[None]:
    client.config_set("maxmemory", 1)
    try:
        yield
    finally:
        client.config_set("maxmemory", 0)


@contextmanager
def no_disk(client: Client) -> Iterator[None]:
    """The server cannot put its snapshot where it belongs, and stops writes for that."""
    taken = Path(client.config_get("dir")["dir"]) / "dump.rdb"
    taken.mkdir()
    client.config_set("save", "3600 1000000")
    client.bgsave()
    until(lambda: client.info()["rdb_last_bgsave_status"] == "err", "a snapshot that failed")
    try:
        yield
    finally:
        taken.rmdir()
        client.bgsave()
        until(lambda: client.info()["rdb_last_bgsave_status"] == "ok", "a snapshot")


@contextmanager
def no_room_for_the_aof(client: Client) -> Iterator[None]:
    """The file it appends to grows no more: to the server that is a disk that is full."""
    found = client.info()
    folder = Path(client.config_get("dir")["dir"]) / client.config_get("appenddirname")["appenddirname"]
    written = max(file.stat().st_size for file in folder.glob("*.incr.aof"))
    _, hard = resource.prlimit(found["process_id"], resource.RLIMIT_FSIZE, (written + 64, resource.RLIM_INFINITY))
    until(lambda: client.info()["aof_last_write_status"] == "err", "a write of the AOF that failed")  # heartbeats write
    try:
        yield
    finally:
        resource.prlimit(found["process_id"], resource.RLIMIT_FSIZE, (hard, hard))
        until(lambda: client.info()["aof_last_write_status"] == "ok", "a write of the AOF")


@contextmanager
def a_replica(client: Client) -> Iterator[None]:
    client.replicaof("127.0.0.1", 1)
    try:
        yield
    finally:
        client.replicaof("NO", "ONE")


@contextmanager
def too_few_replicas(client: Client) -> Iterator[None]:
    client.config_set("min-replicas-to-write", 1)
    try:
        yield
    finally:
        client.config_set("min-replicas-to-write", 0)


@contextmanager
def a_script_that_loops(client: Client) -> Iterator[None]:
    client.config_set("lua-time-limit", 50)
    given = client.connection_pool.connection_kwargs
    looping = redis.Redis(port=given["port"], password=given["password"], socket_timeout=60)

    def loop() -> None:
        with pytest.raises(redis.ResponseError, match="killed"):
            looping.eval("while true do end", 0)

    thread = threading.Thread(target=loop)
    thread.start()
    time.sleep(0.3)
    try:
        yield
    finally:
        client.script_kill()
        thread.join(10)
        looping.close()
        assert not thread.is_alive()


@contextmanager
def no_place_for_clients(client: Client) -> Iterator[None]:
    before = client.config_get("maxclients")["maxclients"]
    client.config_set("maxclients", 1)
    client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    try:
        yield
    finally:
        client.config_set("maxclients", before)


CASES: dict[str, tuple[Callable[[Client], Any], type[Exception], bool]] = {
    "out of memory": (no_memory, StoreOutOfMemory, True),
    "no snapshot": (no_disk, WritesRefused, True),
    "full disk": (no_room_for_the_aof, WritesRefused, True),
    "replica": (a_replica, WritesRefused, True),
    "too few replicas": (too_few_replicas, WritesRefused, True),
    "looping script": (a_script_that_loops, WritesRefused, False),
    "no place for clients": (no_place_for_clients, RedisUnavailable, False),
}
"""How it comes about, what a caller is told, and whether the server still answers who looks."""
REMEDIES = {
    "out of memory": "; give it more (maxmemory), or shorten WAKELINE_RETENTION",
    "no snapshot": "; make room on its disk, and see in its log that snapshots and AOF are written again",
    "full disk": "; make room on its disk, and see in its log that snapshots and AOF are written again",
    "replica": "; it is a replica: connect to its primary",
    "too few replicas": "; bring a replica back, or lower min-replicas-to-write",
}
"""What doctor says to do."""


@pytest.fixture(autouse=True)
def a_server_to_be_hurt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It survives the limit of its files, and loads slowly, answering meanwhile."""
    binary = find_server()
    assert binary is not None
    wrapper = tmp_path / "server"
    wrapper.write_text(f"#!/bin/sh\ntrap '' XFSZ\nexec '{binary.path}' \"$@\" --key-load-delay {LOAD_US}\n")
    wrapper.chmod(0o700)
    monkeypatch.setattr("tests.e2e.test_outage.find_server", lambda: ServerBinary(str(wrapper), "a wrapper"))


@pytest.fixture
def control(site: Site) -> Iterator[Client]:
    with redis.Redis.from_url(site.server.url, decode_responses=True) as client:
        yield client


def wakeline(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "wakeline_workers.cli", *words, "--json"], capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("site", [QUICK], ids=[""], indirect=True)
@pytest.mark.parametrize("case", list(CASES))
def test_work_goes_on_once_after_the_server_took_no_writes(site: Site, control: Client, case: str) -> None:
    refusing, told, answers = CASES[case]
    app, bodies = site.app, site.bodies
    until(lambda: len(site.fleet().owners) == 1, "a worker")
    owners = {owner for owner, _, _ in site.fleet().owners}
    held = app.using(id="held").start(bodies.waits, "held")
    works = app.using(id="works").start(bodies.works, "works", 1.5)
    works_async = app.using(id="works-async").start(bodies.works_async, "async")
    sleeps = app.using(id="sleeps").start(bodies.sleeps, "sleeps", 2)
    until(
        lambda: {"begin works.2", "begin async.2", "begin sleeps.before", "end held.before"} <= set(site.noted()),
        "steps under way",
    )

    with refusing(control):
        began = time.monotonic()
        with pytest.raises(told) as refused:
            app.using(id="late").start(bodies.waits, "late")
        assert refused.value.retryable  # type: ignore[attr-defined]
        if answers:
            assert held.status().id == "held"
            assert {row["id"] for row in json.loads(wakeline("ps").stdout)} == {
                "held",
                "works",
                "works-async",
                "sleeps",
            }
            assert json.loads(wakeline("show", "works").stdout)["id"] == "works"
            looked = wakeline("doctor")
            [writes] = [one for one in json.loads(looked.stdout)["findings"] if one["code"] == "writes"]
            assert (looked.returncode, writes["level"]) == (1, "problem")
            assert writes["message"].endswith(REMEDIES[case]), writes["message"]
        time.sleep(max(0.0, began + REFUSED_S - time.monotonic()))
        assert site.workers.poll() is None

    held.signal("go", 1, key="k1")
    assert [one.result(timeout=20) for one in (held, works, works_async, sleeps)] == [
        1, ["works.1", "works.2", "works.3"], ["async.1", "async.2", "async.3"], "sleeps.after"
    ]  # fmt: skip
    time.sleep(0.5)  # a second, wrong, run would begin by now
    assert {line: n for line, n in site.noted().items() if n > 1} == {}
    assert [site.losses(handle) for handle in (held, works, works_async, sleeps)] == [None] * 4
    assert {owner for owner, _, _ in site.fleet().owners} == owners
    assert "writes" not in [one["code"] for one in json.loads(wakeline("doctor").stdout)["findings"]]
    assert not [line for line in site.said if "reaped" in line or "died" in line or "Traceback" in line], "".join(
        site.said
    )


@pytest.mark.parametrize("site", [QUICK], ids=[""], indirect=True)
@pytest.mark.parametrize("case", ["out of memory", "replica", "looping script"])
def test_a_supervisor_does_not_give_up_while_the_server_takes_no_writes(site: Site, control: Client, case: str) -> None:
    until(lambda: len(site.fleet().owners) == 1, "a worker")
    with CASES[case][0](control):
        [pid] = children_of(site.workers)
        os.kill(pid, signal.SIGKILL)
        time.sleep(GIVES_UP_S)
        assert site.workers.poll() is None, "".join(site.said)
    assert site.app.using(id="charge").start(site.bodies.charge, 7).result(timeout=20) == 7


@pytest.mark.parametrize("site", [QUICK], ids=[""], indirect=True)
def test_work_goes_on_once_after_the_server_was_killed_and_loaded_its_data_for_long(
    site: Site, control: Client
) -> None:
    app, bodies = site.app, site.bodies
    until(lambda: len(site.fleet().owners) == 1, "a worker")
    held = app.using(id="held").start(bodies.waits, "held")
    works = app.using(id="works").start(bodies.works, "works", 1.5)
    until(lambda: {"begin works.2", "end held.before"} <= set(site.noted()), "steps under way")
    pipeline = control.pipeline(transaction=False)
    for n in range(JUNK):
        pipeline.set(f"junk:{n}", "x")
    pipeline.execute()

    site.server.kill()
    began = time.monotonic()
    site.server.start()
    assert control.info()["loading"] == 1
    with pytest.raises(WritesRefused, match="loading the dataset in memory") as refused:
        app.using(id="late").start(bodies.waits, "late")
    assert refused.value.retryable
    looked = wakeline("doctor")
    assert (looked.returncode, json.loads(looked.stdout)["error"]["code"]) == (69, "writes_refused")
    time.sleep(max(0.0, began + REFUSED_S - time.monotonic()))
    assert control.info()["loading"] == 1
    control.config_set("key-load-delay", 0)
    until(lambda: control.info()["loading"] == 0, "loaded")

    held.signal("go", 1, key="k1")
    assert [one.result(timeout=20) for one in (held, works)] == [1, ["works.1", "works.2", "works.3"]]
    time.sleep(0.5)  # a second, wrong, run would begin by now
    assert {line: n for line, n in site.noted().items() if n > 1} == {}, "".join(site.said)
    assert [site.losses(handle) for handle in (held, works)] == [None] * 2
    assert not [line for line in site.said if "reaped" in line or "died" in line or "Traceback" in line], "".join(
        site.said
    )


def test_bytes_that_are_on_their_way_wait_for_memory_and_another_backends_failure_is_told(
    server: PrivateServer,
) -> None:
    """Between the intent of an upload and its bytes the memory runs out."""
    backend = UrlBackend(server.url)
    address = Address("t" + token_hex(4))
    blobs = RedisBlobs(backend, address.prefix)
    location = new_location(address.namespace, "sha256:" + "0" * 64)

    def uploading(upload: Callable[[], None]) -> Program[None]:
        yield Outside(upload)

    def broken() -> None:
        raise AttachmentStoreFailed(backend="dir", reason="no such directory")

    async def upload() -> None:
        store = AsyncStore(backend, address, patient=True)
        await store.open()
        with redis.Redis.from_url(server.url, decode_responses=True) as control:
            with no_memory(control):
                under_way = asyncio.create_task(store.run(uploading(lambda: blobs.put(location, b"picture"))))
                await asyncio.sleep(1)
                assert not under_way.done()
            await asyncio.wait_for(under_way, 10)
        assert blobs.get(location) == b"picture"
        with pytest.raises(AttachmentStoreFailed, match="no such directory"):
            await asyncio.wait_for(store.run(uploading(broken)), 10)
        await store.close()

    asyncio.run(upload())
