"""What verbs cost in round trips, counted by the server itself (MONITOR): counts gate, times do not."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from secrets import token_hex
from typing import Any

import pytest
import redis
from wakeline import App, AsyncCtx, AsyncTurn
from wakeline.embedded import PrivateServer, find_server
from wakeline.settings import Settings
from wakeline.store import ends, queues
from wakeline.store.connection import UrlBackend
from wakeline_workers.loop import WorkerLoop
from wakeline_workers.threads import WorkerThread

from benchmarks.budget import Meter

pytestmark = pytest.mark.real
HOUSEKEEPING_MS = 60_000


@pytest.fixture
def server() -> Iterator[PrivateServer]:
    """A server for each test: the tailer of an app that was closed stays blocked for a while, and would be counted."""
    binary = find_server()
    assert binary is not None
    with PrivateServer(binary) as running:
        yield running


@pytest.fixture
def app(server: PrivateServer) -> Iterator[App]:
    made = App(
        "t" + token_hex(4),
        backend=UrlBackend(server.url),
        settings=Settings(beat_ms=HOUSEKEEPING_MS, lease_ms=3 * HOUSEKEEPING_MS),
    )
    yield made
    made.close()


class Monitor:
    """The commands that clients sent since the last look, without those that scripts ran."""

    def __init__(self, server: PrivateServer) -> None:
        self._client: Any = redis.Redis.from_url(server.url)
        self._marker: Any = redis.Redis.from_url(server.url)
        self._monitor = self._client.monitor()
        self._monitor.__enter__()

    def sent(self, of: str = "clients") -> list[str]:
        """Names of the commands, in order; a script is called by its name's stem. ``of``: ``clients``, or the ``lua``
        of their scripts."""
        mark, found = token_hex(8), []
        self._marker.echo(mark)
        while True:
            entry = self._monitor.next_command()
            if mark in entry["command"]:
                return [command for command in found if command != "PING"]
            if (entry["client_type"] == "lua") == (of == "lua"):
                found.append(entry["command"].split(" ", 1)[0].upper())


@pytest.fixture
def monitor(server: PrivateServer) -> Monitor:
    return Monitor(server)


def nothing(app: App) -> Any:
    @app.engine(signals={"go": bool})
    async def nothing(ctx: AsyncCtx) -> None:
        """Ends at once."""

    return nothing


VERBS: dict[str, Callable[[Any], object]] = {
    "start": lambda world: world.app.start(world.body),
    "signal": lambda world: world.handle.signal("go", True),
    "emit": lambda world: world.outside.emit("log", {"line": 1}),
    "cancel": lambda world: world.handle.cancel("enough"),
    "status": lambda world: world.handle.status(),
    "send": lambda world: world.app.session("clerk", "1").send("hello"),
    "finish": lambda world: world.outside.finish(1),
}


class World:
    """A queued process and outside work; every script was sent once before, on others, and their types are cached."""

    def __init__(self, app: App) -> None:
        self.app, self.body = app, nothing(app)

        @app.agent("clerk")
        async def clerk(turn: AsyncTurn) -> None:
            """Says nothing."""

        self.handle, self.outside = app.start(self.body), app.external("ci")
        for call in VERBS.values():
            call(self)
        self.handle, self.outside = app.start(self.body), app.external("ci")


@pytest.mark.parametrize("verb", list(VERBS))
def test_a_verb_is_one_round_trip(app: App, monitor: Monitor, verb: str) -> None:
    world = World(app)
    monitor.sent()
    VERBS[verb](world)
    assert monitor.sent() == ["FCALL"]


COPIES = """
local function call(...) return redis.call(...) end
local ns, pid, record = ARGV[1], ARGV[2], call('HGETALL', ARGV[1] .. 'proc:' .. ARGV[2])
local spec, time = call('GET', ns .. 'spec:' .. pid), call('ZSCORE', ns .. 'idx:waiting', pid)
for n = tonumber(ARGV[3]) + 1, tonumber(ARGV[4]) do
  call('HSET', ns .. 'proc:copy-' .. n, unpack(record))
  call('SET', ns .. 'spec:copy-' .. n, spec)
  call('ZADD', ns .. 'idx:waiting', time, 'copy-' .. n)
