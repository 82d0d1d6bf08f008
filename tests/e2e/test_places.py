"""A blocking client's places for connections come back after any break of a call, and no call gets the answer to
another one."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from redis import exceptions as rex
from wakeline.embedded import PrivateServer
from wakeline.store.places import Alive, Places, exchange

pytestmark = pytest.mark.real
ROOT = Path(__file__).parents[2]
CUT = """
import gc, os, random, resource, signal, time
import redis
from wakeline import App
from wakeline.settings import Settings
from wakeline.store.connection import UrlBackend
class Now(Exception): pass
def raises(*_): raise Now
app = App("cut", backend=UrlBackend(os.environ["SERVER"], connections=2), settings=Settings())
@app.tool
def same(n: int) -> int: return n
handles = [app.using(id=f"b-{i}").start(same, i) for i in range(10)]
signal.signal(signal.SIGALRM, raises)
random.seed(1)
cut, wrong, end = 0, 0, time.monotonic() + 60
def cut_off(most):
    global cut, wrong
    while cut < most and time.monotonic() < end:
        i = random.randrange(10)
        try:
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.00001 + random.random() * 0.0012)
                if random.random() < 0.2:
                    handles[i].result(timeout=5)
                wrong += handles[i].status().id != f"b-{i}"
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except Now:
            cut += 1
cut_off(500)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
cut_off(3000)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
gc.collect()
alive = sum(isinstance(one, redis.Connection) for one in gc.get_objects())
began = time.monotonic()
print(cut, wrong, handles[3].status().id, time.monotonic() - began < 5, alive <= 3, after - before < 8192)
"""


def test_thousands_of_calls_that_a_signal_handler_breaks_off_cost_no_place_no_memory_and_no_right_answer(
    server: PrivateServer,
) -> None:
    env = os.environ | {"SERVER": server.url, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", CUT],
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "3000 0 b-3 True True True\n"), done.stderr[-2000:]


@pytest.fixture
def places(server: PrivateServer) -> Iterator[Any]:
    pool = cast("Any", Places).from_url(server.url, max_connections=2, timeout=0.3, decode_responses=True)
    yield pool
    pool.disconnect()


def forgets(places: Any) -> None:
    """A call that took a place and was broken off before it could give it back."""
    places.get_connection()


def test_what_a_broken_call_took_is_the_next_calls(places: Any) -> None:
    for _ in range(5):
        forgets(places)
    first = places.get_connection()
    second = places.get_connection()
    assert first is not second


def test_a_third_call_waits_for_one_of_two_places_and_is_refused_after_its_time(places: Any) -> None:
    first, second = places.get_connection(), places.get_connection()
    began = time.monotonic()
    with pytest.raises(rex.ConnectionError, match="No connection available"):
        places.get_connection()
    assert time.monotonic() - began >= 0.3
    threading.Timer(0.1, places.release, [second]).start()
    assert places.get_connection() is second
    places.release(first)


def test_a_connection_that_may_still_get_a_reply_is_dropped_and_its_place_is_free_at_once(places: Any) -> None:
    connection = places.get_connection()
    connection.send_command("ECHO", "of the broken call")
    places.release(connection)
    assert not connection.is_connected
    kept = [places.get_connection(), places.get_connection()]
    assert connection not in kept
    for other in kept:
        other.send_command("ECHO", "mine")
        assert other.read_response() == "mine"


def test_a_connection_that_is_given_back_twice_is_lent_once(places: Any) -> None:
    connection = places.get_connection()
    places.release(connection)
    places.release(connection)
    assert places.get_connection() is connection
    assert places.get_connection() is not connection


class Now(Exception):
    """What a signal handler raises."""


def test_an_exchange_that_is_broken_off_gives_its_place_back_and_never_its_connection(
    places: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Any] = []
    take = places.get_connection

    def noted() -> Any:
        taken.append(take())
        return taken[-1]

    monkeypatch.setattr(places, "get_connection", noted)
    monkeypatch.setattr("wakeline.store.places._answer", lambda _: (_ for _ in ()).throw(Now()))
    kept: list[Now] = []
    for _ in range(3):
        try:
            exchange(places, [("ECHO", "1")])
        except Now as broken:
            kept.append(broken)  # its frames live on, and with them the connection
    monkeypatch.undo()
    assert exchange(places, [("ECHO", "2"), ("NOPE",), ("ECHO", "3")])[::2] == ["2", "3"]
    assert len({id(one) for one in taken}) == 3 and not any(one.is_connected for one in taken)


def test_a_connection_whose_connect_is_broken_off_is_not_used_again(
    places: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(self: Any, *_: Any, **__: Any) -> None:
        raise Now

    made = places.make_connection
    connections: list[Any] = []
    monkeypatch.setattr(places, "make_connection", lambda: connections.append(made()) or connections[-1])
    monkeypatch.setattr(places.connection_class, "on_connect_check_health", breaks)
    for _ in range(3):
        with pytest.raises(Now):
            places.get_connection()
    monkeypatch.undo()
    assert places.get_connection() not in connections


def test_things_that_are_gone_leave_their_places(places: Any) -> None:
    class Thing:
        """Something that takes a place."""

    alive = Alive(1)
    first = alive.add(Thing)
    assert first is not None and alive.add(Thing) is None
    del first
    gc.collect()
    second = alive.add(Thing)
    assert second is not None
    alive.dismiss(second)
    assert alive.add(Thing) is not None
