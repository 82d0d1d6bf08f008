"""`ctx.log` says each line once, with any handler, also if a body keeps the logger in a variable."""

from __future__ import annotations

import logging

import pytest
from wakeline import App, AsyncCtx

from tests.scenario.conftest import until


def test_a_logger_that_a_body_kept_is_silent_until_it_comes_to_what_is_new(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    @app.engine(signals={"go": bool})
    async def ship(ctx: AsyncCtx) -> None:
        log = ctx.log
        log.info("begins")
        await ctx.step("weigh", lambda: 3)
        log.info("waits")
        await ctx.wait("go", bool)
        log.info("ends")

    with caplog.at_level(logging.INFO, "wakeline.body"):
        shipping = app.start(ship)
        until(lambda: shipping.status().status == "waiting")
        shipping.signal("go", True)
        shipping.result(timeout=20)
    assert [record.getMessage() for record in caplog.records if record.name == "wakeline.body.ship"] == [
        *("begins", "waits", "ends"),
    ]
