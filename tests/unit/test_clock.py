"""Two clocks: production asks Redis, tests move their own."""

from __future__ import annotations

import time

import pytest
from wakeline.clock import ServerClock
from wakeline.errors import InvalidDuration
from wakeline.testing.clock import VirtualClock


def test_production_leaves_the_time_to_the_server() -> None:
    assert ServerClock().script_time() == ""
    assert abs(ServerClock().now_ms() - time.time() * 1000) < 5_000


def test_a_run_follows_the_servers_time_however_this_machine_is_set() -> None:
    heard = time.monotonic_ns() - 5_000_000_000
    there = ServerClock().following(1_000, heard).now_ms()
    assert 6_000 <= there < 66_000


def test_a_virtual_clock_is_the_servers_time_already() -> None:
    clock = VirtualClock()
    assert clock.following(1_000, 0) is clock


def test_a_virtual_clock_stands_still_until_it_is_moved() -> None:
    clock = VirtualClock()
    assert (clock.now_ms(), clock.script_time()) == (1_700_000_000_000, "1700000000000")
    assert clock.advance("1m") == 1_700_000_060_000
    assert clock.script_time() == "1700000060000"


def test_a_virtual_clock_never_goes_back() -> None:
    with pytest.raises(InvalidDuration):
        VirtualClock().advance(-1)
