"""The ids of a worker's takes: each is answered once, and what both answers bring begins once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from wakeline.processes.lease import Fence
from wakeline.store.claims import Claim
from wakeline_workers.takes import Takes


@dataclass(frozen=True)
class Brought:
    """What `Takes` looks at of a claim."""

    fence: Fence

    @property
    def process_id(self) -> str:
        return self.fence.process_id


def claim(take: str, pid: str = "p", n: int = 1) -> Claim:
    return cast("Claim", Brought(Fence(process_id=pid, incarnation="i", epoch=1, claim_id=f"{take}-{n}", owner="o")))


def test_a_take_is_sent_under_the_same_ids_until_it_is_answered_and_the_next_under_the_second_of_them() -> None:
    takes = Takes()
    present, following = takes.begin()
    assert takes.begin() == takes.named == (present, following)
    takes.answered([])
    assert takes.begin()[0] == following
    assert takes.begin()[1] not in (present, following)


def test_a_hand_off_between_two_takes_answers_the_one_that_would_come_next() -> None:
    takes = Takes()
    takes.begin()
    takes.answered([])
    following, _ = takes.named
    assert takes.is_news(claim(following))
    takes.handed(claim(following))
    assert not takes.is_news(claim(following))
    assert following not in takes.begin()


def test_a_hand_off_under_the_id_of_the_take_that_is_on_its_way_begins_once() -> None:
    takes = Takes()
    present, following = takes.begin()
    takes.handed(claim(present))
    assert not takes.is_news(claim(present))
    takes.answered([claim(present)])
    assert takes.begin()[0] == following


def test_a_hand_off_under_the_id_after_the_take_that_is_on_its_way_uses_that_id_up() -> None:
    takes = Takes()
    _, following = takes.begin()
    takes.handed(claim(following))
    takes.answered([])
    assert not takes.is_news(claim(following))
    assert following not in takes.begin()


def test_a_reply_that_brings_what_was_handed_over_since_uses_the_id_up_and_the_late_hint_is_no_news() -> None:
    takes = Takes()
    _, following = takes.begin()
    assert takes.is_news(claim(following))
    takes.answered([claim(following)])
    assert not takes.is_news(claim(following))
    assert following not in takes.begin()


def test_a_reply_that_brings_another_process_under_the_claim_of_a_hand_off_begins_that_one_too() -> None:
    """The store went back, and did not know of the hand-off any more."""
    takes = Takes()
    present, _ = takes.begin()
    takes.handed(claim(present))
    assert takes.is_news(claim(present, "another"))


def test_a_hint_of_an_earlier_take_is_no_news() -> None:
    takes = Takes()
    present, _ = takes.begin()
    takes.answered([])
    assert not takes.is_news(claim(present))
