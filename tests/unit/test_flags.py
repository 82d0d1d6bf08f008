"""A flag is raised by any code and waited for by a thread; signal handlers and forks break neither it nor a client."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from secrets import token_hex

from wakeline import App
from wakeline.store.blocking import SyncStore
from wakeline.store.connection import FakeBackend
from wakeline.store.flags import Flag


def test_a_flag_that_is_up_ends_one_wait_however_often_it_was_raised() -> None:
    flag = Flag()
    flag.up()
    flag.up()
    assert flag.wait(None)
    assert not flag.wait(0)


def test_a_wait_ends_by_its_timeout_if_a_signal_handler_outlasts_it() -> None:
    done = threading.Event()

    def is_raised_late(*_: object) -> None:
        time.sleep(0.1)

    def gives_up() -> None:
        if not done.wait(20):  # the wait hangs: end the tests here rather than never
            os._exit(70)

    threading.Thread(target=gives_up, daemon=True).start()
    before = signal.signal(signal.SIGALRM, is_raised_late)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        assert not Flag().wait(0.05)
    finally:
        done.set()
        signal.signal(signal.SIGALRM, before)


def within(seconds: float, function: Callable[[], object]) -> bool:
    """Whether the function returns in time, in a thread that is left behind if it does not."""
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    thread.join(seconds)
    return not thread.is_alive()


def client() -> SyncStore:
    return App("t" + token_hex(4), backend=FakeBackend()).store


def test_a_handler_may_use_a_client_whose_thread_is_in_the_middle_of_a_verb() -> None:
    store = client()
    assert store.client

    def broken_into() -> None:
        with store._starting, store._renewal:
            store._watch()  # what a handler's own verb does
            assert store.client

    assert within(10, broken_into)


def test_a_child_that_is_forked_during_the_first_contact_of_its_parent_makes_its_own() -> None:
    store = client()
    held, over = threading.Event(), threading.Event()

    def first_contact() -> None:
        with store._opening.setdefault(os.getpid(), threading.RLock()):
            held.set()
            over.wait(30)

    thread = threading.Thread(target=first_contact, daemon=True)
    thread.start()
    held.wait()
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(10)
        os._exit(0 if store.client else 1)
    over.set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 0
