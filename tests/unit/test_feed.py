"""What a follower is told, and what it is told of that it missed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wakeline.errors import ForeignCursor, InvalidPayload
from wakeline.sessions.activity import Progress, ToolCallStarted, event_from
from wakeline.sessions.feed import Committed, EntryChanged, Gap, SessionGone, TurnActivity, parse_cursor
from wakeline.store.feed import read_feed

ENTRY = {"at": "7", "w": "entry", "n": "3", "s": "admitted process:turn:x:1"}


def test_items_are_what_the_scripts_wrote() -> None:
    rows = [
        (1, ENTRY),
        (2, {"at": "7", "w": "entry", "n": "4", "s": "undeliverable expired 7"}),
        (3, {"at": "8", "w": "commit", "rev": "2", "by": "process:turn:x:1", "c": "2", "l": "6"}),
        (4, {"at": "8", "w": "commit", "rev": "3", "by": "", "c": "0", "l": "0"}),
        (
            5,
            {
                "at": "9",
                "w": "activity",
                "id": "a1",
                "c": "tool:1",
                "e": '{"type":"tool_call_started","tool":"charge"}',
            },
        ),
        (6, {"at": "9", "w": "deleted"}),
    ]
    items, reached = read_feed("m", 0, 6, rows, whole=True)
    assert reached == 6
    assert items == [
        EntryChanged("m:1", 7, 3, "admitted", "process:turn:x:1"),
        EntryChanged("m:2", 7, 4, "undeliverable", None, "expired"),
        Committed("m:3", 8, 2, "process:turn:x:1", range(5, 7)),
        Committed("m:4", 8, 3, None, range(1, 1)),
        TurnActivity("m:5", 9, "a1", "tool:1", ToolCallStarted(tool="charge")),
        SessionGone("m:6", 9),
    ]


@pytest.mark.parametrize(
    "later",
    [
        {"at": "7", "w": "song"},
        {"at": "7", "w": "activity", "id": "a", "c": "c", "e": '{"type":"song"}'},
        {"at": "7", "w": "activity", "id": "a", "c": "c", "e": "nonsense"},
        {"at": "7", "w": "commit", "rev": "2"},
        {"w": "entry"},
    ],
)
def test_an_item_of_a_later_release_is_a_gap_and_ends_nothing(later: dict[str, str]) -> None:
    items, reached = read_feed("m", 0, 2, [(1, later), (2, ENTRY)], whole=True)
    assert items == [Gap("m:1"), EntryChanged("m:2", 7, 3, "admitted", "process:turn:x:1")]
    assert reached == 2


@pytest.mark.parametrize(
    ("after", "last", "numbers", "whole", "shown"),
    [
        (None, 9, [], True, []),
        (2, 2, [], True, []),
        (2, 4, [3, 4], True, ["m:3", "m:4"]),
        (2, 9, [5, 6], False, ["gap m:4", "m:5", "m:6"]),
        (2, 6, [3, 5, 6], True, ["m:3", "gap m:4", "m:5", "m:6"]),
        (2, 7, [], True, ["gap m:7"]),
        (2, 5, [3], True, ["m:3", "gap m:5"]),
    ],
)
def test_what_is_missing_is_a_gap(
    after: int | None, last: int, numbers: list[int], whole: bool, shown: list[str]
) -> None:
    items, _ = read_feed("m", after, last, [(number, ENTRY) for number in numbers], whole=whole)
    assert [f"gap {item.cursor}" if isinstance(item, Gap) else item.cursor for item in items] == shown


@given(st.lists(st.booleans(), max_size=40), st.integers(1, 5))
def test_reading_in_pages_tells_every_item_once_and_every_hole_at_least_once(kept: list[bool], size: int) -> None:
    there = [n for n, keep in enumerate(kept, 1) if keep]
    last, at, told, gaps = len(kept), 0, [], set()
    for _ in range(len(kept) + 2):
        page = [n for n in there if n > at][:size]
        items, at = read_feed("m", at, last, [(n, ENTRY) for n in page], whole=len(page) < size)
        for item in items:
            (gaps.add if isinstance(item, Gap) else told.append)(parse_cursor(item.cursor)[1])  # type: ignore[attr-defined]
    assert (told, at) == (there, last)
    holes = {n for n in range(1, last + 1) if n not in there}
    assert all(any(hole <= gap for gap in gaps) for hole in holes)
    assert gaps <= holes


@pytest.mark.parametrize("cursor", ["", "7", ":7", "m:", "m:-1", "m:x", "m:²", "m:9999999999999999999"])
def test_a_text_that_is_no_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(ForeignCursor):
        parse_cursor(cursor)


def test_activity_is_a_closed_vocabulary() -> None:
    assert event_from({"type": "progress", "text": "half"}) == Progress(text="half")
    for wrong in ({"type": "dream"}, {"type": "tool_call_started"}, {"type": "progress", "more": 1}, "progress"):
        with pytest.raises(InvalidPayload):
            event_from(wrong)
