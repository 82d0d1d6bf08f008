"""Which columns of a table give way in a narrow terminal, that no row is wider than it, and that no id is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wakeline_workers.cli.tables import Table, beginning, columns, table

HEADINGS = ("ID", "STATUS", "KIND", "WHY")
ROWS = [
    ("refund-7", "waiting", "refund:refunds of May", "signal decision of the second reviewer"),
    ("a", "queued", "charge", ""),
]
LONG = "p_" + "x" * 36


def test_all_columns_are_whole_where_there_is_room() -> None:
    assert table(HEADINGS, ROWS, 120).lines == (
        "ID        STATUS   KIND                   WHY",
        "refund-7  waiting  refund:refunds of May  signal decision of the second reviewer",
        "a         queued   charge",
    )
    assert table(HEADINGS, ROWS).lines == table(HEADINGS, ROWS, 1_000).lines


def test_the_last_column_gives_way_first_and_then_the_one_before_it() -> None:
    assert table(HEADINGS, ROWS, 60).lines[1] == "refund-7  waiting  refund:refunds of May  signal decision o…"
    assert table(HEADINGS, ROWS, 40).lines == (
        "ID        STATUS   KIND           WHY",
        "refund-7  waiting  refund:refun…  signa…",
        "a         queued   charge",
    )


def test_a_column_for_which_nothing_useful_is_left_is_left_out_and_named() -> None:
    found = table(HEADINGS, ROWS, 20)
    assert found.lines == ("ID  STATUS   KIND", "refund-7", "    waiting  refund…", "a   queued   charge")
    assert found.left_out == ("WHY",)
    assert table(HEADINGS, ROWS, 8) == Table(("ID", "refund-7", "a"), ("STATUS", "KIND", "WHY"))


def test_an_id_for_which_there_is_no_room_beside_the_others_has_a_line_of_its_own_and_is_whole() -> None:
    rows = [(LONG, "waiting", "refund", "signal decision"), ("refund-7", "queued", "charge", "")]
    assert table(HEADINGS, rows, 40).lines == (
        "ID        STATUS   KIND    WHY",
        LONG,
        "          waiting  refund  signal decis…",
        "refund-7  queued   charge",
    )
    assert table(HEADINGS, rows, 20).lines[:3] == ("ID  STATUS   KIND", LONG, "    waiting  refund")
    assert table(HEADINGS, [(LONG, "waiting", "", "")], 80).lines[1] == f"{LONG}  waiting"


def test_columns_of_ids_go_first_and_are_never_cut() -> None:
    headings, rows = ("SESSION", "N", "STATE", "PROCESS"), [("clerk/1", "12345678", "delivered for a turn", LONG)]
    found = table(headings, rows, 40, keep=2, ids=(3,))
    assert found == Table(("SESSION  N         STATE", "clerk/1  12345678  delivered for a turn"), ("PROCESS",))
    assert table(headings, rows, 80, keep=2, ids=(3,)).lines[1] == f"clerk/1  12345678  delivered for a turn  {LONG}"
    assert table(headings, rows, 20, keep=2, ids=(3,)).lines == (
        "SESSION",
        "    N         STATE",
        "clerk/1",
        "    12345678  deliv…",
    )


def test_a_pipe_gets_rows_alone_and_all_of_them() -> None:
    assert table(HEADINGS, [("a", "b" * 500, "c", "")], headed=False).lines == (f"a  {'b' * 500}  c",)
    assert table(HEADINGS, [], headed=False).lines == ()


def test_headings_and_words_of_a_status_have_colours_and_no_other_word_has() -> None:
    assert table(("ID", "STATUS"), [("failed", "failed"), ("b", "queued")], 80, colours=True).lines == (
        "\x1b[1mID\x1b[0m      \x1b[1mSTATUS\x1b[0m",
        "failed  \x1b[31mfailed\x1b[0m",
        "b       queued",
    )
    assert table(("ID", "STATUS"), [("a", "failed")], headed=False, colours=True).lines == ("a  \x1b[31mfailed\x1b[0m",)


@pytest.mark.parametrize(
    ("text", "room", "told"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("日本語", 6, "日本語"),
        ("日本語", 5, "日本…"),
        ("日本語", 4, "日…"),
        ("e\u0301e\u0301e\u0301", 3, "e\u0301e\u0301e\u0301"),
        ("e\u0301e\u0301e\u0301", 2, "e\u0301…"),
        ("👩\u200d🚀x", 4, "👩\u200d…"),
        ("abc", 1, "…"),
        ("abc", 0, ""),
        ("é", 0, ""),
    ],
)
def test_a_text_is_cut_by_the_cells_it_takes(text: str, room: int, told: str) -> None:
    assert beginning(text, room) == told
    assert columns(told) <= max(room, 0)


@pytest.mark.parametrize("one", ["x", "日", "e\u0301"])
def test_a_text_of_two_million_characters_is_cut_at_once(one: str) -> None:
    assert columns(beginning(one * 2_000_000, 10)) in (9, 10)


CELL = st.text(alphabet="ab日e\u0301 ", max_size=30)


@given(
    st.lists(st.tuples(CELL, CELL, CELL, CELL), max_size=4),
    st.integers(1, 90),
    st.integers(1, 3),
    st.sets(st.integers(2, 3)),
    st.booleans(),
)
def test_no_line_is_wider_than_its_room_but_an_id_alone_and_every_id_is_whole(
    rows: list[tuple[str, ...]], room: int, keep: int, ids: set[int], headed: bool
) -> None:
    found = table(HEADINGS, rows, room, headed=headed, keep=keep, ids=ids)
    firsts = {row[0].rstrip() for row in [HEADINGS, *rows]}
    assert [line for line in found.lines if columns(line) > room and line.rstrip() not in firsts] == []
    text = "\n".join(found.lines)
    assert [row[0] for row in rows if row[0].rstrip() not in text] == []
    whole = {*range(1, keep), *ids} - {HEADINGS.index(one) for one in found.left_out}
    assert [row[at] for row in rows for at in whole if row[at].rstrip() not in text] == []
