"""A web face on a real server and on the fake, with a worker behind it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from wakeline import App, Ctx
from wakeline.web import ALLOW_ALL, asgi

from tests.scenario.web.client import Client, client_of


@pytest.fixture
def shop(app: App) -> App:
    """Bodies to start."""

    @app.tool
    def charge(order: int, cents: int) -> str:
        return f"charged {order}: {cents}"

    @app.tool
    def decline(order: int) -> str:
        raise ValueError(f"order {order} has no card")

    @app.engine(signals={"decision": bool})
    def refund(ctx: Ctx, order: int) -> str:
        ok = ctx.wait("decision", bool)
        return ctx.call(charge, order, -500) if ok else "not refunded"

    @app.engine
    def ask(ctx: Ctx, what: str) -> str:
        approval = ctx.approval("publish", bool, question={"what": what})
        ctx.emit("log", {"token": approval.token, approval.token: "name"})
        return f"published, and {approval.token}" if approval.wait() else "dropped"

    @app.engine
    def nap(ctx: Ctx) -> str:
        ctx.sleep("1h")
        return "rested"

    return app


@pytest.fixture
def web(shop: App) -> Iterator[Client]:
    """A client of an open face."""
    with client_of(asgi(shop, authorize=ALLOW_ALL)) as client:
        yield client
