"""Every script on every backend: fakeredis, then each real server that this machine has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from wakeline.store.connection import Backend, FakeBackend, UrlBackend

from tests.lua.world import World, running_server, servers

SERVERS = servers()
REAL = [pytest.param(name, marks=pytest.mark.real) for name in SERVERS]


@pytest.fixture(scope="session")
def lua_server() -> Iterator[Callable[[str], str]]:
    """Starts the named server once and returns its URL."""
    urls: dict[str, str] = {}
    with ExitStack() as stack:

        def url(name: str) -> str:
            if name not in urls:
                urls[name] = stack.enter_context(running_server(SERVERS[name]))
            return urls[name]

        yield url


@pytest.fixture(params=["fakeredis", *REAL])
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
