"""A claim is its worker's from the moment it was taken: while what it needs is read, and while an earlier run of the
same process has still to leave."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any, cast

import pytest
from wakeline import App, AsyncCtx
from wakeline.attachments.directory import DirectoryBlobs
from wakeline.errors import ProcessCancelled
from wakeline.settings import Settings
from wakeline.store.connection import Backend
from wakeline_workers.heartbeat import Heartbeat
from wakeline_workers.loop import WorkerLoop

from tests.scenario.conftest import until

LARGE = "x" * 100_000
BEAT_MS = 40


class SlowBlobs(DirectoryBlobs):
    """A store of bytes that answers when it is told to."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.asked, self.answers = threading.Event(), threading.Event()

    def get(self, location: str) -> bytes | None:
        self.asked.set()
        assert self.answers.wait(10)
        return super().get(location)


class Served:
    """An app whose arguments are slow to read, served with a heartbeat; what its bodies were begun with."""

    def __init__(self, backend: Backend, root: Path, **settings: Any) -> None:
        self.blobs = SlowBlobs(root)
        times = {"beat_ms": BEAT_MS, "lease_ms": 5_000, "hold_ms": 50, "grace_ms": 20_000, **settings}
        self.app = App("t" + token_hex(4), backend=backend, attachments=self.blobs, settings=Settings(**times))
        self.begun: list[int] = []

        @self.app.tool
        async def measure(text: str) -> int:
            self.begun.append(len(text))
            return len(text)

        self.measure = measure

    @contextmanager
    def running(self) -> Iterator[tuple[WorkerLoop, asyncio.AbstractEventLoop]]:
        """Until the end of the block."""
        loops: list[tuple[WorkerLoop, asyncio.AbstractEventLoop]] = []

        async def serve() -> None:
            worker, loop = WorkerLoop(self.app), asyncio.get_running_loop()
            serving = loop.create_task(worker.serve())
            while not self.registered(worker.owner):
                await asyncio.sleep(0.01)
            with Heartbeat.of(worker, loop):
                loops.append((worker, loop))
                await serving

        thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
        thread.start()
        until(lambda: bool(loops))
        try:
            yield loops[0]
        finally:
            self.blobs.answers.set()
            if thread.is_alive():
                loops[0][1].call_soon_threadsafe(loops[0][0].stop)
            thread.join(10)
            assert not thread.is_alive()

    def stored(self, key: str, field: str) -> str | None:
        client, prefix = cast("Any", self.app.store.client), self.app.store.address.prefix
        return cast("str | None", client.hget(f"{prefix}{key}", field))

    def registered(self, owner: str) -> bool:
        return self.stored("leases", owner) is not None

    def beats(self, owner: str) -> int:
        return int(self.stored("beats", owner) or 0)

    def losses(self, process_id: str) -> str | None:
        return self.stored(f"proc:{process_id}", "ls")


@pytest.fixture
def slow(backend: Backend, tmp_path: Path) -> Iterator[Served]:
    made = Served(backend, tmp_path)
    yield made
    made.app.close()


def test_what_is_slow_to_read_is_not_given_away_meanwhile(slow: Served) -> None:
    with slow.running() as (worker, _):
        handle = slow.app.start(slow.measure, LARGE)
        assert slow.blobs.asked.wait(10)
        there = slow.beats(worker.owner)
        until(lambda: slow.beats(worker.owner) >= there + 6)
        assert slow.losses(handle.id) is None
        slow.blobs.answers.set()
        assert handle.result(timeout=10) == 100_000
    assert slow.begun == [100_000]


def test_a_cancel_that_comes_while_it_is_read_is_heard_before_it_begins(slow: Served) -> None:
    with slow.running():
        handle = slow.app.start(slow.measure, LARGE)
        assert slow.blobs.asked.wait(10)
        handle.cancel("enough")
        slow.blobs.answers.set()
        with pytest.raises(ProcessCancelled):
            handle.result(timeout=10)
    assert slow.begun == []


def test_a_worker_that_leaves_hands_back_what_it_was_still_reading(slow: Served) -> None:
    with slow.running() as (worker, loop):
        handle = slow.app.start(slow.measure, LARGE)
        assert slow.blobs.asked.wait(10)
        loop.call_soon_threadsafe(worker.stop)
        until(lambda: worker._runner._stopping)
        slow.blobs.answers.set()
    assert (handle.status().status, slow.begun, slow.losses(handle.id)) == ("queued", [], None)


def test_a_reaped_worker_does_not_begin_what_it_was_still_reading(slow: Served) -> None:
    with slow.running() as (worker, loop):
        slow.app.start(slow.measure, LARGE)
        assert slow.blobs.asked.wait(10)
        loop.call_soon_threadsafe(worker.lose)
        until(lambda: worker.reaped)
        slow.blobs.answers.set()
    assert slow.begun == []


def test_a_run_is_told_of_its_cancel_also_where_an_earlier_one_of_its_process_left_late(
    backend: Backend, tmp_path: Path
) -> None:
    slow = Served(backend, tmp_path)
    slow.blobs.answers.set()
    first_left, second_began = threading.Event(), threading.Event()
    runs: list[int] = []

    @slow.app.engine(signals={"go": bool})
    async def twice(ctx: AsyncCtx) -> str:
        runs.append(1)
        try:
            await ctx.wait("go", bool)
        except asyncio.CancelledError:  # it was parked, and takes its time
            await asyncio.to_thread(second_began.wait, 10)
            first_left.set()
            raise
        second_began.set()
        await ctx.execution.cancellation_token.wait()
        return "it was told"

    with slow.running() as (worker, _):
        handle = slow.app.start(twice)
        until(lambda: handle.status().status == "waiting")
        handle.signal("go", True)
        assert first_left.wait(10)
        until(lambda: len(worker._tasks) == 1)
        handle.cancel("enough")
        assert (handle.result(timeout=10), len(runs)) == ("it was told", 2)
    slow.app.close()
