"""How a process ended, and how often a worker had to run it until then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from wakeline import App, Handle
from wakeline.errors import ProcessFailed

from tests.lua.world import World
from tests.races.workers import work

on_the_fake_alone = pytest.mark.parametrize("backend", ["fakeredis"], indirect=True)
"""For what is decided before anything is sent, and takes long: a real server would have no part in it."""
PATIENCE_MS = 70_000
"""Longer than any backoff between two attempts."""


@dataclass(frozen=True)
class End:
    """The end of a process and what became of its runs, in order."""

    status: str
    runs: tuple[str, ...]
    value: Any = None
    failure: tuple[str, str] | None = None
    message: str = ""


def end_of(world: World, app: App, handle: Handle[Any], *, runs: int = 1) -> End:
    """Works until the process has ended; more than so many runs of anything are one too many."""
    became: list[str] = []
    for n in range(runs):
        became += work(world, app, f"w{n}")
        if handle.status().status in ("completed", "failed", "cancelled", "abandoned"):
            break
        world.pass_ms(PATIENCE_MS)
        world.tick()
    world.pass_ms(PATIENCE_MS)
    world.tick()
    assert work(world, app, "after") == [], "a worker still finds something to run"
    status = handle.status().status
    try:
        return End(status, tuple(became), value=handle.result(timeout=0))
    except ProcessFailed as error:
        return End(
            status, tuple(became), failure=(error.failure_class, error.failure_code), message=error.failure_message
        )


def failure_of(world: World, app: App, handle: Handle[Any]) -> tuple[str, str]:
    """Class and code of a process that failed in its first and only run."""
    end = end_of(world, app, handle)
    assert (end.status, end.runs) == ("failed", ("finished",)), end
    assert end.failure is not None
    return end.failure
