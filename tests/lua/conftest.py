"""Every script on every backend: fakeredis, then each real server that this machine has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit, urlunsplit

import pytest
from wakeline.store.connection import Backend, FakeBackend, UrlBackend

from tests.lua.world import World
from tests.servers import BACKENDS, SERVERS, started_servers


@pytest.fixture(scope="session")
def lua_server() -> Iterator[Callable[[str], str]]:
    """Starts the named server once and returns its URL."""
    with started_servers() as url:
        yield url


def emptied(name: str, lua_server: Callable[[str], str]) -> Backend:
    """A server by its name, emptied; after a blank, for a user who may call no functions, so that the texts of scripts
    are sent."""
    if name == "fakeredis":
        return FakeBackend()
    name, _, without = name.partition(" ")
    url = lua_server(name)
    with UrlBackend(url).sync() as client:
        client.flushall()
        if not without:
            return UrlBackend(url)
        client.acl_setuser(
            "texts",
            enabled=True,
            passwords=["+texts"],
            keys=["*"],
            channels=["*"],
            categories=["+@all"],
            commands=["-function", "-fcall"],
        )
    at = urlsplit(url)
    return UrlBackend(urlunsplit(at._replace(netloc=f"texts:texts@{at.hostname}:{at.port}")))


@pytest.fixture(
    params=[*BACKENDS, *(pytest.param(f"{name} without functions", marks=pytest.mark.real) for name in SERVERS)]
)
def backend(request: pytest.FixtureRequest, lua_server: Callable[[str], str]) -> Backend:
    """fakeredis, then each real server, then each without functions."""
    return emptied(request.param, lua_server)


@pytest.fixture
def world(backend: Backend) -> Iterator[World]:
    """A fresh namespace."""
    made = World.on(backend)
    yield made
    made.store.close()
