"""A worker of the release before runs what was sent with headers, as it runs what was sent without."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

from wakeline import App, AsyncTurn, Ctx
from wakeline.embedded import PrivateServer
from wakeline.settings import Settings
from wakeline.store.connection import UrlBackend
from wakeline.telemetry.headers import Headers
from wakeline.telemetry.instrument import Instrument
from wakeline.telemetry.seen import SendingSeen

from tests.compat.before import WHEEL

TRACE: Headers = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
BEFORE = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
import wakeline
from wakeline import App, AsyncTurn, Ctx
from wakeline.settings import Settings
from wakeline.store.connection import UrlBackend
from wakeline_workers.loop import WorkerLoop

assert wakeline.__file__.startswith(sys.argv[1]), wakeline.__file__
app = App(sys.argv[2], backend=UrlBackend(sys.argv[3]), settings=Settings(hold_ms=50))

@app.engine(signals={"go": int})
def order(ctx: Ctx, n: int) -> int:
    return n + ctx.wait("go", int)

@app.agent("desk")
async def desk(turn: AsyncTurn) -> list[str]:
    return [item.text for item in turn.inbox]

async def main():
    await WorkerLoop(app, burst=True).serve()

asyncio.run(main())
asyncio.run(main())
"""


class Gives(Instrument):
    @contextmanager
    def sending(self, sending: SendingSeen) -> Generator[Headers]:
        yield TRACE


def test_a_worker_of_the_release_before_runs_a_start_a_signal_and_an_entry_with_headers(
    server: PrivateServer, tmp_path: Path
) -> None:
    zipfile.ZipFile(WHEEL).extractall(tmp_path)
    app = App("t" + token_hex(4), backend=UrlBackend(server.url), settings=Settings(hold_ms=50), instrument=Gives())

    @app.engine(signals={"go": int})
    def order(ctx: Ctx, n: int) -> int:
        return n + ctx.wait("go", int)

    @app.agent("desk")
    async def desk(turn: AsyncTurn) -> list[str]:
        return [item.text for item in turn.inbox]

    handle = app.using(wake=app.session("desk", "1")).start(order, 1)
    handle.signal("go", 2)
    app.session("desk", "2").send("hello")
    worker = [sys.executable, "-c", BEFORE, str(tmp_path), app.namespace, server.url]
    done = subprocess.run(worker, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert handle.result(timeout=1) == 3
    entries = [entry for key in ("1", "2") for entry in app.session("desk", key).wakes()]
    assert [(entry.kind, entry.state) for entry in entries] == [("wake", "settled"), ("input", "settled")]
    app.close()
