"""A child's cancel that meets the end of its call."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from wakeline.cancellation import CancellationToken
from wakeline.run.isolation import IsolatedCall, Returned
from wakeline_workers.isolation import Isolate

APP = """
import time
from wakeline import App
app = App("alone")

@app.tool(isolation="process")
def naps(seconds: float) -> str:
    time.sleep(seconds)
    return "rested"
"""


def call(seconds: float) -> IsolatedCall:
    return IsolatedCall("naps", {"seconds": seconds}, "p", "k", 1, "t", None, "{}", "process:p", ["process:p"])


def test_a_cancel_that_comes_with_the_end_of_its_call_harms_no_later_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "alone_app.py").write_text(APP)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")

    async def go() -> list[Any]:
        child = await Isolate.started("alone_app:app")
        token = CancellationToken()
        first = await child.run(call(0.0), lambda verb, args: None, token, grace_ms=50, timeout_ms=None)
        token.cancel("too late")
        racing = CancellationToken()
        answered = asyncio.ensure_future(
            child.run(call(0.1), lambda verb, args: None, racing, grace_ms=50, timeout_ms=None)
        )
        asyncio.get_running_loop().call_later(0.1, racing.cancel)
        second = await answered
        third = await child.run(call(0.4), lambda verb, args: None, CancellationToken(), grace_ms=50, timeout_ms=None)
        child.kill("the test is over")
        await child.bury()
        return [first, second, third]

    assert asyncio.run(go()) == [Returned("rested")] * 3
