"""What is handed to an idle worker runs once, whatever becomes of the hint: it is lost, comes twice, meets a take, is
cut on the wire, or finds a worker that leaves."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from secrets import token_hex
from typing import Any, cast
from urllib.parse import urlsplit, urlunsplit

import pytest
from wakeline import App, AsyncCtx, AsyncTurn, Ctx
from wakeline.embedded import PrivateServer
from wakeline.settings import Settings
from wakeline.store.connection import Backend, UrlBackend
from wakeline_workers import loop as worker_loop
from wakeline_workers.heartbeat import Heartbeat
from wakeline_workers.loop import WorkerLoop

from tests.scenario.conftest import until

LONG_MS = 600_000
"""No lease ends and no bell is taken for lost within a test."""
Heed = Callable[[str], None]
Telling = Callable[[WorkerLoop, str, Heed], None]
"""What becomes of the hint of a hand-off: the worker that it is for, the hint, what the worker would do."""


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second of an idle worker is a tenth of one."""
    monkeypatch.setattr(worker_loop, "TICK_MS", 100)


class Handed:
    """An app, and what its bodies did."""

    def __init__(self, backend: Backend, namespace: str | None = None) -> None:
        self.app = App(
            namespace or "t" + token_hex(4),
            backend=backend,
            settings=Settings(beat_ms=40, lease_ms=LONG_MS, stale_ms=LONG_MS, hold_ms=0, shutdown_ms=5_000),
        )
        self.ran: list[int] = []
        self.hints = 0
        """How many hand-offs were told."""

        @self.app.engine
        async def once(ctx: AsyncCtx, n: int) -> int:
            self.ran.append(n)
            return n

        @self.app.engine(signals={"go": int})
        async def waits(ctx: AsyncCtx) -> int:
            n = await ctx.wait("go", int)
            self.ran.append(n)
            return n

        @self.app.agent("clerk")
        async def clerk(turn: AsyncTurn) -> int:
            [n] = [int(item.text) for item in turn.inbox]
            self.ran.append(n)
            return n

        self.once, self.waits = once, waits

    def stored(self, key: str, field: str) -> str | None:
        client, prefix = cast("Any", self.app.store.client), self.app.store.address.prefix
        return cast("str | None", client.hget(f"{prefix}{key}", field))

    def is_awaiting(self, worker: WorkerLoop) -> bool:
        """Whether a worker may be handed a process."""
        return bool(self.stored(f"takes:{worker.owner}", "next")) and not worker._tasks

    @contextmanager
    def worker(
        self, telling: Telling = lambda worker, message, heed: heed(message), app: App | None = None
    ) -> Iterator[tuple[WorkerLoop, asyncio.AbstractEventLoop]]:
        """A worker with a heartbeat, which runs nothing yet."""
        loops: list[tuple[WorkerLoop, asyncio.AbstractEventLoop]] = []

        async def serve() -> None:
            worker, loop = WorkerLoop(app or self.app), asyncio.get_running_loop()
            heed = worker._hearing.heed

            def hear(message: str) -> None:
                if message.startswith("claim "):
                    self.hints += 1
                    telling(worker, message, heed)
                else:
                    heed(message)

            worker._hearing.heed = hear  # type: ignore[method-assign]
            serving = loop.create_task(worker.serve())
            while self.stored("leases", worker.owner) is None:
                await asyncio.sleep(0.01)
            with Heartbeat.of(worker, loop):
                loops.append((worker, loop))
                await serving

        thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
        thread.start()
        until(lambda: bool(loops) and self.is_awaiting(loops[0][0]))
        try:
            yield loops[0]
        finally:
            with suppress(RuntimeError):  # it has left by itself
                loops[0][1].call_soon_threadsafe(loops[0][0].stop)
            thread.join(10)
            assert not thread.is_alive()


@pytest.fixture
def handed(backend: Backend) -> Iterator[Handed]:
    made = Handed(backend)
    yield made
    made.app.close()


