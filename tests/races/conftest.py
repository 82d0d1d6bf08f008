"""Races run on the same backends as the scripts, under a virtual clock."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from wakeline.app import App

from tests.lua.conftest import backend, lua_server, world
from tests.lua.world import World
from tests.races.workers import app_of

__all__ = ["app", "backend", "lua_server", "world"]


@pytest.fixture
def app(world: World) -> Iterator[App]:
    """An app in the world's namespace; declare its bodies in the test, run them with `work`."""
    made = app_of(world)
    yield made
    made.close()
