"""An app on a real server, served by a worker; its bodies use their execution context."""

from __future__ import annotations

from collections.abc import Iterator
from secrets import token_hex

import pytest
from wakeline import App
from wakeline.embedded import PrivateServer
from wakeline.settings import Settings
from wakeline.store.connection import UrlBackend

from tests.scenario.conftest import served


@pytest.fixture
def app(server: PrivateServer) -> Iterator[App]:
    """A served app of its own namespace on the real server, whose bodies park after 20 ms."""
    made = App(
        "x" + token_hex(4), backend=UrlBackend(server.url, connections=8), settings=Settings(hold_ms=20, grace_ms=500)
    )
    with served(made):
        yield made
        made.close()
