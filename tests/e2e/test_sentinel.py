"""A real Sentinel trio: its primary is killed in the middle of work, which costs seconds and loses nothing that was
replicated."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from wakeline.errors import RedisRefused, RedisUnavailable
from wakeline.settings import Settings
from wakeline.store.backends import backend_of
from wakeline.store.sentinel import SentinelBackend

from tests.e2e.sentinels import Trio, trio, until
from tests.e2e.shop import APPS
from tests.e2e.test_races import ROOT, leave


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Trio]:
    with trio(tmp_path) as made:
        yield made


def patiently(ask: Any) -> Any:
    """A client asks again while there is no primary."""
    end = time.monotonic() + 30
    while True:
        try:
            return ask()
        except RedisUnavailable:
            assert time.monotonic() < end
            time.sleep(0.1)


def test_work_goes_on_after_the_primary_is_killed(
    watched: Trio, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = {
        "WAKELINE_REDIS_URL": watched.url,
        "WAKELINE_APP": "races_app:app",
        "RACES_FOLDER": str(tmp_path),
        "RACES_NOTES": str(tmp_path / "notes"),
        "PYTHONPATH": f"{APPS}{os.pathsep}{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "app_of_sentinels.py").write_text(
        "from wakeline import App, AsyncCtx\n"
        "app = App('watched')\n"
        "@app.engine(signals={'go': int})\n"
        "async def waits(ctx: AsyncCtx, n: int) -> int:\n"
        "    before = await ctx.step('before', lambda: n)\n"
        "    got = await ctx.wait('go', int)\n"
        "    await ctx.sleep('1s')\n"
        "    return before + got\n"
    )
    monkeypatch.setenv("WAKELINE_APP", "app_of_sentinels:app")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.syspath_prepend(str(tmp_path))
    import app_of_sentinels

    app = app_of_sentinels.app
    worker = subprocess.Popen([sys.executable, "-m", "wakeline_workers.cli", "worker", "-n", "2"])
    try:
        handles = [app.start(app_of_sentinels.waits, n) for n in range(10)]
        until(lambda: all(handle.status().status == "waiting" for handle in handles), "all wait")
        replicated(watched)
        old = watched.kill_primary()
        at = time.monotonic()
        for n, handle in enumerate(handles):
            patiently(lambda handle=handle, n=n: handle.signal("go", 100, key=f"s{n}"))
        took = time.monotonic() - at
        assert watched.primary() != old
        assert [patiently(lambda handle=handle: handle.result(timeout=30)) for handle in handles] == [
            100 + n for n in range(10)
        ]
        later = app.start(app_of_sentinels.waits, 5)
        later.signal("go", 1)
        assert later.result(timeout=20) == 6
        assert took < 20
    finally:
        leave(worker)
        app.close()


def replicated(watched: Trio) -> None:
    """The replica has everything: what is lost otherwise is no fault of the failover's."""
    import redis

    primary: Any = redis.Redis(port=watched.primary())
    assert primary.execute_command("WAIT", 1, 2000) == 1


def test_a_failover_to_a_replica_without_the_last_moment_is_noticed_and_told(watched: Trio) -> None:
    import redis
    from wakeline import App
    from wakeline.store import fleet

    app = App("watched", settings=Settings(url=watched.url, beat_ms=500))
    app.external("kept")
    replicated(watched)
    [port] = set(watched.servers) - {watched.primary()}
    with redis.Redis(port=port) as replica:
        replica.execute_command("REPLICAOF", "127.0.0.1", 1)  # no server is there: it hears no more
    app.external("lost")
    app.external("lost too")
    watched.kill_primary()
    try:
        until(lambda: patiently(lambda: app.store.execute(fleet.read_fleet([])).rewind), "it is noticed")
        found = app.store.execute(fleet.read_fleet([])).rewind
        assert found is not None
        assert (found.writes, found.clients, found.emptied) == (2, 1, False)
    finally:
        app.close()


def test_the_awaited_client_follows_too(watched: Trio) -> None:
    import asyncio

    from wakeline.store import queues
    from wakeline.store.address import Address
    from wakeline.store.awaited import AsyncStore

    async def go() -> list[bool]:
        store = AsyncStore(backend_of(watched.url, "watched"), Address("watched"), patient=True)
        first = await store.execute(queues.pause("watched"))
        replicated(watched)
        watched.kill_primary()
        second = await asyncio.wait_for(store.execute(queues.pause("watched")), 30)
        await store.close()
        return [first, second]

    assert asyncio.run(go()) == [True, False]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sentinel://host", "ends with the name of the service"),
        ("sentinel://host:26379/", "ends with the name of the service"),
        ("sentinel://host:26379/shop/x", "the number of a database"),
        ("sentinel://ho st:x/shop", "is no host and port"),
    ],
)
def test_a_url_that_cannot_be_one_is_refused(url: str, words: str) -> None:
    with pytest.raises(RedisRefused, match=words):
        backend_of(url, "shop")


def test_a_url_says_who_watches_what_and_keeps_its_passwords() -> None:
    made = backend_of("sentinel://u:p%40ss@a:1,b,[::1]:3/shop/2?sentinel_password=s", "shop")
    assert isinstance(made, SentinelBackend)
    assert made.describe() == "sentinel://a:1,b:26379,::1:3/shop"
    assert Settings(url="sentinel://a/shop").tls_options() == {}
