"""An app that is served: a worker loop in a thread of this process, on the fake and on a real server."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from secrets import token_hex
from typing import Any
from unittest import mock

import pytest
from wakeline import App
from wakeline.engines.registry import Registry
from wakeline.settings import Settings
from wakeline.store import declarations
from wakeline.store.connection import Backend
from wakeline_workers.loop import WorkerLoop


@contextmanager
def served(app: App) -> Iterator[App]:
    """Serves the app's bodies until the end of the block."""
    loops: list[tuple[WorkerLoop, asyncio.AbstractEventLoop]] = []

    async def serve() -> None:
        loops.append((WorkerLoop(app), asyncio.get_running_loop()))
        await loops[0][0].serve()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    until(lambda: bool(loops))
    yield app
    loops[0][1].call_soon_threadsafe(loops[0][0].stop)
    thread.join(10)
    assert not thread.is_alive()


def until(look: Callable[[], bool]) -> None:
    """Looks until it is so; a worker in a thread has its own time."""
    end = time.monotonic() + 10
    while not look():
        assert time.monotonic() < end, "it did not happen within 10 s"
        time.sleep(0.01)


@contextmanager
def declaring(app: App) -> Iterator[None]:
    """Tests declare agents after their worker has started, which says what is declared at its start alone: each is put
    in force by itself."""
    add = Registry.add

    def declared(registry: Registry, kind: str, table: dict[str, Any], made: Any) -> Any:
        found = add(registry, kind, table, made)
        if kind == "agent" and registry is app.registry:
            app.store.execute(declarations.write(app.declared, "named"))
        return found

    with mock.patch.object(Registry, "add", declared):
        yield


@pytest.fixture
def app(backend: Backend) -> Iterator[App]:
    """A served app of its own namespace, whose bodies park after 50 ms."""
    with (
        served(App("t" + token_hex(4), backend=backend, settings=Settings(hold_ms=50, grace_ms=500))) as made,
        declaring(made),
    ):
        yield made
        made.close()
