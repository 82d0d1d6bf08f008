"""The release before this one beside it on one store, forward, back and forward again, with real workers of both:
nothing is lost or doubled.

``tests/compat/releases`` has the wheel of the release before, as its tree built it. It is unpacked and put before this
tree on the path of its workers.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from wakeline import Handle, Session
from wakeline.embedded import PrivateServer

from tests.e2e.sentinels import until
from tests.e2e.test_races import ROOT, leave

BEFORE = sorted((ROOT / "tests/compat/releases").glob("*.whl"))[-1]
SHOP = """
import os, time
from wakeline import App, AsyncCtx, AsyncTurn, Limit, current
app = App(os.environ["SHOP"])


def note(what: str) -> None:
    with open(os.environ["NOTES"], "a") as notes:
        notes.write(f"{what} {current().idempotency_key}\\n")


@app.tool(retries=2)
def act(n: int, what: str) -> str:
    note(f"{what}-{n}")
    return what


@app.tool(limit=Limit(concurrency=2))
def limited(n: int) -> int:
    note(f"limited-{n}")
    return n


@app.engine(signals={"go": int})
async def flow(ctx: AsyncCtx, n: int) -> int:
    await ctx.call(act, n, "first")
    picture = await ctx.attachments.put(bytes(100_000), "image/png")
    child = await ctx.start(limited, n)
    got = await ctx.wait("go", int)
    assert await child == n
    assert len(await ctx.attachments.get(picture)) == 100_000
    await ctx.sleep("200ms")
    await ctx.call(act, n, "last")
    await ctx.trigger("over").emit({"n": n, "what": "told"}, key=f"over-{n}")
    return got


app.trigger("over").subscribe(act)


@app.agent("desk")
async def desk(turn: AsyncTurn) -> None:
    for item in turn.inbox:
        await turn.call(act, int(item.text), "read")
    turn.state["n"] = turn.state.get("n", 0) + len(turn.inbox)
"""
EACH = ("first", "last", "limited", "read", "told")


class Shop:
    """One shop, its flows and its workers of both releases."""

    def __init__(self, server: PrivateServer, folder: Path, exits: ExitStack) -> None:
        with zipfile.ZipFile(BEFORE) as wheel:
            wheel.extractall(folder / "before")
        (folder / "both_shop.py").write_text(SHOP)
        self.notes = folder / "notes"
        self.notes.touch()
        self.name = f"both{os.getpid()}x{time.monotonic_ns()}"
        self.env = os.environ | {
            "WAKELINE_REDIS_URL": server.url,
            "SHOP": self.name,
            "NOTES": str(self.notes),
            "WAKELINE_APP": "both_shop:app",
        }
        self.folder, self.exits = folder, exits
        with pytest.MonkeyPatch.context() as here:
            for name, value in self.env.items():
                here.setenv(name, value)
            spec = importlib.util.spec_from_file_location("both_shop", folder / "both_shop.py")
            assert spec is not None and spec.loader is not None
            self.module: Any = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(self.module)
        self.app = self.module.app
        exits.callback(self.app.close)
        self.flows: list[Handle[int]] = []
        self.desks: list[Session] = [self.app.session("desk", str(k)) for k in range(2)]
        self.told = 0

    def path_of(self, release: str) -> str:
        return os.pathsep.join([str(self.folder / "before") if release == "before" else str(ROOT), str(self.folder)])

    def worker(self, release: str) -> subprocess.Popen[bytes]:
        """A worker of the release before or of this one, once it serves."""
        serving = f"{{{self.name}}}:serves"
        there = self.app.store.client.hlen(serving)
        env = self.env | {"WAKELINE_RELEASE": release, "PYTHONPATH": self.path_of(release)}
        running = subprocess.Popen([sys.executable, "-m", "wakeline_workers.cli", "worker"], env=env, cwd=self.folder)
        self.exits.callback(lambda: leave(running) if running.poll() is None else None)
        until(lambda: self.app.store.client.hlen(serving) == there + 1, f"a worker of {release}")
        return running

    def start(self, count: int) -> None:
        """Flows and inputs, which any present worker begins."""
        for n in range(len(self.flows), len(self.flows) + count):
            self.flows.append(self.app.start(self.module.flow, n))
            self.desks[n % 2].send(str(n))
        until(lambda: all(one.status().status != "queued" for one in self.flows), "the flows have begun")

    def signal(self) -> None:
        """The signal of every flow that has none yet."""
        for n in range(self.told, len(self.flows)):
            self.flows[n].signal("go", n)
        self.told = len(self.flows)

    def noted(self) -> Counter[str]:
        return Counter(line.split()[0] for line in self.notes.read_text().splitlines())


@pytest.fixture
def shop(server: PrivateServer, tmp_path: Path) -> Iterator[Shop]:
    with ExitStack() as exits:
        yield Shop(server, tmp_path, exits)


def test_the_workers_of_the_release_before_run_its_own_code(shop: Shop) -> None:
    look = "import json, wakeline, wakeline_workers; print(json.dumps([wakeline.__file__, wakeline_workers.__file__]))"
    env = shop.env | {"PYTHONPATH": shop.path_of("before")}
    done = subprocess.run(
        [sys.executable, "-c", look], env=env, cwd=shop.folder, capture_output=True, text=True, timeout=60, check=True
    )
    assert all(Path(file).is_relative_to(shop.folder / "before") for file in json.loads(done.stdout))


def test_the_release_before_and_this_one_work_on_one_store_forward_back_and_forward_again(shop: Shop) -> None:
    before = shop.worker("before")
    shop.start(4)
    this = shop.worker("this")  # forward: both, then this one alone
    shop.start(4)
    shop.signal()
    shop.start(4)
    leave(before)
    shop.start(4)
    before = shop.worker("before")  # back: what this one parked goes on with the one before
    leave(this)
    shop.start(4)
    shop.signal()
    until(
        lambda: all(one.status().status == "completed" for one in shop.flows), "all flows end with the release before"
    )
    shop.start(4)
    this = shop.worker("this")  # and forward again
    leave(before)
    shop.signal()
    assert [one.result(timeout=30) for one in shop.flows] == list(range(24))
    until(lambda: sum(desk.state()["n"] for desk in shop.desks) == 24, "all inputs are read")
    until(lambda: len(shop.noted()) == 24 * len(EACH), "all occurrences are told")
    assert shop.noted() == Counter(f"{what}-{n}" for what in EACH for n in range(24))
    leave(this)
