"""Errors in groups: which of them decides, and what follows from a cancel alone."""

from __future__ import annotations

import asyncio

import pytest
from wakeline.errors import (
    LeaseLost,
    OperationCancelled,
    Parked,
    ProcessCancelled,
    ProcessFailed,
    RedisUnavailable,
    SleepCancelled,
    StepFailed,
    Stopped,
    ToolFailed,
    WaitCancelled,
)
from wakeline.processes.failures import Escaped, described, leaves_of
from wakeline.run.groups import deciding, follows_cancel

WAIT, OTHER_WAIT, ASKED = (
    WaitCancelled(what="signal a"),
    SleepCancelled(what="sleep"),
    OperationCancelled(reason="enough"),
)
OWN, SECOND = ValueError("no stock"), KeyError("colour")
TOOL = ToolFailed(tool="charge", failure_class="execution", failure_code="ValueError", failure_message="declined")
CHILD, FAILED_CHILD = (
    ProcessCancelled(process_id="c", reason="parent cancelled"),
    ProcessFailed(process_id="c", failure_class="execution", failure_code="x", failure_message="y"),
)
STEP = StepFailed(step="note", failure_code="ValueError", failure_message="no ink")
AWAY, LOST, STOPPED, PARKED = RedisUnavailable(reason="cable"), LeaseLost(process_id="p"), Stopped(), Parked()


def group(*errors: BaseException) -> BaseException:
    """As a task group raises them: an `Exception` where all of them are."""
    return BaseExceptionGroup("several", errors)


def caused(error: Exception, by: BaseException) -> Exception:
    error.__cause__ = by
    return error


@pytest.mark.parametrize(
    ("raised", "decides"),
    [
        (OWN, OWN),
        (group(OWN), OWN),
        (group(group(group(OWN))), OWN),
        (group(WAIT), WAIT),
        (group(WAIT, OTHER_WAIT), WAIT),
        (group(OTHER_WAIT, group(ASKED, WAIT)), OTHER_WAIT),
        (group(WAIT, group(OWN)), OWN),
        (group(WAIT, TOOL), TOOL),
        (Escaped(group(STOPPED)), STOPPED),
        (Escaped(group(OWN, group(SECOND, STOPPED))), STOPPED),
        (Escaped(group(OWN, PARKED)), PARKED),
        (group(OWN, AWAY), AWAY),
        (group(OWN, group(WAIT, LOST)), LOST),
    ],
)
def test_an_error_in_a_group_decides_as_it_would_alone(raised: BaseException, decides: BaseException) -> None:
    assert deciding(raised) is decides


def test_of_several_errors_of_the_body_none_decides_and_all_are_named() -> None:
    both = group(OWN, WAIT, group(SECOND))
    assert deciding(both) is both
    code, message = described(both)
    assert code == "ExceptionGroup"
    named = [
        "ValueError: no stock",
        "wait_cancelled: Waiting for signal a was cancelled. Let the body end.",
        "KeyError: 'colour'",
    ]
    assert message == f"several (3 sub-exceptions): {'; '.join(named)}"


def test_what_would_end_a_loop_leaves_its_group_contained() -> None:
    found = deciding(Escaped(group(SystemExit(3))))
    assert isinstance(found, Escaped)
    assert isinstance(found.original, SystemExit)


@pytest.mark.parametrize(
    ("raised", "follows"),
    [
        (WAIT, True),
        (ASKED, True),
        (TOOL, True),
        (CHILD, True),
        (FAILED_CHILD, True),
        (Escaped(asyncio.CancelledError()), True),
        (OWN, False),
        (STEP, False),
        (group(WAIT, group(CHILD, ASKED)), True),
        (group(WAIT, group(OWN)), False),
        (caused(ValueError("stopped"), WAIT), True),
        (caused(ValueError("stopped"), caused(KeyError("why"), ASKED)), True),
        (caused(ValueError("stopped"), group(WAIT, OTHER_WAIT)), True),
        (group(caused(ValueError("stopped"), WAIT), CHILD), True),
        (caused(ValueError("stopped"), group(WAIT, OWN)), False),
        (caused(ValueError("stopped"), OWN), False),
        (group(caused(ValueError("1"), group(WAIT)), caused(ValueError("2"), group(WAIT))), True),
    ],
)
def test_what_the_body_awaited_follows_a_cancel_and_what_it_says_itself_does_not(
    raised: BaseException, follows: bool
) -> None:
    assert follows_cancel(raised) is follows


def test_an_error_that_came_up_while_a_cancel_was_handled_is_the_bodys_own() -> None:
    try:
        try:
            raise WAIT
        except WaitCancelled:
            raise ValueError("no stock")  # noqa: B904 - without `from`, on purpose
    except ValueError as error:
        raised = error
    assert raised.__context__ is WAIT
    assert not follows_cancel(raised)


def test_errors_that_cause_each_other_or_lie_deep_are_looked_through() -> None:
    circle = ValueError("again")
    circle.__cause__ = caused(KeyError("and"), circle)
    assert not follows_cancel(circle)
    chain: Exception = WAIT
    nested: BaseException = OWN
    for _ in range(5_000):
        chain = caused(ValueError("again"), chain)
        nested = group(nested)
    assert follows_cancel(chain)
    assert leaves_of(nested) == [OWN]
    assert deciding(nested) is OWN
