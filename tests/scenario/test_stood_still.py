"""A process that an earlier release left standing still, under a worker of this one."""

from __future__ import annotations

from typing import Any, cast

from wakeline import App, Ctx
from wakeline.settings import Settings
from wakeline.store import fleet
from wakeline.store.connection import Backend
from wakeline_workers.threads import WorkerThread

from tests.scenario.conftest import until


def test_a_process_that_was_parked_on_nothing_goes_on_by_itself_and_doctor_counts_it(backend: Backend) -> None:
    app = App("stood", backend=backend, settings=Settings(hold_ms=0))
    client, prefix = cast("Any", app.store.client), app.store.address.prefix

    @app.engine(signals={"go": int})
    def waits(ctx: Ctx) -> int:
        return ctx.wait("go", int)

    handle = app.start(waits)
    with WorkerThread(app):
        until(lambda: handle.status().status == "waiting")
    # As the release before left it: the resolution came in the moment of the park, and resumed no process.
    [slot] = client.smembers(f"{prefix}waits:{handle.id}")
    client.hset(f"{prefix}slot:{slot}", "r", '{"status":"ok","value":7}')
    client.hdel(f"{prefix}proc:{handle.id}", "n:go")

    assert app.store.execute(fleet.read_fleet(app.queues)).standing == {"waits": 1}
    with WorkerThread(app):
        assert handle.result(timeout=30) == 7
    view = app.store.execute(fleet.read_fleet(app.queues))
    assert (view.standing, view.stood["waits"].number) == ({}, 1)
    app.close()
