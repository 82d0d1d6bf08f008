"""Routes for what runs the server: whether it lives, whether it can answer, and metrics for a scraper.

Invariant: whether the server lives does not depend on Redis, so that a restart of Redis restarts no server.
"""

from __future__ import annotations

from wakeline.observe.metrics import MetricsView
from wakeline.web.answers import Answer
from wakeline.web.asked import Asked
from wakeline.web.routes import Route
from wakeline.web.shapes import Ready
from wakeline.web.who import Role


async def lives(_: Asked) -> Answer:
    """Whether the server lives. Nothing else is looked at."""
    return Answer({"ok": True})


async def ready(asked: Asked) -> Answer:
    """Whether the server can answer: it asks Redis. 503 if Redis does not answer."""
    await asked.app.aio.processes(limit=1)
    return Answer({"ok": True})


async def metrics(asked: Asked) -> Answer:
    """The metrics of the namespace as OpenMetrics text."""
    found = await asked.app.aio.metrics()
    return Answer(found.text(), media_type=MetricsView.content_type)


ROUTES = (
    Route("GET", "/healthz", lives, Role.NONE, {200: Ready}),
    Route("GET", "/readyz", ready, Role.NONE, {200: Ready}),
    Route("GET", "/metrics", metrics, Role.VIEW, {200: "application/openmetrics-text"}),
)
