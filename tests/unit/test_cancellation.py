"""A token is cancelled once, from a parent to its children, for threads and for the loop."""

from __future__ import annotations

import asyncio
import threading

import pytest
from wakeline.cancellation import CancellationToken
from wakeline.errors import OperationCancelled


def test_the_first_reason_counts() -> None:
    token = CancellationToken()
    assert (token.cancelled, token.reason) == (False, "")
    assert token.cancel("enough")
    assert not token.cancel("again")
    assert (token.cancelled, token.reason) == (True, "enough")
    with pytest.raises(OperationCancelled, match="enough"):
        token.raise_if_cancelled()


def test_cancelling_goes_down_and_never_up() -> None:
    parent = CancellationToken()
    child, other = parent.child(), parent.child()
    grandchild = child.child()
    child.cancel("only this branch")
    assert (parent.cancelled, child.cancelled, grandchild.cancelled, other.cancelled) == (False, True, True, False)
    parent.cancel("all")
    assert (other.reason, child.reason) == ("all", "only this branch")


def test_a_child_of_a_cancelled_token_is_cancelled() -> None:
    parent = CancellationToken()
    parent.cancel("before")
    assert parent.child().reason == "before"


def test_callbacks_run_once_at_the_cancel_or_at_once_after_it_and_can_be_taken_back() -> None:
    token = CancellationToken()
    ran: list[str] = []
    token.on_cancel(lambda: ran.append("kept"))
    token.on_cancel(lambda: ran.append("taken back"))()
    token.cancel()
    token.on_cancel(lambda: ran.append("late"))
    token.cancel()
    assert ran == ["kept", "late"]


def test_a_thread_waits_for_it_with_and_without_a_limit() -> None:
    token = CancellationToken()
    assert not token.wait_blocking(0.001)
    threading.Timer(0.01, token.cancel).start()
    assert token.wait_blocking(10)
    assert token.wait_blocking(0)


def test_the_loop_waits_for_it_whoever_cancels() -> None:
    async def main() -> None:
        token = CancellationToken()
        threading.Timer(0.01, token.cancel).start()
        await asyncio.wait_for(token.wait(), 10)
        await asyncio.wait_for(token.wait(), 10)

    asyncio.run(main())
