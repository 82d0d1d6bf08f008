"""What people and programs are shown of a namespace as a whole: workers, queues, limits, and what doctor finds."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from wakeline import AsyncCtx
from wakeline.observe import FleetView, LimitView, QueueView, WorkerView
from wakeline.processes.limits import Limit
from wakeline.store import owners
from wakeline.values import to_json
from wakeline.verbs import looks

from tests.contract.conftest import START_MS
from tests.contract.working import app_of

if TYPE_CHECKING:
    from wakeline import App

    from tests.contract.conftest import World

LEASE_MS = 5_000


def comes(world: World, owner: str, *queues: str, release: str | None = None, app: App | None = None) -> None:
    """A worker start; with an app it declares that app's limits."""
    world.do(
        owners.register_owner(
            owner,
            queues,
            lease_ms=LEASE_MS,
            release=release,
            app=app.name if app else None,
            limits=app.limits if app else None,
        )
    )


def limited(world: World) -> App:
    app = app_of(world)

    @app.engine(limit=Limit(concurrency=1, rate="5/1m", burst=2))
    async def narrow(ctx: AsyncCtx) -> None: ...

    return app


def test_a_fleet_tells_its_workers_queues_and_limits(world: World) -> None:
    app, ns = limited(world), world.namespace
    comes(world, "o_1", ns, release="v1", app=app)
    comes(world, "o_2", ns, f"{ns}.night")
    for pid in ("a", "b"):
        app.using(id=pid).start(app.registry.engines["narrow"])
    [claim] = world.take("o_1")
    app.pause("night")
    expires = START_MS + LEASE_MS
    fleet = app.fleet()
    assert fleet == FleetView(
        counts={"queued": 1, "running": 1, "waiting": 0, "completed": 0, "failed": 0, "cancelled": 0, "abandoned": 0},
        timers=0,
        undeliverable=0,
        undelivered=0,
        workers=(
            WorkerView("o_1", True, expires, 1, "v1", app.name, (ns,)),
            WorkerView("o_2", True, expires, 0, None, None, (ns, f"{ns}.night")),
        ),
        queues=(
            QueueView(ns, 0, 1, False, None, 0, fleet.queues[0].idle, ("o_1", "o_2")),
            QueueView(f"{ns}.night", 0, 0, True, None, 0, 0, ("o_2",)),
        ),
        limits=(LimitView("narrow", 1, 1, Limit(concurrency=1, rate="5/1m", burst=2)),),
        format="1",
        rq_prefix=world.store.address.rq_prefix,
        now_ms=START_MS,
    )
    assert claim.process_id in ("a", "b")
    data = fleet.to_data()
    assert json.loads(to_json(data)) == data
    assert data["limits"][0]["limit"] == {"concurrency": 1, "rate": "5/1m", "key": None, "burst": 2}


def test_a_worker_whose_lease_is_over_is_not_alive_and_takes_from_nothing(world: World) -> None:
    comes(world, "o_1", world.namespace)
    world.clock.advance("6s")
    assert app_of(world).fleet().workers == (WorkerView("o_1", False, START_MS + LEASE_MS, 0, None, None, ()),)


def test_a_stock_worker_is_a_worker_of_its_queue(world: World) -> None:
    prefix = world.store.address.rq_prefix
    world.store.client.sadd(f"{prefix}:workers:{world.namespace}", f"{prefix}:worker:stock1")
    world.store.client.hset(f"{prefix}:worker:stock1", "state", "idle")
    fleet = app_of(world).fleet()
    assert fleet.workers == (WorkerView("stock1", True, None, 0, None, None, (world.namespace,), stock=True),)
    assert fleet.queues[0].workers == ("stock1",)
    world.start("p")
    assert world.go(looks.process("p")).because is None


def test_doctor_is_one_value_with_findings_about_processes_queues_and_workers(world: World) -> None:
    app, ns = limited(world), world.namespace
    world.start("p", queue=f"{ns}.night")
    seen = app.doctor()
    [finding] = [one for one in seen.findings if one.code == "workers"]
    assert (seen.ok, finding.level) == (False, "problem")
    assert finding.what == "1 process and no worker alive: nothing runs and no timer fires"
    assert (finding.to_do or "").startswith("start `wakeline worker`")
    assert app.doctor(release=True).ok
    comes(world, "o_1", ns)
    [queue] = [one for one in app.doctor().findings if one.code == "queue" and one.level == "problem"]
    assert (queue.queues, queue.to_do) == (
        (f"{ns}.night",),
        "no worker takes from it: start `wakeline worker -Q night`",
    )
    [code] = [one for one in app.doctor().findings if one.code == "code"]
    assert code.processes == ("p",)
    assert app.doctor().fleet.counts == app.fleet().counts


def test_the_awaited_face_gives_the_same_fleet_and_findings(world: World) -> None:
    app = limited(world)
    comes(world, "o_1", world.namespace, app=app)

    async def both() -> tuple[FleetView, bool]:
        return await app.aio.fleet(), (await app.aio.doctor()).findings == found

    found = app.doctor().findings
    assert asyncio.run(both()) == (app.fleet(), True)


@pytest.mark.parametrize(
    ("limit", "told"),
    [
        (Limit(concurrency=2), "2 at once"),
        (Limit(rate="100/1m"), "100 in 1m"),
        (Limit(concurrency=1, rate="3/90s", burst=3), "1 at once, 3 in 1m30s, bursts of 3"),
    ],
)
def test_a_limit_is_read_back_from_what_the_store_has_of_it(limit: Limit, told: str) -> None:
    read = Limit.of_wire(json.loads(limit.wire()))
    assert read is not None
    assert (read.wire(), read.described) == (limit.wire(), told)


@pytest.mark.parametrize("wire", [{}, {"z": 1}, {"c": "many"}, {"n": 1}, {"n": "1", "w": 2}])
def test_a_limit_that_another_release_keeps_otherwise_is_not_told(wire: dict[str, object]) -> None:
    assert Limit.of_wire(wire) is None
