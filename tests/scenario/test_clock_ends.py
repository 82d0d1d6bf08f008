"""`wakeline clock` leaves at the first signal, also when the cancel of its tick gets lost on the way."""

from __future__ import annotations

import asyncio
import os
import signal
import threading

import pytest
from wakeline import App
from wakeline.store.connection import FakeBackend
from wakeline_workers import clock


def test_a_cancel_that_a_tick_swallows_does_not_keep_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    ticking, swallowed = threading.Event(), []

    async def deaf(_: clock.Ticker) -> None:
        ticking.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            swallowed.append("the first")
        await asyncio.sleep(3600)

    def end() -> None:
        ticking.wait(10)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(clock.Ticker, "run", deaf)
    threading.Thread(target=end, daemon=True).start()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        assert clock.run(App("clock", backend=FakeBackend())) == 0
    finally:
        for number, what in before.items():
            signal.signal(number, what)
    assert swallowed == ["the first"]
