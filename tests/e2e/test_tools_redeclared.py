"""Deploys that declare tools anew, with real workers and code that really changes: a recorded call is not made again,
one under way ends once."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import redis
from wakeline import Handle
from wakeline.embedded import PrivateServer

from tests.e2e.shop import until
from tests.e2e.test_orphans import children_of
from tests.e2e.test_races import ROOT, leave

HEAD = """
import asyncio, os, time
from pathlib import Path
from wakeline import App, AsyncCtx, Ctx, Limit, current

app = App("shop")
HERE = Path(os.environ["SHOP_NOTES"]).parent


def note(name: str) -> None:
    with open(os.environ["SHOP_NOTES"], "a") as notes:
        notes.write(f"{name} {current().idempotency_key}\\n")


def held() -> bool:
    return not (HERE / "go").exists() and not current().cancelled
"""
BODY = """

@app.tool({options})
{how} {name}(n: int) -> str:
    note("{name}")
    while held():
        {sleep}(0.02)
    return "{name} paid"


@app.engine(name="engine_{name}", signals={{"go": bool}})
def engine_{name}(ctx: Ctx, n: int) -> str:
    paid = ctx.call({name}, n)
    ctx.wait("go")
    return paid
"""
PLAIN = ("def", "")
CHANGES = {
    "to_a_queue": (PLAIN, ("def", "queue='slow'")),
    "from_a_queue": (("def", "queue='old'"), PLAIN),
    "to_another_queue": (("def", "queue='old'"), ("def", "queue='slow'")),
    "to_a_limit": (PLAIN, ("def", "limit=Limit(concurrency=5)")),
    "from_a_limit": (("def", "limit=Limit(concurrency=5)"), PLAIN),
    "to_a_process": (PLAIN, ("def", "isolation='process'")),
    "from_a_process": (("def", "isolation='process'"), PLAIN),
    "to_async": (PLAIN, ("async def", "")),
    "to_sync": (("async def", ""), PLAIN),
    "to_a_thread_in_time": (PLAIN, ("def", "timeout='1m'")),
}
"""Of each tool: how it is declared before the deploy, and after it."""


class Site:
    """Releases of a shop in folders of their own, a server, and what tools noted."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.notes = folder, folder / "notes"
        self.notes.touch()

    def release(self, name: str, *parts: str) -> ModuleType:
        """A release of the shop, as a module of this process too."""
        home = self.folder / name
        home.mkdir()
        (home / "shop.py").write_text(HEAD + "".join(parts))
        spec = importlib.util.spec_from_file_location(f"shop_{name}", home / "shop.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[f"shop_{name}"] = module
        spec.loader.exec_module(module)
        return module

    @contextmanager
    def worker(self, name: str) -> Iterator[subprocess.Popen[bytes]]:
        """A worker of a release, which leaves at the end if it is there by then."""
        paths = os.pathsep.join(map(str, (self.folder / name, ROOT)))
        env = os.environ | {"PYTHONPATH": paths, "WAKELINE_RELEASE": name}
        running = subprocess.Popen(
            [sys.executable, "-m", "wakeline_workers.cli", "-A", "shop:app", "worker", "-n", "1"], env=env
        )
        try:
            yield running
        finally:
            leave(running)

    @property
    def made(self) -> dict[str, list[str]]:
        """Of each tool the idempotency keys its code began with, in order."""
        found: defaultdict[str, list[str]] = defaultdict(list)
        for line in self.notes.read_text().splitlines():
            found[line.split()[0]].append(line.split()[1])
        return dict(found)

    def go(self) -> None:
        """From now on tools end."""
        (self.folder / "go").touch()


@pytest.fixture
def site(server: PrivateServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    settings = {
        "WAKELINE_REDIS_URL": server.url,
        "WAKELINE_LEASE": "1500ms",
        "WAKELINE_BEAT": "300ms",
        "WAKELINE_HOLD": "50ms",
        "WAKELINE_SHUTDOWN": "1s",
        "SHOP_NOTES": str(tmp_path / "notes"),
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    return Site(tmp_path)


def shop(release: int) -> list[str]:
    """The bodies of the release before the deploy (0), or after it (1)."""
    sleeps = {"def": "time.sleep", "async def": "await asyncio.sleep"}
    declared = {name: forms[release] for name, forms in CHANGES.items()}
    return [
        BODY.format(name=name, how=how, options=options, sleep=sleeps[how]) for name, (how, options) in declared.items()
    ]


def started(module: ModuleType) -> dict[str, Handle[Any]]:
    return {name: module.app.using(id=f"p-{name}").start(getattr(module, f"engine_{name}"), 7) for name in CHANGES}


def all_are(handles: dict[str, Handle[Any]], status: str) -> Callable[[], bool]:
    return lambda: all(handle.status().status == status for handle in handles.values())


def test_a_deploy_that_declares_tools_anew_makes_no_recorded_call_again(site: Site) -> None:
    before, _ = site.release("v1", *shop(0)), site.release("v2", *shop(1))
    site.go()
    handles = started(before)
    with site.worker("v1"):
        until(lambda: len(site.made) == len(CHANGES) and all_are(handles, "waiting")(), 60)
        time.sleep(0.5)  # those that wait for the end of their call by now wait for the signal
        until(all_are(handles, "waiting"), 60)
    with site.worker("v2"):
        for handle in handles.values():
            handle.signal("go", True)
        assert {name: handle.result(timeout=60) for name, handle in handles.items()} == {
            name: f"{name} paid" for name in CHANGES
        }
    assert {name: len(keys) for name, keys in site.made.items()} == dict.fromkeys(CHANGES, 1)


@pytest.mark.parametrize("how", ["killed", "told to leave"])
def test_calls_that_are_under_way_at_a_deploy_end_once_under_the_key_they_began_with(site: Site, how: str) -> None:
    before, _ = site.release("v1", *shop(0)), site.release("v2", *shop(1))
    handles = started(before)
    with site.worker("v1") as worker:
        until(lambda: len(site.made) == len(CHANGES), 60)
        if how == "killed":
            for pid in [worker.pid, *children_of(worker)]:
                os.kill(pid, signal.SIGKILL)
            worker.wait(20)
    site.go()
    with site.worker("v2"):
        for handle in handles.values():
            handle.signal("go", True)
        assert {name: handle.result(timeout=60) for name, handle in handles.items()} == {
            name: f"{name} paid" for name in CHANGES
        }
    assert {name: len(set(keys)) for name, keys in site.made.items()} == dict.fromkeys(CHANGES, 1)
    assert {name: len(keys) for name, keys in site.made.items()} == dict.fromkeys(CHANGES, 2)
