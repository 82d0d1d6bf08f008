"""A number that no event, entry, message or page can have is refused before a script is asked, and leaves nothing
behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from wakeline import App
from wakeline.errors import InvalidArguments

from tests.lua.world import World

TOO_LARGE = [10**15, 2**53, 2**63 - 1, 10**20, 10**5000]
VERBS: dict[str, Callable[[App, int], object]] = {
    "events after": lambda app, n: list(app.handle("p").events(after=n)),
    "events after, awaited": lambda app, n: asyncio.run(_events(app, n)),
    "processes": lambda app, n: app.processes(limit=n),
    "undeliverable": lambda app, n: app.undeliverable(n),
    "history after": lambda app, n: app.session("clerk", "1").history(after=n),
    "history count": lambda app, n: app.session("clerk", "1").history(count=n),
    "view after": lambda app, n: app.session("clerk", "1").view(after=n),
    "view count": lambda app, n: app.session("clerk", "1").view(count=n),
    "view entries": lambda app, n: app.session("clerk", "1").view(entries=n),
    "wakes after": lambda app, n: app.session("clerk", "1").wakes(after=n),
    "wakes limit": lambda app, n: app.session("clerk", "1").wakes(limit=n),
    "why": lambda app, n: app.session("clerk", "1").why(n),
    "redrive": lambda app, n: app.session("clerk", "1").redrive(n),
    "attachments": lambda app, n: app.session("clerk", "1").attachments.list(n),
}


async def _events(app: App, after: int) -> list[Any]:
    return [event async for event in app.aio.handle("p").events(after=after)]


@pytest.mark.parametrize("verb", VERBS)
def test_a_number_that_is_too_large_or_negative_or_none_is_refused(world: World, app: App, verb: str) -> None:
    app.external("poem", id="p")
    app.session("clerk", "1").create()
    _ = app.store.client
    before = world.snapshot()
    for bad in (*TOO_LARGE, -1, True, "1", 1.5, None):
        if bad is None and verb in ("wakes after", "why", "redrive"):
            continue  # it means: none in particular
        with pytest.raises(InvalidArguments) as refused:
            VERBS[verb](app, bad)  # type: ignore[arg-type]
        assert "it has to be " in str(refused.value)
    assert world.snapshot() == before


def test_the_largest_number_is_answered(app: App) -> None:
    most = 999_999_999_999_999
    app.external("poem", id="p")
    session = app.session("clerk", "1")
    session.create()
    assert (list(app.handle("p").events(after=most)), session.history(after=most), session.wakes(after=most)) == (
        [],
        [],
        [],
    )
    assert [row.id for row in app.processes(limit=most)] == ["p"]
    assert (app.undeliverable(most), session.wakes(limit=most), session.history(count=most)) == ([], [], [])
    assert session.view(count=most, entries=most).history == ()
