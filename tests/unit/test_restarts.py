"""How long a worker process is waited for that follows one that ended."""

from __future__ import annotations

import signal

import pytest
from wakeline_workers.restarts import Ending, Restarts

FAILED_START, QUICK_DEATH = Ending(failed=True, served_s=None), Ending(failed=True, served_s=0.5)


def test_a_failed_start_is_followed_later_each_time_and_never_later_than_fifteen_seconds() -> None:
    restarts = Restarts()
    assert [restarts.ended(FAILED_START, 0.0) for _ in range(9)] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 15.0, 15.0]
    assert [restarts.ended(FAILED_START, 0.0) for _ in range(2000)][-1] == 15.0


def test_one_death_is_followed_at_once_and_more_in_a_row_later_each_time() -> None:
    restarts = Restarts()
    assert [restarts.ended(QUICK_DEATH, 0.0) for _ in range(5)] == [0.0, 0.2, 0.4, 0.8, 1.6]
    assert restarts.failed_starts == 0


def test_a_worker_that_served_for_ten_seconds_or_left_in_order_ends_the_row() -> None:
    for ending in (
        Ending(failed=True, served_s=10.0),
        Ending(failed=False, served_s=0.1),
        Ending(failed=False, served_s=None),
    ):
        restarts = Restarts()
        for _ in range(4):
            restarts.ended(QUICK_DEATH, 0.0)
            restarts.ended(FAILED_START, 0.0)
        assert restarts.ended(ending, 0.0) == 0.0
        assert restarts.ended(QUICK_DEATH, 0.0) == 0.0
        assert restarts.failed_starts == 0


def test_starts_that_were_killed_are_no_failed_starts_and_wait_longer_each_time_too() -> None:
    restarts = Restarts()
    killed = Ending.of(-signal.SIGKILL, None)
    assert [restarts.ended(killed, 0.0) for _ in range(5)] == [0.0, 0.2, 0.4, 0.8, 1.6]
    assert restarts.failed_starts == 0
    restarts.ended(FAILED_START, 0.0)
    restarts.ended(killed, 0.0)
    restarts.ended(FAILED_START, 0.0)
    assert restarts.failed_starts == 2, "a kill says nothing of the code"


@pytest.mark.parametrize(
    ("code", "ending"),
    [
        (0, Ending(failed=False, served_s=None)),
        (1, Ending(failed=True, served_s=None)),
        (-signal.SIGSEGV, Ending(failed=True, served_s=None)),
        (-signal.SIGABRT, Ending(failed=True, served_s=None)),
        (-signal.SIGKILL, Ending(failed=True, served_s=None, killed=True)),
        (-signal.SIGTERM, Ending(failed=True, served_s=None, killed=True)),
        (-signal.SIGHUP, Ending(failed=True, served_s=None, killed=True)),
    ],
)
def test_a_process_was_killed_if_a_signal_that_is_no_fault_ended_it(code: int, ending: Ending) -> None:
    assert Ending.of(code, None) == ending


def test_each_start_is_due_once_at_its_time() -> None:
    restarts = Restarts()
    restarts.ended(FAILED_START, 100.0)
    restarts.ended(FAILED_START, 100.0)
    assert [restarts.take_due(now) for now in (100.1, 100.3, 100.3, 100.5)] == [0, 1, 0, 1]
    assert not restarts.pending
