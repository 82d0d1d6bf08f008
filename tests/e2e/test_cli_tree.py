"""`wakeline tree`: what started a process and what it started, drawn for a terminal, a pipe and a program."""

from __future__ import annotations

from tests.e2e.shop import Shop
from tests.e2e.terminals import shown_in


def test_a_tree_says_what_each_process_waits_for(busy: Shop) -> None:
    lines = busy.text("tree", "parent-1").splitlines()
    assert [line.split() for line in lines] == [
        ["parent-1", "waiting", "parent", "child", "the-child"],
        ["└─", "the-child", "waiting", "refund", "signal", "decision"],
    ]


def test_the_process_that_was_asked_for_is_marked_below_its_parents(busy: Shop) -> None:
    lines = busy.text("tree", "the-child").splitlines()
    assert [line.split()[:3] for line in lines] == [["parent-1", "waiting", "parent"], ["└▶", "the-child", "waiting"]]


def test_a_tree_in_json_nests_children_and_names_parents(busy: Shop) -> None:
    found = busy.json("tree", "parent-1")
    assert (found["parents"], found["above"], found["above_is_gone"]) == ([], None, False)
    root = found["root"]
    assert (root["process"]["id"], root["more"], root["more_at_least"]) == ("parent-1", 0, False)
    assert [(wait["kind"], wait["name"]) for wait in root["waits"]] == [("child", "the-child")]
    [child] = root["children"]
    assert (child["process"]["id"], child["process"]["status"], child["children"]) == ("the-child", "waiting", [])
    [parent] = busy.json("tree", "the-child")["parents"]
    assert parent["id"] == "parent-1"


def test_what_is_left_out_is_counted_and_the_reader_is_told_how_to_see_it(busy: Shop) -> None:
    refused = busy.run("tree", "parent-1", "--depth", "0")
    assert refused.stdout.splitlines()[1:] == ["└─ 1 child"]
    assert refused.stderr == (
        "wakeline: more are counted than shown; --width, --depth, or `wakeline ps --parent ID` list them\n"
    )
    assert busy.run("tree", "parent-1", "--depth", "17").exit_code == 2
    assert busy.run("tree", "parent-1", "--width", "0").exit_code == 2


def test_a_tree_fits_a_terminal_of_40_cells(busy: Shop) -> None:
    lines = shown_in(40, "tree", "parent-1", NO_COLOR="1")
    assert lines[0].startswith("PROCESS")
    assert all(len(line) <= 40 for line in lines if not line.startswith("wakeline:"))
    assert lines[2].startswith("└─ the-child")
