"""Of several workers one ticks; another one takes its place when it is stopped."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import suppress
from secrets import token_hex

import pytest
from wakeline import App, AsyncCtx
from wakeline.embedded import PrivateServer
from wakeline.store import ticks
from wakeline.store.connection import UrlBackend
from wakeline_workers import clock
from wakeline_workers.loop import WorkerLoop


@pytest.mark.real
def test_one_of_three_workers_ticks_and_another_one_when_it_stands_still(
    server: PrivateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = App("t" + token_hex(4), backend=UrlBackend(server.url))
    ticked: list[tuple[str, bool]] = []
    heard = clock.Ticker._plan
    frozen, ticking = set[str](), set[str]()

    def plan(self: clock.Ticker, report: ticks.TickReport, *, at_once: bool) -> None:
        ticked.append((self._by, report.spared))
        heard(self, report, at_once=at_once)

    real_tick = clock.Ticker.tick

    async def tick(self: clock.Ticker) -> bool:
        while self._by in frozen:  # as under SIGSTOP: it does nothing at all
            await asyncio.sleep(0.02)
        ticking.add(self._by)
        try:
            return await real_tick(self)
        finally:
            ticking.discard(self._by)

    monkeypatch.setattr(clock.Ticker, "_plan", plan)
    monkeypatch.setattr(clock.Ticker, "tick", tick)

    @app.engine
    async def naps(ctx: AsyncCtx) -> None:
        await ctx.sleep("300ms")

    def full() -> Counter[str]:
        return Counter(by for by, spared in ticked if not spared)

    async def until(number: int) -> None:
        end = time.monotonic() + 20
        while full().total() < number:
            assert time.monotonic() < end, ticked
            await asyncio.sleep(0.02)

    async def serve() -> None:
        workers = [WorkerLoop(app) for _ in range(3)]
        serving = [asyncio.create_task(worker.serve()) for worker in workers]
        try:
            await until(4)
            [(first, _)] = full().most_common(1)
            looks = Counter(by for by, spared in ticked if spared)
            assert len(looks) >= 2  # the others were there, and left it to that one
            frozen.add(first)
            while first in ticking:
                await asyncio.sleep(0.02)
            ticked.clear()
            await until(2)
            assert first not in full()
            handle = await app.aio.start(naps)
            await handle.result(timeout=10)
            frozen.clear()
        finally:
            for worker in workers:
                worker.stop()
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.gather(*serving), 10)

    asyncio.run(serve())
    app.close()