def lost(worker: WorkerLoop, message: str, heed: Heed) -> None:
    """It never arrives."""


def doubled(worker: WorkerLoop, message: str, heed: Heed) -> None:
    """It arrives twice, and once more when the run may be over."""
    heed(message)
    heed(message)
    asyncio.get_running_loop().call_later(0.05, heed, message)


def meets_a_take(worker: WorkerLoop, message: str, heed: Heed) -> None:
    """It arrives while the take of its id is on its way."""
    worker._rung.set()
    asyncio.get_running_loop().call_soon(lambda: asyncio.get_running_loop().call_soon(heed, message))


def late(worker: WorkerLoop, message: str, heed: Heed) -> None:
    """It arrives when the take of its id was answered."""
    worker._rung.set()
    asyncio.get_running_loop().call_later(0.03, heed, message)


@pytest.mark.parametrize("telling", [lost, doubled, meets_a_take, late])
def test_what_is_handed_over_runs_once_whatever_becomes_of_the_hint(handed: Handed, telling: Telling) -> None:
    with handed.worker(telling) as (worker, _):
        for n in range(3):
            until(lambda: handed.is_awaiting(worker))
            handle = handed.app.start(handed.once, n)
            assert handle.result(timeout=10) == n
            assert handed.stored(f"proc:{handle.id}", "ls") is None
    assert (handed.ran, handed.hints) == ([0, 1, 2], 3)


@pytest.mark.parametrize("telling", [lost, doubled, meets_a_take])
def test_so_does_what_a_signal_resumes_and_the_turn_that_an_input_begins(handed: Handed, telling: Telling) -> None:
    with handed.worker(telling) as (worker, _):
        handle = handed.app.start(handed.waits)
        until(lambda: handle.status().status == "waiting" and handed.is_awaiting(worker))
        handle.signal("go", 7)
        assert handle.result(timeout=10) == 7
        until(lambda: handed.is_awaiting(worker))
        handed.app.session("clerk", "1").send("8")
        until(lambda: handed.ran == [7, 8] and handed.is_awaiting(worker))
    assert (handed.ran, handed.hints) == ([7, 8], 3)


def test_beats_leave_what_was_handed_over_with_its_worker_until_it_looks(
    handed: Handed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_loop, "TICK_MS", LONG_MS)  # it looks when it is told to
    with handed.worker(lost) as (worker, loop):
        began = int(handed.stored("beats", worker.owner) or 0)
        handle = handed.app.start(handed.once, 1)
        until(lambda: int(handed.stored("beats", worker.owner) or 0) >= began + 6)
        assert (handle.status().status, handed.stored(f"proc:{handle.id}", "ls"), handed.ran) == ("running", None, [])
        loop.call_soon_threadsafe(worker._rung.set)
        assert handle.result(timeout=10) == 1
    assert handed.ran == [1]


@pytest.mark.parametrize("turns_of_the_loop", range(8))
def test_what_is_handed_to_a_worker_that_leaves_runs_in_another_and_counts_as_no_loss(
    handed: Handed, turns_of_the_loop: int
) -> None:
    with ExitStack() as first:
        worker, loop = first.enter_context(handed.worker())
        stopped = threading.Event()

        async def stop_soon() -> None:
            for _ in range(turns_of_the_loop):
                await asyncio.sleep(0)
            worker.stop()
            stopped.set()

        asyncio.run_coroutine_threadsafe(stop_soon(), loop)
        handle = handed.app.start(handed.once, 1)
        assert stopped.wait(10)
    with handed.worker():
        assert handle.result(timeout=10) == 1
    assert (handed.ran, handed.stored(f"proc:{handle.id}", "ls")) == ([1], None)


