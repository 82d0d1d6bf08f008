"""Unique starts: one living process at a time under a key, and what a start means meanwhile."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from wakeline import App, AsyncCtx, Ctx
from wakeline.errors import AlreadyRunning, InvalidArguments, ProcessCancelled

from tests.scenario.conftest import until


@pytest.fixture
def waits(app: App) -> Any:
    @app.engine(signals={"go": bool})
    async def waits(ctx: AsyncCtx, n: int) -> int:
        await ctx.wait("go")
        return n

    return waits


def test_a_start_while_one_runs_is_that_one_and_another_once_it_has_ended(app: App, waits: Any) -> None:
    first = app.using(unique="import").start(waits, 1)
    again = app.using(unique="import").start(waits, 2)
    assert again.id == first.id
    assert app.using(unique="other").start(waits, 3).id != first.id
    first.signal("go", True)
    assert first.result(timeout=10) == 1
    later = app.using(unique="import").start(waits, 4)
    assert later.id != first.id
    later.cancel()


def test_it_may_be_refused(app: App, waits: Any) -> None:
    first = app.using(unique="import", if_running="reject").start(waits, 1)
    with pytest.raises(AlreadyRunning) as refused:
        app.using(unique="import", if_running="reject").start(waits, 2)
    assert refused.value.fields == {"unique": "import", "process_id": first.id}
    assert len(app.processes("any")) == 1


def test_it_may_take_its_place(app: App, waits: Any) -> None:
    first = app.using(unique="import").start(waits, 1)
    until(lambda: first.status().status == "waiting")
    second = app.using(unique="import", if_running="replace").start(waits, 2)
    with pytest.raises(ProcessCancelled):
        first.result(timeout=10)
    assert {"reason": f"replaced by {second.id}"} in [
        event.payload for event in first.events() if event.type == "process.cancel_requested"
    ]
    assert app.using(unique="import").start(waits, 3).id == second.id
    second.signal("go", True)
    assert second.result(timeout=10) == 2


def test_the_same_id_is_the_same_process_whatever_its_key(app: App, waits: Any) -> None:
    first = app.using(id="one", unique="import", if_running="reject").start(waits, 1)
    assert app.using(id="one", unique="import", if_running="reject").start(waits, 1).id == first.id


def test_of_eight_starts_at_once_one_is_made(app: App, waits: Any) -> None:
    ids: list[str] = []
    gate = threading.Barrier(8)

    def start(n: int) -> None:
        gate.wait()
        ids.append(app.using(unique="import").start(waits, n).id)

    threads = [threading.Thread(target=start, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(ids) == 8
    assert len(set(ids)) == 1
    assert len(app.processes("any")) == 1


def test_a_body_starts_uniquely_too_and_a_replay_finds_what_it_found(app: App, waits: Any) -> None:
    runs: list[int] = []

    @app.engine
    def starts(ctx: Ctx, how: str) -> list[str]:
        runs.append(1)
        try:
            found = ctx.using(unique="import", if_running=how).start(waits, 7).id  # type: ignore[typeddict-item]
        except AlreadyRunning as taken:
            found = f"taken by {taken.process_id}"
        ctx.sleep("30ms")  # parks: what follows is a replay
        return [found]

    first = app.using(unique="import").start(waits, 1)
    assert app.start(starts, "return").result(timeout=10) == [first.id]
    assert app.start(starts, "reject").result(timeout=10) == [f"taken by {first.id}"]
    [replacing] = app.start(starts, "replace").result(timeout=10)
    assert replacing != first.id
    with pytest.raises(ProcessCancelled):
        first.result(timeout=10)
    app.handle(replacing).signal("go", True)
    assert app.handle(replacing).result(timeout=10) == 7
    assert len(runs) == 6


def test_what_a_taken_key_means_is_one_of_three_and_needs_a_key(app: App) -> None:
    for options in ({"if_running": "reject"}, {"unique": "x", "if_running": "wait"}):
        with pytest.raises(InvalidArguments, match="return, reject, replace"):
            app.using(**options)  # type: ignore[arg-type]


def test_a_key_is_free_again_and_gone_when_its_process_is_pruned(app: App, waits: Any) -> None:
    first = app.using(unique="import").start(waits, 1)
    client: Any = app.store.client
    key = app.store.address.prefix + "uniq:import"
    assert client.get(key) == first.id
    first.cancel()
    until(lambda: first.status().status == "cancelled")
    assert app.using(unique="import").start(waits, 2).id != first.id
