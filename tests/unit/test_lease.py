"""The fence, and what counts against a process."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from wakeline.processes.lease import Fence, Journaled
from wakeline.testing.model.lease import (
    Lease,
    attempts_exhausted,
    loss_delay_ms,
    losses_exhausted,
    runs_apart,
    together,
    writable,
)
from wakeline.testing.model.lifecycle import STATUSES

FENCE = Fence("p_1", "inc00001", 3, "claim1", "o_1")
LEASE = Lease("running", "inc00001", 3, "claim1")


def test_the_run_that_holds_the_process_may_write() -> None:
    assert writable(FENCE, LEASE)


@pytest.mark.parametrize(
    "changed",
    [{"incarnation": "inc00002"}, {"epoch": 2}, {"epoch": 4}, {"claim_id": "claim2"}, {"claim_id": None}],
    ids=["registered again", "older epoch", "newer epoch", "claimed after a failover", "released"],
)
def test_any_other_run_may_not(changed: dict[str, Any]) -> None:
    assert not writable(FENCE, replace(LEASE, **changed))


@pytest.mark.parametrize("status", [status for status in STATUSES if status != "running"])
def test_nobody_writes_to_a_process_that_does_not_run(status: Any) -> None:
    assert not writable(FENCE, replace(LEASE, status=status))


@pytest.mark.parametrize(("answers", "length"), [([(5, 9), (9, 12)], 12), ([(0, 4)], 9), ([(0, 9)], 14)])
def test_a_run_whose_store_has_less_than_it_was_answered_may_not_write(
    answers: list[tuple[int, int]], length: int
) -> None:
    fence = replace(FENCE, journaled=Journaled(5))
    for was, now in answers:
        fence.journaled.grew(was, now)
    assert fence.journaled.length == length
    assert [writable(fence, replace(LEASE, journal=length - short)) for short in (0, 1)] == [True, False]
    assert writable(fence.of_the_claim, LEASE)


def test_five_failed_attempts_are_all_by_default() -> None:
    assert [attempts_exhausted(n) for n in (4, 5)] == [False, True]
    assert [attempts_exhausted(n, 1) for n in (0, 1)] == [False, True]


def test_ten_losses_are_survived() -> None:
    assert [losses_exhausted(n) for n in (10, 11)] == [False, True]


def test_a_process_lost_twice_runs_apart() -> None:
    assert [runs_apart(n) for n in (1, 2)] == [False, True]


@pytest.mark.parametrize(
    ("held", "most"),
    [
        (64, [64, 21, 7, 2, 1, 1, 1, 1, 1, 1]),
        (1_000, [1_000, 333, 111, 37, 12, 4, 1, 1, 1, 1]),
        (1, [1] * 10),
    ],
)
def test_of_those_that_are_lost_together_a_third_run_together_and_soon_each_alone(held: int, most: list[int]) -> None:
    found: list[int] = []
    for losses in range(1, 11):
        found.append(together(losses, held, found[-1] if found else None))
    assert found == most


def test_no_more_run_together_than_ran_together_at_each_loss() -> None:
    assert [together(1, 64), together(2, 5, 64), together(3, 64, 20)] == [64, 1, 6]


def test_what_ends_its_worker_is_tried_again_later_each_time() -> None:
    assert [loss_delay_ms(n) for n in range(1, 11)] == [
        0,
        0,
        1_000,
        2_000,
        4_000,
        8_000,
        16_000,
        32_000,
        60_000,
        60_000,
    ]