def test_a_hint_that_finds_a_worker_that_waits_for_its_bodies_is_handed_back_at_once(handed: Handed) -> None:
    over = threading.Event()

    @handed.app.engine
    def stays(ctx: Ctx) -> None:
        over.wait(10)

    client, prefix = cast("Any", handed.app.store.client), handed.app.store.address.prefix
    with handed.worker() as (worker, loop):
        staying = handed.app.using(recovery="owner_bound").start(stays)  # it may not move, so it is waited for
        until(lambda: bool(worker._tasks))
        loop.call_soon_threadsafe(worker.stop)
        until(lambda: worker._runner._stopping and client.scard(f"{prefix}idle:{handed.app.namespace}") == 0)
        # As if its last take had met the stop.
        client.hset(f"{prefix}takes:{worker.owner}", "next", f"{worker._takes.named[0]} {handed.app.clock.now_ms()} 0 ")
        client.sadd(f"{prefix}idle:{handed.app.namespace}", worker.owner)
        handle = handed.app.start(handed.once, 1)
        until(lambda: handle.status().status == "queued")
        assert staying.status().status == "running"
        over.set()
    assert (handed.ran, handed.stored(f"proc:{handle.id}", "ls"), handed.hints) == ([], None, 2)


# -- on the wire


class Wire:
    """Passes on what a client and a server say to each other; cuts the connection in place of the nth answer."""

    def __init__(self, url: str) -> None:
        self._server = urlsplit(url)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._left: int | None = None
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def backend(self) -> UrlBackend:
        port = self._listener.getsockname()[1]
        return UrlBackend(urlunsplit(self._server._replace(netloc=f":{self._server.password}@127.0.0.1:{port}")))

    def cut(self, nth: int) -> None:
        """Cuts in place of the nth answer from now on."""
        self._left = nth

    def _is_cut(self) -> bool:
        with self._lock:
            if self._left is None:
                return False
            self._left -= 1
            if self._left > 0:
                return False
            self._left = None
            return True

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                server = socket.create_connection((str(self._server.hostname), int(self._server.port or 0)))
                threading.Thread(target=self._pass_on, args=(client, server, False), daemon=True).start()
                threading.Thread(target=self._pass_on, args=(server, client, True), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        with suppress(OSError):
            while (said := source.recv(1 << 20)) and not (answers and self._is_cut()):
                target.sendall(said)
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def wire(server: PrivateServer) -> Iterator[Wire]:
    made = Wire(server.url)
    yield made
    made.close()


@pytest.mark.real
def test_an_answer_to_a_worker_that_is_cut_off_costs_a_look_and_no_lease(server: PrivateServer, wire: Wire) -> None:
    handed = Handed(UrlBackend(server.url))
    through = Handed(wire.backend, handed.app.namespace)
    with handed.worker(app=through.app) as (worker, _):
        for nth in range(1, 9):
            until(lambda: handed.is_awaiting(worker))
            wire.cut(nth)
            handle = handed.app.start(handed.once, nth)
            assert handle.result(timeout=10) == nth
            assert handed.stored(f"proc:{handle.id}", "ls") is None
    assert through.ran == [1, 2, 3, 4, 5, 6, 7, 8]
    through.app.close()
    handed.app.close()


@pytest.mark.real
def test_a_start_whose_answer_is_cut_off_hands_over_once(server: PrivateServer, wire: Wire) -> None:
    handed = Handed(UrlBackend(server.url))
    client = App(handed.app.namespace, backend=wire.backend, settings=handed.app.settings)
    with handed.worker() as (worker, _):
        client.using(id="first").start(handed.once, 0).result(timeout=10)
        for nth in range(1, 4):
            until(lambda: handed.is_awaiting(worker))
            wire.cut(nth)
            with suppress(Exception):  # a client that is not patient may be told
                client.using(id=f"p{nth}").start(handed.once, nth)
            assert client.using(id=f"p{nth}").start(handed.once, nth).result(timeout=10) == nth
    assert handed.ran == [0, 1, 2, 3]
    client.close()
    handed.app.close()
