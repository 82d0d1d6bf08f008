"""Races run on fakeredis and on each real server, under a virtual clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from wakeline.app import App
from wakeline.store.connection import Backend

from tests.lua.conftest import emptied, lua_server, world
from tests.lua.world import World
from tests.races.workers import app_of
from tests.servers import BACKENDS

__all__ = ["app", "backend", "lua_server", "world"]


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, lua_server: Callable[[str], str]) -> Backend:  # noqa: F811 - the fixture of that name
    """A server, emptied."""
    return emptied(request.param, lua_server)


@pytest.fixture
def app(world: World) -> Iterator[App]:
    """An app in the world's namespace; declare its bodies in the test, run them with `work`."""
    made = app_of(world)
    yield made
    made.close()
