"""A worker that was told to leave and still waits for what it runs."""

from __future__ import annotations

import asyncio
import threading
from secrets import token_hex
from typing import Any, cast

from wakeline import App, Ctx
from wakeline.settings import Settings
from wakeline.store.connection import Backend
from wakeline_workers.loop import WorkerLoop

from tests.scenario.conftest import until


def test_a_worker_that_leaves_hears_no_bells_while_it_waits_for_its_bodies(backend: Backend) -> None:
    app = App("t" + token_hex(4), backend=backend, settings=Settings(hold_ms=50, shutdown_ms=5_000))
    begun, over, loops = threading.Event(), threading.Event(), list[tuple[WorkerLoop, asyncio.AbstractEventLoop]]()

    @app.engine
    def stays(ctx: Ctx) -> str:
        begun.set()
        over.wait(10)
        return "ended by itself"

    async def serve() -> None:
        loops.append((WorkerLoop(app), asyncio.get_running_loop()))
        await loops[0][0].serve()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    handle = app.using(recovery="owner_bound").start(stays)  # it may not move, so it is waited for
    client, prefix = cast("Any", app.store.client), app.store.address.prefix

    def rung() -> bool:
        return bool(client.scard(f"{prefix}idle:{app.namespace}"))

    until(lambda: begun.is_set() and handle.status().status == "running" and rung())
    loops[0][1].call_soon_threadsafe(loops[0][0].stop)
    until(lambda: not rung())
    still_there = client.zcard(f"{prefix}owners")
    over.set()
    thread.join(10)
    app.close()
    assert still_there == 1
