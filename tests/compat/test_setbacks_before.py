"""What went wrong, as two releases side by side tell it: the release before reads what this one keeps of it, and this
one reads what that one kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from wakeline import App, AsyncCtx
from wakeline.embedded import PrivateServer
from wakeline.processes.outputs import Failure, to_json
from wakeline.store import ends
from wakeline.store.connection import UrlBackend
from wakeline.values import from_json

from tests.compat import before
from tests.lua.world import World
from tests.races.workers import app_of, work

LOOKS = """
import json, sys
from wakeline import App
from wakeline.errors import ProcessFailed
from wakeline.settings import Settings
url, ns, rq_prefix = sys.argv[1:]
app = App(ns, settings=Settings(url=url, rq_prefix=rq_prefix))
def failed(pid):
    try:
        app.handle(pid).result(timeout=5)
    except ProcessFailed as error:
        return [error.failure_code, error.failure_message]
print(json.dumps({
    "listed": sorted((row.id, row.status) for row in app.processes("any", limit=100)),
    "types": {pid: [event.type for event in app.handle(pid).events()] for pid in ("flaky", "fails", "waits")},
    "failed": failed("fails"),
    "result": app.handle("flaky").result(timeout=5),
    "misfit": app.handle("waits").status().misfit.kind,
}))
"""


@pytest.fixture
def world(server: PrivateServer) -> Iterator[World]:
    backend = UrlBackend(server.url, connections=8)
    backend.sync().flushall()
    made = World.on(backend)
    yield made
    made.store.close()


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code of the release before."""
    folder = tmp_path_factory.mktemp("before")
    with zipfile.ZipFile(before.WHEEL) as wheel:
        wheel.extractall(folder)
    return folder


def waiting(app: App, name: str) -> Any:
    @app.engine(name="waiting", signals={"go": int})
    async def waits(ctx: AsyncCtx) -> int:
        return await ctx.step(name, int, 1) + await ctx.wait("go", int)

    return waits


def test_the_release_before_reads_logs_outputs_and_journals_with_setbacks(
    world: World, server: PrivateServer, tree: Path
) -> None:
    app, other, tries = app_of(world), app_of(world), list[int]()

    @app.tool(retries=3, backoff=0)
    def flaky() -> int:
        tries.append(1)
        if len(tries) < 3:
            raise ValueError("busy")
        return 7

    @app.engine
    async def fails(ctx: AsyncCtx) -> None:
        await ctx.step("weigh", int, "much")

    app.using(id="flaky").start(flaky)
    app.using(id="fails").start(fails)
    app.using(id="waits").start(waiting(app, "weigh"))
    waiting(other, "measure")
    work(world, app)
    for _ in range(3):
        world.pass_ms(1_000)
        world.tick()
        work(world, app)
    app.handle("waits").signal("go", 1)
    work(world, other)
    ran = subprocess.run(
        [sys.executable, "-c", LOOKS, server.url, world.ns, f"rq-{world.ns}"],
        env=os.environ | {"PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert found["listed"] == [["fails", "failed"], ["flaky", "completed"], ["waits", "queued"]]
    assert found["types"]["flaky"].count("process.attempt_failed") == 2
    assert found["types"]["waits"][-1] == "process.misfit"
    assert (found["result"], found["misfit"]) == (7, "mismatch")
    outcome = app.handle("fails").view().outcome
    assert isinstance(outcome, Failure)
    assert found["failed"] == ["ValueError", outcome.message]


def test_what_the_release_before_wrote_of_a_failure_is_read_without_what_it_did_not_keep(world: World) -> None:
    fence = world.running("p", "o1")
    output = to_json(Failure("execution", "ValueError", "busy\nvery"))
    before.do(world, ends.finish("p", "failed", output, fence=fence))
    [row] = app_of(world).processes("failed")
    assert row.error == "ValueError: busy"
    view = app_of(world).handle("p").view()
    assert (view.error, view.trace, view.failed_effect, view.setbacks) == ("ValueError: busy", None, None, ())
    assert view.outcome == Failure("execution", "ValueError", "busy\nvery")


def test_a_worker_of_the_release_before_goes_on_with_a_process_that_had_setbacks(world: World) -> None:
    fence = world.running("p", "o1")
    world.do(ends.release(fence, delay_ms=0, attempt=True, said='{"code":"ValueError"}'))
    again = world.claim("p", "o2")
    before.do(world, ends.finish("p", "completed", '{"type":"success","value":1}', fence=again))
    assert world.status() == "completed"
    [setback] = app_of(world).handle("p").view().setbacks
    assert (setback.kind, setback.code, setback.number) == ("attempt", "ValueError", 1)
    assert from_json(world.payload("p", -1)) == {"await_output": {"type": "success", "value": 1}}