end
"""


def test_a_page_of_a_filter_is_one_script_of_as_many_commands_beside_20_000_as_beside_1_000(app: App) -> None:
    filters = (
        {"kind": "tool"},
        {"session": "clerk/1"},
        {"parent": "none"},
        {"waiting": "never"},
        {"kind": "other", "waiting": "never"},
    )
    app.session("clerk", "1").create()
    handle, prefix, meter = app.start(nothing(app)), app.store.address.prefix, Meter(app.store.client)
    client: Any = app.store.client
    client.hset(f"{prefix}proc:{handle.id}", mapping={"st": "waiting", "fs": "1", "n:go": "slot", "o:g": "1"})
    client.zrem(f"{prefix}idx:queued", handle.id)
    client.zadd(f"{prefix}idx:waiting", {handle.id: 1_700_000_000_000})
    counts: list[list[int]] = []
    for copies in ((0, 999), (999, 19_999)):
        client.eval(COPIES, 1, f"{prefix}meta", prefix, handle.id, *copies)
        counts.append([])
        for by in filters:
            assert app.processes("live", limit=50, **by) == []  # this one enters them
            before, sent = meter.look(), app.store.sent.counts.copy()
            assert app.processes("live", limit=50, **by) == []
            counts[-1].append(meter.look().commands - before.commands)
            scripts = {name: n - sent.get(name, 0) for name, n in app.store.sent.counts.items()}
            assert (scripts["process_list"], scripts["process_index"]) == (1, 0)
    assert counts[0] == counts[1]
    assert max(counts[0]) <= 20


def test_resolving_a_token_is_one_round_trip(app: App, monitor: Monitor) -> None:
    tokens: list[str] = []

    @app.engine
    async def asks(ctx: AsyncCtx) -> None:
        question = await ctx.approval("deploy", bool)
        tokens.append(question.token)
        await question.wait()

    with WorkerThread(app):
        for _ in range(2):
            app.start(asks)
        _until(lambda: len(tokens) == 2)
    app.resolve(tokens[0], True)
    monitor.sent()
    assert app.resolve(tokens[1], True) is True
    assert monitor.sent() == ["FCALL"]


def test_a_noop_process_alone_is_five_round_trips_as_its_start_hands_it_over(app: App, monitor: Monitor) -> None:
    body = nothing(app)
    with WorkerThread(app):
        app.start(body).result(timeout=10)
        time.sleep(0.3)  # the worker is idle again: one blocked read, and a look once a second
        counts = []
        for _ in range(5):
            monitor.sent()
            app.start(body)
            time.sleep(0.2)
            counts.append(sorted(monitor.sent()))
    # The start, the hint and the wait for the next one, the end and the next take, which leave in one write. A tick or
    # an idle look of the worker may fall into one of them, not into all.
    assert ["BLPOP", "FCALL", "FCALL", "FCALL", "LPOP"] in counts


def test_a_start_runs_ten_commands_on_the_server_and_a_noop_fifty_three_the_number_of_each_write_included(
    app: App, monitor: Monitor
) -> None:
    body = nothing(app)
    app.start(body)
    monitor.sent()
    app.start(body)
    assert len(monitor.sent("lua")) == 10
    with WorkerThread(app):
        app.start(body).result(timeout=10)
        time.sleep(0.3)
        counts = []
        for _ in range(5):
            monitor.sent()
            app.start(body)
            time.sleep(0.2)
            counts.append(monitor.sent("lua"))
    # A tick or an idle look of the worker may fall into one of them, not into all.
    fewest = min(counts, key=len)
    assert fewest.count("HINCRBY") >= 2  # the numbers of its writes
    assert len(fewest) <= 53, fewest


async def waited(app: App, n: int) -> None:
    """Returns when so many waiters of this loop have been told that nothing has changed."""
    while app.aio.store.sent.counts.get("tailer_watch", 0) < n:
        await asyncio.sleep(0.01)
    await app.aio.store.execute(queues.list_queues([]))  # its answer comes behind theirs


def test_a_thousand_waiters_on_a_loop_and_in_threads_are_one_blocked_read_and_a_look_a_second(
    app: App, monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wakeline.store.tailer.LOOK_S", 0.2)  # a second of a test that has less time
    monkeypatch.setattr("wakeline.store.tailer.YOUNG_S", 600)  # no look while they begin to wait
    handles = app.start_many(nothing(app), [{}] * 1_000)
    outside, outcome = app.external("ci"), list[object]()
    waiting = threading.Thread(target=lambda: outcome.append(app.handle(outside.id).result()))
    waiting.start()
    found: list[list[str]] = []
    most: list[float] = []

    async def wait() -> None:
        waiters = [asyncio.ensure_future(app.aio.handle(one.id).result()) for one in handles]
        await waited(app, 1_000)
        monkeypatch.setattr("wakeline.store.tailer.YOUNG_S", 0.0)
        monitor.sent()
        began = time.monotonic()
        blocked = set[int]()
        while time.monotonic() - began < 0.4 or 1 not in blocked:  # none is, for a moment, while it looks
            blocked.add(app.store.info()["blocked_clients"])
            await asyncio.sleep(0.04)
        found.append([one for one in monitor.sent() if one not in ("INFO", "CONFIG")])
        most.append((time.monotonic() - began) / 0.2 + 1)  # a busy machine is late
        assert blocked <= {0, 1}
        for one in waiters:
            one.cancel()
        await asyncio.wait(waiters)
        await app.aio.close()

    asyncio.run(wait())
    assert outcome == []
    outside.finish(1)
    waiting.join(10)
    assert outcome == [1]
    # A look of 1,000 processes is four calls of one script, in one command.
    assert set(found[0]) == {"XREAD", "FCALL"}
    assert found[0].count("XREAD") <= most[0]
    assert found[0].count("FCALL") <= most[0]


def test_a_thousand_ends_at_once_are_told_with_their_outputs_and_no_waiter_looks_again(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wakeline.store.tailer.YOUNG_S", 600)  # no look finds an end before it is told

    async def wait() -> None:
        outside = await asyncio.gather(*(app.aio.external("ci") for _ in range(1_000)))
        waiters = [asyncio.ensure_future(app.aio.handle(one.id).result(timeout=60)) for one in outside]
        await waited(app, 1_000)
        sent = app.aio.store.sent.counts
        before = dict(sent)
        output = '{"type":"success","value":7}'
        await asyncio.to_thread(
            app.store.execute_together, [ends.finish(one.id, "completed", output) for one in outside]
        )
        assert await asyncio.gather(*waiters) == [7] * 1_000
        assert sent == before
        await app.aio.close()

    asyncio.run(wait())


def test_a_held_body_is_told_by_its_hint_alone_and_looks_for_what_a_hint_does_not_carry(app: App) -> None:
    @app.engine(signals={"go": str})
    async def waits(ctx: AsyncCtx) -> int:
        return len(await ctx.wait("go", str))

    counts: list[int] = []

    async def serve() -> None:
        worker = WorkerLoop(app)
        serving = asyncio.create_task(worker.serve())
        for text in ("short", "short", "short", "x" * 10_000):
            before = worker.store.sent.counts.get("slot_read", 0)
            handle = await app.aio.start(waits)
            while not any(run.waits for run in worker._runner.runs.values()):
                await asyncio.sleep(0.01)
            await handle.signal("go", text)
            assert await handle.result(timeout=10) == len(text)
            counts.append(worker.store.sent.counts.get("slot_read", 0) - before)
        worker.stop()
        await serving

    asyncio.run(serve())
    # A tick looks at what waits at intervals, even if a worker was told.
    assert min(counts[:3]) == 0
    assert counts[3] >= 1


def test_an_end_and_the_next_take_leave_in_one_write(app: App) -> None:
    body = nothing(app)
    app.start_many(body, [{}] * 20)
    worker = WorkerLoop(app, concurrency=1, burst=True)
    assert asyncio.run(worker.serve()) == 20
    sent = worker.store.sent.counts
    assert sent["process_finish"] == 20
    assert sent["round_trips"] <= 30, sent  # one for each end, and a few of a worker that comes, ticks and goes


def _until(look: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not look():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_look_at_a_result_brings_the_result_and_not_the_input_of_the_process(app: App, server: PrivateServer) -> None:
    @app.engine
    async def first(ctx: AsyncCtx, text: str) -> str:
        return text[:50_000]

    with WorkerThread(app):
        handle = app.start(first, "x" * 500_000)
        assert handle.result(timeout=10) == "x" * 50_000
    client: Any = redis.Redis.from_url(server.url)
    before = client.info("stats")["total_net_output_bytes"]
    handle.result(timeout=10)
    assert sum(1 for _ in handle.events()) == 2
    assert client.info("stats")["total_net_output_bytes"] - before < 150_000  # the result twice
