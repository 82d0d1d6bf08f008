"""The mailbox rule, on its model: one scenario for each sentence of it, then its invariants under any order of
steps."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wakeline.errors import MailboxFull, ReplayConflict
from wakeline.testing.model.mailbox import Mailbox
from wakeline.waits.mailbox import MAILBOX_LIMIT


def taken(box: Mailbox) -> dict[str, str]:
    """Which signal each wait has, consumed or not."""
    return {wait: signal.signal_id for wait, signal in (box.resolved | box.consumed).items()}


def test_the_nth_signal_resolves_the_nth_wait() -> None:
    box = Mailbox()
    assert [box.deliver("go", key) for key in "abc"] == [1, 2, 3]
    for wait in ("w1", "w2", "w3"):
        box.open(wait, "go")
    assert taken(box) == {"w1": "a", "w2": "b", "w3": "c"}


def test_two_senders_while_one_wait_is_open() -> None:
    # W1 of the reference: the second signal must not be lost on the wait that the first one took.
    box = Mailbox()
    box.open("w1", "go")
    box.deliver("go", "a")
    box.deliver("go", "b")
    box.open("w2", "go")
    assert taken(box) == {"w1": "a", "w2": "b"}


def test_a_signal_goes_to_the_wait_of_its_name() -> None:
    box = Mailbox()
    box.open("w1", "go")
    box.deliver("stop", "a")
    assert taken(box) == {}
    assert [signal.signal_id for signal in box.kept] == ["a"]


def test_a_resend_returns_the_first_sequence_and_resolves_nothing_new() -> None:
    box = Mailbox()
    box.open("w1", "go")
    assert box.deliver("go", "a", "1") == 1
    box.open("w2", "go")
    assert box.deliver("go", "a", "1") == 1
    assert taken(box) == {"w1": "a"}


def test_a_resend_with_other_content_is_a_conflict() -> None:
    box = Mailbox()
    box.deliver("go", "a", "1")
    with pytest.raises(ReplayConflict):
        box.deliver("go", "a", "2")


def test_a_given_up_wait_consumes_nothing() -> None:
    box = Mailbox()
    box.open("w1", "go")
    box.give_up("w1")
    box.deliver("go", "a")
    assert box.open("w2", "go") is not None
    assert taken(box) == {"w2": "a"}


def test_a_signal_that_resolved_a_given_up_wait_returns_to_the_head() -> None:
    box = Mailbox()
    box.open("w1", "go")
    box.deliver("go", "a")
    box.deliver("go", "b")
    box.give_up("w1")
    assert [signal.signal_id for signal in box.kept] == ["a", "b"]


def test_waits_given_up_in_any_order_leave_signals_in_the_order_they_were_sent() -> None:
    box = Mailbox()
    for wait, key in (("w1", "a"), ("w2", "b")):
        box.open(wait, "go")
        box.deliver("go", key)
    box.give_up("w1")
    box.give_up("w2")
    assert [signal.signal_id for signal in box.kept] == ["a", "b"]


def test_a_returned_signal_resolves_the_wait_that_is_open_now() -> None:
    box = Mailbox()
    box.open("w1", "go")
    box.deliver("go", "a")
    box.open("w2", "go")
    box.give_up("w1")
    assert taken(box) == {"w2": "a"}
    assert box.kept == []


def test_a_journaled_signal_stays_consumed() -> None:
    box = Mailbox()
    box.open("w1", "go")
    box.deliver("go", "a")
    box.consume("w1")
    box.give_up("w1")
    assert taken(box) == {"w1": "a"}
    assert box.kept == []


def test_a_late_duplicate_does_not_reopen_a_wait() -> None:
    box = Mailbox()
    box.open("w1", "go")
    box.give_up("w1")
    assert box.open("w1", "go") is None
    box.deliver("go", "a")
    assert taken(box) == {}


def test_a_full_mailbox_refuses_and_writes_nothing() -> None:
    box = Mailbox(limit=2)
    box.deliver("go", "a")
    box.deliver("stop", "b")
    with pytest.raises(MailboxFull):
        box.deliver("go", "c")
    assert len(box.sent) == 2
    assert box.deliver("go", "a") == 1
    box.open("w1", "halt")
    assert box.deliver("halt", "d") == 3


def test_the_limit_is_pinned() -> None:
    assert MAILBOX_LIMIT == 1024


steps = st.lists(
    st.tuples(
        st.sampled_from(["deliver", "open", "consume", "give_up"]), st.sampled_from(["go", "stop"]), st.integers(1, 6)
    ),
    max_size=40,
)


@given(steps)
def test_no_order_of_steps_loses_or_doubles_a_signal(script: list[tuple[str, str, int]]) -> None:
    box = Mailbox()
    for verb, name, number in script:
        wait = f"{name}{number}"
        before: Any = dict(box.consumed)
        match verb:
            case "deliver":
                box.deliver(name, str(number))
            case "open":
                box.open(wait, name)
            case "consume" if wait in box.resolved:
                box.consume(wait)
            case "give_up" if wait not in box.consumed:
                box.give_up(wait)
            case _:
                pass
        held = [*box.kept, *box.resolved.values(), *box.consumed.values()]
        assert sorted(signal.sequence for signal in held) == list(range(1, len(box.sent) + 1))
        assert not {signal.name for signal in box.kept} & {of for _, of in box.open_waits}
        assert box.consumed.items() >= before.items()
        assert not box.closed & (set(box.resolved) | {wait for wait, _ in box.open_waits})
