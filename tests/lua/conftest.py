"""Every script on every backend: fakeredis, then each real server that this machine has."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from wakeline.store.connection import Backend, FakeBackend, UrlBackend

from tests.lua.world import World
from tests.servers import BACKENDS, started_servers


@pytest.fixture(scope="session")
def lua_server() -> Iterator[Callable[[str], str]]:
    """Starts the named server once and returns its URL."""
    with started_servers() as url:
        yield url


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, lua_server: Callable[[str], str]) -> Backend:
    """fakeredis, then each real server, emptied."""
    if request.param == "fakeredis":
        return FakeBackend()
    real = UrlBackend(lua_server(request.param))
    with real.sync() as client:
        client.flushall()
    return real


@pytest.fixture
def world(backend: Backend) -> Iterator[World]:
    """A fresh namespace."""
    made = World.on(backend)
    yield made
    made.store.close()
